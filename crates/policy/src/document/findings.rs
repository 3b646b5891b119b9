//! The findings of one pass over a text.

use granit_parser::Marker;

use crate::diagnostic::{Diagnostic, Severity};
use crate::limits::{DIAGNOSTICS, PATTERN_BYTES};

/// A place in the text; both counted from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: u32,
    /// The column, in characters.
    pub column: u32,
}

impl Position {
    /// Where a text begins.
    pub const START: Self = Self { line: 1, column: 1 };

    pub(crate) fn of(marker: &Marker) -> Self {
        Self {
            line: u32::try_from(marker.line()).unwrap_or(u32::MAX).max(1),
            column: u32::try_from(marker.col()).unwrap_or(u32::MAX).saturating_add(1),
        }
    }
}

/// A value and where it stands. Equality is that of the values: two texts may say the same.
#[derive(Clone, Copy, Debug)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Its place.
    pub at: Position,
}

/// A finding is one line, whatever part of the text it quotes.
fn printable(text: String) -> String {
    if text.chars().any(char::is_control) {
        text.replace(char::is_control, "\u{fffd}")
    } else {
        text
    }
}

/// What was found so far.
#[derive(Debug, Default)]
pub struct Findings {
    list: Vec<Diagnostic>,
    left_out: usize,
    /// Said only about a text without errors.
    remarks: Vec<Diagnostic>,
    pattern_bytes: usize,
}

impl Findings {
    /// What refuses the text.
    pub fn error(&mut self, code: &'static str, at: Position, message: String) {
        self.add(Severity::Error, code, at, (message, None));
    }

    /// The same, with what would help.
    pub fn error_with_help(
        &mut self,
        code: &'static str,
        at: Position,
        message: String,
        help: String,
    ) {
        self.add(Severity::Error, code, at, (message, Some(help)));
    }

    /// What is perhaps not as it reads.
    pub fn warning(
        &mut self,
        code: &'static str,
        at: Position,
        message: String,
        help: Option<String>,
    ) {
        self.add(Severity::Warning, code, at, (message, help));
    }

    /// What is worth knowing.
    pub fn note(&mut self, code: &'static str, at: Position, message: String) {
        self.add(Severity::Note, code, at, (message, None));
    }

    /// A finding of any severity.
    pub(crate) fn say(
        &mut self,
        (code, severity): (&'static str, Severity),
        at: Position,
        message: String,
        help: Option<String>,
    ) {
        self.add(severity, code, at, (message, help));
    }

    /// What is worth saying once the text has no errors.
    pub(crate) fn remark(
        &mut self,
        (code, severity): (&'static str, Severity),
        Position { line, column }: Position,
        message: String,
        help: Option<String>,
    ) {
        if self.remarks.len() >= DIAGNOSTICS {
            self.left_out = self.left_out.saturating_add(1);
            return;
        }
        let (message, help) = (printable(message), help.map(printable));
        self.remarks.push(Diagnostic { code, severity, message, line, column, help });
    }

    /// Puts the remarks among the findings.
    pub(crate) fn admit_remarks(&mut self) {
        for remark in std::mem::take(&mut self.remarks) {
            if self.list.len() < DIAGNOSTICS {
                self.list.push(remark);
            } else {
                self.left_out = self.left_out.saturating_add(1);
            }
        }
    }

    /// Counts what will be compiled, and refuses the text at the pattern that is too much.
    pub(crate) fn count_pattern(&mut self, bytes: usize, at: Position) {
        let before = self.pattern_bytes;
        self.pattern_bytes = before.saturating_add(bytes);
        if before <= PATTERN_BYTES && self.pattern_bytes > PATTERN_BYTES {
            let message = format!("the patterns up to here have more than {PATTERN_BYTES} bytes");
            let help = "each path that braces stand for counts".to_owned();
            self.error_with_help("P0002", at, message, help);
        }
    }

    fn add(
        &mut self,
        severity: Severity,
        code: &'static str,
        at: Position,
        (message, help): (String, Option<String>),
    ) {
        let full = self.list.len() >= DIAGNOSTICS;
        // A warning never takes the place of the error that refuses the policy.
        if full && (severity < Severity::Error || self.has_errors()) {
            self.left_out = self.left_out.saturating_add(1);
            return;
        }
        let Position { line, column } = at;
        let (message, help) = (printable(message), help.map(printable));
        self.list.push(Diagnostic { code, severity, message, line, column, help });
    }

    /// Whether the text is refused.
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(Diagnostic::is_error)
    }

    /// The findings in the order of the text.
    pub fn finish(mut self) -> Vec<Diagnostic> {
        self.list.sort_by_key(|finding| (finding.line, finding.column, finding.code));
        if self.left_out > 0 {
            self.list.push(Diagnostic {
                code: "P0007",
                severity: Severity::Note,
                message: format!("{} more findings are not shown", self.left_out),
                line: 1,
                column: 1,
                help: None,
            });
        }
        self.list
    }
}
