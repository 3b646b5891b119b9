//! Rules of several documents side by side.

use crate::diagnostic::Diagnostic;
use crate::document::{Document, untried};

impl Document {
    /// This document with the rules of others beside its own, each under its key and as it is:
    /// unlike what [`Document::apply`] adds, none becomes part of another. Two of the same key are an
    /// error. The tests of a document are about its own rules, so the joined one has none.
    pub fn join<'a>(
        &self,
        others: impl IntoIterator<Item = &'a Self>,
    ) -> Result<Self, Vec<Diagnostic>> {
        let mut rules = self.rules.clone();
        rules.extend(others.into_iter().flat_map(|other| other.rules.iter().cloned()));
        let joined = Self { rules, trials: Vec::new(), ..self.clone() };
        // What is wrong together is found as in a text that says all of it.
        let (document, findings) = untried(&joined.canonical());
        document.ok_or_else(|| findings.finish())
    }
}
