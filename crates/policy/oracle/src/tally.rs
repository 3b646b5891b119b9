//! What was asked, and how often which answer came.

use std::collections::BTreeMap;
use std::fmt;

use crate::connect::World;
use crate::question::{Answer, Question};

/// What was asked and answered.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub documents: u64,
    pub pairs: u64,
    /// By kind of question: how many, allowed, denied.
    pub kinds: BTreeMap<&'static str, Shares>,
    /// How often each word of a denial was the answer.
    pub words: BTreeMap<&'static str, u64>,
    /// How many endpoints of each protocol there were.
    pub protocols: BTreeMap<String, u64>,
    /// How many requests were let through with a note.
    pub noted: u64,
}

/// How many questions, and what became of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shares {
    pub asked: u64,
    pub allowed: u64,
    pub denied: u64,
}

impl Shares {
    /// Allowed and denied ones in a hundred.
    pub fn percent(&self) -> (u64, u64) {
        let share = |part: u64| part.saturating_mul(100).checked_div(self.asked).unwrap_or(0);
        (share(self.allowed), share(self.denied))
    }
}

impl Tally {
    /// Counts a question and its answer.
    pub fn count(&mut self, question: &Question, answer: &Answer) {
        let kind = match question {
            Question::Connect(_) => "connect",
            Question::Datagram(_) => "datagram",
            Question::Request(..) => "request",
        };
        let shares = self.kinds.entry(kind).or_default();
        add(&mut shares.asked);
        match answer {
            Answer::Allow { .. } => add(&mut shares.allowed),
            Answer::Deny { .. } => add(&mut shares.denied),
            Answer::Audit { .. } => add(&mut self.noted),
        }
        add(self.words.entry(answer.word()).or_default());
        add(&mut self.pairs);
    }

    /// Counts a document.
    pub fn count_document(&mut self, world: &World) {
        add(&mut self.documents);
        let rules = world.file.network_policies.values();
        for endpoint in rules.flat_map(|rule| &rule.endpoints) {
            add(self.protocols.entry(format!("{:?}", endpoint.protocol)).or_default());
        }
    }
}

fn add(count: &mut u64) {
    *count = count.saturating_add(1);
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} pairs of {} documents", self.pairs, self.documents)?;
        for (kind, shares) in &self.kinds {
            let (allowed, denied) = shares.percent();
            writeln!(f, "  {kind:<9} {:>9}: {allowed} % allowed, {denied} % denied", shares.asked)?;
        }
        writeln!(f, "  noted only {}", self.noted)?;
        let list = |counts: Vec<String>| counts.join(", ");
        let words = self.words.iter().map(|(word, count)| format!("{word} {count}")).collect();
        writeln!(f, "  answers   {}", list(words))?;
        let kinds = self.protocols.iter().map(|(name, count)| format!("{name} {count}")).collect();
        writeln!(f, "  endpoints {}", list(kinds))
    }
}
