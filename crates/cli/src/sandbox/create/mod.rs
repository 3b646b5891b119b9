//! `openshell sandbox create`.

mod mounts;
mod providers;
mod tools;
mod wait;

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use openshell_client::{AttachOptions, Client, Created, NewSandbox, Phase};
use openshell_types::{Mount, SandboxName, TerminalSize};

use super::variables;
use super::view::View;
use crate::context::Context;
use crate::diagnostics;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{self, Format, escape, note};
use crate::policy::PolicyFile;
use crate::progress;
use crate::style::Style;
use crate::terminal::{self, Conversation, Tty};
use providers::{Auto, Wanted};

/// Create a sandbox and run a command in it
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The sandbox sees /usr, /opt and the like read-only, a home of its own at /sandbox, what is mounted,
and no network except what the policy allows. It is kept until it is deleted.
An agent that has no provider gets one of this environment's variables, if you say so when asked.
The exit code is the command's; 125 when we failed, 126 and 127 as a shell, 128+n for a signal.
Ctrl-P Ctrl-Q leaves a command with a terminal; `openshell sandbox connect` comes back.

Examples:
  openshell sandbox create                                  a shell
  openshell sandbox create --mount . -- make test           something on this folder
  openshell sandbox create --no-keep -- python3 -c 'print(1)'
  openshell sandbox create --policy policy.yaml --name dev --detach -- claude")]
pub(crate) struct Args {
    /// Name [default: two words]
    #[arg(long)]
    name: Option<SandboxName>,

    /// Policy file; `-` is standard input [default: no network]
    #[arg(long, value_name = "FILE", env = "OPENSHELL_SANDBOX_POLICY", hide_env_values = true)]
    policy: Option<PathBuf>,

    /// Show a host folder or file in the sandbox [default DST: /sandbox/NAME; writable unless `ro`]
    #[arg(long, value_name = "SRC[:DST][:ro|rw]")]
    mount: Vec<String>,

    /// Variable for the sandbox; none is inherited
    #[arg(long, value_name = "K=V")]
    env: Vec<String>,

    /// Provider whose credentials the sandbox may use; see `openshell provider`
    #[arg(long, value_name = "NAME")]
    provider: Vec<String>,

    #[command(flatten)]
    auto: Auto,

    /// Label
    #[arg(long, value_name = "K=V")]
    label: Vec<String>,

    /// Print the sandbox's name and return when it is ready
    #[arg(short, long)]
    detach: bool,

    /// Delete the sandbox when its command ends
    #[arg(long)]
    no_keep: bool,

    /// Do not warn about variables that look like credentials
    #[arg(long)]
    no_credential_warnings: bool,

    #[command(flatten)]
    tty: Tty,

    /// How to show the created sandbox
    #[arg(short, long, value_enum, value_name = "FORMAT", requires = "detach")]
    output: Option<Format>,

    /// The command and its arguments [default: /bin/bash -l]
    #[arg(last = true, value_name = "CMD")]
    command: Vec<String>,
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> Result<Exit, CliError> {
    let plan = Plan::make(args, context)?;
    plan.carry_out(context).await.map_err(CliError::into_ours)
}

/// What to do, worked out before anything is started.
struct Plan {
    new: NewSandbox,
    providers: Wanted,
    policy: Option<PolicyFile>,
    detach: bool,
    output: Option<Format>,
}

impl Plan {
    fn make(args: Args, context: &Context<'_>) -> Result<Self, CliError> {
        let config = context.config;
        let mounts = mounts::parse(&args.mount, config.folder.as_deref())?;
        let mut environment = variables::environment(&args.env)?;
        if !args.no_credential_warnings {
            warn_of_credentials(&environment, Style::of_error(config));
        }
        let labels = variables::labels(&args.label)?;
        let policy = args.policy.as_deref().map(PolicyFile::read).transpose()?;
        let terminal = terminal_of(&args, context);
        if terminal.is_some() {
            terminal::describe(config, &mut environment);
        }
        let mut command = args.command;
        if command.is_empty() {
            command = ["/bin/bash", "-l"].map(str::to_owned).to_vec();
        }
        let providers = Wanted::new(args.provider, args.auto, &command, &environment);
        let mut tool_binds = BTreeSet::new();
        if context.gateway()?.is_beside() {
            let host = tools::Host::new(config.home(), config.path(), &mounts);
            tool_binds = find_tool(&mut command, &mut environment, &host)?;
        }
        hint_at_folder(&mounts, &command, context);
        let new = NewSandbox {
            name: args.name.map(|name| name.to_string()).unwrap_or_default(),
            labels,
            command,
            environment,
            terminal,
            mounts,
            tool_binds: tool_binds.into_iter().collect(),
            ephemeral: args.no_keep,
            await_attach: !args.detach,
            policy: policy.as_ref().map(|file| (file.text.clone(), file.name.clone())),
            providers: Vec::new(),
        };
        Ok(Self { new, providers, policy, detach: args.detach, output: args.output })
    }

    async fn carry_out(mut self, context: &Context<'_>) -> Result<Exit, CliError> {
        let client = context.connect().await?;
        self.new.providers = self.providers.settle(&client, context.config).await?;
        let terminal = self.new.terminal;
        let kept = !self.new.ephemeral;
        let creating = client.create(self.new);
        let created = progress::while_waiting(context.config, "creating the sandbox", creating)
            .await
            .map_err(|error| {
                let error = CliError::from(error);
                match &self.policy {
                    Some(file) => error.about_policy(&file.name, &file.text),
                    None => error,
                }
            })?;
        tell(&created, self.policy.as_ref(), context);
        let name = created.sandbox.name.clone();
        if kept {
            context.remember(&name);
        }
        if self.detach {
            return detached(&client, &name, self.output, context).await;
        }
        let stream =
            client.attach(AttachOptions { sandbox: name.clone(), hold_stdin: true, terminal });
        match terminal::converse(stream, Conversation::main(&name), context.config).await {
            Err(error) if error.is_before_start() => Err(undo(&client, &name, error).await),
            ended => ended,
        }
    }
}

/// Removes a sandbox that could not start: there is nothing in it to be kept.
async fn undo(client: &Client, name: &str, error: CliError) -> CliError {
    match client.sandbox(name).await {
        Ok(sandbox) if sandbox.phase == Phase::Error => match client.delete(name).await {
            Ok(_) => error,
            Err(_) => error.help(format!("`openshell sandbox delete {name}` removes what is left")),
        },
        // It is being started, or nobody can tell.
        _ => error,
    }
}

/// The terminal of the main command. A shell that nobody is attached to yet gets one as well:
/// without it, it would end at once.
fn terminal_of(args: &Args, context: &Context<'_>) -> Option<TerminalSize> {
    if args.detach && !args.tty.is_asked_for() {
        return args.command.is_empty().then(|| args.tty.size_for_later()).flatten();
    }
    args.tty.size(context.config)
}

fn warn_of_credentials(environment: &HashMap<String, String>, style: Style) {
    for name in variables::credentials(environment) {
        note(&format!(
            "{} `{name}` looks like a credential; the agent will be able to read it",
            style.yellow("warning:")
        ));
    }
}

/// Finds the command's program, and says what of the host becomes visible for its sake.
fn find_tool(
    command: &mut [String],
    environment: &mut HashMap<String, String>,
    host: &tools::Host,
) -> Result<BTreeSet<PathBuf>, CliError> {
    let Some(program) = command.first_mut() else { return Ok(BTreeSet::new()) };
    let found = tools::find(program, host)?;
    for bind in &found.binds {
        let bind = escape(&bind.to_string_lossy());
        note(&format!("showing `{bind}` read-only, for `{}`", escape(program)));
    }
    *program = found.program;
    // The tool's helpers are beside it. A PATH that the person gave is left alone.
    if !found.path.is_empty() {
        let folders = found.path.iter().map(|folder| folder.to_string_lossy());
        let path: Vec<_> = std::iter::once(tools::JAIL_PATH.into()).chain(folders).collect();
        environment.entry("PATH".to_owned()).or_insert_with(|| path.join(":"));
    }
    Ok(found.binds)
}

/// Says that the folder is not there: to a person always, to a program only when its command
/// names a file of that folder and so will fail.
fn hint_at_folder(mounts: &[Mount], command: &[String], context: &Context<'_>) {
    let Some(folder) = context.config.folder.as_deref() else { return };
    let covered = mounts.iter().any(|mount| folder.starts_with(&mount.source));
    let names_a_file = || {
        let named = |word: &String| {
            !word.is_empty() && Path::new(word).is_relative() && folder.join(word).exists()
        };
        command.iter().skip(1).any(named)
            || command.first().is_some_and(|first| first.contains('/') && named(first))
    };
    let at_home = context.config.home() == Some(folder) || folder == Path::new("/");
    if covered || !(names_a_file() || (context.config.terminals.error && !at_home)) {
        return;
    }
    let style = Style::of_error(context.config);
    note(&format!(
        "{} this folder is not in the sandbox; `--mount .` shows it there as `/sandbox/{}`",
        style.dim("hint:"),
        escape(&folder.file_name().unwrap_or_default().to_string_lossy())
    ));
}

/// Says what the gateway says.
fn tell(created: &Created, policy: Option<&PolicyFile>, context: &Context<'_>) {
    let style = Style::of_error(context.config);
    if let Some(file) = policy {
        let findings = diagnostics::warnings(&created.diagnostics, &file.name, &file.text, style);
        if !findings.is_empty() {
            note(findings.trim_end());
        }
    }
    for said in &created.notes {
        note(&format!("{} {}", style.dim("note:"), escape(said)));
    }
    if context.config.terminals.error {
        note(&style.dim(&format!("sandbox `{}`", escape(&created.sandbox.name))));
    }
}

async fn detached(
    client: &Client,
    name: &str,
    format: Option<Format>,
    context: &Context<'_>,
) -> Result<Exit, CliError> {
    let ready = wait::until_ready(client, name);
    let sandbox = match progress::while_waiting(context.config, "starting", ready).await {
        Err(error) if error.is_before_start() => return Err(undo(client, name, error).await),
        ready => ready?,
    };
    let view = View::from(sandbox);
    output::show(format.unwrap_or_default(), &view, |view| format!("{}\n", escape(&view.name)))?;
    Ok(Exit::OK)
}
