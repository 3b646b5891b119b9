//! Protocols inside of TLS (RFC 7301): what is offered, what was chosen, what is remembered.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use lru::LruCache;
use openshell_types::{Host, Port};
use tokio::time::Instant;

use crate::limits;

/// A protocol that an end agreed to speak inside of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

impl Protocol {
    /// Reads the name in the registry of protocol identifiers; others are not spoken here.
    pub fn from_wire(name: &[u8]) -> Option<Self> {
        match name {
            b"http/1.1" => Some(Self::Http1),
            b"h2" => Some(Self::Http2),
            _ => None,
        }
    }

    /// The name on the wire.
    pub const fn to_wire(self) -> &'static [u8] {
        match self {
            Self::Http1 => b"http/1.1",
            Self::Http2 => b"h2",
        }
    }
}

/// The protocols that one side offers, most wanted first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Alpn {
    /// No offer at all: whatever both take for granted, HTTP/1.1 as a rule.
    Absent,
    /// HTTP/1.1 alone.
    Http1,
    /// HTTP/2 alone.
    Http2,
    /// HTTP/2, else HTTP/1.1.
    Http2Http1,
    /// HTTP/1.1, else HTTP/2.
    Http1Http2,
}

impl Alpn {
    /// How many there are.
    pub(super) const ALL: [Self; 5] =
        [Self::Absent, Self::Http1, Self::Http2, Self::Http2Http1, Self::Http1Http2];

    /// What a client offered, without what is not spoken here, in its order. `None` when nothing
    /// of a real offer is left: such a client gets `no_application_protocol` (RFC 7301, section
    /// 3.2), for its protocol is not the one that it would silently get. HTTP/1.0 is what it would
    /// silently get.
    pub fn from_offer<T: AsRef<[u8]>>(offer: &[T]) -> Option<Self> {
        let mut known = offer.iter().filter_map(|name| Protocol::from_wire(name.as_ref()));
        let Some(first) = known.next() else {
            let is_http10 = offer.iter().any(|name| name.as_ref() == b"http/1.0");
            return (offer.is_empty() || is_http10).then_some(Self::Absent);
        };
        Some(match (first, known.any(|next| next != first)) {
            (Protocol::Http1, false) => Self::Http1,
            (Protocol::Http1, true) => Self::Http1Http2,
            (Protocol::Http2, false) => Self::Http2,
            (Protocol::Http2, true) => Self::Http2Http1,
        })
    }

    /// The offer that leaves no choice but `protocol`, which an upstream made already.
    pub const fn only(protocol: Option<Protocol>) -> Self {
        match protocol {
            None => Self::Absent,
            Some(Protocol::Http1) => Self::Http1,
            Some(Protocol::Http2) => Self::Http2,
        }
    }

    /// The protocols, most wanted first.
    pub const fn protocols(self) -> &'static [Protocol] {
        match self {
            Self::Absent => &[],
            Self::Http1 => &[Protocol::Http1],
            Self::Http2 => &[Protocol::Http2],
            Self::Http2Http1 => &[Protocol::Http2, Protocol::Http1],
            Self::Http1Http2 => &[Protocol::Http1, Protocol::Http2],
        }
    }

    /// The names on the wire, as rustls takes them.
    pub(super) fn to_wire(self) -> Vec<Vec<u8>> {
        self.protocols().iter().map(|protocol| protocol.to_wire().to_vec()).collect()
    }
}

/// What upstreams chose of an offer, for a while, so that a client can be answered before or beside
/// the dial. It is a guess: an upstream may choose differently the next time.
pub struct Remembered(Mutex<LruCache<(Host, Port, Alpn), Chosen>>);

struct Chosen {
    protocol: Option<Protocol>,
    at: Instant,
}

impl Remembered {
    /// Nothing yet.
    pub fn new() -> Self {
        let most = NonZeroUsize::new(limits::REMEMBERED).unwrap_or(NonZeroUsize::MIN);
        Self(Mutex::new(LruCache::new(most)))
    }

    /// What the upstream chose of this offer within the last ten minutes; the inner `None` is an
    /// upstream that chose nothing.
    pub fn get(&self, host: &Host, port: Port, offer: Alpn) -> Option<Option<Protocol>> {
        self.get_at((host.clone(), port, offer), Instant::now())
    }

    pub(super) fn get_at(&self, key: (Host, Port, Alpn), now: Instant) -> Option<Option<Protocol>> {
        let mut chosen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = chosen.get(&key)?;
        if now.saturating_duration_since(found.at) < limits::REMEMBERED_FOR {
            return Some(found.protocol);
        }
        chosen.pop(&key);
        None
    }

    /// Remembers what the upstream chose now.
    pub fn put(&self, host: &Host, port: Port, offer: Alpn, protocol: Option<Protocol>) {
        let mut chosen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        chosen.put((host.clone(), port, offer), Chosen { protocol, at: Instant::now() });
    }
}

impl Default for Remembered {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Remembered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remembered").finish_non_exhaustive()
    }
}
