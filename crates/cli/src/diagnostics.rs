//! Findings in a policy, as a compiler prints them: with the line and a caret under the column.

use openshell_client::{Diagnostic, Severity};

use crate::output::escape;
use crate::style::Style;

/// A finding that was made here, in the form of those that a gateway made.
pub(crate) fn of_policy(found: openshell_policy::Diagnostic) -> Diagnostic {
    Diagnostic {
        code: found.code.to_owned(),
        severity: match found.severity {
            openshell_policy::Severity::Error => Severity::Error,
            openshell_policy::Severity::Warning => Severity::Warning,
            openshell_policy::Severity::Note => Severity::Note,
        },
        message: found.message,
        line: (found.line > 0).then_some(found.line),
        column: (found.column > 0).then_some(found.column),
        help: found.help,
    }
}

/// The longest part of a source line that is shown, in characters.
const EXCERPT: usize = 160;

/// All findings, errors last so that they stand above the prompt, then how many there are.
pub(crate) fn render(findings: &[Diagnostic], file: &str, text: &str, style: Style) -> String {
    let mut sorted: Vec<&Diagnostic> = findings.iter().collect();
    sorted.sort_by_key(|finding| {
        (rank(finding.severity), finding.line.unwrap_or(0), finding.column.unwrap_or(0))
    });
    sorted.into_iter().map(|finding| one(finding, file, text, style) + "\n").collect()
}

/// What stops a policy or makes it another than it seems. Notes are for those who ask for them,
/// with `policy lint`.
pub(crate) fn warnings(findings: &[Diagnostic], file: &str, text: &str, style: Style) -> String {
    let told: Vec<Diagnostic> =
        findings.iter().filter(|found| found.severity != Severity::Note).cloned().collect();
    render(&told, file, text, style)
}

/// How bad, by number.
pub(crate) const fn rank(severity: Severity) -> u8 {
    match severity {
        Severity::Note => 0,
        Severity::Warning => 1,
        Severity::Error => 2,
    }
}

fn one(finding: &Diagnostic, file: &str, text: &str, style: Style) -> String {
    let code = match finding.code.as_str() {
        "" => String::new(),
        code => format!("[{}]", escape(code)),
    };
    let severity = match finding.severity {
        Severity::Error => style.red(&format!("error{code}:")),
        Severity::Warning => style.yellow(&format!("warning{code}:")),
        Severity::Note => style.dim(&format!("note{code}:")),
    };
    let mut out = format!("{severity} {}\n", escape(&finding.message));
    let mut gutter = " ".to_owned();
    if let Some(line) = finding.line {
        let number = line.to_string();
        gutter = " ".repeat(number.len());
        let column = finding.column.unwrap_or(1);
        out.push_str(&format!("{gutter}--> {}:{line}:{column}\n", escape(file)));
        let index = usize::try_from(line).unwrap_or(usize::MAX).saturating_sub(1);
        if let Some(source) = text.lines().nth(index) {
            let (shown, caret) = excerpt(source, column);
            let caret = style.red(&format!("{}^", " ".repeat(caret)));
            out.push_str(&format!("{gutter} |\n{number} | {shown}\n{gutter} | {caret}\n"));
        }
    }
    if let Some(help) = &finding.help {
        out.push_str(&format!("{gutter} = {} {}\n", style.cyan("help:"), escape(help)));
    }
    out
}

/// The part of a line around a column, safe for a terminal, and the caret's place in it.
fn excerpt(line: &str, column: u32) -> (String, usize) {
    let column = usize::try_from(column).unwrap_or(usize::MAX).saturating_sub(1);
    let start = if column < EXCERPT { 0 } else { column.saturating_sub(EXCERPT / 2) };
    let shown: String = line
        .chars()
        .skip(start)
        .take(EXCERPT)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let caret = column.saturating_sub(start).min(shown.chars().count());
    (shown, caret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_show_their_line_and_a_caret() {
        let text = "version: 1\nnetwork_policies:\n  github:\n    endpoint:\n";
        let findings = [
            Diagnostic {
                code: "P0103".into(),
                severity: Severity::Error,
                message: "unknown key `endpoint`".into(),
                line: Some(4),
                column: Some(5),
                help: Some("did you mean `endpoints`?".into()),
            },
            Diagnostic {
                code: "P0301".into(),
                severity: Severity::Warning,
                message: "rule `github` matches any code".into(),
                line: Some(3),
                column: Some(3),
                help: None,
            },
            Diagnostic {
                code: String::new(),
                severity: Severity::Note,
                message: "`/srv/x` does not exist\u{1b}[31m".into(),
                line: None,
                column: None,
                help: None,
            },
        ];
        insta::assert_snapshot!(render(&findings, "policy.yaml", text, Style::PLAIN));
    }

    #[test]
    fn a_place_outside_of_the_text_is_no_trouble() {
        let finding = Diagnostic {
            code: "P0001".into(),
            severity: Severity::Error,
            message: "unexpected end".into(),
            line: Some(u32::MAX),
            column: Some(u32::MAX),
            help: None,
        };
        let shown = render(&[finding], "p", "a\n", Style::PLAIN);
        assert!(shown.contains("--> p:4294967295"), "{shown}");
        assert_eq!(excerpt(&"x".repeat(1000), 500).0.len(), EXCERPT);
    }
}
