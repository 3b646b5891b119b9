//! `openshell policy get`.

use openshell_client::{PolicyRevision, PolicyState};
use openshell_types::SandboxName;
use serde::Serialize;

use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{self, FormatArgs, escape};

/// Show the policy of a sandbox
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  openshell policy get                  what the sandbox used last may reach
  openshell policy get brave-otter --rev 2 -o json")]
pub(crate) struct Args {
    /// Sandbox [default: the one used last]
    name: Option<SandboxName>,

    /// Revision; 0 is the newest
    #[arg(long, default_value_t = 0, value_name = "NUMBER")]
    rev: u32,

    /// With the layers that providers add; this gateway adds none
    #[arg(long, conflicts_with = "base")]
    full: bool,

    /// As it was set, without such layers
    #[arg(long)]
    base: bool,

    #[command(flatten)]
    format: FormatArgs,
}

#[derive(Debug, Serialize)]
struct View {
    sandbox: String,
    revision: u32,
    policy_hash: String,
    status: &'static str,
    created_at: Option<String>,
    error: Option<String>,
    policy: String,
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> Result<Exit, CliError> {
    // No layers are added, so that both are the text that was set.
    let Args { name, rev, full: _, base: _, format } = args;
    let name = context.sandbox(name.as_ref())?;
    let client = context.connect().await?;
    let revision = client.policy(&name, (rev > 0).then_some(rev)).await?;
    output::show(format.output, &view(name, revision), table)?;
    Ok(Exit::OK)
}

fn view(sandbox: String, revision: PolicyRevision) -> View {
    View {
        sandbox,
        revision: revision.revision,
        policy_hash: revision.digest,
        status: match revision.state {
            PolicyState::Pending => "Pending",
            PolicyState::Enforced => "Enforced",
            PolicyState::Failed => "Failed",
            PolicyState::Superseded => "Superseded",
            PolicyState::Refused => "Refused",
            PolicyState::Checked | PolicyState::Unknown => "Unknown",
        },
        created_at: revision.created_at.and_then(output::time),
        error: revision.error,
        policy: revision.text,
    }
}

fn table(view: &View) -> String {
    let head = output::fields([
        ("Sandbox", view.sandbox.clone()),
        ("Revision", view.revision.to_string()),
        ("Digest", view.policy_hash.clone()),
        ("Status", view.status.to_owned()),
        ("Created", view.created_at.clone().unwrap_or_default()),
        ("Error", view.error.clone().unwrap_or_default()),
    ]);
    // The head as a comment: the whole output is a policy file.
    let head: String = head.lines().map(|line| format!("# {line}\n")).collect();
    let body: String = view.policy.lines().map(|line| escape(line) + "\n").collect();
    format!("{head}{body}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_a_policy_file() {
        let view = View {
            sandbox: "brave-otter".into(),
            revision: 2,
            policy_hash: "ba7816bf".into(),
            status: "Enforced",
            created_at: Some("2026-01-02T03:04:05Z".into()),
            error: None,
            policy: "version: 1\nnetwork_policies: {}\n".into(),
        };
        insta::assert_snapshot!(table(&view));
    }
}
