//! The least edit that allows something: what a denial offers, and what a person is asked to
//! approve. It is found by trying: each candidate is applied and asked, so that what is offered
//! works. Of those that work the one that allows least beside the intent is offered; among equals
//! one that adds to the rule that came closest.

mod edits;
mod requests;
mod text;

use std::net::IpAddr;

use jiff::Timestamp;

use crate::HOST_ALIAS;
use crate::address::{AddressClass, classify};
use crate::binary::{BinaryTable, Binding};
use crate::check::writable_places;
use crate::decision::{Caller, Decision, Destination};
use crate::document::Document;
use crate::merge::Operation;
use crate::pattern::Glob;
use crate::policy::Policy;
use crate::request::{Refused, Request, Verdict};

/// What would allow an intent.
#[derive(Clone, Debug)]
pub struct Proposal {
    /// Whether there is anything to do, and whether it can be done.
    pub outcome: Outcome,
    /// The batch to apply; empty when there is none.
    pub operations: Vec<Operation>,
    /// The edit as one line to paste, or why there is none.
    pub words: String,
    /// What it allows beside the intent, a sentence each; empty when nothing.
    pub widening: Vec<String>,
    /// Another edit, where the program was started by one that a person would name: git for
    /// git-remote-https.
    pub alternative: Option<Box<Proposal>>,
}

/// What became of an intent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The operations allow it.
    Edit,
    /// It is allowed as things are.
    Allowed,
    /// No edit allows it.
    Refused,
}

/// The least edit of `document` that allows this connection, and this request over it. Rules that
/// end at some time neither count nor are edited: what is offered lasts.
pub fn propose(
    document: &Document,
    to: &Destination<'_>,
    by: &Caller,
    request: Option<&Request<'_>>,
) -> Proposal {
    let intent = Intent { document, to, by, request };
    if let Some(why) = intent.unreachable() {
        return Proposal::refused(why);
    }
    if intent.allowed_by(document) {
        return Proposal {
            outcome: Outcome::Allowed,
            ..Proposal::refused("the policy allows it".to_owned())
        };
    }
    if let Some(why) = intent.denied_by() {
        return Proposal::refused(why);
    }
    let own = match intent.own_path() {
        Ok(path) => intent.best(path, false),
        Err(why) => return Proposal::refused(why),
    };
    let starter = intent.starter().and_then(|path| intent.best(path, true).ok());
    match (own, starter) {
        (Ok(mut own), starter) => {
            own.alternative = starter.map(Box::new);
            own
        }
        (Err(_), Some(starter)) => starter,
        (Err(why), None) => Proposal::refused(why),
    }
}

/// The least edit that allows a connection, as one line, with what stands beside it. It is not
/// tried out, so it costs no more than to look at the rules once: denials come often.
pub(crate) fn nearest(document: &Document, to: &Destination<'_>, by: &Caller) -> Option<String> {
    let intent = Intent { document, to, by, request: None };
    let path = intent.own_path().ok()?;
    let line = |path, descendants| {
        let all = edits::candidates(&intent, path, descendants).ok()?;
        all.into_iter().min_by_key(|candidate| candidate.widening.len()).map(|least| least.words)
    };
    let own = line(path, false)?;
    let starter = intent.starter().and_then(|path| line(path, true));
    Some(with_alternative(own, starter.as_deref()))
}

fn with_alternative(words: String, other: Option<&str>) -> String {
    match other {
        Some(other) => format!("{words}; or {other}"),
        None => words,
    }
}

impl Proposal {
    fn refused(words: String) -> Self {
        let (operations, widening) = (Vec::new(), Vec::new());
        Self { outcome: Outcome::Refused, operations, words, widening, alternative: None }
    }

    /// The edit as one line, with the alternative; `None` when there is no edit.
    pub fn line(&self) -> Option<String> {
        let other = self.alternative.as_ref().map(|other| other.words.as_str());
        (self.outcome == Outcome::Edit).then(|| with_alternative(self.words.clone(), other))
    }
}

/// What is to be allowed.
struct Intent<'a> {
    document: &'a Document,
    to: &'a Destination<'a>,
    by: &'a Caller,
    request: Option<&'a Request<'a>>,
}

impl Intent<'_> {
    fn unreachable(&self) -> Option<String> {
        match self.to {
            Destination::Address(address, _) => match classify(*address) {
                AddressClass::Never(why) => {
                    Some(format!("{address} is never reachable: {why}{}", loopback_hint(*address)))
                }
                AddressClass::Private(_) | AddressClass::Public => None,
            },
            Destination::Name(name, _) => {
                let name = name.as_str();
                (name == "localhost" || name.ends_with(".localhost")).then(|| {
                    format!(
                        "{name} is loopback, which is never reachable; a service of the host \
                         itself is reached as `{HOST_ALIAS}`, declared exactly"
                    )
                })
            }
        }
    }

    /// The path of the program, when a rule can name it.
    fn own_path(&self) -> Result<&str, String> {
        let Some(path) = self.by.exe.path.as_deref() else {
            return Err("the program has no path (a deleted or in-memory file), so no rule can \
                        name it"
                .to_owned());
        };
        match self.nameable(path) {
            None => Ok(path),
            Some(why) => Err(format!("no rule can name the program {path}: {why}")),
        }
    }

    /// Why a path cannot name a program.
    fn nameable(&self, path: &str) -> Option<&'static str> {
        let beneath = |place: &&str| {
            path.strip_prefix(place.trim_end_matches('/')).is_some_and(|rest| rest.starts_with('/'))
        };
        if writable_places(self.document).iter().any(beneath) {
            Some("it lies where the agent can write")
        } else if !path.starts_with('/') || Glob::is_glob(path) {
            Some("its path would be read as a pattern")
        } else {
            None
        }
    }

    /// The ancestor that a person would name in place of the program: one that a rule for this
    /// destination names already, or one whose helper the program is by its name.
    fn starter(&self) -> Option<&str> {
        let paths = || {
            let paths = self.by.ancestors.iter().filter_map(|program| program.path.as_deref());
            paths.filter(|path| self.nameable(path).is_none())
        };
        let named = |path: &&str| {
            edits::rules_for(self.document, self.to)
                .flat_map(|rule| &rule.binaries)
                .any(|binary| binary.path.value == *path)
        };
        let own = self.by.exe.path.as_deref().unwrap_or_default();
        let own = own.rsplit('/').next().unwrap_or_default();
        let helped = |path: &&str| {
            let name = path.rsplit('/').next().unwrap_or_default();
            !name.is_empty()
                && own.strip_prefix(name).is_some_and(|rest| rest.starts_with(['-', '.', '_']))
        };
        paths().find(named).or_else(|| paths().find(helped))
    }

    fn table(&self) -> BinaryTable {
        let mut table = BinaryTable::new();
        for program in std::iter::once(&self.by.exe).chain(&self.by.ancestors) {
            if let Some(path) = program.path.as_deref() {
                table.insert(path, Binding::Files(vec![program.file]));
            }
        }
        table
    }

    /// Whether a document allows the intent, with the caller's paths standing for its files.
    fn allowed_by(&self, document: &Document) -> bool {
        let policy = Policy::from_document("", document).bind(&self.table());
        match self.request {
            None => matches!(policy.connect(self.to, self.by, Timestamp::MAX), Decision::Allow(_)),
            // A denial that is only noted lets it pass as things are.
            Some(request) => matches!(
                policy.request(self.to, self.by, request, Timestamp::MAX),
                Verdict::Allow(_) | Verdict::Audit(_)
            ),
        }
    }

    /// Why no rule that allows would help: a denial comes first.
    fn denied_by(&self) -> Option<String> {
        let request = self.request?;
        let policy = Policy::from_document("", self.document).bind(&self.table());
        let verdict = policy.request(self.to, self.by, request, Timestamp::MAX);
        let Verdict::Deny(denial) = verdict else { return None };
        if denial.refused != Refused::DenyRule {
            return None;
        }
        let rule = denial.endpoint().map(|grant| policy.rule_name(grant)).unwrap_or_default();
        Some(format!(
            "`deny_rules` of rule `{rule}` deny it, and a denial comes before everything that \
             allows; remove or narrow it"
        ))
    }

    /// The best edit that names `path`; with `descendants`, for all that it starts.
    fn best(&self, path: &str, descendants: bool) -> Result<Proposal, String> {
        let mut candidates = edits::candidates(self, path, descendants)?;
        candidates.sort_by_key(|candidate| candidate.widening.len());
        let mut why = "no edit of the policy allows it".to_owned();
        for candidate in candidates {
            match self.document.apply(&candidate.operations) {
                Ok(applied) if self.allowed_by(&applied.document) => {
                    return Ok(Proposal {
                        outcome: Outcome::Edit,
                        words: candidate.words,
                        operations: candidate.operations,
                        widening: candidate.widening,
                        alternative: None,
                    });
                }
                Ok(_) => {}
                Err(error) => why = error.to_string(),
            }
        }
        Err(why)
    }
}

fn loopback_hint(address: IpAddr) -> String {
    if address.to_canonical().is_loopback() {
        format!("; a service of the host itself is reached as `{HOST_ALIAS}`, declared exactly")
    } else {
        String::new()
    }
}

#[cfg(test)]
mod tests;
