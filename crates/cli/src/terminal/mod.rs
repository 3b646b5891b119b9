//! The person's terminal, and a conversation with a command in a sandbox over it.
//!
//! The terminal itself never goes into a sandbox: bytes are carried to and from a terminal that is
//! made there. Raw mode is a value whose drop restores the terminal, so that every way out does,
//! a panic included.

mod converse;
mod keys;
mod raw;
mod signals;
mod stdin;

use std::collections::HashMap;

use clap::Args;
use openshell_types::TerminalSize;
use rustix::stdio;
use rustix::termios::tcgetwinsize;

pub(crate) use converse::{Conversation, converse};

use crate::config::Config;

/// Whether the command gets a terminal.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Tty {
    /// Give the command a terminal [default: when input and output are terminals]
    #[arg(long, overrides_with = "no_tty")]
    tty: bool,

    /// Give it none: output and errors stay apart, and binary data stays as it is
    #[arg(long, overrides_with = "tty")]
    no_tty: bool,
}

impl Tty {
    /// The terminal that the command gets.
    pub fn size(self, config: &Config) -> Option<TerminalSize> {
        let wanted =
            self.tty || (!self.no_tty && config.terminals.input && config.terminals.output);
        wanted.then(|| size(config).unwrap_or(UNKNOWN))
    }

    /// The terminal that a shell gets to which nobody is attached yet.
    pub fn size_for_later(self) -> Option<TerminalSize> {
        (!self.no_tty).then_some(UNKNOWN)
    }

    /// Whether a terminal was asked for by name.
    pub const fn is_asked_for(self) -> bool {
        self.tty
    }
}

/// The size of a terminal that nobody looks at.
const UNKNOWN: TerminalSize = TerminalSize { cols: 80, rows: 24 };

/// The size of the person's terminal, when there is one.
pub(crate) fn size(config: &Config) -> Option<TerminalSize> {
    let size = if config.terminals.output {
        tcgetwinsize(stdio::stdout())
    } else if config.terminals.input {
        tcgetwinsize(stdio::stdin())
    } else {
        return None;
    };
    let size = size.ok().filter(|size| size.ws_col > 0 && size.ws_row > 0)?;
    Some(TerminalSize { cols: size.ws_col, rows: size.ws_row })
}

/// Tells the command what kind of terminal it talks to, unless the person said so.
pub(crate) fn describe(config: &Config, environment: &mut HashMap<String, String>) {
    // SECURITY: only what such a name can be; the rest of the environment is not inherited.
    let plain = |value: &&str| {
        value.len() <= 64
            && value.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-._".contains(&b))
    };
    for name in ["TERM", "COLORTERM"] {
        if let Some(value) = config.text(name).filter(plain) {
            environment.entry(name.to_owned()).or_insert_with(|| value.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_kind_of_terminal_is_passed_on() {
        let config = Config::for_test(&[("TERM", "xterm-256color"), ("COLORTERM", "a\nb")]);
        let mut environment = HashMap::new();
        describe(&config, &mut environment);
        assert_eq!(environment.len(), 1);
        environment.insert("TERM".into(), "dumb".into());
        describe(&config, &mut environment);
        assert_eq!(environment.get("TERM").map(String::as_str), Some("dumb"));
    }
}
