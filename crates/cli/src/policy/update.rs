//! `openshell policy update`: edits in a little language.

use openshell_client::{Commit, PolicyEdit, PolicyUpdate, UpdatePolicy};
use openshell_policy::{Operation, SyntaxError};
use openshell_types::SandboxName;

use super::set::{CommitArgs, conclude, difference};
use crate::context::Context;
use crate::diagnostics;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{self, escape, note};
use crate::progress;
use crate::style::Style;

/// Edit the policy of a running sandbox: all edits or none
#[derive(Debug, clap::Args)]
#[command(after_help = "\
ENDPOINT is host:port[:access[:protocol[:enforcement[:options]]]]; parts in the middle may be empty.
  access       read-only, read-write or full
  protocol     tcp, rest, websocket and others that the policy's schema has
  enforcement  enforce or audit
  options      allowed-ip=RANGE and others, joined by commas
REQUEST is host:port:METHOD:path, for an endpoint that judges requests.

Rules are removed first, then endpoints; then endpoints are added, then requests. An addition that
would allow more than was asked for becomes a rule of its own, with a warning. The other sections of
the policy stay as they are; comments in its text are not kept. Exit codes as those of `policy set`.

Examples:
  openshell policy update --add-endpoint api.example.com:443 --binary /usr/bin/curl --wait
  openshell policy update --add-endpoint db.internal:5432::tcp::allowed-ip=10.0.0.0/8 \\
      --binary /usr/bin/psql --rule-name database --dry-run
  openshell policy update brave-otter --remove-endpoint api.example.com:443 --remove-rule database")]
pub(crate) struct Args {
    /// Sandbox [default: the one used last]
    name: Option<SandboxName>,

    /// Allow an endpoint to the programs of --binary
    #[arg(long, value_name = "ENDPOINT")]
    add_endpoint: Vec<String>,

    /// Take a port of a host away, from every rule
    #[arg(long, value_name = "HOST:PORT")]
    remove_endpoint: Vec<String>,

    /// Allow requests at an endpoint
    #[arg(long, value_name = "REQUEST")]
    add_allow: Vec<String>,

    /// Deny requests at an endpoint
    #[arg(long, value_name = "REQUEST")]
    add_deny: Vec<String>,

    /// Remove a rule, by its key
    #[arg(long, value_name = "RULE")]
    remove_rule: Vec<String>,

    /// Program that the added endpoints are for; a path or glob [default: the one of the rule]
    #[arg(long, value_name = "PATH", requires = "add_endpoint")]
    binary: Vec<String>,

    /// Key of the rule, with one --add-endpoint [default: made of host and port]
    #[arg(long, value_name = "RULE", requires = "add_endpoint")]
    rule_name: Option<String>,

    #[command(flatten)]
    commit: CommitArgs,
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> Result<Exit, CliError> {
    let commit = args.commit.commit();
    let edits = edits(&args)?;
    let name = context.sandbox(args.name.as_ref())?;
    let client = context.connect().await?;
    let updating = client.update_policy(UpdatePolicy { sandbox: name.clone(), edits, commit });
    let update =
        progress::while_waiting(context.config, "waiting until it is enforced", updating).await?;
    remarks(&update, Style::of_error(context.config));
    let change = &update.change;
    if update.unchanged {
        let number = change.revision;
        output::print(&format!("nothing to change: revision {number} says that already\n"))?;
        if commit == Commit::Check {
            return Ok(Exit::OK);
        }
    } else {
        output::print(&difference(change, Style::of_output(context.config)))?;
    }
    conclude(&name, change, commit)
}

/// What was not done as it was asked, and what was found in the text that came out.
fn remarks(update: &PolicyUpdate, style: Style) {
    for warning in &update.warnings {
        note(&format!("{} {}", style.yellow("warning:"), escape(warning)));
    }
    let (found, file) = (&update.change.diagnostics, "(the policy after the edit)");
    let found = diagnostics::warnings(found, file, &update.text, style);
    if !found.is_empty() {
        note(found.trim_end());
    }
}

/// The edits in their order. A line that is wrong is told before a gateway is asked.
fn edits(args: &Args) -> Result<Vec<PolicyEdit>, CliError> {
    if args.rule_name.is_some() && args.add_endpoint.len() != 1 {
        return Err(CliError::usage("`--rule-name` names the rule of one `--add-endpoint`"));
    }
    let mut edits: Vec<PolicyEdit> =
        args.remove_rule.iter().cloned().map(PolicyEdit::RemoveRule).collect();
    for text in &args.remove_endpoint {
        Operation::parse_removal(text).map_err(|error| wrong("remove-endpoint", text, &error))?;
        edits.push(PolicyEdit::RemoveEndpoint(text.clone()));
    }
    let binaries: Vec<&str> = args.binary.iter().map(String::as_str).collect();
    for text in &args.add_endpoint {
        Operation::parse_endpoint(text, &binaries, args.rule_name.as_deref())
            .map_err(|error| wrong("add-endpoint", text, &error))?;
        edits.push(PolicyEdit::AddEndpoint {
            endpoint: text.clone(),
            binaries: args.binary.clone(),
            rule: args.rule_name.clone(),
        });
    }
    for text in &args.add_allow {
        Operation::parse_allow(text).map_err(|error| wrong("add-allow", text, &error))?;
        edits.push(PolicyEdit::AddAllow(text.clone()));
    }
    for text in &args.add_deny {
        Operation::parse_deny(text).map_err(|error| wrong("add-deny", text, &error))?;
        edits.push(PolicyEdit::AddDeny(text.clone()));
    }
    if edits.is_empty() {
        return Err(CliError::usage("nothing to edit")
            .help("`openshell policy update --help` shows the flags, with examples"));
    }
    Ok(edits)
}

fn wrong(flag: &str, text: &str, error: &SyntaxError) -> CliError {
    CliError::usage(format!("`--{flag} {text}`: {error}"))
        .help("`openshell policy update --help` shows the form, with examples")
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::{Cli, Verb};
    use crate::policy;

    fn read(line: &str) -> Result<Vec<PolicyEdit>, String> {
        let words = ["openshell", "policy", "update"].into_iter().chain(line.split_whitespace());
        let cli = Cli::try_parse_from(words).map_err(|error| error.to_string())?;
        let Verb::Policy(policy::Group { verb: policy::Verb::Update(args) }) = cli.verb else {
            panic!("another verb: {line}");
        };
        edits(&args).map_err(|error| error.to_string())
    }

    #[test]
    fn removals_come_first_and_binaries_belong_to_every_addition() {
        let line = "--add-deny a.test:443:DELETE:/x --add-endpoint a.test:443 --binary /bin/a \
                    --add-endpoint b.test:80 --remove-endpoint c.test:80 --remove-rule old";
        let add = |endpoint: &str| PolicyEdit::AddEndpoint {
            endpoint: endpoint.into(),
            binaries: vec!["/bin/a".into()],
            rule: None,
        };
        assert_eq!(
            read(line).unwrap(),
            [
                PolicyEdit::RemoveRule("old".into()),
                PolicyEdit::RemoveEndpoint("c.test:80".into()),
                add("a.test:443"),
                add("b.test:80"),
                PolicyEdit::AddDeny("a.test:443:DELETE:/x".into()),
            ]
        );
    }

    #[test]
    fn wrong_lines_are_explained() {
        let mut shown = String::new();
        for line in [
            "",
            "--add-endpoint a.test",
            "--add-endpoint https://a.test:443",
            "--add-endpoint a.test:443:some",
            "--add-endpoint a.test:443 --binary curl",
            "--add-endpoint a.test:443 --add-endpoint b.test:443 --rule-name both",
            "--remove-endpoint a.test:0",
            "--add-allow a.test:443:GET",
            "--add-deny a.test:443:GET:x",
        ] {
            shown.push_str(&format!("$ policy update {line}\n{}\n", read(line).unwrap_err()));
        }
        insta::assert_snapshot!(shown);
    }
}
