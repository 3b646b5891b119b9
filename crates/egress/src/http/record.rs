//! One request, one event.

use std::net::IpAddr;
use std::sync::Arc;

use openshell_audit::{Destination, Event, Http, Outcome};
use openshell_types::{Generation, Host};

use super::Session;
use super::judge::Passed;
use crate::authorize::Permit;
use crate::refusal::Refusal;
use crate::report::Attempt;
use crate::seams::Report;

/// The record of one judged request. Exactly one event is reported of it, and another by [`cut`]
/// when what was allowed is ended early.
pub(crate) struct RequestRecord {
    report: Arc<dyn Report>,
    http: Http,
}

impl RequestRecord {
    /// Begins the record of a request of which nothing is known yet.
    pub(crate) fn begin(session: &Session<'_>) -> Self {
        let (name, address) = match &session.to.host {
            Host::Name(name) => (Some(name.to_string()), None),
            Host::Address(address) => (None, Some(*address)),
        };
        let http = Http {
            way: session.way,
            outcome: Outcome::Failed,
            destination: Destination { name, address, port: session.to.port.number() },
            caller: Some(session.who.to_audit()),
            method: String::new(),
            path: String::new(),
            operations: Vec::new(),
            credentials: Vec::new(),
            rule: None,
            reason: None,
            generation: session.context.policy.borrow().generation,
        };
        Self { report: Arc::clone(&session.context.seams.report), http }
    }

    /// Notes what is asked for.
    pub(crate) fn asks(&mut self, method: &str, path: &str) {
        method.clone_into(&mut self.http.method);
        path.clone_into(&mut self.http.path);
    }

    /// A refusal in words for the client.
    pub(crate) fn words(&self, refusal: &Refusal) -> Vec<u8> {
        refusal.to_response(self.destination(), self.binary())
    }

    /// Notes the policy that decides.
    pub(crate) const fn under(&mut self, generation: Generation) {
        self.http.generation = generation;
    }

    /// Where to, for the denial.
    pub(crate) const fn destination(&self) -> &Destination {
        &self.http.destination
    }

    /// The binary that asked, for the denial.
    pub(crate) fn binary(&self) -> Option<&str> {
        self.http.caller.as_ref().map(|caller| caller.binary.as_str())
    }

    /// Reports that it was allowed, or that its denial was only noted; says whether that is on
    /// record.
    pub(crate) fn allowed(mut self, passed: &Passed, address: Option<IpAddr>) -> bool {
        self.http.rule = Some(passed.rule.clone());
        self.http.operations.clone_from(&passed.operations);
        self.http.credentials.clone_from(&passed.placed.names);
        self.http.destination.address = address;
        let is_noted = passed.noted.is_some();
        self.http.outcome = if is_noted { Outcome::Noted } else { Outcome::Allowed };
        self.http.reason = passed.noted.as_ref().map(Refusal::to_reason);
        self.report.record(Event::Http(self.http))
    }

    /// Reports that it went no further.
    pub(crate) fn refused(mut self, refusal: &Refusal) {
        self.http.rule.clone_from(&refusal.rule);
        self.http.operations = refusal.operations().to_vec();
        self.http.outcome = if refusal.is_denial() { Outcome::Denied } else { Outcome::Failed };
        self.http.reason = Some(refusal.to_reason());
        self.report.record(Event::Http(self.http));
    }
}

/// Reports that the exchange of a request that was allowed was cut off: by a budget, or for what is
/// in its body.
pub(crate) fn cut(session: &Session<'_>, (method, path): (&str, &str), refusal: &Refusal) {
    let mut record = RequestRecord::begin(session);
    record.asks(method, path);
    record.http.rule.clone_from(&refusal.rule);
    record.http.operations = refusal.operations().to_vec();
    let is_of_budget = refusal.is_of_budget();
    record.http.outcome = if is_of_budget { Outcome::Revoked } else { Outcome::Denied };
    record.http.reason = Some(refusal.to_reason());
    record.report.record(Event::Http(record.http));
}

/// What is told of one request: its own record where requests are judged; else, of one in absolute
/// form, the record of a connection.
pub(crate) struct Account<'a> {
    request: RequestRecord,
    attempt: Option<&'a mut Attempt>,
    is_judged: bool,
}

impl<'a> Account<'a> {
    /// Of a request over a connection that has a record of its own, or with `attempt` for it.
    pub(crate) fn new(session: &Session<'_>, attempt: Option<&'a mut Attempt>) -> Self {
        let is_judged = attempt.is_none();
        Self { request: RequestRecord::begin(session), attempt, is_judged }
    }

    /// Whether the request is judged under this permit.
    pub(crate) fn judges(&mut self, permit: &Permit) -> bool {
        self.is_judged = self.attempt.is_none() || permit.inspects();
        self.is_judged
    }

    /// The request's own record.
    pub(crate) const fn request(&mut self) -> &mut RequestRecord {
        &mut self.request
    }

    /// Notes the policy that decides.
    pub(crate) fn under(&mut self, generation: Generation) {
        self.request.under(generation);
        if let Some(attempt) = &mut self.attempt {
            attempt.under(generation);
        }
    }

    /// Reports that the request goes upstream; says whether that is on record, without which
    /// nothing of it does.
    pub(crate) fn allowed(self, passed: &Passed, address: Option<IpAddr>) -> bool {
        match self.attempt {
            Some(attempt) if !self.is_judged => {
                attempt.allowed(&passed.rule, address, self.request.http.generation)
            }
            Some(attempt) => {
                attempt.told_by_request();
                self.request.allowed(passed, address)
            }
            None => self.request.allowed(passed, address),
        }
    }

    /// Reports that the request goes no further, and words that for its client.
    pub(crate) fn refused(self, refusal: &Refusal) -> Vec<u8> {
        let words = self.request.words(refusal);
        match self.attempt {
            Some(attempt) if !self.is_judged => attempt.refused(refusal),
            Some(attempt) => {
                attempt.told_by_request();
                self.request.refused(refusal);
            }
            None => self.request.refused(refusal),
        }
        words
    }
}
