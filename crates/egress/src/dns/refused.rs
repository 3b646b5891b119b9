//! Refused questions, folded so that a flood of them is a few events.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openshell_audit::{Dns, Event};
use tokio::time::Instant;

use crate::limits;
use crate::seams::Report;

/// Counts refused questions: the first of its kind is reported at once, its repetitions together
/// a little later. SECURITY: A11; the table is bounded, and what does not fit is counted together.
pub(crate) struct Refused {
    report: Arc<dyn Report>,
    folds: Mutex<HashMap<Key, Fold>>,
}

/// Why a question was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Why {
    NotInPolicy,
    Malformed,
    PoolExhausted,
    UnsupportedType,
}

impl Why {
    const fn predicate(self) -> &'static str {
        match self {
            Self::NotInPolicy => "not_in_policy",
            Self::Malformed => "malformed",
            Self::PoolExhausted => "pool_exhausted",
            Self::UnsupportedType => "unsupported_type",
        }
    }
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    name: String,
    record_type: String,
    why: Why,
}

struct Fold {
    since: Instant,
    /// Repetitions that were not reported yet.
    count: u64,
}

impl Refused {
    pub(crate) fn new(report: Arc<dyn Report>) -> Self {
        Self { report, folds: Mutex::default() }
    }

    /// Counts one refused question.
    pub(crate) fn note(&self, name: &str, record_type: &str, why: Why) {
        let key = Key { name: name.to_owned(), record_type: record_type.to_owned(), why };
        let mut folds = self.lock();
        if let Some(fold) = folds.get_mut(&key) {
            fold.count = fold.count.saturating_add(1);
            return;
        }
        let fresh = Fold { since: Instant::now(), count: 0 };
        if folds.len() < limits::DNS_FOLDS {
            folds.insert(key.clone(), fresh);
            drop(folds);
            self.record(key, 1);
        } else {
            let others = Key { name: OTHERS.to_owned(), record_type: String::new(), why };
            let fold = folds.entry(others).or_insert(fresh);
            fold.count = fold.count.saturating_add(1);
        }
    }

    /// Reports the repetitions of folds that are old enough, and forgets those.
    pub(crate) fn flush(&self) {
        self.flush_where(|fold| fold.since.elapsed() >= limits::DNS_FOLD);
    }

    /// Reports all that is left.
    pub(crate) fn flush_all(&self) {
        self.flush_where(|_| true);
    }

    fn flush_where(&self, is_due: impl Fn(&Fold) -> bool) {
        let due: Vec<_> = self.lock().extract_if(|_, fold| is_due(fold)).collect();
        for (key, fold) in due {
            if fold.count > 0 {
                self.record(key, fold.count);
            }
        }
    }

    fn record(&self, key: Key, count: u64) {
        self.report.record(Event::Dns(Dns {
            name: key.name,
            record_type: key.record_type,
            predicate: key.why.predicate().to_owned(),
            count,
        }));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Fold>> {
        self.folds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Stands for the names that the table had no place for.
const OTHERS: &str = "(others)";
