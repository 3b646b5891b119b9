//! `openshell policy set`.

use std::path::PathBuf;
use std::time::Duration;

use openshell_client::{PolicyChange, PolicyState, SetPolicy};
use openshell_types::SandboxName;

use super::PolicyFile;
use crate::context::Context;
use crate::diagnostics;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{self, note};
use crate::progress;
use crate::style::Style;

/// Put a policy in force in a running sandbox
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A policy with errors changes nothing: exit code 2. With --wait: 0 when it is enforced, 1 when the
sandbox could not put it in force (the one before still is), 124 when the time ran out.

Examples:
  openshell policy set --policy policy.yaml --wait
  openshell policy set brave-otter --policy policy.yaml")]
pub(crate) struct Args {
    /// Sandbox [default: the one used last]
    name: Option<SandboxName>,

    /// Policy file; `-` is standard input
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,

    /// Return when it is enforced
    #[arg(long)]
    wait: bool,

    /// How many seconds to wait at most
    #[arg(long, default_value_t = 60, value_name = "SECONDS", requires = "wait")]
    timeout: u32,
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> Result<Exit, CliError> {
    let name = context.sandbox(args.name.as_ref())?;
    let file = PolicyFile::read(&args.policy)?;
    let client = context.connect().await?;
    let request = SetPolicy {
        sandbox: name.clone(),
        text: file.text.clone(),
        file: file.name.clone(),
        wait: args.wait.then(|| Duration::from_secs(args.timeout.into())),
    };
    let setting = client.set_policy(request);
    let change = progress::while_waiting(context.config, "waiting until it is enforced", setting)
        .await
        .map_err(|error| CliError::from(error).about_policy(&file.name, &file.text))?;
    let style = Style::of_error(context.config);
    let findings = diagnostics::render(&change.diagnostics, &file.name, &file.text, style);
    if !findings.is_empty() {
        note(findings.trim_end());
    }
    conclude(&name, &change, args.wait)
}

fn conclude(name: &str, change: &PolicyChange, waited: bool) -> Result<Exit, CliError> {
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
        };
        match conclude("brave-otter", &change, waited) {
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
}
