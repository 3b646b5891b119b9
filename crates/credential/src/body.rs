//! Searching bodies for placeholders.
//!
//! A placeholder in a body is worth nothing to the server of its own credential, and conversations
//! with models are full of what programs printed: there, and to the models of the vendors, it passes.
//! Everywhere else it is a sign of something going wrong, and is refused.

use std::borrow::Cow;
use std::sync::Arc;

use openshell_policy::BoundEndpoint;
use openshell_types::{Authority, Placement};

use crate::builtin;
use crate::fill;
use crate::held::{Bound, Credentials, Going};
use crate::misuse::{Misuse, Place};
use crate::placeholder;
use crate::tail::{self, Tail};

impl Credentials {
    /// Whether bodies to this server are searched at all. Those to the models of a vendor are not: an
    /// agent that printed its environment once would have all of its later turns refused.
    pub fn search_bodies(&self, to: &Authority) -> bool {
        let is_filled = || self.bound(to).any(|(_, bound)| is_within(bound));
        !self.all.is_empty() && (!builtin::serves_models(to) || is_filled())
    }

    /// Whether some value is put into bodies of requests to this path.
    pub fn fills_bodies(&self, going: Going<'_>) -> bool {
        self.bound(going.to)
            .any(|(_, bound)| bound.placement == Placement::Body && bound.covers(going))
    }

    /// The misuse that a body is, or a message, into which no value is put. It is all there, and its
    /// codings are undone.
    pub fn in_body(&self, going: Going<'_>, bytes: &[u8]) -> Option<Misuse> {
        if !self.search_bodies(going.to) {
            return None;
        }
        self.known_in(bytes, going, Self::misplaced).or_else(|| self.unknown_in(bytes))
    }

    /// The same for a body into which values are put.
    pub(crate) fn beside_values(&self, going: Going<'_>, bytes: &[u8]) -> Option<Misuse> {
        self.known_in(bytes, going, Self::elsewhere).or_else(|| self.unknown_in(bytes))
    }

    fn known_in(
        &self,
        bytes: &[u8],
        going: Going<'_>,
        misuse: fn(&Self, usize, Going<'_>) -> Option<Misuse>,
    ) -> Option<Misuse> {
        self.forms.all(bytes).find_map(|at| misuse(self, at, going))
    }

    /// SECURITY: I2; the placeholder of a credential that is for another server, or by the policy for
    /// other programs at this one.
    fn elsewhere(&self, at: usize, going: Going<'_>) -> Option<Misuse> {
        let held = self.all.get(at)?;
        let is_bound = self.bound(going.to).any(|(other, _)| std::ptr::eq(other, held));
        if is_bound {
            return held.closed(going, &Place::Body);
        }
        Some(Misuse::Elsewhere { name: held.name.clone(), place: Place::Body })
    }

    /// The same, and one whose value belongs into such bodies: the server would get a text that
    /// means nothing to it, and nobody would know why.
    fn misplaced(&self, at: usize, going: Going<'_>) -> Option<Misuse> {
        let unfit = || {
            let held = self.all.get(at)?;
            let is_of_bodies = self.bound(going.to).any(|(other, bound)| {
                std::ptr::eq(other, held) && is_within(bound) && bound.covers(going)
            });
            let name = || held.name.clone();
            is_of_bodies.then(|| Misuse::Unfit { name: name(), why: fill::OTHER })
        };
        self.elsewhere(at, going).or_else(unfit)
    }

    /// A placeholder of this gateway that is none of this sandbox's.
    fn unknown_in(&self, bytes: &[u8]) -> Option<Misuse> {
        let minter = self.minter.as_ref()?;
        let mut rest = bytes;
        while let Some(found) = minter.find_ours(rest) {
            let token = rest.get(found.clone()).unwrap_or_default();
            if !self.all.iter().any(|held| held.placeholder.as_bytes() == token) {
                return Some(Misuse::Unknown { place: Place::Body });
            }
            rest = rest.get(found.end..).unwrap_or_default();
        }
        None
    }
}

/// Whether values are put into bodies or messages by it.
fn is_within(bound: &Bound) -> bool {
    matches!(bound.placement, Placement::Body | Placement::Message)
}

/// A search through a body that passes in parts.
#[derive(Debug)]
pub struct BodySearch {
    credentials: Arc<Credentials>,
    to: Authority,
    path: String,
    bound: Vec<BoundEndpoint>,
    /// What may be the beginning of a placeholder.
    tail: Tail,
    /// The end of what passed, from the separator before the last run of characters that
    /// placeholders of whichever sandbox consist of. `None`: it is too long to be one.
    run: Option<Vec<u8>>,
}

impl BodySearch {
    /// A search through a body; `None` where nothing is searched.
    pub fn new(credentials: &Arc<Credentials>, going: Going<'_>) -> Option<Self> {
        credentials.search_bodies(going.to).then(|| Self {
            credentials: Arc::clone(credentials),
            to: going.to.clone(),
            path: going.path.to_owned(),
            bound: going.bound.to_vec(),
            tail: Tail::new(),
            run: Some(Vec::new()),
        })
    }

    /// The same for a body of messages whose sender waits for answers between them: only what is
    /// surely no chance end of a message is held back, which is less than what tells one placeholder
    /// from others.
    pub fn of_messages(self) -> Self {
        const LEAST: usize = 8;
        Self { tail: self.tail.of_at_least(LEAST), ..self }
    }

    /// Takes a part, the last one if it `ends` there, and gives what may pass now. What may be the
    /// beginning of a placeholder waits for the next part.
    pub fn pass<'a>(&mut self, part: &'a [u8], ends: bool) -> Result<Cow<'a, [u8]>, Misuse> {
        let going = Going { to: &self.to, path: &self.path, bound: &self.bound };
        let bytes = self.tail.join(part);
        let known = self.credentials.known_in(&bytes, going, Credentials::misplaced);
        if let Some(misuse) = known.or_else(|| self.unknown(part, ends)) {
            return Err(misuse);
        }
        let open = if ends { 0 } else { self.credentials.forms.open(&bytes) };
        let passing = self.tail.keep(&bytes, open);
        Ok(tail::cut(bytes, passing))
    }

    /// A placeholder of no credential of this sandbox that ends in this part. Its beginning may have
    /// passed: it stands for nothing that is here to be guarded.
    fn unknown(&mut self, part: &[u8], ends: bool) -> Option<Misuse> {
        let is_separator = |byte: &u8| !placeholder::is_of_token(*byte);
        let (first, last) =
            (part.iter().position(is_separator), part.iter().rposition(is_separator));
        let mut found = None;
        let (head, rest) = part.split_at(first.unwrap_or(part.len()));
        if let Some(run) = &mut self.run {
            run.extend_from_slice(head);
            if first.is_some() || ends {
                found = self.credentials.unknown_in(run);
            }
            if run.len() > placeholder::LONGEST_RUN {
                self.run = None;
            }
        }
        if let (Some(first), Some(last)) = (first, last) {
            let (whole, open) = rest.split_at(last.saturating_sub(first));
            let searched = if ends { rest } else { whole };
            found = found.or_else(|| self.credentials.unknown_in(searched));
            let is_short = open.len() <= placeholder::LONGEST_RUN;
            self.run = is_short.then(|| open.to_vec());
        }
        found
    }
}
