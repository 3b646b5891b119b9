//! Edits of a document: batches of operations that hold together or not at all.
//!
//! An edit never widens what it does not name. A rule allows each of its binaries each of its
//! endpoints, so an endpoint that is added for one binary to a rule with several would be allowed
//! to all of them: such an addition becomes a rule of its own. What an edit could not do as it was
//! asked stands in the warnings.

mod add;
pub(crate) mod clauses;
mod join;
pub(crate) mod operation;
mod remove;
mod syntax;

use std::fmt;

use crate::diagnostic::Diagnostic;
use crate::document::{Document, Rule, parse};

pub use operation::{Clauses, NewRule, Operation, Target};
pub use syntax::{Segment, SyntaxError};

/// What a batch made.
#[derive(Clone, Debug)]
pub struct Applied {
    /// The document after the batch.
    pub document: Document,
    /// Its canonical text.
    pub text: String,
    /// Whether it means anything else than before.
    pub changed: bool,
    /// What was not done as it was asked, one sentence each.
    pub warnings: Vec<String>,
}

/// Why a batch was not applied. Nothing of it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MergeError {
    /// An operation cannot be done.
    Refused {
        /// Its position in the batch, from 0.
        operation: usize,
        /// Why, in a sentence.
        reason: String,
    },
    /// The document that would come out is refused.
    Invalid(Vec<Diagnostic>),
}

impl fmt::Display for MergeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { operation, reason } => {
                write!(f, "operation {}: {reason}", operation.saturating_add(1))
            }
            Self::Invalid(findings) => {
                f.write_str("the policy would be refused")?;
                for finding in findings.iter().filter(|finding| finding.is_error()) {
                    write!(f, "; {}: {}", finding.code, finding.message)?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for MergeError {}

impl Document {
    /// Applies a batch of operations, all or none. A batch that was applied already changes
    /// nothing.
    pub fn apply(&self, operations: &[Operation]) -> Result<Applied, MergeError> {
        let mut rules = self.normal().rules;
        let mut warnings = Vec::new();
        for (at, operation) in operations.iter().enumerate() {
            let done = match operation {
                Operation::AddRule(rule) => {
                    let new = normal_rule(&rule.0)?;
                    add::rule(&mut rules, &new, &mut warnings)
                }
                Operation::RemoveEndpoint(target) => {
                    remove::endpoint(&mut rules, target, &mut warnings);
                    Ok(())
                }
                Operation::RemoveRule(key) => {
                    remove::rule(&mut rules, key, &mut warnings);
                    Ok(())
                }
                Operation::RemoveBinary { rule, path } => {
                    remove::binary(&mut rules, rule, path, &mut warnings);
                    Ok(())
                }
                Operation::AddAllowRules(target, list) => {
                    clauses::allow(&mut rules, target, &list.0, &mut warnings)
                }
                Operation::AddDenyRules(target, list) => clauses::deny(&mut rules, target, &list.0),
            };
            done.map_err(|reason| MergeError::Refused { operation: at, reason })?;
        }
        warnings.dedup();
        let text = Self { rules, ..self.clone() }.canonical();
        let parsed = parse(&text);
        let Some(document) = parsed.document else {
            return Err(MergeError::Invalid(parsed.diagnostics));
        };
        let changed = text != self.canonical();
        Ok(Applied { document, text, changed, warnings })
    }
}

impl Document {
    /// The same document with everything written in one way, as its canonical text has it.
    pub(crate) fn normal(&self) -> Self {
        parse(&self.canonical()).document.unwrap_or_else(|| self.clone())
    }
}

fn normal_rule(rule: &Rule) -> Result<Rule, MergeError> {
    let alone = Document { rules: vec![rule.clone()], ..Document::empty() };
    let parsed = parse(&alone.canonical());
    let read = parsed.document.and_then(|document| document.rules.into_iter().next());
    read.ok_or(MergeError::Invalid(parsed.diagnostics))
}

#[cfg(test)]
mod tests;
