//! What the gateway is told without being asked: status and events, in this order.

use std::sync::Arc;

use openshell_wire::session::supervisor_frame::Payload;
use openshell_wire::session::{self as wire, SupervisorFrame};
use tokio::sync::mpsc;

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
            changed = written.changed() => changed,
        };
        if changed.is_err() {
            return Ok(());
        }
    }
}
