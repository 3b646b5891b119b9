//! What was used of the policy's budgets, and of those of routes, for as long as the supervisor runs.
//!
//! A [`Meter`] counts for one connection, request or model call. It looks its budgets up when it is
//! made, when the policy changes and when a window ends; in between it touches a few atomic numbers.
//! What is counted together has one set of numbers in each window, whoever counts, and they outlive
//! every policy and route: only the windows begin anew. So there are as many of them as budgets that
//! the sandbox's policies and routes ever had.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use openshell_policy::{Budget, BudgetId, Budgets, Caller, CoveringBudget};
use openshell_types::{Authority, CallBudget, ModelProtocol, Period};
use smallvec::SmallVec;

use crate::authorize::{PolicyWatch, destination};
use crate::limits;
use crate::refusal::Refusal;

/// Tells the time.
pub(crate) type Clock = Box<dyn Fn() -> Timestamp + Send + Sync>;

/// The counters of a sandbox.
pub(crate) struct Ledger {
    clock: Clock,
    windows: Mutex<HashMap<Counted, Window>>,
}

/// What is counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Counted {
    /// All that an endpoint covers.
    Endpoint(BudgetId),
    /// The model calls of a protocol, within windows of this length, whichever route they take.
    Calls(ModelProtocol, Period),
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
    tokens: AtomicU64,
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

/// What a meter counts.
#[derive(Clone)]
enum Subject {
    Traffic(Arc<Place>),
    /// One call of a model.
    Call(ModelProtocol),
}

/// Counts for one connection or request. Each that is cloned from it counts the same for itself.
#[derive(Clone)]
pub(crate) struct Meter {
    ledger: Arc<Ledger>,
    policies: PolicyWatch,
    subject: Subject,
    /// Tokens that were counted until now.
    tokens: u64,
    tallies: SmallVec<[Tally; 2]>,
    /// When the budgets are looked up again though the policy did not change.
    until: Timestamp,
    /// Why not all that was wanted last was granted.
    spent: Option<Box<Refusal>>,
}

/// One budget, and what was used of it.
#[derive(Clone)]
struct Tally {
    counted: Counted,
    most: Most,
    whose: Whose,
    window: i64,
    used: Arc<Used>,
    /// Tokens within the window that are of this meter.
    tokens: u64,
}

/// The numbers of a budget; `None`: any.
#[derive(Clone, Copy)]
struct Most {
    requests: Option<u64>,
    bytes: Option<u64>,
    tokens: Option<u64>,
    per: Period,
}

impl From<Budget> for Most {
    fn from(Budget { requests, bytes, per }: Budget) -> Self {
        Self { requests, bytes, tokens: None, per }
    }
}

impl From<CallBudget> for Most {
    fn from(CallBudget { tokens, requests, bytes, per }: CallBudget) -> Self {
        Self { requests, bytes, tokens, per }
    }
}

/// Who has a budget.
#[derive(Clone)]
enum Whose {
    /// The endpoint in this line of a rule.
    Endpoint(Arc<str>, u32),
    /// The route of this protocol.
    Route(ModelProtocol),
}

/// What there was no room for.
#[derive(Clone, Copy)]
enum Wanted {
    Requests(u64),
    /// Those of a body that passes as a whole or not at all.
    Body(u64),
    /// As many as there are.
    Rest,
}

impl Ledger {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, windows: Mutex::default() }
    }

    fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// The open window of a budget. A clock that is set back opens no window a second time.
    fn window(&self, counted: Counted, per: Period, now: Timestamp) -> (i64, Arc<Used>) {
        let number = per.window(now);
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = windows.get(&counted)
            && open.number >= number
        {
            return (open.number, Arc::clone(&open.used));
        }
        let used = Arc::<Used>::default();
        windows.insert(counted, Window { number, used: Arc::clone(&used) });
        (number, used)
    }
}

impl Meter {
    pub(crate) fn new(ledger: &Arc<Ledger>, policies: &PolicyWatch, place: Place) -> Self {
        Self::of(ledger, policies, Subject::Traffic(Arc::new(place)))
    }

    /// For one call of a model. It goes by the budget that its route has at each time; when there is
    /// no route any more, by the last.
    pub(crate) fn of_call(
        ledger: &Arc<Ledger>,
        policies: &PolicyWatch,
        protocol: ModelProtocol,
    ) -> Self {
        Self::of(ledger, policies, Subject::Call(protocol))
    }

    fn of(ledger: &Arc<Ledger>, policies: &PolicyWatch, subject: Subject) -> Self {
        let mut meter = Self {
            ledger: Arc::clone(ledger),
            policies: policies.clone(),
            subject,
            tokens: 0,
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
            if tally.is_used_up() || !tally.reserve(requests) {
                for earlier in self.tallies.iter().take(at) {
                    earlier.used.requests.fetch_sub(requests, Ordering::Relaxed);
                }
                return Err(tally.refusal(Wanted::Requests(requests), self.ledger.now()));
            }
        }
        Ok(())
    }

    /// Counts one request with a body of so many bytes, or says which budget has no room for it.
    pub(crate) fn count_whole(&mut self, body: usize) -> Result<(), Refusal> {
        self.check(1)?;
        let many = to_number(body);
        if let Some(tally) = self.tallies.iter().find(|tally| tally.left() < many) {
            return Err(tally.refusal(Wanted::Body(many), self.ledger.now()));
        }
        self.count(1)?;
        let granted = self.take(body);
        let Some(refusal) = self.spent().cloned() else { return Ok(()) };
        // Another one took it meanwhile. The request stays counted: its window may be over.
        self.give_back(granted);
        Err(refusal)
    }

    /// Counts the tokens that a call took until now, in the place of those that were counted of it
    /// before, and says which budget they are too many for.
    pub(crate) fn count_tokens(&mut self, until_now: u64) -> Result<(), Refusal> {
        self.refresh();
        let before = std::mem::replace(&mut self.tokens, until_now);
        self.tallies.iter_mut().for_each(|tally| tally.count_tokens(before, until_now));
        match self.tallies.iter().find(|tally| tally.tokens() > tally.most_tokens()) {
            Some(tally) => Err(tally.refusal(Wanted::Rest, self.ledger.now())),
            None => Ok(()),
        }
    }

    /// Whether so many requests would be counted now.
    pub(crate) fn check(&mut self, requests: u64) -> Result<(), Refusal> {
        self.refresh();
        let full = |tally: &&Tally| tally.is_used_up() || !tally.has_room(requests);
        match self.tallies.iter().find(full) {
            Some(tally) => Err(tally.refusal(Wanted::Requests(requests), self.ledger.now())),
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
                self.spent = Some(Box::new(tally.refusal(Wanted::Rest, self.ledger.now())));
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
            if tally.most.per.window(now) > tally.window {
                (tally.window, tally.used) = self.ledger.window(tally.counted, tally.most.per, now);
                tally.tokens = 0;
            }
        }
    }

    /// Looks the budgets up.
    fn look(&mut self) {
        let in_force = Arc::clone(&self.policies.borrow_and_update());
        let now = self.ledger.now();
        let tally = |counted: Counted, most: Most, whose: Whose| {
            let (window, used) = self.ledger.window(counted, most.per, now);
            Tally { counted, most, whose, window, used, tokens: 0 }
        };
        let place = match &self.subject {
            Subject::Traffic(place) => place,
            Subject::Call(protocol) => {
                let Some(route) = in_force.routes.get(*protocol) else { return };
                let budget = route.budget.map(|budget| {
                    let counted = Counted::Calls(*protocol, budget.per);
                    tally(counted, budget.into(), Whose::Route(*protocol))
                });
                let mut budget: SmallVec<[Tally; 2]> = budget.into_iter().collect();
                budget.iter_mut().for_each(|new| new.goes_on(&self.tallies));
                self.tallies = budget;
                return;
            }
        };
        let Place { to, by, carries } = &**place;
        let (policy, to) = (&in_force.policy, destination(to));
        let budgets: Budgets<'_> = match carries {
            Carries::Stream => policy.budgets(&to, by, None, now),
            Carries::Request(path) => policy.budgets(&to, by, Some(path), now),
            Carries::Datagrams => policy.datagram_budgets(&to, by, now),
        };
        let tally = |CoveringBudget { id, budget, rule, line }: CoveringBudget<'_>| {
            tally(Counted::Endpoint(id), budget.into(), Whose::Endpoint(rule.into(), line))
        };
        self.tallies = budgets.into_iter().map(tally).collect();
        // Rules with a time limit end without a change of the policy.
        self.until = now.checked_add(limits::REJUDGE_EVERY).unwrap_or(Timestamp::MAX);
    }
}

impl Tally {
    fn most_requests(&self) -> u64 {
        self.most.requests.unwrap_or(u64::MAX)
    }

    fn most_tokens(&self) -> u64 {
        self.most.tokens.unwrap_or(u64::MAX)
    }

    /// Whether not one byte, or not one token, is left.
    fn is_used_up(&self) -> bool {
        self.left() == 0 || self.tokens() >= self.most_tokens()
    }

    /// Remembers what this meter counted under the same budget as it was before.
    fn goes_on(&mut self, before: &[Self]) {
        let same = |own: &&Self| own.counted == self.counted && own.window == self.window;
        self.tokens = before.iter().find(same).map_or(0, |own| own.tokens);
    }

    /// Counts tokens in the place of those before. Of another window none are given back.
    fn count_tokens(&mut self, before: u64, until_now: u64) {
        let back = before.saturating_sub(until_now).min(self.tokens);
        let more = until_now.saturating_sub(before);
        self.tokens = self.tokens.saturating_sub(back).saturating_add(more);
        // A backend may say any number.
        let sum = |used: u64| Some(used.saturating_sub(back).saturating_add(more));
        let _ = self.used.tokens.fetch_update(Ordering::Relaxed, Ordering::Relaxed, sum);
    }

    fn reserve(&self, requests: u64) -> bool {
        let most = self.most_requests();
        let more = |used: u64| used.checked_add(requests).filter(|sum| *sum <= most);
        self.used.requests.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    fn has_room(&self, requests: u64) -> bool {
        let used = self.used.requests.load(Ordering::Relaxed);
        used.checked_add(requests).is_some_and(|sum| sum <= self.most_requests())
    }

    /// Bytes that may still pass.
    fn left(&self) -> u64 {
        let most = self.most.bytes.unwrap_or(u64::MAX);
        most.saturating_sub(self.used.bytes.load(Ordering::Relaxed))
    }

    /// Counts as many bytes as there is room for.
    fn take(&self, wanted: usize) -> usize {
        let (most, many) = (self.most.bytes.unwrap_or(u64::MAX), to_number(wanted));
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

    /// Why there is no room for what is wanted.
    fn refusal(&self, wanted: Wanted, now: Timestamp) -> Refusal {
        let Most { requests, bytes, tokens, per } = self.most;
        let (most, what, room) = match wanted {
            _ if self.tokens() >= self.most_tokens() => (tokens, "tokens", None),
            _ if self.left() == 0 => (bytes, "bytes", None),
            Wanted::Requests(wanted) if requests.is_some() => {
                let left = self.most_requests().saturating_sub(self.requests());
                (requests, "requests", Some((wanted, left)))
            }
            Wanted::Body(wanted) => (bytes, "bytes", Some((wanted, self.left()))),
            Wanted::Requests(_) | Wanted::Rest => (bytes, "bytes", None),
        };
        let end = per.end(self.window);
        let until = match end {
            Some(end) => format!("until {end}"),
            None => "for as long as the sandbox lives".to_owned(),
        };
        let of = format!("the budget of {} {what} per {}", most.unwrap_or_default(), per.as_str());
        let detail = match room {
            Some((wanted, left @ 1..)) => {
                format!("{of} has no room for {wanted} at once, but for {left}, {until}")
            }
            _ => format!("{of} is used up {until}"),
        };
        match &self.whose {
            Whose::Endpoint(rule, line) => Refusal::used_up(rule, *line, detail),
            Whose::Route(protocol) => {
                let whole_in = end.and_then(|end| {
                    let seconds = end.duration_since(now).as_secs().saturating_add(1);
                    NonZeroU32::new(u32::try_from(seconds).ok()?)
                });
                Refusal::call_used_up((*protocol, what), detail, whole_in)
            }
        }
    }

    fn tokens(&self) -> u64 {
        self.used.tokens.load(Ordering::Relaxed)
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
