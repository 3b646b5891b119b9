//! `openshell policy set`, and what all verbs that change a policy share.

use std::path::PathBuf;
use std::time::Duration;

use openshell_client::{Commit, PolicyChange, PolicyState, SetPolicy};
use openshell_types::SandboxName;

use super::PolicyFile;
use crate::context::Context;
use crate::diagnostics;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{self, escape, note};
use crate::progress;
use crate::style::Style;

/// Put a policy in force in a running sandbox
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A policy with errors changes nothing: exit code 2. With --wait: 0 when it is enforced, 1 when the
sandbox could not put it in force (the one before still is), 124 when the time ran out.

Examples:
  openshell policy set --policy policy.yaml --wait
  openshell policy set brave-otter --policy policy.yaml --dry-run")]
pub(crate) struct Args {
    /// Sandbox [default: the one used last]
    name: Option<SandboxName>,

    /// Policy file; `-` is standard input
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,

    #[command(flatten)]
    commit: CommitArgs,
}

/// The flags of the verbs that change a policy.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct CommitArgs {
    /// Check it and print the difference; change nothing
    #[arg(long, conflicts_with = "wait")]
    dry_run: bool,

    #[command(flatten)]
    wait: WaitArgs,
}

/// The flags of waiting.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct WaitArgs {
    /// Return when it is enforced
    #[arg(long)]
    wait: bool,

    /// How many seconds to wait at most
    #[arg(long, default_value_t = 60, value_name = "SECONDS", requires = "wait")]
    timeout: u32,
}

impl CommitArgs {
    pub(super) fn commit(self) -> Commit {
        if self.dry_run { Commit::Check } else { self.wait.commit() }
    }
}

impl WaitArgs {
    pub(super) fn commit(self) -> Commit {
        if self.wait {
            Commit::Wait(Duration::from_secs(self.timeout.into()))
        } else {
            Commit::Store
        }
    }
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> Result<Exit, CliError> {
    let name = context.sandbox(args.name.as_ref())?;
    let file = PolicyFile::read(&args.policy)?;
    let change = set(context, &name, &file, args.commit.commit()).await?;
    if change.state == PolicyState::Checked {
        output::print(&difference(&change, Style::of_output(context.config)))?;
        return Ok(Exit::OK);
    }
    conclude(&name, &change, args.commit.commit())
}

/// Sets a text and shows what was found in it.
pub(super) async fn set(
    context: &Context<'_>,
    name: &str,
    file: &PolicyFile,
    commit: Commit,
) -> Result<PolicyChange, CliError> {
    let client = context.connect().await?;
    let request = SetPolicy {
        sandbox: name.to_owned(),
        text: file.text.clone(),
        file: file.name.clone(),
        commit,
    };
    let setting = client.set_policy(request);
    let change = progress::while_waiting(context.config, "waiting until it is enforced", setting)
        .await
        .map_err(|error| CliError::from(error).about_policy(&file.name, &file.text))?;
    let style = Style::of_error(context.config);
    let findings = diagnostics::warnings(&change.diagnostics, &file.name, &file.text, style);
    if !findings.is_empty() {
        note(findings.trim_end());
    }
    Ok(change)
}

/// What a policy says other than the revision before, for people.
pub(super) fn difference(change: &PolicyChange, style: Style) -> String {
    let Some(number) = change.compared_with else {
        return "no earlier revision can be compared with\n".to_owned();
    };
    if change.difference.is_empty() {
        return format!("no difference to revision {number}\n");
    }
    let lines = change.difference.iter().map(|line| {
        let shown = escape(line);
        let shown = match line.chars().next() {
            Some('+') => style.green(&shown),
            Some('-') => style.red(&shown),
            _ => shown,
        };
        format!("  {shown}\n")
    });
    format!("difference to revision {number}:\n{}", lines.collect::<String>())
}

/// Tells how far a policy got.
pub(super) fn conclude(
    name: &str,
    change: &PolicyChange,
    commit: Commit,
) -> Result<Exit, CliError> {
    let waited = matches!(commit, Commit::Wait(_));
    let short: String = change.digest.chars().take(12).collect();
    let revision = format!("revision {} ({short}) of sandbox `{name}`", change.revision);
    match change.state {
        PolicyState::Enforced => output::print(&format!("{revision} is enforced\n"))?,
        PolicyState::Failed => {
            let why = change.error.as_deref().unwrap_or("the sandbox gave no reason");
            return Err(CliError::new(
                Exit::FAILED,
                format!("{revision} could not be put in force: {why}"),
            )
            .help("the policy before it still is in force"));
        }
        PolicyState::Superseded => {
            return Err(CliError::new(Exit::FAILED, format!("{revision} was superseded"))
                .help("`openshell policy get` shows the one that came after"));
        }
        // Whoever only checks shows the difference.
        PolicyState::Checked => {}
        PolicyState::Pending | PolicyState::Unknown | PolicyState::Refused if waited => {
            return Err(CliError::new(
                Exit::TIMED_OUT,
                format!("{revision} is stored, but was not enforced in time"),
            )
            .help("`openshell policy get` shows when it is"));
        }
        PolicyState::Pending | PolicyState::Unknown | PolicyState::Refused => {
            output::print(&format!("{revision} is stored\n"))?;
        }
    }
    Ok(Exit::OK)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exit(state: PolicyState, waited: bool) -> u8 {
        let change = PolicyChange {
            revision: 3,
            digest: "ba7816bf8f01cfea414140de5dae2223".into(),
            state,
            diagnostics: vec![],
            error: None,
            difference: vec![],
            compared_with: Some(2),
        };
        let commit = if waited { Commit::Wait(Duration::ZERO) } else { Commit::Store };
        match conclude("brave-otter", &change, commit) {
            Ok(exit) => exit.code(),
            Err(error) => error.exit().code(),
        }
    }

    #[test]
    fn how_far_it_got_is_the_exit_code() {
        assert_eq!(exit(PolicyState::Enforced, true), 0);
        assert_eq!(exit(PolicyState::Pending, false), 0);
        assert_eq!(exit(PolicyState::Pending, true), 124);
        assert_eq!(exit(PolicyState::Failed, true), 1);
        assert_eq!(exit(PolicyState::Superseded, true), 1);
    }

    #[test]
    fn a_difference_is_a_line_for_each_change() {
        let mut change = PolicyChange {
            revision: 0,
            digest: String::new(),
            state: PolicyState::Checked,
            diagnostics: vec![],
            error: None,
            difference: vec!["+ web: binary /usr/bin/curl".into(), "- x: rule \u{1b}[2J".into()],
            compared_with: Some(2),
        };
        let mut shown = difference(&change, Style::PLAIN);
        change.difference.clear();
        shown.push_str(&difference(&change, Style::PLAIN));
        change.compared_with = None;
        shown.push_str(&difference(&change, Style::PLAIN));
        insta::assert_snapshot!(shown);
    }
}
