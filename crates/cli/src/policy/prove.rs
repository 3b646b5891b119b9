//! `openshell policy prove`.

use std::path::{Path, PathBuf};

use openshell_policy::{CounterExample, Proof, Reach, prove_subset, reaches};
use serde::Serialize;

use super::source;
use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{self, FormatArgs, escape};

/// Prove what policies do not allow, over all connections and requests
#[derive(Debug, clap::Args)]
#[command(
    after_help = "\
Of two policies: whether B allows anything that A does not. Of one: whether anything can reach a
host (with a port, with a path), through whatever rule; with --credential through an endpoint that a
provider's credentials are bound to. Where requests are not judged, every path is reached.

Each literal path of a binary counts as a file of its own. A denial that is only noted lets a
request pass. Exit code 0 when nothing does, 1 when something does, which is printed; 4 when there
was too much to look at. A FILE that does not exist may be the name of a sandbox of a gateway that
runs.

Examples:
  openshell policy prove allowed-at-most.yaml policy.yaml
  openshell policy prove policy.yaml --reach '**.internal.example.com'
  openshell policy prove brave-otter --reach api.github.com:443/repos/*/*/keys --credential github",
    override_usage = "\
openshell policy prove [OPTIONS] <A> <B>
       openshell policy prove [OPTIONS] <FILE> --reach <TARGET>"
)]
pub(crate) struct Args {
    /// The policy that allows enough; with --reach the one that is looked at; `-` is standard input
    #[arg(value_name = "A")]
    first: PathBuf,

    /// The policy that may allow no more
    #[arg(value_name = "B", required_unless_present = "reach", conflicts_with = "reach")]
    second: Option<PathBuf>,

    /// HOST[:PORT][/PATH] that nothing may reach; host and path may have wildcards
    #[arg(long, value_name = "TARGET")]
    reach: Option<String>,

    /// Only through endpoints with the credentials of this provider
    #[arg(long, value_name = "PROVIDER", requires = "reach", conflicts_with = "second")]
    credential: Option<String>,

    #[command(flatten)]
    format: FormatArgs,
}

/// What came out.
#[derive(Debug, Serialize)]
struct View {
    /// `holds`, `fails` or `undecided`.
    result: &'static str,
    /// In words.
    detail: String,
    example: Option<Example>,
    /// Why it is not decided.
    reason: Option<String>,
}

/// Something that does what nothing should do.
#[derive(Debug, Serialize)]
struct Example {
    host: String,
    port: u16,
    transport: &'static str,
    /// An address that the name leads to, where that makes the difference.
    address: Option<String>,
    binary: Option<String>,
    ancestors: Vec<Option<String>>,
    at: String,
    request: Option<String>,
}

/// An answer, and what the question was.
enum Answer {
    Holds,
    Fails(Box<CounterExample>),
    Undecided(String),
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> Result<Exit, CliError> {
    let (exit, view) = match (&args.second, &args.reach) {
        (Some(second), _) => subset(&args.first, second, context).await?,
        (None, target) => {
            let file = source::read(&args.first, context).await?;
            let target = target.as_deref().unwrap_or_default();
            let document = source::document(&file)?;
            let credential = args.credential.as_deref();
            let answer = reach(reaches(&document, target, credential), target)?;
            let with = credential.map(|name| format!(" with credentials of `{name}`"));
            let place = format!("`{target}`{}", with.unwrap_or_default());
            conclude(
                answer,
                &format!("nothing can reach {place}"),
                &format!("{place} can be reached"),
            )
        }
    };
    output::show(args.format.output, &view, |view| escape(&view.detail) + "\n")?;
    Ok(exit)
}

async fn subset(
    first: &Path,
    second: &Path,
    context: &Context<'_>,
) -> Result<(Exit, View), CliError> {
    let (a, b) = source::read_two((first, second), context).await?;
    let answer = match prove_subset(&source::document(&a)?, &source::document(&b)?) {
        Proof::Holds => Answer::Holds,
        Proof::Fails(example) => Answer::Fails(example),
        Proof::Undecided(why) => Answer::Undecided(why),
    };
    let (a, b) = (&a.name, &b.name);
    Ok(conclude(
        answer,
        &format!("`{b}` allows nothing that `{a}` does not"),
        &format!("`{b}` allows what `{a}` does not"),
    ))
}

fn reach(found: Option<Reach>, target: &str) -> Result<Answer, CliError> {
    Ok(match found {
        Some(Reach::Never) => Answer::Holds,
        Some(Reach::Reached(example)) => Answer::Fails(example),
        Some(Reach::Undecided(why)) => Answer::Undecided(why),
        None => {
            return Err(CliError::usage(format!("nothing can be asked about `{target}`")).help(
                "write `host`, `host:port` or either with a path, such as \
                 `**.example.com:443/admin/**`",
            ));
        }
    })
}

fn conclude(answer: Answer, holds: &str, fails: &str) -> (Exit, View) {
    let view = |result, detail| View { result, detail, example: None, reason: None };
    match answer {
        Answer::Holds => (Exit::OK, view("holds", holds.to_owned())),
        Answer::Fails(found) => {
            let detail = format!("{fails}: {found}");
            (Exit::FAILED, View { example: Some(example(*found)), ..view("fails", detail) })
        }
        Answer::Undecided(why) => {
            let detail = format!("not decided whether {holds}: {why}");
            (Exit::UNDECIDED, View { reason: Some(why), ..view("undecided", detail) })
        }
    }
}

fn example(found: CounterExample) -> Example {
    let path = |path: Option<Box<str>>| path.map(String::from);
    Example {
        host: found.host,
        port: found.port.number(),
        transport: if found.udp { "udp" } else { "tcp" },
        address: found.resolved.map(|address| address.to_string()),
        binary: path(found.by.exe.path),
        ancestors: found.by.ancestors.into_iter().map(|program| path(program.path)).collect(),
        at: found.at.to_string(),
        request: found.request.map(|request| request.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use openshell_policy::{Document, parse};

    use super::*;

    fn document(rules: &str) -> Document {
        parse(&format!("version: 1\nnetwork_policies:\n{rules}")).document.unwrap()
    }

    fn asked(target: &str, provider: Option<&str>) -> (u8, View) {
        let document = document(
            "  api: { endpoints: [{ host: api.example.com, port: 443, protocol: rest, access: \
             read-only, credential_binding: { provider: github } }], binaries: [{ path: \
             /usr/bin/gh, descendants: true }] }\n",
        );
        let answer = reach(reaches(&document, target, provider), target).unwrap();
        let (exit, view) = conclude(answer, "nothing can", "something can");
        (exit.code(), view)
    }

    #[test]
    fn what_can_be_reached_is_told_with_an_example() {
        let (exit, view) = asked("api.example.com/x", Some("github"));
        assert_eq!(exit, 1);
        insta::assert_snapshot!(serde_json::to_string_pretty(&view).unwrap());
        assert_eq!(asked("api.example.com:80", None).0, 0);
        assert_eq!(asked("api.example.com", Some("other")).0, 0);
        assert_eq!(asked("other.example.com", None).1.detail, "nothing can");
    }

    #[test]
    fn what_is_not_decided_is_neither() {
        let (exit, view) = conclude(Answer::Undecided("too many".into()), "b is less", "b is more");
        assert_eq!((exit.code(), view.result), (4, "undecided"));
        assert_eq!(view.detail, "not decided whether b is less: too many");
        assert_eq!(view.reason.as_deref(), Some("too many"));
    }

    #[test]
    fn what_is_no_target_is_bad_input() {
        let error = reach(None, "*.com").err().unwrap();
        assert_eq!(error.exit().code(), 2);
        insta::assert_snapshot!(error.to_string());
    }
}
