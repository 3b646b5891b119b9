//! Signals to us while a command runs.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that a conversation listens to. From its making on none of them ends the process.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    quit: Signal,
    hang_up: Signal,
    resize: Signal,
}

/// What was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// SIGINT, SIGTERM or SIGQUIT, by number.
    Stop(u8),
    /// SIGHUP: the terminal is gone.
    HangUp,
    /// The terminal has another size.
    Resize,
}

/// SIGINT's number.
pub(crate) const INTERRUPT: u8 = 2;

/// SIGPIPE's number.
pub(crate) const BROKEN_PIPE: u8 = 13;

impl Signals {
    /// Begins to listen.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            quit: signal(SignalKind::quit())?,
            hang_up: signal(SignalKind::hangup())?,
            resize: signal(SignalKind::window_change())?,
        })
    }

    /// The next one. Cancel-safe.
    pub async fn next(&mut self) -> Heard {
        const TERMINATE: u8 = 15;
        const QUIT: u8 = 3;
        tokio::select! {
            _ = self.hang_up.recv() => Heard::HangUp,
            _ = self.interrupt.recv() => Heard::Stop(INTERRUPT),
            _ = self.terminate.recv() => Heard::Stop(TERMINATE),
            _ = self.quit.recv() => Heard::Stop(QUIT),
            _ = self.resize.recv() => Heard::Resize,
        }
    }
}
