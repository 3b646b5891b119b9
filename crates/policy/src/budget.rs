//! How much may pass an endpoint. What was used is counted elsewhere; here stand what is counted
//! together, and when a budget is whole again.

use openshell_types::{Digest, Period};
use smallvec::SmallVec;

use crate::document::{Endpoint, Rule, coverage_text};

/// How much may pass an endpoint, both ways together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Most requests within each window; `None`: any number.
    pub requests: Option<u64>,
    /// Most bytes within each window; `None`: any number.
    pub bytes: Option<u64>,
    /// How long a window is.
    pub per: Period,
}

/// What is counted together: all that an endpoint covers, within windows of one length. It is the
/// same in every policy whose endpoint covers the same, whatever else it says and whatever its
/// rule is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BudgetId {
    covers: Digest,
    per: Period,
}

impl BudgetId {
    pub(crate) fn of(rule: &Rule, endpoint: &Endpoint, per: Period) -> Self {
        Self { covers: Digest::of(coverage_text(rule, endpoint).as_bytes()), per }
    }
}

/// A budget that covers a connection or a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoveringBudget<'a> {
    /// What is counted together.
    pub id: BudgetId,
    /// How much may pass.
    pub budget: Budget,
    /// The name of its rule.
    pub rule: &'a str,
    /// The line of its endpoint.
    pub line: u32,
}

/// All budgets that cover one connection or request, each id once.
pub type Budgets<'a> = SmallVec<[CoveringBudget<'a>; 2]>;

/// Adds one. Of two that count the same, the smaller numbers hold: they run out first.
pub(crate) fn add<'a>(budgets: &mut Budgets<'a>, one: CoveringBudget<'a>) {
    let least = |a: Option<u64>, b: Option<u64>| a.into_iter().chain(b).min();
    match budgets.iter_mut().find(|known| known.id == one.id) {
        Some(known) => {
            known.budget.requests = least(known.budget.requests, one.budget.requests);
            known.budget.bytes = least(known.budget.bytes, one.budget.bytes);
        }
        None => budgets.push(one),
    }
}
