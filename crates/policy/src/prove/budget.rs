//! How much a proof may look at before it gives up.

/// States of pattern automata, with the positions that they consist of.
const STATES: usize = 3_000_000;
/// Questions to the policies.
const QUESTIONS: usize = 400_000;
/// Combinations of one kind that are listed before they are asked.
pub(super) const COMBINATIONS: usize = 20_000;

/// What is left.
#[derive(Debug)]
pub(super) struct Budget {
    states: usize,
    questions: usize,
}

/// Why a proof gave up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Exhausted(pub String);

impl Exhausted {
    pub fn new(why: &str) -> Self {
        Self(why.to_owned())
    }

    /// More combinations than are looked at.
    pub fn combinations(of: &str) -> Self {
        Self(format!("there are more than {COMBINATIONS} combinations of {of}"))
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self { states: STATES, questions: QUESTIONS }
    }
}

impl Budget {
    /// A state of so many positions.
    pub fn take_states(&mut self, positions: usize) -> Result<(), Exhausted> {
        take(&mut self.states, positions.saturating_add(1))
            .ok_or_else(|| Exhausted::new("the patterns together have too many states"))
    }

    pub fn take_question(&mut self) -> Result<(), Exhausted> {
        take(&mut self.questions, 1)
            .ok_or_else(|| Exhausted(format!("it takes more than {QUESTIONS} questions")))
    }
}

fn take(left: &mut usize, amount: usize) -> Option<()> {
    *left = left.checked_sub(amount)?;
    Some(())
}
