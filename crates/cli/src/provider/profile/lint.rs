//! `openshell provider profile lint`.

use openshell_client::{Diagnostic, ProfileFile, Severity};
use serde::Serialize;

use super::files::{self, Source};
use crate::context::Context;
use crate::diagnostics;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{self, Format, FormatArgs, escape};
use crate::pages;
use crate::style::Style;

/// Check profiles: all that is wrong with them, and where their credentials would not go
#[derive(Debug, clap::Args)]
#[command(after_help = "\
No gateway is asked. Exit code 2 when there are errors.

Examples:
  openshell provider profile lint -f ours.yaml
  openshell provider profile lint --from profiles/ -o json
  openshell provider profile lint --explain C0203    what a finding means, and its mend")]
pub(crate) struct Args {
    #[command(flatten)]
    source: Source,

    /// Print the page about a finding
    #[arg(long, value_name = "CODE", group = "Source", conflicts_with = "output")]
    explain: Option<String>,

    #[command(flatten)]
    format: FormatArgs,
}

#[derive(Debug, Serialize)]
struct View<'a> {
    file: &'a str,
    findings: Vec<FindingView<'a>>,
}

#[derive(Debug, Serialize)]
struct FindingView<'a> {
    code: &'a str,
    severity: &'static str,
    message: &'a str,
    line: Option<u32>,
    column: Option<u32>,
    help: Option<&'a str>,
}

pub(crate) fn run(args: Args, context: &Context<'_>) -> Result<Exit, CliError> {
    if let Some(code) = &args.explain {
        output::print(pages::page(code)?)?;
        return Ok(Exit::OK);
    }
    let files = args.source.read()?;
    let findings = files::check(&files);
    match args.format.output {
        Format::Table => {
            output::print(&text(&files, &findings, Style::of_output(context.config)))?;
        }
        format => output::show(format, &views(&files, &findings), |_| String::new())?,
    }
    let is_wrong = findings.iter().flatten().any(|found| found.severity == Severity::Error);
    Ok(if is_wrong { Exit::USAGE } else { Exit::OK })
}

fn text(files: &[ProfileFile], findings: &[Vec<Diagnostic>], style: Style) -> String {
    let mut text = String::new();
    for (file, found) in files.iter().zip(findings) {
        text.push_str(&diagnostics::render(found, &file.name, &file.text, style));
    }
    let place = match files {
        [one] => format!("`{}`", escape(&one.name)),
        more => format!("{} profiles", more.len()),
    };
    let counts: Vec<String> =
        [(Severity::Error, "error"), (Severity::Warning, "warning"), (Severity::Note, "note")]
            .into_iter()
            .filter_map(|(severity, word)| {
                match findings.iter().flatten().filter(|one| one.severity == severity).count() {
                    0 => None,
                    1 => Some(format!("1 {word}")),
                    many => Some(format!("{many} {word}s")),
                }
            })
            .collect();
    let worst = findings.iter().flatten().max_by_key(|found| diagnostics::rank(found.severity));
    match worst {
        None => text.push_str(&style.green(&format!("no findings in {place}\n"))),
        Some(worst) => text.push_str(&format!(
            "{} in {place}\n{} `openshell provider profile lint --explain {}` says more\n",
            counts.join(", "),
            style.cyan("help:"),
            escape(&worst.code),
        )),
    }
    text
}

fn views<'a>(files: &'a [ProfileFile], findings: &'a [Vec<Diagnostic>]) -> Vec<View<'a>> {
    let view = |found: &'a Diagnostic| FindingView {
        code: &found.code,
        severity: match found.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        },
        message: &found.message,
        line: found.line,
        column: found.column,
        help: found.help.as_deref(),
    };
    let each = files.iter().zip(findings);
    each.map(|(file, found)| View { file: &file.name, findings: found.iter().map(view).collect() })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_have_their_file_their_line_and_a_fix() {
        let file = |name: &str, text: &str| ProfileFile { name: name.into(), text: text.into() };
        let files = [
            file(
                "ours.yaml",
                "id: ours\ncredentials:\n  - name: key\n    env_var: [OURS_KEY]\n    \
                 auth_style: bearer\n",
            ),
            file("copy.yaml", "id: github\n"),
        ];
        let findings = files::check(&files);
        insta::assert_snapshot!(text(&files, &findings, Style::PLAIN));
        let json = serde_json::to_string_pretty(&views(&files, &findings)).unwrap();
        assert!(json.contains("\"code\": \"P0101\""), "{json}");
        let good = [file("good.yaml", "id: good\n")];
        let shown = text(&good, &files::check(&good), Style::PLAIN);
        assert_eq!(shown, "no findings in `good.yaml`\n");
    }
}
