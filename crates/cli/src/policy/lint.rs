//! `openshell policy lint`.

use std::path::PathBuf;

use openshell_client::{Diagnostic, Severity};
use openshell_policy::parse;
use serde::Serialize;

use super::{PolicyFile, source};
use crate::context::Context;
use crate::diagnostics;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{self, Format, FormatArgs, escape};
use crate::pages;
use crate::style::Style;

/// Check policies: all that is wrong with them, and what they may not mean
#[derive(Debug, clap::Args)]
#[command(after_help = "\
No gateway is asked: a FILE that does not exist may be the name of a sandbox of a gateway that runs.
Exit code 2 when there are errors. With --strict warnings are errors: such as a binary pattern over
a place that the agent writes, which reads \"any code\".

Examples:
  openshell policy lint policy.yaml
  openshell policy lint --strict policies/*.yaml
  openshell policy lint --explain P0501        what a finding means, with an example and its mend")]
pub(crate) struct Args {
    /// Policies; `-` is standard input
    #[arg(required_unless_present = "explain", value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Take warnings for errors
    #[arg(long)]
    strict: bool,

    /// Print the page about a finding
    #[arg(long, value_name = "CODE", conflicts_with_all = ["files", "strict", "output"])]
    explain: Option<String>,

    #[command(flatten)]
    format: FormatArgs,
}

#[derive(Debug, Serialize)]
struct View {
    file: String,
    findings: Vec<FindingView>,
}

#[derive(Debug, Serialize)]
struct FindingView {
    code: String,
    severity: &'static str,
    message: String,
    line: Option<u32>,
    column: Option<u32>,
    help: Option<String>,
}

/// A policy with what was found in it.
struct Checked {
    file: PolicyFile,
    findings: Vec<Diagnostic>,
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> Result<Exit, CliError> {
    if let Some(code) = &args.explain {
        output::print(pages::page(code)?)?;
        return Ok(Exit::OK);
    }
    let mut exit = Exit::OK;
    let mut all = Vec::new();
    for path in &args.files {
        match source::read(path, context).await {
            Ok(file) => all.push(check(file, args.strict)),
            // The others are checked all the same.
            Err(error) => {
                error.print(context.config);
                exit = error.exit();
            }
        }
    }
    match args.format.output {
        Format::Table => output::print(&text(&all, Style::of_output(context.config)))?,
        format => {
            output::show(format, &all.iter().map(view).collect::<Vec<_>>(), |_| String::new())?;
        }
    }
    Ok(if count(&all, Severity::Error) > 0 { Exit::USAGE } else { exit })
}

fn check(file: PolicyFile, strict: bool) -> Checked {
    let mut findings: Vec<Diagnostic> =
        parse(&file.text).diagnostics.into_iter().map(diagnostics::of_policy).collect();
    for finding in &mut findings {
        if strict && finding.severity == Severity::Warning {
            finding.severity = Severity::Error;
        }
    }
    Checked { file, findings }
}

fn count(all: &[Checked], severity: Severity) -> usize {
    all.iter().flat_map(|one| &one.findings).filter(|found| found.severity == severity).count()
}

fn text(all: &[Checked], style: Style) -> String {
    let mut text = String::new();
    for Checked { file, findings } in all {
        text.push_str(&diagnostics::render(findings, &file.name, &file.text, style));
    }
    let place = match all {
        [] => return text,
        [one] => format!("`{}`", escape(&one.file.name)),
        more => format!("{} policies", more.len()),
    };
    let counts: Vec<String> =
        [(Severity::Error, "error"), (Severity::Warning, "warning"), (Severity::Note, "note")]
            .into_iter()
            .filter_map(|(severity, word)| match count(all, severity) {
                0 => None,
                1 => Some(format!("1 {word}")),
                many => Some(format!("{many} {word}s")),
            })
            .collect();
    let first = all
        .iter()
        .flat_map(|one| &one.findings)
        .max_by_key(|found| diagnostics::rank(found.severity));
    match first {
        None => text.push_str(&style.green(&format!("no findings in {place}\n"))),
        Some(first) => text.push_str(&format!(
            "{} in {place}\n{} `openshell policy lint --explain {}` says more\n",
            counts.join(", "),
            style.cyan("help:"),
            first.code,
        )),
    }
    text
}

fn view(checked: &Checked) -> View {
    let findings = checked.findings.iter().map(|found| FindingView {
        code: found.code.clone(),
        severity: match found.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        },
        message: found.message.clone(),
        line: found.line,
        column: found.column,
        help: found.help.clone(),
    });
    View { file: checked.file.name.clone(), findings: findings.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WARNED: &str = "\
version: 1
network_policies:
  api:
    endpoints: [{ host: api.example.com, port: 443 }]
    binaries: [{ path: /sandbox/** }]
";

    fn checked(name: &str, text: &str, strict: bool) -> Checked {
        check(PolicyFile { name: name.into(), text: text.into() }, strict)
    }

    #[test]
    fn findings_and_their_number() {
        let wrong = "version: 1\nnetwork_policies:\n  a: { endpoint: [] }\n";
        let all = [checked("wrong.yaml", wrong, false), checked("open.yaml", WARNED, false)];
        insta::assert_snapshot!(text(&all, Style::PLAIN));
        let clean = [checked("clean.yaml", "version: 1\n", false)];
        assert_eq!(text(&clean, Style::PLAIN), "no findings in `clean.yaml`\n");
    }

    #[test]
    fn any_code_is_an_error_when_strict() {
        assert_eq!(count(&[checked("p", WARNED, false)], Severity::Error), 0);
        let strict = [checked("p", WARNED, true)];
        assert_eq!(count(&strict, Severity::Error), 1);
        let shown = text(&strict, Style::PLAIN);
        assert!(shown.contains("error[P0501]") && shown.contains("any code"), "{shown}");
        insta::assert_snapshot!(serde_json::to_string_pretty(&view(&strict[0])).unwrap());
    }
}
