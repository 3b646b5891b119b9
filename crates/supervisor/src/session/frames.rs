//! Our values as frames.

use openshell_wire::session::supervisor_frame::Payload;
use openshell_wire::session::{self as wire, SupervisorFrame};

use crate::output::Channel;
use crate::status::{Phase, Status};

/// Wraps a payload.
pub(super) const fn frame(payload: Payload) -> SupervisorFrame {
    SupervisorFrame { payload: Some(payload) }
}

/// The status as the gateway is told.
pub(super) fn status(status: &Status) -> wire::Status {
    let phase = match status.phase {
        Phase::Starting => wire::Phase::Starting,
        Phase::Ready => wire::Phase::Ready,
        Phase::Completed => wire::Phase::Completed,
        Phase::Error => wire::Phase::Error,
    };
    wire::Status {
        phase: phase.into(),
        exit_code: status.exit_code,
        error: status.error.clone(),
        main_pid: status.main_pid,
        report: status.report.clone(),
    }
}

/// The number of an output channel.
pub(super) const fn channel(channel: Channel) -> u32 {
    match channel {
        Channel::Stdout => 1,
        Channel::Stderr => 2,
    }
}
