//! `openshell policy diff`.

use std::path::PathBuf;

use openshell_policy::{Change, Difference, Direction, Proof, prove_subset};
use serde::Serialize;

use super::{PolicyFile, source};
use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{self, FormatArgs, escape};
use crate::style::Style;

/// Compare what two policies say
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Order, formatting, and what stands for the same make no difference, and `tests` are not compared.
Last comes whether B allows anything that A does not, proved over all connections and requests. Exit
code 0 when they say the same, 1 when they differ, 2 when one has errors. What does not exist as a
file may be the name of a sandbox of a gateway that runs.

Examples:
  openshell policy diff before.yaml after.yaml
  openshell policy diff brave-otter policy.yaml               what `policy set` would change
  openshell policy get brave-otter --rev 1 | openshell policy diff - brave-otter")]
pub(crate) struct Args {
    /// The policy before; `-` is standard input
    #[arg(value_name = "A")]
    before: PathBuf,

    /// The policy after
    #[arg(value_name = "B")]
    after: PathBuf,

    #[command(flatten)]
    format: FormatArgs,
}

#[derive(Debug, Serialize)]
struct View {
    same: bool,
    changes: Vec<ChangeView>,
    /// `no`, `yes` or `unknown`.
    allows_more: &'static str,
    /// What B allows and A does not, or why it is not known.
    detail: Option<String>,
}

#[derive(Debug, Serialize)]
struct ChangeView {
    direction: &'static str,
    rule: Option<String>,
    endpoint: Option<String>,
    subject: &'static str,
    before: Option<String>,
    after: Option<String>,
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> Result<Exit, CliError> {
    let (before, after) = source::read_two((&args.before, &args.after), context).await?;
    let (exit, view, text) = compare(&before, &after, Style::of_output(context.config))?;
    output::show(args.format.output, &view, |_| text)?;
    Ok(exit)
}

fn compare(
    before: &PolicyFile,
    after: &PolicyFile,
    style: Style,
) -> Result<(Exit, View, String), CliError> {
    let (old, new) = (source::document(before)?, source::document(after)?);
    let difference = Difference::between(&old, &new);
    let same = difference.is_empty();
    // What says the same allows the same.
    let proof = if same { Proof::Holds } else { prove_subset(&old, &new) };
    let text = text(&difference, &proof, (&before.name, &after.name), style);
    let (allows_more, detail) = match &proof {
        Proof::Holds => ("no", None),
        Proof::Fails(example) => ("yes", Some(example.to_string())),
        Proof::Undecided(why) => ("unknown", Some(why.clone())),
    };
    let changes = difference.changes.into_iter().map(change).collect();
    let exit = if same { Exit::OK } else { Exit::FAILED };
    Ok((exit, View { same, changes, allows_more, detail }, text))
}

fn change(change: Change) -> ChangeView {
    ChangeView {
        direction: change.direction().as_str(),
        subject: change.subject.as_str(),
        rule: change.rule,
        endpoint: change.endpoint,
        before: change.before,
        after: change.after,
    }
}

fn text(
    difference: &Difference,
    proof: &Proof,
    (before, after): (&str, &str),
    style: Style,
) -> String {
    let (before, after) = (escape(before), escape(after));
    if difference.is_empty() {
        return format!("`{before}` and `{after}` say the same\n");
    }
    let mut text = String::new();
    for change in &difference.changes {
        let line = escape(&change.to_string());
        let line = match change.direction() {
            Direction::Added => style.green(&line),
            Direction::Removed => style.red(&line),
            Direction::Changed => style.yellow(&line),
        };
        text.push_str(&format!("{line}\n"));
    }
    let said = match proof {
        Proof::Holds => format!("`{after}` allows nothing that `{before}` does not"),
        Proof::Fails(example) => {
            format!("`{after}` allows what `{before}` does not: {}", escape(&example.to_string()))
        }
        Proof::Undecided(why) => {
            format!("whether `{after}` allows more than `{before}` is not known: {}", escape(why))
        }
    };
    text.push_str(&format!("\n{said}\n"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(name: &str, rules: &str) -> PolicyFile {
        let text = format!("version: 1\nnetwork_policies:\n{rules}");
        PolicyFile { name: name.into(), text }
    }

    const BEFORE: &str = "  api: { endpoints: [{ host: api.example.com, port: 443 }], binaries: [{ path: /usr/bin/curl }] }
  old: { endpoints: [{ host: old.example.com, port: 22 }], binaries: [{ path: /usr/bin/ssh }] }
";

    fn shown(after: &str) -> (u8, String) {
        let (before, after) = (policy("a.yaml", BEFORE), policy("b.yaml", after));
        let (exit, view, text) = compare(&before, &after, Style::PLAIN).unwrap();
        (exit.code(), format!("{text}---\n{}\n", serde_json::to_string_pretty(&view).unwrap()))
    }

    #[test]
    fn what_says_the_same_is_the_same() {
        let again = BEFORE.replace(
            "{ host: api.example.com, port: 443 }",
            "{ port: 443, host: API.example.com. }",
        );
        let (exit, text) = shown(&again);
        assert_eq!(exit, 0);
        insta::assert_snapshot!(text);
    }

    #[test]
    fn what_more_is_allowed_has_an_example() {
        let wider = BEFORE.replace("port: 443", "ports: [443, 8443]");
        let (exit, text) = shown(&wider);
        assert_eq!(exit, 1);
        insta::assert_snapshot!(text);
    }

    #[test]
    fn less_is_said_to_be_less() {
        let (exit, text) = shown(BEFORE.lines().next().unwrap());
        assert_eq!(exit, 1);
        insta::assert_snapshot!(text);
    }
}
