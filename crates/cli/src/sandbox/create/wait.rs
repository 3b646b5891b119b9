//! Waits until a sandbox is ready.

use std::time::Duration;

use openshell_client::{Client, Phase, Sandbox};
use tokio::time::{Instant, sleep};

use crate::error::CliError;
use crate::exit::Exit;

/// How long a sandbox may take.
const DEADLINE: Duration = Duration::from_secs(300);

/// Between the first two looks; it doubles up to [`LONGEST_POLL`].
const FIRST_POLL: Duration = Duration::from_millis(5);

/// Between two looks at most.
const LONGEST_POLL: Duration = Duration::from_millis(200);

/// The sandbox once its main command runs, or has ended already.
pub(crate) async fn until_ready(client: &Client, name: &str) -> Result<Sandbox, CliError> {
    let deadline = Instant::now() + DEADLINE;
    let mut poll = FIRST_POLL;
    loop {
        let sandbox = client.sandbox(name).await?;
        match sandbox.phase {
            Phase::Ready | Phase::Completed => return Ok(sandbox),
            Phase::Error => {
                let why = sandbox.message.unwrap_or_else(|| "no reason was given".to_owned());
                return Err(CliError::new(
                    Exit::FAILED,
                    format!("sandbox `{name}` did not start: {why}"),
                )
                .help("`openshell doctor` checks this machine")
                .before_start());
            }
            Phase::Deleting | Phase::Stopping | Phase::Stopped => {
                return Err(CliError::new(
                    Exit::FAILED,
                    format!("sandbox `{name}` was stopped before it was ready"),
                ));
            }
            Phase::Provisioning | Phase::Starting | Phase::Unknown => {}
        }
        if Instant::now() >= deadline {
            return Err(CliError::new(
                Exit::TIMED_OUT,
                format!("sandbox `{name}` is not ready after {} s", DEADLINE.as_secs()),
            )
            .help(format!("`openshell sandbox get {name}` shows how far it is")));
        }
        sleep(poll).await;
        poll = poll.saturating_mul(2).min(LONGEST_POLL);
    }
}
