//! Colours: on a terminal, and never when `NO_COLOR` is set.

use crate::config::Config;

/// Whether to write colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Style {
    colours: bool,
}

impl Style {
    /// No colours.
    pub const PLAIN: Self = Self { colours: false };

    /// For standard output.
    pub fn of_output(config: &Config) -> Self {
        Self::on(config, config.terminals.output)
    }

    /// For standard error.
    pub fn of_error(config: &Config) -> Self {
        Self::on(config, config.terminals.error)
    }

    fn on(config: &Config, terminal: bool) -> Self {
        let wanted = config.variable("NO_COLOR").is_none() && config.text("TERM") != Some("dumb");
        Self { colours: terminal && wanted }
    }

    /// Errors and denials.
    pub fn red(self, text: &str) -> String {
        self.paint("1;31", text)
    }

    /// Warnings.
    pub fn yellow(self, text: &str) -> String {
        self.paint("1;33", text)
    }

    /// What is well.
    pub fn green(self, text: &str) -> String {
        self.paint("32", text)
    }

    /// The next step.
    pub fn cyan(self, text: &str) -> String {
        self.paint("1;36", text)
    }

    /// What matters less.
    pub fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.colours { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Terminals;

    #[test]
    fn no_color_and_pipes_are_honoured() {
        let terminal = Terminals { input: true, output: true, error: false };
        let mut coloured = Config::for_test(&[("TERM", "xterm")]);
        coloured.terminals = terminal;
        assert_eq!(Style::of_output(&coloured).green("x"), "\u{1b}[32mx\u{1b}[0m");
        assert_eq!(Style::of_error(&coloured), Style::PLAIN);
        let mut refused = Config::for_test(&[("TERM", "xterm"), ("NO_COLOR", "1")]);
        refused.terminals = terminal;
        assert_eq!(Style::of_output(&refused), Style::PLAIN);
    }
}
