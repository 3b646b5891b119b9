//! Raw mode: every key goes to the sandbox, none to our own line discipline.

use std::io;

use rustix::stdio;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::output::write_error;

/// The terminal of standard input in raw mode, until this is dropped.
#[derive(Debug)]
pub(crate) struct RawMode {
    before: Termios,
}

impl RawMode {
    /// Switches the terminal of standard input.
    pub fn enter() -> io::Result<Self> {
        let before = tcgetattr(stdio::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(stdio::stdin(), OptionalActions::Drain, &raw)?;
        Ok(Self { before })
    }

    /// Puts right what a full-screen program left behind when one walks away from it: colours,
    /// mouse reports, bracketed paste, a hidden cursor.
    pub fn forget_program(&self) {
        const RESET: &str = "\u{1b}[0m\u{1b}[?1000l\u{1b}[?1002l\u{1b}[?1003l\u{1b}[?1006l\
                             \u{1b}[?2004l\u{1b}[?1l\u{1b}>\u{1b}[?25h\r\n";
        // A terminal that is gone needs no reset.
        let _ = write_error(RESET);
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // A terminal that is gone cannot be restored, and nobody would read an error.
        let _ = tcsetattr(stdio::stdin(), OptionalActions::Now, &self.before);
    }
}
