//! One attempt, one outcome: the record of a connection from its acceptance to its end.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use openshell_audit::{Destination, Event, Network, Outcome, Reason, Way};
use openshell_types::{Authority, Generation, Host};

use crate::refusal::Refusal;
use crate::seams::{Identified, Report};

/// The record of one connection. Whatever becomes of it, exactly one of `Allowed`, `Denied` and
/// `Failed` is reported, or `Revoked` alone when a policy change came first; dropping it without a
/// word reports a failure of ours. An allowed tunnel may report `Revoked` later.
pub(crate) struct Attempt {
    report: Arc<dyn Report>,
    network: Network,
    is_reported: bool,
}

impl Attempt {
    /// Begins the record of a connection that dialled `dialled`.
    pub(crate) fn begin(report: Arc<dyn Report>, way: Way, dialled: SocketAddr) -> Self {
        let destination =
            Destination { name: None, address: Some(dialled.ip()), port: dialled.port() };
        let network = Network {
            way,
            outcome: Outcome::Failed,
            destination,
            caller: None,
            rule: None,
            reason: None,
            generation: Generation::default(),
        };
        Self { report, network, is_reported: false }
    }

    /// Notes the policy that decides.
    pub(crate) const fn under(&mut self, generation: Generation) {
        self.network.generation = generation;
    }

    /// Notes who asked.
    pub(crate) fn by(&mut self, identified: &Identified) {
        self.network.caller = Some(identified.to_audit());
    }

    /// Notes by which way.
    pub(crate) const fn came(&mut self, way: Way) {
        self.network.way = way;
    }

    /// Notes where to.
    pub(crate) fn to(&mut self, to: &Authority) {
        self.network.destination = match &to.host {
            Host::Name(name) => {
                Destination { name: Some(name.to_string()), address: None, port: to.port.number() }
            }
            Host::Address(address) => {
                Destination { name: None, address: Some(*address), port: to.port.number() }
            }
        };
    }

    /// Notes that the request named no valid destination.
    pub(crate) fn without_destination(&mut self) {
        self.network.destination = Destination { name: None, address: None, port: 0 };
    }

    /// Notes the rule that permits it, for whatever becomes of it.
    pub(crate) fn permitted(&mut self, rule: &str) {
        self.network.rule = Some(rule.to_owned());
    }

    /// The binary that asked, for the denial.
    pub(crate) fn binary(&self) -> Option<&str> {
        self.network.caller.as_ref().map(|caller| caller.binary.as_str())
    }

    /// Where to, for the denial.
    pub(crate) const fn destination(&self) -> &Destination {
        &self.network.destination
    }

    /// Reports that the connection was allowed, by `rule`, and which address answered, when one was
    /// dialled; says whether that is on record, without which nothing is relayed.
    pub(crate) fn allowed(
        &mut self,
        rule: &str,
        address: Option<IpAddr>,
        generation: Generation,
    ) -> bool {
        self.network.rule = Some(rule.to_owned());
        if address.is_some() {
            self.network.destination.address = address;
        }
        self.network.generation = generation;
        self.once(Outcome::Allowed, None)
    }

    /// Reports that the connection was refused.
    pub(crate) fn refused(&mut self, refusal: &Refusal) {
        // What only failed was permitted, by the rule that is noted.
        let outcome = if refusal.is_denial() { Outcome::Denied } else { Outcome::Failed };
        if outcome == Outcome::Denied || refusal.rule.is_some() {
            self.network.rule.clone_from(&refusal.rule);
        }
        self.once(outcome, Some(refusal.to_reason()));
    }

    /// Reports that the connection was refused; as revoked, if the server had spoken before.
    pub(crate) fn refused_late(&mut self, refusal: &Refusal) {
        if self.is_reported {
            self.revoked(refusal, self.network.generation);
        } else {
            self.refused(refusal);
        }
    }

    /// Notes that the record of its request stands for this one.
    pub(crate) const fn told_by_request(&mut self) {
        self.is_reported = true;
    }

    /// Reports that a policy change closed the tunnel.
    pub(crate) fn revoked(&mut self, refusal: &Refusal, generation: Generation) {
        self.network.generation = generation;
        self.is_reported = true;
        self.record(Outcome::Revoked, Some(refusal.to_reason()));
    }

    fn once(&mut self, outcome: Outcome, reason: Option<Reason>) -> bool {
        if self.is_reported {
            return true;
        }
        self.is_reported = true;
        self.record(outcome, reason)
    }

    fn record(&mut self, outcome: Outcome, reason: Option<Reason>) -> bool {
        let network = Network { outcome, reason, ..self.network.clone() };
        self.report.record(Event::Network(network))
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.once(
            Outcome::Failed,
            Some(Reason {
                predicate: "internal".to_owned(),
                detail: "the egress ended before the connection was decided".to_owned(),
                line: None,
                nearest: None,
            }),
        );
    }
}
