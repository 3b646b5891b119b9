//! `openshell policy test`.

use std::path::PathBuf;

use openshell_policy::{TestOutcome, run_tests};
use serde::Serialize;

use super::{PolicyFile, source};
use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{self, FormatArgs, escape};
use crate::style::Style;

/// Run the tests that stand in policies
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The `tests` of a policy are questions with the answers that they must have:

  tests:
    - name: people read
      to: api.example.com:443
      by: /usr/bin/curl
      path: /v1/items
      want: allow
    - { to: \"api.example.com:443\", by: /usr/bin/curl, method: DELETE, want: deny, reason: rule }

Each path of a program counts as a file of its own. Exit code 1 when a test comes out wrong, 2 when
a policy has errors. A FILE that does not exist may be the name of a sandbox of a gateway that runs.

Examples:
  openshell policy test policy.yaml
  openshell policy test policies/*.yaml -o json")]
pub(crate) struct Args {
    /// Policies; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    #[command(flatten)]
    format: FormatArgs,
}

/// One policy, with what came of its tests.
#[derive(Debug, Serialize)]
struct View {
    file: String,
    tests: Vec<TestView>,
}

#[derive(Debug, Serialize)]
struct TestView {
    name: String,
    line: u32,
    passed: bool,
    wanted: String,
    found: String,
    detail: String,
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> Result<Exit, CliError> {
    let mut exit = Exit::OK;
    let mut all = Vec::new();
    for path in &args.files {
        match source::read(path, context).await.and_then(|file| tried(&file)) {
            Ok(view) => all.push(view),
            // The others are tried all the same.
            Err(error) => {
                error.print(context.config);
                exit = error.exit();
            }
        }
    }
    let style = Style::of_output(context.config);
    output::show(args.format.output, &all, |all| text(all, style))?;
    let failed = all.iter().flat_map(|view| &view.tests).any(|test| !test.passed);
    Ok(if exit == Exit::OK && failed { Exit::FAILED } else { exit })
}

fn tried(file: &PolicyFile) -> Result<View, CliError> {
    let outcomes = run_tests(&file.text).map_err(|found| source::refused(file, found))?;
    Ok(View { file: file.name.clone(), tests: outcomes.into_iter().map(test).collect() })
}

fn test(outcome: TestOutcome) -> TestView {
    let TestOutcome { name, line, wanted, found, detail, passed } = outcome;
    TestView { name, line, passed, wanted, found, detail }
}

fn text(all: &[View], style: Style) -> String {
    let mut text = String::new();
    for view in all {
        let file = escape(&view.file);
        if view.tests.is_empty() {
            text.push_str(&format!("{} {file} has no tests\n", style.yellow("note:")));
        }
        for test in &view.tests {
            let name = escape(&test.name);
            if test.passed {
                text.push_str(&format!("{}      {file}:{} {name}\n", style.green("ok"), test.line));
                continue;
            }
            text.push_str(&format!("{}  {file}:{} {name}\n", style.red("failed"), test.line));
            let (wanted, found) = (escape(&test.wanted), escape(&test.found));
            text.push_str(&format!("        wanted: {wanted}\n        found:  {found}\n"));
            text.push_str(&format!("        {} {}\n", style.dim("why:   "), escape(&test.detail)));
        }
    }
    let tests = || all.iter().flat_map(|view| &view.tests);
    let failed = tests().filter(|test| !test.passed).count();
    match (tests().count(), failed) {
        (0, _) => {}
        (passed, 0) => {
            text.push_str(&style.green(&format!("\n{passed} passed")));
            text.push('\n');
        }
        (count, failed) => {
            let passed = count.saturating_sub(failed);
            text.push_str(&style.red(&format!("\n{failed} failed, {passed} passed")));
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &str = "\
version: 1
network_policies:
  api:
    endpoints: [{ host: api.example.com, port: 443, protocol: rest, access: read-only }]
    binaries: [{ path: /usr/bin/curl }]
";

    fn shown(tests: &str) -> View {
        let file = PolicyFile { name: "policy.yaml".into(), text: format!("{RULES}{tests}") };
        tried(&file).unwrap()
    }

    #[test]
    fn each_test_is_told_with_its_place_and_what_came_out() {
        let ask = "to: 'api.example.com:443', by: /usr/bin/curl";
        let view = shown(&format!(
            "tests:\n  - {{ name: people read, {ask}, path: /, want: allow }}\n  - {{ {ask}, \
             method: DELETE, want: allow }}\n"
        ));
        insta::assert_snapshot!(text(&[view, shown("")], Style::PLAIN));
    }

    #[test]
    fn without_failures_only_their_number_is_told_last() {
        let view = shown("tests: [{ to: 'x.example.com:1', by: /bin/x, want: deny }]\n");
        assert!(text(&[view], Style::PLAIN).ends_with("test 1\n\n1 passed\n"));
        let wrong = PolicyFile { name: "p".into(), text: "version: 2\n".into() };
        assert_eq!(tried(&wrong).unwrap_err().exit().code(), 2);
    }
}
