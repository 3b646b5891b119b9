//! Which requests are being sent with the values of one state of the credentials, so that whoever
//! changes them can wait until none is.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts the requests.
#[derive(Clone, Debug, Default)]
pub struct Sending(Arc<AtomicUsize>);

/// One of them, until it is dropped.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<AtomicUsize>);

impl Sending {
    /// Counts a request. SECURITY: I13; before it is asked for the last time whether the state that
    /// allowed it is in force: then either that sees another, or [`Sending::is_over`] sees it.
    pub(crate) fn begin(&self) -> InFlight {
        self.0.fetch_add(1, Ordering::SeqCst);
        InFlight(Arc::clone(&self.0))
    }

    /// Whether none is being sent.
    pub fn is_over(&self) -> bool {
        self.0.load(Ordering::SeqCst) == 0
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
