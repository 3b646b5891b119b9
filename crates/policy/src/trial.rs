//! Runs the tests of a document: asks its policy, every literal path of a program being a file of
//! its own, and compares the answers with those that the text wants.

use std::collections::BTreeMap;

use jiff::Timestamp;
use openshell_types::FileId;

use crate::binary::{BinaryTable, Binding};
use crate::decision::{Caller, Decision, Destination, Program};
use crate::diagnostic::Diagnostic;
use crate::document::findings::Findings;
use crate::document::trials::{Target, Trial, TrialRequest, Want};
use crate::document::{Document, WEBSOCKET_TEXT, untried};
use crate::pattern::escaped;
use crate::policy::Policy;
use crate::request::{Call, Content, GraphqlOperation, Request, Verdict};

/// What came of one of a document's `tests`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestOutcome {
    /// Its name; its place when it has none, such as `test 3`.
    pub name: String,
    /// Its line in the text.
    pub line: u32,
    /// What it wants, such as `deny by rule `github` (deny_rule)`.
    pub wanted: String,
    /// What came out, in the same words.
    pub found: String,
    /// Why: the words of the answer's explanation.
    pub detail: String,
    /// Whether it came out as wanted.
    pub passed: bool,
}

/// An answer as far as tests look.
struct Answer {
    want: Want,
    rule: Option<String>,
    reason: &'static str,
    detail: String,
}

impl Document {
    /// Asks every question of `tests`, in the order of the text.
    pub fn run_tests(&self) -> Vec<TestOutcome> {
        if self.trials.is_empty() {
            return Vec::new();
        }
        let files = Files::of(self);
        let policy = Policy::from_document("", self).bind(&files.table());
        let numbered = self.trials.iter().zip(1_usize..);
        numbered.map(|(trial, number)| outcome(&policy, &files, (trial, number))).collect()
    }
}

/// Runs the tests of a text, those that come out wrong among them, for which [`crate::parse`]
/// refuses it. Without them: all that else is wrong with it.
pub fn run_tests(text: &str) -> Result<Vec<TestOutcome>, Vec<Diagnostic>> {
    match untried(text) {
        (Some(document), _) => Ok(document.run_tests()),
        (None, findings) => Err(findings.finish()),
    }
}

/// Refuses a text of which a test comes out wrong.
pub(crate) fn check(document: &Document, findings: &mut Findings) {
    for (outcome, trial) in document.run_tests().into_iter().zip(&document.trials) {
        if !outcome.passed {
            let TestOutcome { name, wanted, found, detail, .. } = outcome;
            let message =
                format!("{name} wants `{wanted}`, and the policy says `{found}`: {detail}");
            let help = "change the rules, or the test when it is wrong".to_owned();
            findings.error_with_help("P0601", trial.at, message, help);
        }
    }
}

/// A file for each path.
struct Files(BTreeMap<String, u64>);

impl Files {
    fn of(document: &Document) -> Self {
        let binaries = document.rules.iter().flat_map(|rule| &rule.binaries);
        let named = binaries.map(|binary| &binary.path.value);
        let run = document
            .trials
            .iter()
            .flat_map(|trial| [&trial.by].into_iter().chain(&trial.ancestors));
        let mut files = BTreeMap::new();
        for path in named.chain(run) {
            let next = u64::try_from(files.len()).unwrap_or(u64::MAX).saturating_add(1);
            files.entry(path.clone()).or_insert(next);
        }
        Self(files)
    }

    fn table(&self) -> BinaryTable {
        let mut table = BinaryTable::new();
        for path in self.0.keys() {
            table.insert(path, Binding::Files(vec![self.file(path)]));
        }
        table
    }

    fn file(&self, path: &str) -> FileId {
        FileId { device: 1, inode: self.0.get(path).copied().unwrap_or_default() }
    }

    fn program(&self, path: &str) -> Program {
        Program { file: self.file(path), path: Some(path.into()), sha256: None }
    }

    fn caller(&self, trial: &Trial) -> Caller {
        Caller {
            exe: Program { sha256: trial.sha256, ..self.program(&trial.by) },
            ancestors: trial.ancestors.iter().map(|path| self.program(path)).collect(),
        }
    }
}

fn outcome(policy: &Policy, files: &Files, (trial, number): (&Trial, usize)) -> TestOutcome {
    let (target, port) = &trial.to;
    let to = match target {
        Target::Name(name) => Destination::Name(name, *port),
        Target::Address(address) => Destination::Address(*address, *port),
    };
    let by = files.caller(trial);
    let now = trial.time.unwrap_or(Timestamp::UNIX_EPOCH);
    let answer = match &trial.request {
        None => connection(policy, (&to, &by), trial.udp, now),
        Some(asked) => sent(policy, (&to, &by), asked, now),
    };
    let passed = answer.want == trial.want
        && (trial.rule.is_none() || trial.rule == answer.rule)
        && trial.reason.as_ref().is_none_or(|reason| reason == answer.reason);
    TestOutcome {
        name: trial.name.clone().unwrap_or_else(|| format!("test {number}")),
        line: trial.at.line,
        wanted: words(trial.want, trial.rule.as_deref(), trial.reason.as_deref()),
        found: words(answer.want, answer.rule.as_deref(), Some(answer.reason)),
        detail: answer.detail,
        passed,
    }
}

fn words(want: Want, rule: Option<&str>, reason: Option<&str>) -> String {
    let mut words = match want {
        Want::Allow => "allow".to_owned(),
        Want::Deny => "deny".to_owned(),
    };
    if let Some(rule) = rule {
        words.push_str(&format!(", rule {rule}"));
    }
    if let Some(reason) = reason.filter(|reason| *reason != "allowed") {
        words.push_str(&format!(", reason {reason}"));
    }
    words
}

fn connection(
    policy: &Policy,
    (to, by): (&Destination<'_>, &Caller),
    udp: bool,
    now: Timestamp,
) -> Answer {
    let decision = if udp { policy.datagram(to, by, now) } else { policy.connect(to, by, now) };
    let explained = policy.explain(to, Some(by), &decision);
    let want = match decision {
        Decision::Allow(_) => Want::Allow,
        Decision::Deny(_) => Want::Deny,
    };
    Answer { want, rule: explained.rule, reason: explained.predicate, detail: explained.detail }
}

fn sent(
    policy: &Policy,
    (to, by): (&Destination<'_>, &Caller),
    asked: &TrialRequest,
    now: Timestamp,
) -> Answer {
    let query = decoded(&asked.query);
    let (query, headers) = (borrowed(&query), borrowed(&asked.headers));
    let fields: Vec<&str> =
        asked.graphql.iter().flat_map(|one| &one.fields).map(String::as_str).collect();
    let operations: Vec<GraphqlOperation<'_>> = asked
        .graphql
        .iter()
        .map(|one| GraphqlOperation::Document {
            operation_type: one.operation_type,
            name: &one.name,
            fields: &fields,
        })
        .collect();
    let tool = asked.rpc.iter().filter_map(|call| call.tool.as_deref()).map(|tool| ("name", tool));
    let params: Vec<(&str, &str)> =
        asked.rpc.iter().flat_map(|call| borrowed(&call.params)).chain(tool).collect();
    let calls: Vec<Call<'_>> = asked
        .rpc
        .iter()
        .map(|call| Call { method: &call.method, tool: call.tool.as_deref(), params: &params })
        .collect();
    let method = asked.method.as_deref();
    let carries = !operations.is_empty() || !calls.is_empty();
    let method = method.unwrap_or(if carries { "POST" } else { "GET" });
    let content = match (operations.as_slice(), calls.as_slice()) {
        (operations, _) if method == WEBSOCKET_TEXT => {
            Content::Message { operations, control: false }
        }
        ([], []) => Content::Plain,
        ([], calls) => Content::Rpc(calls),
        (operations, _) => Content::Graphql(operations),
    };
    let request = Request { method, path: &asked.path, query: &query, headers: &headers, content };
    let verdict = policy.request(to, by, &request, now);
    let explained = policy.explain_request(to, Some(by), &request, &verdict);
    let want = match verdict {
        Verdict::Allow(_) | Verdict::Audit(_) => Want::Allow,
        Verdict::Deny(_) => Want::Deny,
    };
    Answer { want, rule: explained.rule, reason: explained.predicate, detail: explained.detail }
}

fn borrowed(pairs: &[(String, String)]) -> Vec<(&str, &str)> {
    pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

/// The keys and values of a query, as servers decode forms.
fn decoded(query: &str) -> Vec<(String, String)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.map(|(name, value)| (form(name), form(value))).collect()
}

fn form(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let byte = match (first, after.first_chunk()) {
            (b'%', Some([high, low])) => escaped(*high, *low),
            _ => None,
        };
        bytes.push(byte.unwrap_or(if *first == b'+' { b' ' } else { *first }));
        rest = if byte.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
