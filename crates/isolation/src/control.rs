//! The control socket between a supervisor and its jail's init.
//!
//! A frame is a length (4 octets, big endian), a count of descriptors (1 octet) and a JSON body.
//! The descriptors ride on the frame's first octets as `SCM_RIGHTS`. Both ends are non-blocking:
//! [`Outbox`] queues and flushes, [`Inbox`] collects and parses. What init says is hostile, since
//! an agent may find a way to speak through it: every number is bounded here, and an id that the
//! supervisor did not give out is the supervisor's to refuse.

mod message;
mod stream;

pub use message::{Event, Frame, Request, SpawnFailure, Stage};
pub use stream::{Inbox, Outbox, Received};

/// The longest body of a frame, in octets: holds the longest `argv` and environment that a Linux
/// program can be given in practice. A longer one is refused.
pub const LONGEST_FRAME: usize = 1024 * 1024;

/// How many descriptors a frame may carry: the three standard streams.
pub const MOST_DESCRIPTORS: usize = 3;
