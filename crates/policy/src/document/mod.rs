//! The policy document: what a text says, with the place of everything that it says.
//!
//! Reading goes text → tree of spanned values → [`Document`], and collects every finding on the
//! way; nothing stops at the first.

mod canonical;
mod clause;
mod connections;
mod endpoint;
pub(crate) mod findings;
mod fragment;
pub(crate) mod model;
pub(crate) mod node;
mod options;
mod patterns;
pub(crate) mod reader;
mod region;
mod requests;
mod rules;
mod sections;
mod spelling;
pub(crate) mod tree;
pub(crate) mod trials;

use openshell_types::Digest;

use crate::check;
use crate::diagnostic::Diagnostic;
use crate::settings::{Filesystem, Landlock, Process};
use crate::trial;
use findings::Findings;
use reader::{Fields, wrong_type};
pub(crate) use reader::{did_you_mean, shown};

pub(crate) use canonical::{clause_text, coverage_text, endpoint_text, options_text, trial_text};
pub(crate) use clause::{METHODS, WEBSOCKET_TEXT};
pub use fragment::{EndpointHost, EndpointView, Fragment, SigningView};
pub(crate) use model::{Binary, Endpoint, Rule};
pub use model::{OperationType, Protocol};
pub(crate) use patterns::{check_path, expand};
pub(crate) use tree::quoted;

/// A policy text, read and checked.
#[derive(Clone, Debug)]
pub struct Document {
    pub(crate) filesystem: Filesystem,
    pub(crate) landlock: Landlock,
    pub(crate) process: Process,
    /// In the order of the text.
    pub(crate) rules: Vec<Rule>,
    /// In the order of the text.
    pub(crate) trials: Vec<trials::Trial>,
}

/// What reading a text gave.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// The document, when there is no error.
    pub document: Option<Document>,
    /// Everything that was found, in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
}

/// Reads and checks a policy text, and finds all that is wrong with it in one pass.
pub fn parse(text: &str) -> Parsed {
    let (document, mut findings) = untried(text);
    if let Some(document) = &document {
        trial::check(document, &mut findings);
    }
    let document = document.filter(|_| !findings.has_errors());
    Parsed { document, diagnostics: findings.finish() }
}

/// The document before its tests are asked, when there is no error.
pub(crate) fn untried(text: &str) -> (Option<Document>, Findings) {
    let mut findings = Findings::default();
    let document =
        node::read(text, &mut findings).and_then(|root| Document::read(root, &mut findings));
    if let Some(document) = &document {
        check::run(document, &mut findings);
    }
    (document.filter(|_| !findings.has_errors()), findings)
}

impl Document {
    fn read(root: node::Node, findings: &mut Findings) -> Option<Self> {
        let mut fields = Fields::of(root, "a policy", findings)?;
        read_version(&mut fields, findings);
        let landlock_at = fields.place_of("landlock");
        let document = Self {
            filesystem: sections::filesystem(&mut fields, findings),
            landlock: sections::landlock(&mut fields, findings),
            process: sections::process(&mut fields, findings),
            rules: rules::read(&mut fields, findings),
            trials: trials::read(&mut fields, findings),
        };
        if let Some(at) = landlock_at
            && document.landlock == Landlock::BestEffort
            && !document.rules.is_empty()
        {
            check::published_reading::best_effort(at, findings);
        }
        refuse_middlewares(&mut fields, findings);
        fields.refuse_rest(findings);
        Some(document)
    }

    /// A document that allows nothing.
    pub(crate) fn empty() -> Self {
        Self {
            filesystem: Filesystem::default(),
            landlock: Landlock::default(),
            process: Process::default(),
            rules: Vec::new(),
            trials: Vec::new(),
        }
    }

    /// A text of the same meaning that is the same for all texts of that meaning: rules by key,
    /// lists in order and without repetitions, ports merged, defaults left out.
    pub fn canonical(&self) -> String {
        canonical::write(self, tree::Reader::Machine)
    }

    /// The same in the form that people write: a line for each key, quotes only where YAML needs
    /// them. Comments are lost, and so is the order of the text.
    pub fn formatted(&self) -> String {
        canonical::write(self, tree::Reader::Person)
    }

    /// The digest of the canonical text. It names the document wherever it is validated, shown,
    /// approved and enforced.
    pub fn digest(&self) -> Digest {
        Digest::of(self.canonical().as_bytes())
    }
}

fn read_version(fields: &mut Fields, findings: &mut Findings) {
    let at = fields.at;
    match fields.take("version") {
        None => findings.error_with_help(
            "P0103",
            at,
            "`version` is missing".to_owned(),
            "begin with `version: 1`".to_owned(),
        ),
        Some(node) => match &node.kind {
            node::Kind::Scalar { text, plain: true } if text == "1" => {}
            node::Kind::Scalar { text, .. } => findings.error_with_help(
                "P0104",
                node.at,
                format!("version `{}` of the schema is not known", shown(text)),
                "this build reads `version: 1`".to_owned(),
            ),
            _ => wrong_type(&node, "version", "the number 1", findings),
        },
    }
}

fn refuse_middlewares(fields: &mut Fields, findings: &mut Findings) {
    let Some(entry) = fields.take_entry("network_middlewares") else { return };
    let empty = match &entry.value.kind {
        node::Kind::Null => true,
        node::Kind::Map(entries) => entries.is_empty(),
        node::Kind::List(items) => items.is_empty(),
        _ => false,
    };
    if !empty {
        findings.error_with_help(
            "P0403",
            entry.at,
            "this build has no network middlewares".to_owned(),
            "remove `network_middlewares`; traffic that they should have changed or stopped \
             would pass unchanged"
                .to_owned(),
        );
    }
}
