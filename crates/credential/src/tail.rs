//! What of a stream waits, since what follows may make it a part of something that is looked for.

use std::borrow::Cow;
use std::ops::Range;

use zeroize::Zeroizing;

/// The octets that wait.
#[derive(Debug)]
pub(crate) struct Tail {
    held: Zeroizing<Vec<u8>>,
    /// How many of them have passed.
    passed: usize,
    /// From how many octets on they wait; fewer pass, and are only remembered.
    least: usize,
}

impl Tail {
    /// Of a stream of which nothing may pass too early.
    pub(crate) fn new() -> Self {
        Self { held: Zeroizing::default(), passed: 0, least: 1 }
    }

    /// The same, that lets fewer octets pass.
    pub(crate) fn of_at_least(self, least: usize) -> Self {
        Self { least, ..self }
    }

    /// How many octets wait.
    pub(crate) fn waiting(&self) -> usize {
        self.held.len().saturating_sub(self.passed)
    }

    /// All that is remembered.
    pub(crate) fn held(&self) -> &[u8] {
        &self.held
    }

    /// Has a part wait, too.
    pub(crate) fn grow(&mut self, part: &[u8]) {
        let length = self.held.len().saturating_add(part.len());
        if length > self.held.capacity() {
            // What is left behind is wiped, as it is not where a vector grows by itself.
            let mut more = Zeroizing::new(Vec::with_capacity(length.saturating_mul(2)));
            more.extend_from_slice(&self.held);
            self.held = more;
        }
        self.held.extend_from_slice(part);
    }

    /// Whether something waits, and with what passed before it is shorter than so many octets.
    pub(crate) fn is_short(&self, longest: usize) -> bool {
        self.waiting() > 0 && self.held.len() < longest
    }

    /// Has all pass that waits, and remembers it. All that is remembered, and what of it passes.
    pub(crate) fn release(&mut self) -> (Vec<u8>, Range<usize>) {
        let begin = std::mem::replace(&mut self.passed, self.held.len());
        (self.held.to_vec(), begin..self.held.len())
    }

    /// What waits and the next part, together.
    pub(crate) fn join<'a>(&mut self, part: &'a [u8]) -> Cow<'a, [u8]> {
        if self.held.is_empty() {
            return Cow::Borrowed(part);
        }
        let held = std::mem::take(&mut self.held);
        Cow::Owned([held.as_slice(), part].concat())
    }

    /// Has the last `open` of what was joined wait, and says which of them pass.
    pub(crate) fn keep(&mut self, bytes: &[u8], open: usize) -> Range<usize> {
        let cut = bytes.len().saturating_sub(open);
        let end = if open < self.least { bytes.len() } else { cut.max(self.passed) };
        let begin = std::mem::replace(&mut self.passed, end.saturating_sub(cut));
        self.held = bytes.get(cut..).unwrap_or_default().to_vec().into();
        begin.min(end)..end
    }
}

/// A part of some octets.
pub(crate) fn cut(bytes: Cow<'_, [u8]>, range: Range<usize>) -> Cow<'_, [u8]> {
    match bytes {
        Cow::Borrowed(bytes) => Cow::Borrowed(bytes.get(range).unwrap_or_default()),
        Cow::Owned(mut bytes) => {
            bytes.truncate(range.end);
            Cow::Owned(bytes.split_off(range.start.min(bytes.len())))
        }
    }
}
