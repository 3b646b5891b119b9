//! The search through the classes, dimension by dimension.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use jiff::{SignedDuration, Timestamp};
use openshell_types::Port;

use super::addresses::representatives;
use super::budget::{Budget, Exhausted};
use super::callers::{RuleId, callers};
use super::places::places;
use super::requests::{self, Answer};
use super::target::Target;
use super::world::{Case, Place, Side, Site, World};
use super::{CounterExample, side_name};
use crate::compiled::Transport;
use crate::decision::{Caller, Decision, Grant};
use crate::document::Protocol;
use crate::pattern::{Network, port_set};

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    /// What the tested document allows and the bound does not.
    Difference,
    /// What the tested document lets through.
    Passing,
}

type Rules = BTreeSet<RuleId>;

/// Finds an example. `only` narrows where it leads.
pub(super) fn run(
    world: &World<'_>,
    goal: Goal,
    only: Option<&Target>,
) -> Result<Option<CounterExample>, Exhausted> {
    let mut search = Search {
        world,
        goal,
        only,
        budget: Budget::default(),
        asked: HashSet::new(),
        known: BTreeMap::new(),
    };
    // A difference that is found counts, even where not all could be looked at.
    let mut unknown = None;
    for (place, sites) in places(world, only.map(|only| &only.host), &mut search.budget)? {
        for transport in [Transport::Tcp, Transport::Udp] {
            match search.place(&place, &sites, transport) {
                Ok(Some(found)) => return Ok(Some(found)),
                Ok(None) => {}
                Err(why) => unknown = unknown.or(Some(why)),
            }
        }
    }
    unknown.map_or(Ok(None), Err)
}

struct Search<'a> {
    world: &'a World<'a>,
    goal: Goal,
    only: Option<&'a Target>,
    budget: Budget,
    /// The sets of endpoints that were asked for together.
    asked: HashSet<Vec<usize>>,
    /// The callers that rules tell apart.
    known: BTreeMap<Rules, Vec<(Caller, Rules)>>,
}

impl Search<'_> {
    fn place(
        &mut self,
        place: &Place,
        sites: &[usize],
        transport: Transport,
    ) -> Result<Option<CounterExample>, Exhausted> {
        let udp = |site: &Site<'_>| site.endpoint.protocol == Protocol::Udp;
        let sites = self.keep(sites, |site| udp(site) == (transport == Transport::Udp));
        for port in self.ports(&sites) {
            let sites =
                self.keep(&sites, |site| site.endpoint.ports.iter().any(|r| r.contains(port)));
            for now in self.times(&sites) {
                let sites =
                    self.keep(&sites, |site| site.rule.until.is_none_or(|until| now < until));
                if !self.has_tested(&sites) {
                    continue;
                }
                for (by, rules) in self.callers(&sites)? {
                    let sites =
                        self.keep(&sites, |site| rules.contains(&(site.side, site.rule_at)));
                    if !self.has_tested(&sites) || !self.asked.insert(sites.clone()) {
                        continue;
                    }
                    let case = Case { place: place.clone(), port, by, now, transport };
                    if let Some(found) = self.case(&case, &sites)? {
                        return Ok(Some(found));
                    }
                }
            }
        }
        Ok(None)
    }

    fn keep(&self, sites: &[usize], keep: impl Fn(&Site<'_>) -> bool) -> Vec<usize> {
        let kept = sites.iter().filter(|at| self.world.sites.get(**at).is_some_and(&keep));
        let mut kept: Vec<usize> = kept.copied().collect();
        kept.sort_unstable();
        kept
    }

    fn has_tested(&self, sites: &[usize]) -> bool {
        !self.keep(sites, |site| site.side == Side::Tested).is_empty()
    }

    fn sites(&self, at: &[usize]) -> Vec<Site<'_>> {
        at.iter().filter_map(|at| self.world.sites.get(*at).copied()).collect()
    }

    /// One port of each run that all ranges treat alike.
    fn ports(&self, sites: &[usize]) -> Vec<Port> {
        let sites = self.sites(sites);
        let all: Vec<_> =
            sites.iter().flat_map(|site| site.endpoint.ports.iter().copied()).collect();
        let mut starts: BTreeSet<Port> = BTreeSet::new();
        if let Some(port) = self.only.and_then(|only| only.port) {
            starts.insert(port);
        }
        for range in &all {
            let (first, last) = range.ends();
            starts.insert(first);
            starts.extend(last.number().checked_add(1).and_then(Port::new));
        }
        let tested: Vec<_> = sites
            .iter()
            .filter(|site| site.side == Side::Tested)
            .flat_map(|site| site.endpoint.ports.iter().copied())
            .collect();
        let tested = port_set::union(&tested, &[]);
        let wanted = |port| self.only.and_then(|only| only.port).is_none_or(|own| own == port);
        starts.retain(|port| wanted(*port) && tested.iter().any(|range| range.contains(*port)));
        starts.into_iter().collect()
    }

    /// One moment before every end of a rule, and the ends.
    fn times(&self, sites: &[usize]) -> Vec<Timestamp> {
        let ends: BTreeSet<Timestamp> =
            self.sites(sites).iter().filter_map(|site| site.rule.until).collect();
        let before = match ends.first() {
            Some(first) => {
                first.checked_sub(SignedDuration::from_secs(1)).unwrap_or(Timestamp::MIN)
            }
            None => Timestamp::UNIX_EPOCH,
        };
        std::iter::once(before).chain(ends).collect()
    }

    fn callers(&mut self, sites: &[usize]) -> Result<Vec<(Caller, Rules)>, Exhausted> {
        let rules: Rules = self.sites(sites).iter().map(|site| (site.side, site.rule_at)).collect();
        if let Some(known) = self.known.get(&rules) {
            return Ok(known.clone());
        }
        let found = callers(self.world, &rules, &mut self.budget)?;
        self.known.insert(rules, found.clone());
        Ok(found)
    }

    /// One connection that the endpoints `at` cover.
    fn case(&mut self, case: &Case, at: &[usize]) -> Result<Option<CounterExample>, Exhausted> {
        let sites = self.sites(at);
        let mut grants = [None, None];
        for (side, grant) in [Side::Bound, Side::Tested].into_iter().zip(&mut grants) {
            let covered = sites.iter().any(|site| site.side == side);
            *grant = match self.world.connect(side, case) {
                Decision::Allow(grant) => Some(grant),
                Decision::Deny(_) => None,
            };
            if grant.is_some() != covered {
                return Err(Exhausted(format!(
                    "the {} document and its compiled form disagree",
                    side_name(side)
                )));
            }
        }
        let [bound, Some(tested)] = grants else { return Ok(None) };
        let judges = |side| {
            let mut own = sites.iter().filter(|site| site.side == side);
            own.any(|site| site.endpoint.protocol.judges_requests())
        };
        match (self.goal, bound) {
            (Goal::Difference, None) => return Ok(Some(example(case))),
            (Goal::Difference, Some(bound)) => {
                if let Some(found) = self.resolved(case, &sites, (bound, tested))? {
                    return Ok(Some(found));
                }
                // A connection whose requests nobody judges allows them all.
                if !judges(Side::Bound) {
                    return Ok(None);
                }
            }
            (Goal::Passing, _) if !judges(Side::Tested) => return Ok(Some(example(case))),
            (Goal::Passing, _) => {}
        }
        let (world, goal) = (self.world, self.goal);
        let only = self.only.map_or(&[] as &[String], |only| &only.paths);
        let sites: Vec<Site<'_>> =
            at.iter().filter_map(|at| world.sites.get(*at).copied()).collect();
        let mut ask = |request: &_| match world.passes(Side::Tested, case, request) {
            false => Answer::Stopped,
            true if goal == Goal::Passing => Answer::Found,
            true if world.passes(Side::Bound, case, request) => Answer::Passes,
            true => Answer::Found,
        };
        let found = requests::find((&sites, only), &mut self.budget, &mut ask)?;
        Ok(found.map(|request| CounterExample { request: Some(request), ..example(case) }))
    }

    /// An address that the name may lead to under the one grant and not under the other.
    fn resolved(
        &self,
        case: &Case,
        sites: &[Site<'_>],
        (bound, tested): (Grant, Grant),
    ) -> Result<Option<CounterExample>, Exhausted> {
        if matches!(case.place, Place::Address(_)) {
            return Ok(None);
        }
        let networks: Vec<Network> = sites
            .iter()
            .flat_map(|site| site.endpoint.allowed_ips.iter().map(|range| range.value))
            .collect();
        let (first, second) = (self.world.policy(Side::Bound), self.world.policy(Side::Tested));
        if second.host_loopback(&tested) {
            return Ok(None);
        }
        let found = representatives(&networks)?.into_iter().find(|address| {
            second.admits(&tested, *address).is_ok() && first.admits(&bound, *address).is_err()
        });
        Ok(found.map(|address| CounterExample { resolved: Some(address), ..example(case) }))
    }
}

fn example(case: &Case) -> CounterExample {
    CounterExample {
        host: match &case.place {
            Place::Name(name) => name.to_string(),
            Place::Address(address) => address.to_string(),
        },
        resolved: None,
        port: case.port,
        udp: case.transport == Transport::Udp,
        by: case.by.clone(),
        at: case.now,
        request: None,
    }
}
