//! `openshell policy list`.

use openshell_client::{PolicyListed, PolicyState};
use openshell_types::SandboxName;
use serde::Serialize;

use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{self, FormatArgs};

/// List the revisions of a sandbox's policy, the newest first
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  openshell policy list
  openshell policy list brave-otter --limit 3 -o json")]
pub(crate) struct Args {
    /// Sandbox [default: the one used last]
    name: Option<SandboxName>,

    /// At most this many
    #[arg(long, default_value_t = 20, value_name = "NUMBER")]
    limit: usize,

    #[command(flatten)]
    format: FormatArgs,
}

#[derive(Debug, Serialize)]
struct View {
    sandbox: String,
    revisions: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    revision: u32,
    policy_hash: String,
    status: &'static str,
    created_at: Option<String>,
    error: Option<String>,
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> Result<Exit, CliError> {
    let name = context.sandbox(args.name.as_ref())?;
    let client = context.connect().await?;
    let revisions = client.policies(&name, args.limit).await?.into_iter().map(row).collect();
    output::show(args.format.output, &View { sandbox: name, revisions }, table)?;
    Ok(Exit::OK)
}

fn row(listed: PolicyListed) -> Row {
    Row {
        revision: listed.revision,
        policy_hash: listed.digest,
        status: match listed.state {
            PolicyState::Pending => "Pending",
            PolicyState::Enforced => "Loaded",
            PolicyState::Failed => "Failed",
            PolicyState::Superseded => "Superseded",
            // No stored revision is any of these.
            PolicyState::Refused | PolicyState::Checked | PolicyState::Unknown => "Unknown",
        },
        created_at: listed.created_at.and_then(output::time),
        error: listed.error,
    }
}

fn table(view: &View) -> String {
    let rows = view.revisions.iter().map(|row| {
        [
            row.revision.to_string(),
            row.policy_hash.chars().take(12).collect(),
            row.status.to_owned(),
            row.created_at.clone().unwrap_or_default(),
            row.error.clone().unwrap_or_default(),
        ]
    });
    output::table(["REVISION", "DIGEST", "STATUS", "CREATED", "ERROR"], rows)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn revisions_are_rows_with_short_digests() {
        let listed = |revision, state, error: Option<&str>| PolicyListed {
            revision,
            digest: "ba7816bf8f01cfea414140de5dae2223".into(),
            state,
            error: error.map(str::to_owned),
            created_at: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000)),
        };
        let revisions = vec![
            row(listed(4, PolicyState::Pending, None)),
            row(listed(3, PolicyState::Failed, Some("the process section\n cannot change"))),
            row(listed(2, PolicyState::Enforced, None)),
            row(listed(1, PolicyState::Superseded, None)),
        ];
        let view = View { sandbox: "brave-otter".into(), revisions };
        let json = serde_json::to_string_pretty(&view.revisions[1]).unwrap();
        insta::assert_snapshot!(format!("{}\n{json}\n", table(&view)));
    }
}
