//! Which requests are being sent with the values of one state of the credentials, so that whoever
//! changes them can wait until none is.

use std::sync::Arc;

use tokio::sync::watch;

/// Counts the requests.
#[derive(Clone, Debug, Default)]
pub struct Sending(Arc<watch::Sender<usize>>);

/// One of them, until it is dropped.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<watch::Sender<usize>>);

impl Sending {
    /// Counts a request. SECURITY: I13; before it is asked for the last time whether the state that
    /// allowed it is in force: then either that sees another, or [`Sending::over`] sees it.
    pub(crate) fn begin(&self) -> InFlight {
        self.0.send_modify(|count| *count = count.saturating_add(1));
        InFlight(Arc::clone(&self.0))
    }

    /// Whether none is being sent.
    pub fn is_over(&self) -> bool {
        is_none(&self.0.borrow())
    }

    /// Waits until none is being sent.
    pub async fn over(&self) {
        let mut count = self.0.subscribe();
        // The channel lasts as long as `self`.
        while !is_none(&count.borrow_and_update()) && count.changed().await.is_ok() {}
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}

const fn is_none(count: &usize) -> bool {
    *count == 0
}
