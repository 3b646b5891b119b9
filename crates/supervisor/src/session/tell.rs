//! What the gateway is told without being asked: status and events, in this order.

use std::sync::Arc;

use openshell_wire::session::supervisor_frame::Payload;
use openshell_wire::session::{self as wire, SupervisorFrame};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::limits;
use crate::sandbox::Sandbox;

use super::{SessionError, frames};

/// Tells every change of status, and every event after number `after`. A status that was set
/// before an event was written is told before it, so that a gateway that acknowledges the last
/// event has heard how the sandbox ended.
pub(super) async fn tell(
    sandbox: Arc<Sandbox>,
    after: u64,
    out: mpsc::Sender<SupervisorFrame>,
) -> Result<(), SessionError> {
    let mut status = sandbox.status.subscribe();
    // The one in the hello may be older already.
    status.mark_changed();
    let mut written = sandbox.journal.watch();
    let mut reader = sandbox.journal.reader(after)?;
    let mut last: Option<Instant> = None;
    loop {
        written.mark_unchanged();
        loop {
            let event = reader.next()?;
            if status.has_changed().unwrap_or(false) {
                let payload = frames::status(&status.borrow_and_update());
                if out.send(frames::frame(Payload::Status(payload))).await.is_err() {
                    return Ok(());
                }
            }
            let Some((seq, record)) = event else { break };
            last = Some(Instant::now());
            let payload = Payload::Event(wire::Event { seq, record });
            if out.send(frames::frame(payload)).await.is_err() {
                return Ok(());
            }
        }
        let changed = tokio::select! {
            changed = status.changed() => {
                status.mark_changed();
                changed
            }
            changed = written.changed() => {
                if let Some(last) = last {
                    // Many events are told some at a time, one at once.
                    tokio::select! {
                        _ = status.changed() => status.mark_changed(),
                        () = sleep_until(last + limits::EVENT_PAUSE) => {}
                    }
                }
                changed
            }
        };
        if changed.is_err() {
            return Ok(());
        }
    }
}
