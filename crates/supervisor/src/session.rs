//! The session with the gateway: dialled by us, one stream, re-made for as long as we live.
//!
//! While the gateway is away the sandbox goes on under the policy that it has; nothing widens.
//! Commands that were run for a client end with the session, the main command does not.

mod attach;
mod dial;
mod exec;
mod frames;
mod link;
mod stream;
mod tell;

use std::sync::Arc;

use openshell_types::Redacted;
use openshell_wire::session::Hello;
use thiserror::Error;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

pub(crate) use dial::Dial;
pub(crate) use link::join;

use crate::limits;
use crate::sandbox::Sandbox;
use crate::status::Status;

/// Version of the session protocol.
const VERSION: u32 = 1;

/// Why a session ended.
#[derive(Debug, Error)]
pub(crate) enum SessionError {
    /// The gateway cannot be reached.
    #[error("the gateway cannot be reached")]
    Dial(#[from] tonic::transport::Error),
    /// The gateway ended the session, or refused it.
    #[error("the gateway ended the session: {}", .0.message())]
    Ended(#[from] tonic::Status),
    /// The gateway did not say what it must.
    #[error("the gateway {0}")]
    Protocol(&'static str),
    /// The audit log cannot be read.
    #[error("the audit log cannot be read")]
    Journal(#[from] std::io::Error),
}

/// A session that is being joined.
pub(crate) type Joining = JoinHandle<Result<link::Joined, SessionError>>;

/// Keeps a session with the gateway until the sandbox stops. The first one may have been joined
/// before there was a sandbox.
pub(crate) async fn keep(sandbox: Arc<Sandbox>, token: Redacted<String>, joining: Joining) {
    let (first, longest) = limits::RECONNECT;
    let mut pause = first;
    let mut joined = joining.await.ok();
    while !sandbox.leaving.is_cancelled() {
        let started = Instant::now();
        let result = match joined.take() {
            Some(Ok(joined)) => link::serve(&sandbox, joined).await,
            Some(Err(error)) => Err(error),
            None => match join(sandbox.dial.clone(), again(&sandbox, &token)).await {
                Ok(joined) => link::serve(&sandbox, joined).await,
                Err(error) => Err(error),
            },
        };
        sandbox.connected.send_replace(false);
        match result {
            Ok(()) => tracing::info!("Session ended"),
            Err(error) => tracing::debug!(%error, "Session ended"),
        }
        // A session that lasted means that the gateway was restarted: it is back in no time.
        if started.elapsed() > longest {
            pause = first;
        }
        sleep(pause).await;
        pause = pause.saturating_mul(2).min(longest);
    }
}

/// Tells the gateway that there is no sandbox, as far as it can be reached in time.
pub(crate) async fn tell_failure(dial: &Dial, hello: Hello) {
    let tell = async {
        loop {
            match link::greet(dial, hello.clone()).await {
                Ok(()) => return,
                Err(error) => tracing::debug!(%error, "Failure was not told"),
            }
            sleep(limits::RECONNECT.1).await;
        }
    };
    if timeout(limits::FAREWELL_ERROR, tell).await.is_err() {
        tracing::warn!("The gateway did not hear of the failure");
    }
}

/// Tells the failure over a session that was joined before it came to it; where there is none,
/// `hello` tells it.
pub(crate) async fn tell_failure_over(joining: Joining, dial: &Dial, hello: Hello, why: &Status) {
    match joining.await {
        Ok(Ok(joined)) => joined.tell(why).await,
        _ => tell_failure(dial, hello).await,
    }
}

/// The first frame of a session.
pub(crate) fn hello(
    sandbox_id: &str,
    boot_id: &str,
    token: &Redacted<String>,
    place: Place,
    status: &Status,
) -> Hello {
    Hello {
        version: VERSION,
        sandbox_id: sandbox_id.to_owned(),
        token: token.expose().clone(),
        boot_id: boot_id.to_owned(),
        generation: place.generation,
        epoch: place.epoch,
        last_sequence: place.last_sequence,
        status: Some(frames::status(status)),
    }
}

/// What a sandbox that runs says when it comes back.
fn again(sandbox: &Sandbox, token: &Redacted<String>) -> Hello {
    let state = sandbox.policies.state();
    let place = Place {
        generation: state.generation.number(),
        epoch: state.epoch,
        last_sequence: sandbox.journal.last_sequence(),
    };
    hello(sandbox.id().as_str(), &sandbox.boot_id, token, place, &sandbox.status.borrow())
}

/// Where a sandbox stands when it says hello.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Place {
    /// The generation of the policy in force.
    pub(crate) generation: u64,
    /// The number of the credentials in force.
    pub(crate) epoch: u64,
    /// The newest event.
    pub(crate) last_sequence: u64,
}
