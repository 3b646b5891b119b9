//! What was used of the policy's budgets, for as long as the sandbox lives.
//!
//! A [`Meter`] counts for one connection or request. It looks its budgets up when it is made, when
//! the policy changes and when a window ends; in between it touches a few atomic numbers. What is
//! counted together has one pair of numbers in each window, whoever counts, and they outlive
//! every policy: only the windows begin anew. So there are as many of them as budgets that the
//! sandbox's policies ever had.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use openshell_policy::{Budget, BudgetId, Budgets, Caller, CoveringBudget};
use openshell_types::Authority;
use smallvec::SmallVec;

use crate::authorize::{PolicyWatch, destination};
use crate::limits;
use crate::refusal::Refusal;

/// Tells the time.
pub(crate) type Clock = Box<dyn Fn() -> Timestamp + Send + Sync>;

/// The counters of a sandbox.
pub(crate) struct Ledger {
    clock: Clock,
    windows: Mutex<HashMap<BudgetId, Window>>,
}

/// The window of a budget that is open, or was when it was last used.
struct Window {
    number: i64,
    used: Arc<Used>,
}

/// What was used within one window.
#[derive(Default)]
struct Used {
    requests: AtomicU64,
    bytes: AtomicU64,
}

/// Whose traffic is counted.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) to: Authority,
    pub(crate) by: Arc<Caller>,
    pub(crate) carries: Carries,
}

/// What is counted there.
#[derive(Clone, Debug)]
pub(crate) enum Carries {
    /// A TCP connection whose requests are not judged.
    Stream,
    /// Requests to this path.
    Request(String),
    /// Datagrams.
    Datagrams,
}

/// Counts for one connection or request. Each that is cloned from it counts the same for itself.
#[derive(Clone)]
pub(crate) struct Meter {
    ledger: Arc<Ledger>,
    policies: PolicyWatch,
    place: Arc<Place>,
    tallies: SmallVec<[Tally; 2]>,
    /// When the budgets are looked up again though the policy did not change.
    until: Timestamp,
    /// Why not all that was wanted last was granted.
    spent: Option<Box<Refusal>>,
}

/// One budget, and what was used of it.
#[derive(Clone)]
struct Tally {
    id: BudgetId,
    budget: Budget,
    rule: Arc<str>,
    line: u32,
    window: i64,
    used: Arc<Used>,
}

impl Ledger {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, windows: Mutex::default() }
    }

    fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// The open window of a budget. A clock that is set back opens no window a second time.
    fn window(&self, id: BudgetId, budget: &Budget, now: Timestamp) -> (i64, Arc<Used>) {
        let number = budget.per.window(now);
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = windows.get(&id)
            && open.number >= number
        {
            return (open.number, Arc::clone(&open.used));
        }
        let used = Arc::<Used>::default();
        windows.insert(id, Window { number, used: Arc::clone(&used) });
        (number, used)
    }
}

impl Meter {
    pub(crate) fn new(ledger: &Arc<Ledger>, policies: &PolicyWatch, place: Place) -> Self {
        let mut meter = Self {
            ledger: Arc::clone(ledger),
            policies: policies.clone(),
            place: Arc::new(place),
            tallies: SmallVec::new(),
            until: Timestamp::MAX,
            spent: None,
        };
        meter.look();
        meter
    }

    /// Counts so many requests, or says which budget has no room for them. They are counted before
    /// they go anywhere, so that two at once never pass as one.
    pub(crate) fn count(&mut self, requests: u64) -> Result<(), Refusal> {
        self.refresh();
        for (at, tally) in self.tallies.iter().enumerate() {
            if tally.left() == 0 || !tally.reserve(requests) {
                for earlier in self.tallies.iter().take(at) {
                    earlier.used.requests.fetch_sub(requests, Ordering::Relaxed);
                }
                return Err(tally.refusal(requests));
            }
        }
        Ok(())
    }

    /// Whether so many requests would be counted now.
    pub(crate) fn check(&mut self, requests: u64) -> Result<(), Refusal> {
        self.refresh();
        let full = |tally: &&Tally| tally.left() == 0 || !tally.has_room(requests);
        match self.tallies.iter().find(full) {
            Some(tally) => Err(tally.refusal(requests)),
            None => Ok(()),
        }
    }

    /// Counts bytes that are about to be passed on, as many as there is room for, and says how many
    /// these are. When it is fewer, [`Meter::spent`] says why.
    pub(crate) fn take(&mut self, wanted: usize) -> usize {
        self.refresh();
        self.spent = None;
        let mut granted = wanted;
        for at in 0..self.tallies.len() {
            let (earlier, rest) = self.tallies.split_at(at);
            let Some(tally) = rest.first() else { break };
            let room = tally.take(granted);
            if room < granted {
                earlier.iter().for_each(|one| one.give_back(granted.saturating_sub(room)));
                self.spent = Some(Box::new(tally.refusal(0)));
                granted = room;
            }
        }
        granted
    }

    /// Gives back what was taken last and not passed on.
    pub(crate) fn give_back(&self, bytes: usize) {
        self.tallies.iter().for_each(|tally| tally.give_back(bytes));
    }

    /// Counts bytes that are passed on together or not at all. When there is no room for all of
    /// them, the budget is used up.
    pub(crate) fn charge(&mut self, bytes: usize) -> Result<(), Refusal> {
        self.take(bytes);
        match self.spent() {
            Some(refusal) => Err(refusal.clone()),
            None => Ok(()),
        }
    }

    /// Why less was granted than was wanted last.
    pub(crate) fn spent(&self) -> Option<&Refusal> {
        self.spent.as_deref()
    }

    /// Follows the policy and the time.
    fn refresh(&mut self) {
        if self.policies.has_changed().unwrap_or(true) {
            self.look();
        }
        if self.tallies.is_empty() {
            return;
        }
        let now = self.ledger.now();
        if now >= self.until {
            return self.look();
        }
        for tally in &mut self.tallies {
            if tally.budget.per.window(now) > tally.window {
                (tally.window, tally.used) = self.ledger.window(tally.id, &tally.budget, now);
            }
        }
    }

    /// Looks the budgets up.
    fn look(&mut self) {
        let in_force = Arc::clone(&self.policies.borrow_and_update());
        let Place { to, by, carries } = &*self.place;
        let (policy, to, now) = (&in_force.policy, destination(to), self.ledger.now());
        let budgets: Budgets<'_> = match carries {
            Carries::Stream => policy.budgets(&to, by, None, now),
            Carries::Request(path) => policy.budgets(&to, by, Some(path), now),
            Carries::Datagrams => policy.datagram_budgets(&to, by, now),
        };
        // Rules with a time limit end without a change of the policy.
        self.until = now.checked_add(limits::REJUDGE_EVERY).unwrap_or(Timestamp::MAX);
        let tally = |CoveringBudget { id, budget, rule, line }: CoveringBudget<'_>| {
            let (window, used) = self.ledger.window(id, &budget, now);
            Tally { id, budget, rule: rule.into(), line, window, used }
        };
        self.tallies = budgets.into_iter().map(tally).collect();
    }
}

impl Tally {
    fn most(&self) -> u64 {
        self.budget.requests.unwrap_or(u64::MAX)
    }

    fn reserve(&self, requests: u64) -> bool {
        let most = self.most();
        let more = |used: u64| used.checked_add(requests).filter(|sum| *sum <= most);
        self.used.requests.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    fn has_room(&self, requests: u64) -> bool {
        let used = self.used.requests.load(Ordering::Relaxed);
        used.checked_add(requests).is_some_and(|sum| sum <= self.most())
    }

    /// Bytes that may still pass.
    fn left(&self) -> u64 {
        let most = self.budget.bytes.unwrap_or(u64::MAX);
        most.saturating_sub(self.used.bytes.load(Ordering::Relaxed))
    }

    /// Counts as many bytes as there is room for.
    fn take(&self, wanted: usize) -> usize {
        let (most, many) = (self.budget.bytes.unwrap_or(u64::MAX), to_number(wanted));
        // A budget that was made smaller may be used up more than once.
        let more = |used: u64| Some(used.saturating_add(many).min(most.max(used)));
        match self.used.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more) {
            Ok(before) => {
                let room = most.saturating_sub(before).min(many);
                usize::try_from(room).unwrap_or(wanted)
            }
            Err(_) => 0,
        }
    }

    fn give_back(&self, bytes: usize) {
        self.used.bytes.fetch_sub(to_number(bytes), Ordering::Relaxed);
    }

    /// Why there is no room for so many requests, or for bytes.
    fn refusal(&self, requests: u64) -> Refusal {
        let (left, budget) = (self.most().saturating_sub(self.requests()), &self.budget);
        let (most, what) = match (self.left(), budget.requests, budget.bytes) {
            (1.., Some(most), _) if requests > 0 => (most, "requests"),
            (_, _, most) => (most.unwrap_or_default(), "bytes"),
        };
        let until = match budget.per.end(self.window) {
            Some(end) => format!("until {end}"),
            None => "for as long as the sandbox lives".to_owned(),
        };
        let of = format!("the budget of {most} {what} per {}", budget.per.as_str());
        let detail = if what == "requests" && left > 0 {
            format!("{of} has no room for {requests} at once, but for {left}, {until}")
        } else {
            format!("{of} is used up {until}")
        };
        Refusal::used_up(&self.rule, self.line, detail)
    }

    fn requests(&self) -> u64 {
        self.used.requests.load(Ordering::Relaxed)
    }
}

fn to_number(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use openshell_policy::{Policy, Program};
    use openshell_types::Generation;
    use tokio::sync::watch;

    use super::*;
    use crate::seams::PolicyInForce;
    use crate::tests::world::{CURL, policy};

    impl Meter {
        /// One of a policy without budgets.
        pub(crate) fn free() -> Self {
            Self::under(Policy::deny_all())
        }

        /// One of `a.example.com:443` and the inode 1 under a policy.
        pub(crate) fn under(policy: Policy) -> Self {
            let ledger = Arc::new(Ledger::new(Box::new(Timestamp::now)));
            let in_force = PolicyInForce::new(policy, Generation::new(1), Arc::default());
            let (_, policies) = watch::channel(Arc::new(in_force));
            let to = Authority::parse("a.example.com:443").unwrap();
            let exe = Program { file: CURL, path: None, sha256: None };
            let by = Arc::new(Caller { exe, ancestors: Vec::new() });
            Self::new(&ledger, &policies, Place { to, by, carries: Carries::Stream })
        }
    }

    #[test]
    fn what_passes_is_exactly_what_there_is() {
        let budgets = "{ host: a.example.com, port: 443, budget: { bytes: 10 } }, \
                       { host: '*.example.com', port: 443, budget: { bytes: 7, per: day } }";
        let mut meter = Meter::under(policy(budgets));
        let mut other = meter.clone();
        assert_eq!((meter.take(4), meter.spent().is_some()), (4, false));
        assert_eq!((other.take(5), other.spent().is_some()), (3, true));
        other.give_back(1);
        assert_eq!((meter.take(2), meter.spent().is_some()), (1, true));
        assert!(meter.charge(1).is_err() && meter.check(0).is_err() && other.count(1).is_err());
        assert!(meter.charge(0).is_ok());
        // What the smaller did not grant is left of the larger.
        let used: Vec<u64> = meter.tallies.iter().map(Tally::left).collect();
        assert_eq!(used, [3, 0]);
    }
}
