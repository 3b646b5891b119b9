//! `openshell policy explain`.

use std::path::PathBuf;

use jiff::Timestamp;
use openshell_policy::{
    Decision, Document, Explanation, Outcome, Policy, Proposal, Verdict, propose,
};
use openshell_types::{Authority, Digest};
use serde::Serialize;

use super::question::{Asked, Programs, Question, RpcCall};
use super::{PolicyFile, source};
use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{self, FormatArgs, escape};
use crate::style::Style;

/// Tell what a policy decides, why, and what would change it
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Without --method, --path, --header and --call the connection is decided; with them the request over
it. What a name resolves to is not looked at, nor are GraphQL operations and the parameters of calls.

Nothing runs here, so each literal path of a binary counts as bound to its own file; one where the
agent can write matches nothing, as in a sandbox. A FILE that does not exist may be the name of a
sandbox of a gateway that runs. Exit code 0 when it is allowed, 3 when it is denied.

Examples:
  openshell policy explain policy.yaml --to api.example.com:443 --by /usr/bin/curl
  openshell policy explain policy.yaml --to api.example.com:443 --by /usr/bin/curl \\
      --method POST --path '/v1/items?draft=true' --header 'accept: application/json'
  openshell policy explain policy.yaml --to mcp.example.com:443 --by /usr/bin/node \\
      --path /mcp --call tools/call --tool read_file
  openshell policy explain policy.yaml --to github.com:443 \\
      --by /usr/lib/git-core/git-remote-https --started-by /usr/bin/git
  openshell policy explain brave-otter --to 10.0.0.53:53 --by /usr/bin/dig --udp")]
pub(crate) struct Args {
    /// Policy; `-` is standard input
    #[arg(value_name = "FILE")]
    policy: PathBuf,

    /// Where to: a name or an address, and the port
    #[arg(long, value_name = "HOST:PORT", value_parser = Authority::parse)]
    to: Authority,

    /// Path of the program that asks
    #[arg(long, value_name = "PATH", value_parser = program)]
    by: String,

    /// Path of the program that started it; again for the one before
    #[arg(long, value_name = "PATH", value_parser = program)]
    started_by: Vec<String>,

    /// Digest of the program that asks, for rules that name one
    #[arg(long, value_name = "HEX", value_parser = Digest::parse)]
    sha256: Option<Digest>,

    /// Datagrams, not a TCP connection
    #[arg(long, conflicts_with_all = ["method", "path", "header", "call"])]
    udp: bool,

    /// Method of a request; WEBSOCKET_TEXT for a message [default: GET, or POST with --call]
    #[arg(long)]
    method: Option<String>,

    /// Path of a request, with its query [default: /]
    #[arg(long, value_name = "PATH")]
    path: Option<String>,

    /// Header of a request, as often as needed
    #[arg(long, value_name = "NAME:VALUE")]
    header: Vec<String>,

    /// Method of a JSON-RPC or MCP call in the request
    #[arg(long, value_name = "METHOD")]
    call: Option<String>,

    /// Tool of an MCP call
    #[arg(long, value_name = "NAME", requires = "call")]
    tool: Option<String>,

    #[command(flatten)]
    format: FormatArgs,
}

fn program(path: &str) -> Result<String, &'static str> {
    let whole = path.starts_with('/')
        && path.len() > 1
        && !path.split('/').skip(1).any(|part| matches!(part, "" | "." | ".."));
    if whole { Ok(path.to_owned()) } else { Err("write the whole path, such as `/usr/bin/curl`") }
}

/// What the policy says.
#[derive(Debug, Serialize)]
struct View {
    /// `allowed`, `noted` or `denied`.
    decision: &'static str,
    predicate: &'static str,
    rule: Option<String>,
    line: Option<u32>,
    detail: String,
    /// The nearest edit as one line.
    nearest: Option<String>,
    /// The least edit that was tried and allows it.
    proposal: Option<ProposalView>,
    /// Why no edit allows it.
    refused: Option<String>,
}

#[derive(Debug, Serialize)]
struct ProposalView {
    edit: String,
    operations: Vec<String>,
    /// What it allows beside.
    widening: Vec<String>,
    alternative: Option<Box<ProposalView>>,
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> Result<Exit, CliError> {
    let asked = request(&args)?;
    let file = source::read(&args.policy, context).await?;
    let document = source::document(&file)?;
    let programs = Programs { by: &args.by, sha256: args.sha256, started_by: &args.started_by };
    let (policy, question) = Question::of(&source::policy(&file)?, args.to, programs);
    let now = Timestamp::now();
    let view = if args.udp {
        datagram(&policy, &question, now)
    } else {
        explain((&document, &policy), &question, asked.as_ref(), now)
    };
    let style = Style::of_output(context.config);
    output::show(args.format.output, &view, |view| text(view, &file, style))?;
    Ok(if view.decision == "denied" { Exit::DENIED } else { Exit::OK })
}

/// The request that is asked about, if it is one.
fn request(args: &Args) -> Result<Option<Asked>, CliError> {
    let call = args.call.clone().map(|method| RpcCall { method, tool: args.tool.clone() });
    if args.method.is_none() && args.path.is_none() && args.header.is_empty() && call.is_none() {
        return Ok(None);
    }
    let usual = if call.is_some() { "POST" } else { "GET" };
    let method = args.method.as_deref().unwrap_or(usual);
    let asked = Asked::new(method, args.path.as_deref().unwrap_or("/"), &args.header)?;
    Ok(Some(asked.calling(call)))
}

fn datagram(policy: &Policy, question: &Question, now: Timestamp) -> View {
    let decision = policy.datagram(&question.to(), &question.by, now);
    let words = policy.explain(&question.to(), Some(&question.by), &decision);
    view(if matches!(decision, Decision::Allow(_)) { "allowed" } else { "denied" }, words)
}

fn explain(
    (document, policy): (&Document, &Policy),
    question: &Question,
    asked: Option<&Asked>,
    now: Timestamp,
) -> View {
    let (to, by) = (question.to(), &question.by);
    let decision = policy.connect(&to, by, now);
    let (decision, words) = match (&decision, asked) {
        // The words about the connection say more than those about a request over none.
        (Decision::Deny(_), _) => ("denied", policy.explain(&to, Some(by), &decision)),
        (Decision::Allow(_), None) => ("allowed", policy.explain(&to, Some(by), &decision)),
        (Decision::Allow(_), Some(asked)) => asked.with(|request| {
            let verdict = policy.request(&to, by, request, now);
            let decision = match verdict {
                Verdict::Allow(_) => "allowed",
                Verdict::Audit(_) => "noted",
                Verdict::Deny(_) => "denied",
            };
            (decision, policy.explain_request(&to, Some(by), request, &verdict))
        }),
    };
    let mut view = view(decision, words);
    if decision == "denied" {
        let proposal = match asked {
            None => propose(document, &to, by, None),
            Some(asked) => asked.with(|request| propose(document, &to, by, Some(request))),
        };
        match proposal.outcome {
            Outcome::Edit => view.proposal = Some(proposed(proposal)),
            Outcome::Refused => {
                view.refused = Some(proposal.words);
                // What is near was not tried; here it would not help, but for a denial less.
                view.nearest = view.nearest.filter(|_| view.predicate == "deny_rule");
            }
            // A rule names the program, and it is allowed were it not for where it lies.
            Outcome::Allowed => {
                view.refused = Some("the program lies where the agent can write".to_owned());
            }
        }
    }
    view
}

fn view(decision: &'static str, words: Explanation) -> View {
    let Explanation { predicate, rule, line, detail, nearest } = words;
    View { decision, predicate, rule, line, detail, nearest, proposal: None, refused: None }
}

fn proposed(proposal: Proposal) -> ProposalView {
    ProposalView {
        edit: proposal.words,
        operations: proposal.operations.iter().map(ToString::to_string).collect(),
        widening: proposal.widening,
        alternative: proposal.alternative.map(|other| Box::new(proposed(*other))),
    }
}

fn text(view: &View, file: &PolicyFile, style: Style) -> String {
    let said = match view.decision {
        "denied" => style.red("denied:"),
        "noted" => style.yellow("allowed, and noted:"),
        _ => style.green("allowed:"),
    };
    let mut text = format!("{said} {}\n", escape(&view.detail));
    let number = view.line.map(|line| line.to_string()).unwrap_or_default();
    let gutter = " ".repeat(number.len().max(1));
    if let Some(line) = view.line {
        text.push_str(&format!("{gutter}--> {}:{line}\n", escape(&file.name)));
        let index = usize::try_from(line).unwrap_or(usize::MAX).saturating_sub(1);
        if let Some(source) = file.text.lines().nth(index) {
            text.push_str(&format!("{gutter} |\n{number} | {}\n{gutter} |\n", escape(source)));
        }
    }
    let mut add = |name: &str, value: &str| {
        text.push_str(&format!("{gutter} = {} {}\n", style.cyan(name), escape(value)));
    };
    if let Some(rule) = &view.rule {
        add("rule:", rule);
    }
    if view.decision != "allowed" {
        add("predicate:", view.predicate);
    }
    let nearest = view.nearest.as_deref();
    match &view.proposal {
        None => {
            nearest.into_iter().for_each(|edit| add("nearest edit:", edit));
            view.refused.iter().for_each(|why| add("no rule helps:", why));
        }
        Some(proposal) => {
            let other = proposal.alternative.as_deref();
            let both = other.map(|other| format!("{}; or {}", proposal.edit, other.edit));
            // It often is what was tried.
            let known = |edit: &&str| *edit != proposal.edit && Some(*edit) != both.as_deref();
            nearest.filter(known).into_iter().for_each(|edit| add("nearest edit:", edit));
            add("proposal:", &proposal.edit);
            proposal.widening.iter().for_each(|more| add("allows, too:", more));
            if let Some(other) = other {
                add("or:", &other.edit);
                other.widening.iter().for_each(|more| add("allows, too:", more));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = "\
version: 1
filesystem_policy:
  read_write: [/data]
network_policies:
  api:
    endpoints:
      - host: api.example.com
        port: 443
        protocol: rest
        rules:
          - allow: { method: GET, path: /v1/** }
        deny_rules:
          - path: /v1/admin/**
      - host: mcp.example.com
        port: 443
        path: /mcp
        protocol: mcp
        rules:
          - allow: { method: tools/call, tool: read_* }
      - host: watched.example.com
        port: 443
        protocol: rest
        enforcement: audit
        access: read-only
    binaries:
      - path: /usr/bin/curl
      - path: /data/tool
  git:
    endpoints:
      - { host: git.example.com, port: 443 }
    binaries:
      - path: /usr/bin/git
  dns:
    endpoints:
      - { host: 192.0.2.53, port: 53, protocol: udp }
    binaries:
      - path: /usr/bin/dig
  past:
    until: 2020-01-01T00:00:00Z
    endpoints:
      - { host: past.example.com, port: 443 }
    binaries:
      - path: /usr/bin/curl
";

    fn asked(
        to: &str,
        (by, started_by): (&str, &[&str]),
        request: Option<(&str, &str)>,
    ) -> (View, String) {
        let request = request.map(|(method, path)| Asked::new(method, path, &[]).unwrap());
        about(to, (by, started_by), request)
    }

    fn about(to: &str, (by, started_by): (&str, &[&str]), asked: Option<Asked>) -> (View, String) {
        let file = PolicyFile { name: "policy.yaml".into(), text: POLICY.into() };
        let started_by: Vec<String> = started_by.iter().map(ToString::to_string).collect();
        let programs = Programs { by, sha256: None, started_by: &started_by };
        let to = Authority::parse(to).unwrap();
        let (policy, question) = Question::of(&source::policy(&file).unwrap(), to, programs);
        let document = source::document(&file).unwrap();
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let view = explain((&document, &policy), &question, asked.as_ref(), now);
        let text = text(&view, &file, Style::PLAIN);
        (view, text)
    }

    #[test]
    fn connections_in_words() {
        let mut all = String::new();
        for (to, by, started_by) in [
            ("git.example.com:443", "/usr/bin/git", &[][..]),
            ("git.example.com:443", "/usr/lib/git-core/git-remote-https", &["/usr/bin/git"]),
            ("git.example.com:22", "/usr/bin/git", &[]),
            ("other.example.com:443", "/usr/bin/curl", &[]),
            ("past.example.com:443", "/usr/bin/curl", &[]),
            ("169.254.169.254:80", "/usr/bin/curl", &[]),
            ("api.example.com:443", "/data/tool", &[]),
            ("192.0.2.53:53", "/usr/bin/dig", &[]),
            ("localhost:443", "/usr/bin/curl", &[]),
        ] {
            all.push_str(&format!("$ {by} to {to}\n{}\n", asked(to, (by, started_by), None).1));
        }
        insta::assert_snapshot!(all);
    }

    #[test]
    fn requests_in_words() {
        let mut all = String::new();
        for (host, method, path) in [
            ("api.example.com:443", "GET", "/v1/items?page=2"),
            ("api.example.com:443", "POST", "/v1/items"),
            ("api.example.com:443", "GET", "/v1/Admin/users"),
            ("watched.example.com:443", "DELETE", "/x"),
        ] {
            let (_, text) = asked(host, ("/usr/bin/curl", &[]), Some((method, path)));
            all.push_str(&format!("$ {method} {host} {path}\n{text}\n"));
        }
        insta::assert_snapshot!(all);
    }

    #[test]
    fn calls_in_words() {
        let mut all = String::new();
        for tool in ["read_file", "write_file"] {
            let call = RpcCall { method: "tools/call".into(), tool: Some(tool.into()) };
            let asked = Asked::new("POST", "/mcp", &[]).unwrap().calling(Some(call));
            let text = about("mcp.example.com:443", ("/usr/bin/curl", &[]), Some(asked)).1;
            all.push_str(&format!("$ {tool}\n{text}\n"));
        }
        insta::assert_snapshot!(all);
    }

    #[test]
    fn datagrams_are_asked_apart() {
        let file = PolicyFile { name: "p".into(), text: POLICY.into() };
        let programs = Programs { by: "/usr/bin/dig", sha256: None, started_by: &[] };
        let to = Authority::parse("192.0.2.53:53").unwrap();
        let (policy, question) = Question::of(&source::policy(&file).unwrap(), to, programs);
        assert_eq!(datagram(&policy, &question, Timestamp::UNIX_EPOCH).decision, "allowed");
    }

    #[test]
    fn programs_read_the_proposal_with_its_operations() {
        let (view, _) = asked("git.example.com:443", ("/usr/bin/wget", &["/usr/bin/git"]), None);
        insta::assert_snapshot!(serde_json::to_string_pretty(&view).unwrap());
    }

    #[test]
    fn a_program_has_a_whole_path() {
        assert!(program("/usr/bin/curl").is_ok());
        for wrong in ["curl", "", "/", "/usr/../bin/curl", "/usr//bin", "/usr/bin/"] {
            assert!(program(wrong).is_err(), "{wrong}");
        }
    }
}
