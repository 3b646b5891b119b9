//! What the engines have in common.

use crate::Outcome;
use crate::cedar::Cedar;
use crate::ours::Ours;
use crate::rego::{Rego, Writing};
use crate::workload::Workload;

/// Who takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contender {
    /// Ours.
    Ours,
    /// Rego that goes through the rules, in regorus.
    RegoScan,
    /// Rego with an index over hosts and programs, in regorus.
    RegoIndex,
    /// Cedar.
    Cedar,
}

/// What an engine compiles: its rules, and for Rego the data beside them.
#[derive(Debug, Default)]
pub struct Source {
    /// In the engine's language.
    pub text: String,
    /// JSON.
    pub data: String,
}

/// Compiled rules.
pub trait Engine {
    /// Puts the questions into the form in which the engine takes them.
    fn prepare(&mut self, workload: &Workload) -> Outcome;

    /// Asks the question of this number so many times; how often the answer was yes.
    fn ask(&mut self, question: usize, times: u32) -> Outcome<u32>;
}

impl Contender {
    /// All of them; ours is the first.
    pub const ALL: [Self; 4] = [Self::Ours, Self::RegoScan, Self::RegoIndex, Self::Cedar];

    /// A name for the tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::RegoScan => "rego scan",
            Self::RegoIndex => "rego index",
            Self::Cedar => "cedar",
        }
    }

    /// The rules in the contender's words.
    pub fn source(self, workload: &Workload) -> Source {
        match self {
            Self::Ours => Ours::source(workload),
            Self::RegoScan => Rego::source(Writing::Scan, workload),
            Self::RegoIndex => Rego::source(Writing::Index, workload),
            Self::Cedar => Cedar::source(workload),
        }
    }

    /// From text to what answers.
    pub fn compile(self, source: &Source) -> Outcome<Box<dyn Engine>> {
        Ok(match self {
            Self::Ours => Box::new(Ours::compile(source)?),
            Self::RegoScan | Self::RegoIndex => Box::new(Rego::compile(source)?),
            Self::Cedar => Box::new(Cedar::compile(source)?),
        })
    }

    /// Compiled rules that have been asked every question and know every answer.
    pub fn ready(self, workload: &Workload) -> Outcome<Box<dyn Engine>> {
        let mut engine = self.compile(&self.source(workload))?;
        engine.prepare(workload)?;
        agree(self, engine.as_mut(), workload)?;
        Ok(engine)
    }
}

/// Asks every question and fails when an answer is wrong.
pub fn agree(contender: Contender, engine: &mut dyn Engine, workload: &Workload) -> Outcome {
    for (number, question) in workload.questions.iter().enumerate() {
        let yes = engine
            .ask(number, 1)
            .map_err(|error| format!("{} on {}: {error}", contender.name(), question.title))?;
        if (yes == 1) != question.allowed {
            return Err(format!("{} answers wrongly: {question:?}", contender.name()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Shape;

    #[test]
    fn a_wrong_answer_is_noticed() {
        for contender in Contender::ALL {
            let mut workload = Workload::new(Shape::Hosts, 3);
            let mut engine = contender.ready(&workload).unwrap();
            for number in 0..workload.questions.len() {
                workload.questions[number].allowed ^= true;
                assert!(agree(contender, engine.as_mut(), &workload).is_err(), "{contender:?}");
                workload.questions[number].allowed ^= true;
            }
        }
    }
}
