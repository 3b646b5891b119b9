//! The operations of a batch.

use std::fmt;

use openshell_types::Port;

use crate::document::findings::{Position, Spanned};
use crate::document::model::Clause;
use crate::document::{Document, Endpoint, Rule};
use crate::pattern::PortRange;
use crate::words;

/// One edit of a document.
#[derive(Clone, Debug)]
pub enum Operation {
    /// `add_rule`: allows the rule's binaries its endpoints.
    AddRule(NewRule),
    /// `remove_endpoint`: takes a port of a host away.
    RemoveEndpoint(Target),
    /// `remove_rule`: by its key.
    RemoveRule(String),
    /// `add_deny_rules`, at the endpoints of a host and port.
    AddDenyRules(Target, Clauses),
    /// `add_allow_rules`, at the endpoint of a host and port.
    AddAllowRules(Target, Clauses),
    /// `remove_binary`: from one rule.
    RemoveBinary {
        /// The rule's key.
        rule: String,
        /// The path or glob as the rule has it.
        path: String,
    },
}

/// Which endpoints an operation is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The host as the endpoint has it, in lower case; an address, or a wildcard.
    pub host: String,
    /// One of its ports.
    pub port: Port,
    /// Only in the rule of this key.
    pub rule: Option<String>,
    /// Only at the endpoint that is narrowed to this path.
    pub path: Option<String>,
}

/// A rule that is to be added, taken out of a checked document.
#[derive(Clone, Debug)]
pub struct NewRule(pub(crate) Rule);

/// Allowing or denying rules of an endpoint, taken out of a checked document.
#[derive(Clone, Debug)]
pub struct Clauses(pub(crate) Vec<Clause>);

impl Operation {
    /// One `add_rule` for each rule of a document.
    pub fn add_rules(from: &Document) -> Vec<Self> {
        from.rules.iter().map(|rule| Self::AddRule(NewRule(rule.clone()))).collect()
    }

    /// `add_allow_rules` and `add_deny_rules` for the rules that stand at the endpoints of a
    /// document: so that they are written, and checked, as everywhere.
    pub fn add_clauses(from: &Document) -> Vec<Self> {
        let mut all = Vec::new();
        for endpoint in from.rules.iter().flat_map(|rule| &rule.endpoints) {
            for range in &endpoint.ports {
                let target = Target {
                    host: words::host(endpoint),
                    port: range.ends().0,
                    rule: None,
                    path: endpoint.path.as_ref().map(|path| path.value.clone()),
                };
                if !endpoint.rules.is_empty() {
                    let list = Clauses(endpoint.rules.clone());
                    all.push(Self::AddAllowRules(target.clone(), list));
                }
                if !endpoint.deny_rules.is_empty() {
                    all.push(Self::AddDenyRules(target, Clauses(endpoint.deny_rules.clone())));
                }
            }
        }
        all
    }
}

impl Target {
    /// The endpoints of a host and port, whatever their rule and path.
    pub fn new(host: &str, port: Port) -> Self {
        Self { host: host.to_ascii_lowercase(), port, rule: None, path: None }
    }

    pub(crate) fn names_rule(&self, rule: &Rule) -> bool {
        self.rule.as_ref().is_none_or(|key| *key == rule.key.value)
    }

    /// Whether it is about this endpoint, on its port.
    pub(crate) fn names(&self, endpoint: &Endpoint) -> bool {
        let path = endpoint.path.as_ref().map(|path| &path.value);
        words::host(endpoint) == self.host
            && endpoint.ports.iter().any(|range| range.contains(self.port))
            && self.path.as_ref().is_none_or(|wanted| Some(wanted) == path)
    }

    /// Its port as a range.
    pub(crate) fn ports(&self) -> Vec<PortRange> {
        PortRange::new(self.port, self.port).into_iter().collect()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} port {}", self.host, self.port)?;
        if let Some(path) = &self.path {
            write!(f, " at {path}")?;
        }
        if let Some(rule) = &self.rule {
            write!(f, " in rule `{rule}`")?;
        }
        Ok(())
    }
}

/// What the operation does, in words.
impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |clauses: &Clauses| words::clauses(&clauses.0).join("; ");
        match self {
            Self::AddRule(NewRule(rule)) => {
                let endpoints: Vec<String> = rule.endpoints.iter().map(words::endpoint).collect();
                let binaries: Vec<String> = rule.binaries.iter().map(words::binary).collect();
                write!(
                    f,
                    "allow {} to {} (rule `{}`)",
                    endpoints.join(" and "),
                    binaries.join(" and "),
                    rule.key.value
                )
            }
            Self::RemoveEndpoint(target) => write!(f, "remove {target}"),
            Self::RemoveRule(key) => write!(f, "remove rule `{key}`"),
            Self::AddDenyRules(target, clauses) => write!(f, "deny {} to {target}", list(clauses)),
            Self::AddAllowRules(target, clauses) => {
                write!(f, "allow {} to {target}", list(clauses))
            }
            Self::RemoveBinary { rule, path } => {
                write!(f, "remove binary {} from rule `{rule}`", words::scalar(path))
            }
        }
    }
}

/// A value that stands in no text.
pub(crate) fn placed<T>(value: T) -> Spanned<T> {
    Spanned { value, at: Position::default() }
}
