//! What is wrong with a policy text, where, and what would help.

use std::fmt::{self, Display, Write as _};

/// One finding about a policy text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Stable code, such as `P0101`.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// Line, counted from 1.
    pub line: u32,
    /// Column in characters, counted from 1.
    pub column: u32,
    /// What would help.
    pub help: Option<String>,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// The policy works, but perhaps not as it reads.
    Warning,
    /// The policy is refused.
    Error,
}

impl Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

impl Diagnostic {
    /// Whether the policy is refused because of it.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// The finding as a compiler prints it: with the line of `text` and a caret under the column.
    pub fn render(&self, file: &str, text: &str) -> String {
        let mut out = format!("{}[{}]: {}\n", self.severity, self.code, self.message);
        let number = self.line.to_string();
        let gutter = " ".repeat(number.len());
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{gutter}--> {file}:{}:{}", self.line, self.column);
        let index = usize::try_from(self.line).unwrap_or(usize::MAX).saturating_sub(1);
        if let Some(line) = text.lines().nth(index) {
            let (shown, caret) = excerpt(line, self.column);
            let _ = writeln!(out, "{gutter} |");
            let _ = writeln!(out, "{number} | {shown}");
            let _ = writeln!(out, "{gutter} | {}^", " ".repeat(caret));
        }
        if let Some(help) = &self.help {
            let _ = writeln!(out, "{gutter} = help: {help}");
        }
        out
    }
}

/// At most this many characters of a source line are shown.
const EXCERPT: usize = 160;

/// The part of `line` around `column`, safe for a terminal, and the caret's offset in it.
fn excerpt(line: &str, column: u32) -> (String, usize) {
    let column = usize::try_from(column).unwrap_or(usize::MAX).saturating_sub(1);
    let start = if column < EXCERPT { 0 } else { column.saturating_sub(EXCERPT / 2) };
    let shown: String = line
        .chars()
        .skip(start)
        .take(EXCERPT)
        .map(|c| match c {
            '\t' => ' ',
            c if c.is_control() || is_direction_mark(c) => '\u{fffd}',
            c => c,
        })
        .collect();
    let caret = column.saturating_sub(start).min(shown.chars().count());
    (shown, caret)
}

/// Marks that change the direction in which a terminal or an editor shows text.
pub(crate) const fn is_direction_mark(character: char) -> bool {
    matches!(
        character,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    )
}

impl Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}: {}[{}]: {}",
            self.line, self.column, self.severity, self.code, self.message
        )?;
        match &self.help {
            Some(help) => write!(f, "; help: {help}"),
            None => Ok(()),
        }
    }
}
