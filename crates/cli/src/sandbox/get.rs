//! `openshell sandbox get`.

use openshell_client::{ClientError, PolicyRevision, Sandbox};
use openshell_types::SandboxName;
use serde::Serialize;

use super::view::{self, View};
use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{self, FormatArgs, escape};

/// Show one sandbox and its policy
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  openshell sandbox get
  openshell sandbox get brave-otter -o yaml
  openshell sandbox get brave-otter --policy-only > policy.yaml")]
pub(crate) struct Args {
    /// Sandbox [default: the one used last]
    name: Option<SandboxName>,

    /// Print the text of its policy only
    #[arg(long, conflicts_with = "output")]
    policy_only: bool,

    #[command(flatten)]
    format: FormatArgs,
}

/// The published detail; `sandbox` stands first and flat in it.
#[derive(Debug, Serialize)]
struct Detail {
    id: String,
    name: String,
    workspace: String,
    labels: std::collections::BTreeMap<String, String>,
    annotations: std::collections::BTreeMap<String, String>,
    resource_version: u64,
    created_at: Option<String>,
    phase: &'static str,
    current_policy_version: u32,
    exit_code: Option<i32>,
    message: Option<String>,
    command: Vec<String>,
    policy_source: &'static str,
    revision: Option<u32>,
    policy: Option<String>,
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> Result<Exit, CliError> {
    let name = context.sandbox(args.name.as_ref())?;
    let client = context.connect().await?;
    if args.policy_only {
        output::print(&client.policy(&name, None).await?.text)?;
        return Ok(Exit::OK);
    }
    let sandbox = client.sandbox(&name).await?;
    let policy = match client.policy(&name, None).await {
        Ok(policy) => Some(policy),
        // One may see a sandbox without seeing its policy.
        Err(ClientError::Denied(_) | ClientError::NotFound(_) | ClientError::Unsupported(_)) => {
            None
        }
        Err(error) => return Err(error.into()),
    };
    output::show(args.format.output, &detail(sandbox, policy), table)?;
    Ok(Exit::OK)
}

fn detail(sandbox: Sandbox, policy: Option<PolicyRevision>) -> Detail {
    let command = sandbox.command.clone();
    let view = View::from(sandbox);
    Detail {
        id: view.id,
        name: view.name,
        workspace: view.workspace,
        labels: view.labels,
        annotations: view.annotations,
        resource_version: view.resource_version,
        created_at: view.created_at,
        phase: view.phase,
        current_policy_version: view.current_policy_version,
        exit_code: view.exit_code,
        message: view.message,
        command,
        policy_source: "sandbox",
        revision: policy.as_ref().map(|policy| policy.revision),
        policy: policy.map(|policy| policy.text),
    }
}

fn table(detail: &Detail) -> String {
    let head = output::fields([
        ("Name", detail.name.clone()),
        ("Id", detail.id.clone()),
        ("Workspace", detail.workspace.clone()),
        ("Phase", detail.phase.to_owned()),
        ("Exit code", detail.exit_code.map(|code| code.to_string()).unwrap_or_default()),
        ("Message", detail.message.clone().unwrap_or_default()),
        ("Command", detail.command.join(" ")),
        ("Created", detail.created_at.clone().unwrap_or_default()),
        ("Labels", view::labels(&detail.labels)),
        ("Policy", detail.revision.map(|number| format!("revision {number}")).unwrap_or_default()),
    ]);
    let policy = detail.policy.as_deref().unwrap_or_default();
    let policy: String = policy.lines().map(|line| format!("  {}\n", escape(line))).collect();
    if policy.is_empty() { head } else { format!("{head}\n{policy}") }
}

#[cfg(test)]
mod tests {
    use openshell_client::PolicyState;

    use super::*;

    #[test]
    fn a_sandbox_is_shown_with_its_policy() {
        let policy = PolicyRevision {
            revision: 1,
            digest: "ba78".into(),
            state: PolicyState::Enforced,
            text: "version: 1\n".into(),
            error: None,
            created_at: None,
        };
        let detail = detail(view::example(), Some(policy));
        let json = serde_json::to_string_pretty(&detail).unwrap();
        insta::assert_snapshot!(format!("{}\n{json}", table(&detail)));
    }
}
