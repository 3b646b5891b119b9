//! Exit codes (contract 8).

use std::process::ExitCode;

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit(u8);

impl Exit {
    /// All went well.
    pub const OK: Self = Self(0);
    /// It failed.
    pub const FAILED: Self = Self(1);
    /// The command line, a file or another input is wrong.
    pub const USAGE: Self = Self(2);
    /// Not allowed.
    pub const DENIED: Self = Self(3);
    /// The gateway or the sandbox cannot be reached.
    pub const UNAVAILABLE: Self = Self(4);
    /// `policy prove`: there was too much to look at. It is the number of [`Self::UNAVAILABLE`]: no
    /// answer was to be had.
    pub const UNDECIDED: Self = Self(4);
    /// `--wait` ran out of time.
    pub const TIMED_OUT: Self = Self(124);
    /// create, exec and connect: we failed, not the command.
    pub const OURS: Self = Self(125);
    /// create, exec and connect: the command was not found.
    pub const NOT_FOUND: Self = Self(127);
    /// Nobody reads our output: what a shell says of a program that SIGPIPE ended.
    pub const BROKEN_PIPE: Self = Self(141);

    /// The code of a command; one that does not fit is ours to explain, so it is 125.
    pub fn of_command(code: i32) -> Self {
        u8::try_from(code).map_or(Self::OURS, Self)
    }

    /// A process that a signal ended, as a shell says it.
    pub const fn of_signal(number: u8) -> Self {
        Self(128_u8.saturating_add(number))
    }

    /// The number.
    pub const fn code(self) -> u8 {
        self.0
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_and_signals_have_the_codes_of_a_shell() {
        assert_eq!(Exit::of_command(7).code(), 7);
        assert_eq!(Exit::of_command(-1), Exit::OURS);
        assert_eq!(Exit::of_command(256), Exit::OURS);
        assert_eq!(Exit::of_signal(2).code(), 130);
    }
}
