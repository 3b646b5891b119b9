//! Deciding a connection.

use jiff::Timestamp;

use super::binary::Match;
use super::{Binaries, Bound, Entry, Index};
use crate::address::{AddressClass, classify};
use crate::decision::{Caller, Decision, Denial, Destination, Predicate};
use crate::sets::Union;

/// What carries a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Tcp,
    Udp,
}

/// The clauses that each part of a connection agrees with.
pub(super) struct Parts {
    pub host: Union,
    pub port: Union,
    pub program: Union,
}

const NEVER_REACHABLE: Denial = Denial { predicate: Predicate::NeverReachable, closest: None };

impl Index {
    /// Decides one connection.
    pub fn connect(
        &self,
        binaries: &Binaries,
        (to, transport): (&Destination<'_>, Transport),
        by: &Caller,
        now: Timestamp,
    ) -> Decision {
        let Some(parts) = self.parts(binaries, (to, transport), by) else {
            return Decision::Deny(NEVER_REACHABLE);
        };
        let unions = [&parts.host, &parts.program, &parts.port];
        match self.first_in_force(&unions, now).and_then(|id| self.entry(id)) {
            Some(entry) => Decision::Allow(entry.grant),
            None => Decision::Deny(self.denial(binaries, (&parts, transport), by, None)),
        }
    }

    /// Decides a TCP connection by one rule alone.
    pub fn connect_by(
        &self,
        binaries: &Binaries,
        (to, by): (&Destination<'_>, &Caller),
        rule: u32,
        now: Timestamp,
    ) -> Decision {
        let transport = Transport::Tcp;
        let Some(parts) = self.parts(binaries, (to, transport), by) else {
            return Decision::Deny(NEVER_REACHABLE);
        };
        let asked = [&parts.host, &parts.program, &parts.port];
        let fits = |entry: &Entry| entry.grant.rule == rule && !entry.is_expired(now);
        match self.first(&asked, fits).and_then(|id| self.entry(id)) {
            Some(entry) => Decision::Allow(entry.grant),
            None => Decision::Deny(self.denial(binaries, (&parts, transport), by, Some(rule))),
        }
    }

    /// What came furthest of a TCP connection that is not allowed.
    pub fn closest(&self, binaries: &Binaries, to: &Destination<'_>, by: &Caller) -> Denial {
        match self.parts(binaries, (to, Transport::Tcp), by) {
            Some(parts) => self.denial(binaries, (&parts, Transport::Tcp), by, None),
            None => NEVER_REACHABLE,
        }
    }

    /// What the parts of a connection agree with; `None` when it is never reachable.
    pub(super) fn parts(
        &self,
        binaries: &Binaries,
        (to, transport): (&Destination<'_>, Transport),
        by: &Caller,
    ) -> Option<Parts> {
        let sets = &self.sets;
        let (mut host, mut port, mut program) = (Union::new(), Union::new(), Union::new());
        match to {
            Destination::Name(name, _) => self.hosts.put_name(name, sets, &mut host),
            // SECURITY: before any rule, and in every embedding (B3, B6).
            Destination::Address(address, _)
                if matches!(classify(*address), AddressClass::Never(_)) =>
            {
                return None;
            }
            Destination::Address(address, _) => self.hosts.put_address(*address, sets, &mut host),
        }
        if !host.is_empty() {
            match transport {
                Transport::Tcp => self.tcp.put(to.port(), sets, &mut port),
                Transport::Udp => self.udp.put(to.port(), sets, &mut port),
            }
            self.bound(binaries).put(by, Match::Full, sets, &mut program);
        }
        Some(Parts { host, port, program })
    }

    /// The first clause that all have in common and whose rule is in force.
    pub(super) fn first_in_force(&self, unions: &[&Union], now: Timestamp) -> Option<u32> {
        self.first(unions, |entry| !entry.is_expired(now))
    }

    /// The first clause that all have in common and whose endpoint fits.
    fn first(&self, unions: &[&Union], fits: impl Fn(&Entry) -> bool) -> Option<u32> {
        let mut all = self.sets.common(unions, 0);
        loop {
            let id = all.next()?;
            let entry = self.entry(id)?;
            if fits(entry) {
                return Some(id);
            }
            all.skip_to(entry.end);
        }
    }

    /// What came furthest of a connection that no clause in force covers, of one rule if it is asked
    /// alone.
    fn denial(
        &self,
        binaries: &Binaries,
        (parts, transport): (&Parts, Transport),
        by: &Caller,
        rule: Option<u32>,
    ) -> Denial {
        let (mut named, mut carried) = (Union::new(), Union::new());
        let transport = match transport {
            Transport::Tcp => self.over_tcp,
            Transport::Udp => self.over_udp,
        };
        self.sets.put(transport, &mut carried);
        self.bound(binaries).put(by, Match::Path, &self.sets, &mut named);
        let Parts { host, port, program } = parts;
        let furthest: [(Predicate, &[&Union]); 5] = [
            (Predicate::Expired, &[host, program, port]),
            (Predicate::BinaryDigest, &[host, &named, port]),
            (Predicate::Binary, &[host, port]),
            (Predicate::Port, &[host, &carried]),
            (Predicate::Port, &[host]),
        ];
        for (predicate, unions) in furthest {
            let fits = |entry: &Entry| rule.is_none_or(|own| entry.grant.rule == own);
            if let Some(entry) = self.first(unions, fits).and_then(|id| self.entry(id)) {
                return Denial { predicate, closest: Some(entry.grant) };
            }
        }
        Denial { predicate: Predicate::Host, closest: None }
    }

    /// Whether some clause names this host.
    pub fn names(&self, name: &openshell_types::HostName) -> bool {
        let mut host = Union::new();
        self.hosts.put_name(name, &self.sets, &mut host);
        !host.is_empty()
    }

    /// Whether some clause names this host for UDP.
    pub fn names_for_udp(&self, name: &openshell_types::HostName) -> bool {
        let (mut host, mut carried) = (Union::new(), Union::new());
        self.hosts.put_name(name, &self.sets, &mut host);
        self.sets.put(self.over_udp, &mut carried);
        self.sets.common(&[&host, &carried], 0).next().is_some()
    }

    fn bound<'a>(&'a self, binaries: &'a Binaries) -> Bound<'a> {
        Bound { index: &self.binaries, binaries }
    }
}
