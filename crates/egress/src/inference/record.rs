//! One call, one event.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use openshell_audit::{Destination, Event, Inference, Outcome, Reason, Tokens};
use openshell_credential::{Disclosure, Misuse};
use openshell_inference::Call;
use openshell_types::{Host, Route};
use tokio::time::Instant;

use super::failure::Failure;
use super::visit::Visit;
use crate::accept::Context;
use crate::refusal::Refusal;
use crate::seams::Report;

/// The record of one call. Exactly one event is reported of it; dropping it says that the caller
/// went away.
pub(super) struct CallRecord {
    report: Arc<dyn Report>,
    call: Inference,
    began: Instant,
    /// Whether a call over the same connection could not be recorded.
    unrecorded: Arc<AtomicBool>,
    is_reported: bool,
}

impl CallRecord {
    /// Begins the record of a call of which nothing is known yet.
    pub(super) fn begin(context: &Context, visit: &Visit) -> Self {
        let (name, address) = match &visit.to.host {
            Host::Name(name) => (Some(name.to_string()), None),
            Host::Address(address) => (None, Some(*address)),
        };
        let call = Inference {
            way: visit.way,
            outcome: Outcome::Failed,
            destination: Destination { name, address, port: visit.to.port.number() },
            caller: Some(visit.who.to_audit()),
            operation: String::new(),
            route: None,
            provider: None,
            model: None,
            status: None,
            tokens: None,
            first_byte_ms: None,
            duration_ms: 0,
            reason: None,
            generation: context.policy.borrow().generation,
        };
        let report = Arc::clone(&context.seams.report);
        let unrecorded = Arc::clone(visit.unrecorded());
        Self { report, call, began: Instant::now(), unrecorded, is_reported: false }
    }

    /// SECURITY: M13; an agent that fills the disk makes no call after one that is not on record.
    pub(super) fn check(&self) -> Result<(), Refusal> {
        if self.unrecorded.load(Ordering::Relaxed) {
            let detail = "a call before could not be recorded".to_owned();
            return Err(Refusal::unreachable("unrecorded", detail));
        }
        Ok(())
    }

    /// Notes the request line of what is no call.
    pub(super) fn asks(&mut self, line: String) {
        self.call.operation = line;
    }

    /// Notes what is asked for.
    pub(super) fn calls(&mut self, call: &Call) {
        call.operation.as_str().clone_into(&mut self.call.operation);
        self.call.route = Some(call.operation.protocol().to_string());
    }

    /// Notes which backend it goes to.
    pub(super) fn goes_to(&mut self, route: &Route) {
        self.call.provider = Some(route.provider.clone());
        self.call.model = Some(route.model.clone());
    }

    /// Notes that the backend's answer begins.
    pub(super) fn answered(&mut self, status: u16) {
        self.call.status = Some(status);
        self.call.first_byte_ms = Some(millis(self.began.elapsed()));
    }

    /// Where to, for the denial.
    pub(super) const fn destination(&self) -> &Destination {
        &self.call.destination
    }

    /// The binary that asked, for the denial.
    pub(super) fn binary(&self) -> Option<&str> {
        self.call.caller.as_ref().map(|caller| caller.binary.as_str())
    }

    /// Notes that the backend's answer had the value of this provider in it, which was masked.
    pub(super) fn echoed(&mut self, name: &str) {
        let misuse = Misuse::Echoed { name: name.to_owned(), how: Disclosure::Masked };
        self.call.reason.get_or_insert_with(|| Refusal::credential(&misuse).to_reason());
    }

    /// Reports that its answer was passed on to the end.
    pub(super) fn done(mut self, tokens: Option<openshell_inference::Tokens>) {
        self.cost(tokens);
        self.tell(Outcome::Allowed, None);
    }

    /// Reports that it got no answer.
    pub(super) fn failed(mut self, failure: &Failure) {
        self.tell(failure.outcome(), Some(failure.reason()));
    }

    /// Reports that its answer was cut off.
    pub(super) fn cut(mut self, tokens: Option<openshell_inference::Tokens>, failure: &Failure) {
        self.cost(tokens);
        let revoked = failure.is_of_budget();
        let outcome = if revoked { Outcome::Revoked } else { failure.outcome() };
        self.tell(outcome, Some(failure.reason()));
    }

    /// Reports that its caller did not want the rest.
    pub(super) fn left(mut self, tokens: Option<openshell_inference::Tokens>) {
        self.cost(tokens);
        self.tell(Outcome::Allowed, Some(left()));
    }

    fn cost(&mut self, tokens: Option<openshell_inference::Tokens>) {
        self.call.tokens =
            tokens.map(|own| Tokens { input: own.input, output: own.output, cached: own.cached });
    }

    fn tell(&mut self, outcome: Outcome, reason: Option<Reason>) {
        if std::mem::replace(&mut self.is_reported, true) {
            return;
        }
        let duration_ms = millis(self.began.elapsed());
        let is_noted = outcome == Outcome::Allowed && self.call.reason.is_some();
        let outcome = if is_noted { Outcome::Noted } else { outcome };
        let reason = if is_noted { self.call.reason.clone() } else { reason };
        let call = Inference { outcome, reason, duration_ms, ..self.call.clone() };
        if !self.report.record(Event::Inference(call)) {
            self.unrecorded.store(true, Ordering::Relaxed);
        }
    }
}

impl Drop for CallRecord {
    fn drop(&mut self) {
        self.tell(Outcome::Failed, Some(left()));
    }
}

fn left() -> Reason {
    Reason {
        predicate: "client_gone".to_owned(),
        detail: "the caller went away before the answer's end".to_owned(),
        line: None,
        nearest: None,
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
