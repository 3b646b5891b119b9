//! What a call takes of the budget of its route.

use http::StatusCode;
use openshell_inference::{Observer, Operation, estimate};
use openshell_types::ModelProtocol;

use crate::accept::Context;
use crate::ledger::Meter;
use crate::refusal::Refusal;

/// What one call takes. SECURITY: H12; it is counted as it passes, and when it is dropped, about what
/// the question took for which nobody waited.
pub(super) struct Cost {
    meter: Meter,
    /// Tokens of the question, about, until the backend says them.
    question: u64,
    /// Whether the answer takes tokens.
    takes_tokens: bool,
}

impl Cost {
    /// Of a call that was not sent yet.
    pub(super) fn new(context: &Context, protocol: ModelProtocol) -> Self {
        Self { meter: context.call_meter(protocol), question: 0, takes_tokens: false }
    }

    /// Whether there is room for a call.
    pub(super) fn check(&mut self) -> Result<(), Refusal> {
        self.meter.check(1)
    }

    /// Counts the call, which is about to be sent with a body of so many octets.
    pub(super) fn sends(&mut self, operation: Operation, body: usize) -> Result<(), Refusal> {
        self.meter.count_whole(body)?;
        if operation.costs() {
            self.question = estimate(u64::try_from(body).unwrap_or(u64::MAX));
            self.takes_tokens = true;
        }
        Ok(())
    }

    /// Notes the status of the answer: what the backend refuses takes no tokens.
    pub(super) fn answered(&mut self, status: StatusCode) {
        if !status.is_success() {
            self.question = 0;
            self.takes_tokens = false;
        }
    }

    /// Counts so many octets of the answer, which `observer` has seen and which are the last or not.
    pub(super) fn passes(
        &mut self,
        (octets, is_last): (usize, bool),
        observer: &Observer,
    ) -> Result<(), Refusal> {
        let bytes = self.meter.charge(octets);
        let (question, answer) = observer.so_far();
        let so_far = question.unwrap_or(0).saturating_add(answer);
        let tokens = if self.takes_tokens { self.meter.count_tokens(so_far) } else { Ok(()) };
        // What is whole already is not cut.
        let tokens = if is_last { Ok(()) } else { tokens };
        bytes.and(tokens).map_err(|refusal| refusal.after(so_far))
    }

    /// Counts what the call took in all, of which `observer` holds nothing any more.
    pub(super) fn settle(&mut self, observer: &Observer, is_whole: bool) {
        if !self.takes_tokens {
            return;
        }
        let (question, answer) = if is_whole { observer.whole() } else { observer.so_far() };
        // When nothing is left of a budget, the next call is told.
        let _ = self.meter.count_tokens(question.unwrap_or(self.question).saturating_add(answer));
        self.question = 0;
        self.takes_tokens = false;
    }
}

impl Drop for Cost {
    fn drop(&mut self) {
        if self.takes_tokens {
            let _ = self.meter.count_tokens(self.question);
        }
    }
}
