//! Searching what servers say for the values that were put into requests to them.
//!
//! A server that tells what it was asked, or keeps it and tells it later, would give the sandbox what
//! it must not hold. What is found is masked octet for octet, so that lengths stay what they are. The
//! texts that are searched for are wiped when they go, which no automaton of a library's does; hence
//! the search is our own.

mod spelling;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use openshell_types::Redacted;

use crate::limits::ECHOED_BYTES;
use crate::tail::{self, Tail};

/// The values of one server, as it may tell them.
pub struct Echoes {
    /// Sorted by their texts, each of which is there once.
    forms: Vec<Form>,
    /// Of which beginnings there may be forms: one bit for each that their hashes can have.
    beginnings: Redacted<Vec<u64>>,
}

/// One value in one form.
struct Form {
    text: Redacted<String>,
    /// As long as the text.
    instead: String,
    /// So many of its first octets are as good as all of them.
    enough: usize,
    /// Of which credential.
    name: Arc<str>,
}

/// What is put on the wire for a credential.
#[derive(Clone, Copy)]
pub(crate) struct Value<'a> {
    pub(crate) name: &'a str,
    pub(crate) secret: &'a Redacted<String>,
    /// What the jail holds in its place; empty: nothing.
    pub(crate) placeholder: &'a str,
}

impl Echoes {
    /// What is looked for; `None` when no value is long enough.
    pub(crate) fn of(values: &[Value<'_>]) -> Option<Self> {
        let mut forms: Vec<Form> = Vec::new();
        for value in values.iter().filter(|value| value.secret.expose().len() >= ECHOED_BYTES) {
            let name: Arc<str> = value.name.into();
            let (secret, placeholder) = (value.secret.expose(), value.placeholder);
            let whole = spelling::all(secret).into_iter().zip(spelling::all(placeholder));
            // SECURITY: I3; who takes the scheme off a field by its length takes some of a value.
            let ends = spelling::ends(secret, placeholder, spare(secret.len()));
            let mut own: Vec<Form> = Vec::new();
            for (text, instead) in whole.chain(ends) {
                // Most are the same, and long ones are not kept as often.
                if !own.iter().any(|form| form.text.expose() == text.expose()) {
                    own.push(Form::new(text, instead.expose(), &name));
                }
            }
            forms.append(&mut own);
        }
        forms.sort_by(|one, other| one.text.expose().cmp(other.text.expose()));
        forms.dedup_by(|one, other| one.text.expose() == other.text.expose());
        let beginnings = Redacted::new(beginnings(&forms));
        (!forms.is_empty()).then_some(Self { forms, beginnings })
    }

    /// The same for one value, in the place of which nobody holds anything.
    pub fn of_one(name: &str, secret: &Redacted<String>) -> Option<Self> {
        Self::of(&[Value { name, secret, placeholder: "" }])
    }

    /// Masks what is found in a text that is all there; the name of the first credential whose value
    /// was.
    pub fn mask(&self, text: &mut [u8]) -> Option<Arc<str>> {
        let mut found = Vec::new();
        self.scan(text, |one| found.push(one));
        found.iter().for_each(|one| one.cover(text));
        found.first().map(|one| Arc::clone(&one.form.name))
    }

    /// Whether something is found in a text that is all there.
    pub fn stands_in(&self, text: &[u8]) -> bool {
        let mut stands = false;
        self.scan(text, |_| stands = true);
        stands
    }

    /// Tells each form in some octets, or what is nearly one, in the order of their beginnings and
    /// of two with the same the shorter first. Returns where the last octets begin that may go on to
    /// be one.
    fn scan<'a>(&'a self, bytes: &[u8], mut found: impl FnMut(Found<'a>)) -> usize {
        let mut open = bytes.len();
        for (at, window) in bytes.windows(BEGINNING).enumerate() {
            if !self.may_begin(window) {
                continue;
            }
            let rest = bytes.get(at..).unwrap_or_default();
            for form in self.beginning_with(window) {
                let same = rest.iter().zip(form.octets()).take_while(|(one, own)| one == own);
                let length = same.count();
                if length >= form.enough {
                    found(Found { at, length, form });
                }
                if length == rest.len() && length < form.octets().len() {
                    open = open.min(at);
                }
            }
        }
        let short = bytes.len().saturating_sub(BEGINNING.saturating_sub(1))..open;
        let begins = |at: &usize| {
            bytes.get(*at..).is_some_and(|rest| self.beginning_with(rest).next().is_some())
        };
        short.into_iter().find(begins).unwrap_or(open)
    }

    fn may_begin(&self, window: &[u8]) -> bool {
        let all = self.beginnings.expose();
        place(window, all.len())
            .is_some_and(|(word, bit)| all.get(word).is_some_and(|word| word >> bit & 1 == 1))
    }

    fn beginning_with<'a>(&'a self, text: &[u8]) -> impl Iterator<Item = &'a Form> {
        let first = self.forms.partition_point(|form| form.octets() < text);
        let fits = self.forms.iter().skip(first);
        fits.take_while(move |form| form.octets().starts_with(text))
    }
}

impl fmt::Debug for Echoes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Echoes").finish_non_exhaustive()
    }
}

impl Form {
    fn new(text: Redacted<String>, instead: &str, name: &Arc<str>) -> Self {
        let length = text.expose().len();
        let is_fit = instead.len() == length;
        let instead = if is_fit { instead.to_owned() } else { "*".repeat(length) };
        let enough = length.saturating_sub(spare(length)).max(BEGINNING);
        Self { text, instead, enough, name: Arc::clone(name) }
    }

    fn octets(&self) -> &[u8] {
        self.text.expose().as_bytes()
    }
}

/// Where a form was found, or the beginning of one that is as good.
struct Found<'a> {
    at: usize,
    length: usize,
    form: &'a Form,
}

impl Found<'_> {
    fn end(&self) -> usize {
        self.at.saturating_add(self.length)
    }

    /// Puts what stands for it in its place.
    fn cover(&self, bytes: &mut [u8]) {
        let instead = self.form.instead.as_bytes().get(..self.length);
        if let (Some(own), Some(instead)) = (bytes.get_mut(self.at..self.end()), instead) {
            own.copy_from_slice(instead);
        }
    }
}

/// How many octets at an end of a value of this length are no loss to who has the others: they can
/// be tried.
fn spare(length: usize) -> usize {
    (length / 4).min(SPARE)
}

/// The bits of all beginnings: so many that few others have one of theirs.
fn beginnings(forms: &[Form]) -> Vec<u64> {
    const WORDS_EACH: usize = 8;
    let words = forms.len().saturating_mul(WORDS_EACH).next_power_of_two();
    let mut all = vec![0; words];
    for (word, bit) in forms.iter().filter_map(|form| place(form.octets(), words)) {
        if let Some(word) = all.get_mut(word) {
            *word |= 1 << bit;
        }
    }
    all
}

/// The bit of a beginning among those of so many words, a power of two: in which word, and there
/// which.
fn place(text: &[u8], words: usize) -> Option<(usize, u32)> {
    /// Odd, with its bits spread evenly (of the golden ratio).
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let beginning: &[u8; BEGINNING] = text.first_chunk()?;
    let hash = u64::from_le_bytes(*beginning).wrapping_mul(FACTOR);
    let hash = hash >> (u64::BITS - words.ilog2() - u64::BITS.ilog2());
    Some((usize::try_from(hash / 64).ok()?, u32::try_from(hash % 64).ok()?))
}

/// A search through a text that passes in parts.
#[derive(Debug)]
pub struct EchoSearch {
    echoes: Arc<Echoes>,
    /// What may be the beginning of a value.
    tail: Tail,
    /// How many octets of the tail belong to a value that began before it.
    covered: usize,
    found: Option<Arc<str>>,
}

impl EchoSearch {
    /// A search for these.
    pub fn new(echoes: Arc<Echoes>) -> Self {
        Self { echoes, tail: Tail::new(), covered: 0, found: None }
    }

    /// The same in a body of messages whose reader answers between them: what is shorter than this is
    /// a chance end of a message, and does not wait. Of a value that is cut there so much passes.
    pub fn of_messages(self) -> Self {
        Self { tail: self.tail.of_at_least(LEAST), ..self }
    }

    /// Looks for others from now on.
    pub fn look_for(&mut self, echoes: &Arc<Echoes>) {
        if !Arc::ptr_eq(&self.echoes, echoes) {
            self.echoes = Arc::clone(echoes);
        }
    }

    /// Takes a part, the last one if it `ends` there, and gives what may pass now, values masked. It
    /// is as long as the parts, and what waits of them. What may be the beginning of a value waits
    /// for the next part.
    pub fn pass<'a>(&mut self, part: &'a [u8], ends: bool) -> Cow<'a, [u8]> {
        // SECURITY: N6; a long value in parts of an octet each would be looked through at each of them.
        if !ends && self.goes_on(part) {
            self.tail.grow(part);
            return Cow::Borrowed(&[]);
        }
        self.search(part, ends)
    }

    /// Whether what waits and the part are the beginning of one value, so that nothing passes.
    fn goes_on(&self, part: &[u8]) -> bool {
        let held = self.tail.held();
        held.len() >= BEGINNING
            && self.echoes.beginning_with(held).any(|form| {
                let rest = form.octets().get(held.len()..).unwrap_or_default();
                rest.len() > part.len() && rest.starts_with(part)
            })
    }

    fn search<'a>(&mut self, part: &'a [u8], ends: bool) -> Cow<'a, [u8]> {
        let mut bytes = self.tail.join(part);
        let mut masks = Vec::new();
        let open = self.echoes.scan(&bytes, |one| masks.push(one));
        let open = if ends { bytes.len() } else { open };
        let passing = self.tail.keep(&bytes, bytes.len().saturating_sub(open));
        let covered = 0..self.covered.min(bytes.len());
        let last = masks.iter().map(Found::end).chain([covered.end]).max().unwrap_or(0);
        self.covered = last.saturating_sub(open);
        if let Some(first) = masks.first() {
            self.found.get_or_insert_with(|| Arc::clone(&first.form.name));
        }
        if !masks.is_empty() || !covered.is_empty() {
            cover(bytes.to_mut(), covered, &masks);
        }
        tail::cut(bytes, passing)
    }

    /// Whether so little waits that it may pass when nothing follows it for long: nobody has a value
    /// by that, and what follows is looked at as if it had not passed.
    pub fn is_short(&self) -> bool {
        self.tail.is_short(BEGINNING)
    }

    /// Has that pass.
    pub fn late(&mut self) -> Vec<u8> {
        let (mut bytes, passing) = self.tail.release();
        let covered = self.covered.min(bytes.len());
        bytes.iter_mut().take(covered).for_each(|byte| *byte = b'*');
        bytes.get(passing).unwrap_or_default().to_vec()
    }

    /// The same of a part that ends a message, all of which passes: of what may be the beginning of a
    /// value so much is lost, and the rest is looked for in the message that follows.
    pub fn pass_end<'a>(&mut self, part: &'a [u8]) -> Cow<'a, [u8]> {
        let passed = self.search(part, false);
        if self.waiting() == 0 {
            return passed;
        }
        let mut all = passed.into_owned();
        all.extend_from_slice(&self.late());
        Cow::Owned(all)
    }

    /// The name of the first credential whose value was found.
    pub const fn found(&self) -> Option<&Arc<str>> {
        self.found.as_ref()
    }

    /// How many octets wait for the next part.
    pub fn waiting(&self) -> usize {
        self.tail.waiting()
    }
}

fn cover(bytes: &mut [u8], covered: Range<usize>, masks: &[Found<'_>]) {
    if let Some(covered) = bytes.get_mut(covered) {
        covered.fill(b'*');
    }
    masks.iter().for_each(|one| one.cover(bytes));
}

/// So many octets a value begins with for the search: the shortest form has as many.
const BEGINNING: usize = ECHOED_BYTES;
/// Most octets at an end of a value that can be tried.
const SPARE: usize = 10;
/// The shortest beginning of a value that waits between messages.
const LEAST: usize = 4;
