//! HTTP over an allowed connection: each request is judged before a byte of it goes upstream.
//!
//! `h1` reads requests from a client and answers them; `judge` asks the policy about each, with
//! one model for every version of HTTP, and `content` reads what requests carry for that; `line` holds
//! the connections to upstreams, which outlive one request; `body` moves what follows a head, and
//! `searched` looks for placeholders in it, and `echo` for values in what servers answer; `websocket` goes on after an upgrade; `secure` ends TLS
//! around all of that. A request that is denied is answered here, and its connection ends.

pub(crate) mod body;
mod content;
pub(crate) mod echo;
pub(crate) mod first;
pub(crate) mod h1;
mod h2;
mod inbox;
mod judge;
pub(crate) mod line;
mod record;
mod response;
pub(crate) mod searched;
pub(crate) mod secure;
mod websocket;

use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use openshell_audit::Way;
use openshell_types::Authority;
use socket2::SockRef;
use tokio::net::TcpStream;

use crate::accept::Context;
use crate::authorize::Watch;
use crate::exchange;
use crate::ledger::{Carries, Meter, Place};
use crate::report::Attempt;
use crate::seams::Identified;
use crate::stream::{Stream, Upward};
use crate::tls::{Alpn, Protocol, Rewound};
use crate::upstream_proxy::Reached;
use first::{First, Speech};
use h1::Client;
use line::Line;

/// Where the requests of a connection go, and who sends them.
pub(crate) struct Session<'a> {
    pub(crate) context: &'a Context,
    /// The authority that the connection was allowed for; the requests must name the same.
    pub(crate) to: Authority,
    /// What carries it.
    pub(crate) carrier: Carrier,
    /// The program behind it.
    pub(crate) who: Identified,
    pub(crate) way: Way,
}

/// What carries a connection's requests, on both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carrier {
    /// TCP alone.
    Plain,
    /// TLS, in which both sides agreed on this protocol, if on any.
    Tls(Option<Protocol>),
}

impl Session<'_> {
    /// The port that goes without saying.
    pub(crate) const fn default_port(&self) -> u16 {
        if self.is_secure() { 443 } else { 80 }
    }

    pub(crate) const fn is_secure(&self) -> bool {
        matches!(self.carrier, Carrier::Tls(_))
    }

    /// Counts one request, to this path.
    pub(crate) fn meter(&self, path: &str) -> Meter {
        let (to, by) = (self.to.clone(), Arc::clone(&self.who.caller));
        self.context.meter(Place { to, by, carries: Carries::Request(path.to_owned()) })
    }

    /// What a new connection to the server is asked to speak.
    pub(crate) const fn alpn(&self) -> Alpn {
        match self.carrier {
            Carrier::Plain => Alpn::Absent,
            Carrier::Tls(protocol) => Alpn::only(protocol),
        }
    }
}

/// How serving a client ended.
pub(crate) enum End {
    /// Nothing is left to be said.
    Done,
    /// It gets these last words.
    Farewell(Vec<u8>),
    /// It closed its connection itself.
    Closed,
    /// Something was cut off, which must not look like a regular end.
    Broken,
}

impl End {
    /// Ends a client's connection so.
    pub(crate) async fn tell(self, client: impl Stream) {
        match self {
            Self::Done => exchange::farewell(client, &[]).await,
            Self::Closed => {}
            Self::Farewell(words) => exchange::farewell(client, &words).await,
            Self::Broken => exchange::reset(client),
        }
    }
}

/// Serves a connection of which `held` was read already, as long as `watch` lasts.
pub(crate) async fn serve(
    session: Session<'_>,
    (mut client, held): (TcpStream, Vec<u8>),
    mut watch: Watch,
    mut attempt: Attempt,
) {
    let mut first = First::new(held);
    let speech = tokio::select! {
        biased;
        (refusal, generation) = watch.ended() => {
            attempt.revoked(&refusal, generation);
            return exchange::reset(client);
        }
        speech = first.listen(&mut client) => speech,
    };
    match speech {
        Ok(Speech::Http1) => {
            if !allow(&mut attempt, &watch) {
                return exchange::reset(client);
            }
            let client = Client::new(client, &first.into_held());
            requests(&session, client, None, (&mut watch, &mut attempt)).await;
        }
        Ok(Speech::Tls(hello)) => {
            secure::serve(session, (client, first.into_held()), hello, (watch, attempt)).await;
        }
        Ok(Speech::Http2) => {
            if !allow(&mut attempt, &watch) {
                return exchange::reset(client);
            }
            let client = Rewound::new(first.into_held(), client);
            streams(&session, client, None, (&mut watch, &mut attempt)).await;
        }
        Err(refusal) => {
            attempt.refused(&refusal);
            exchange::reset(client);
        }
    }
}

/// Reports that the connection is allowed; says whether that is on record.
fn allow(attempt: &mut Attempt, watch: &Watch) -> bool {
    let permit = watch.permit();
    attempt.allowed(permit.rule(), None, permit.generation())
}

/// Serves the requests of a client that speaks HTTP/1.
async fn requests<C: Stream>(
    session: &Session<'_>,
    mut client: Client<C>,
    own: Option<Line>,
    (watch, attempt): (&mut Watch, &mut Attempt),
) {
    let end = tokio::select! {
        biased;
        (refusal, generation) = watch.ended() => {
            attempt.revoked(&refusal, generation);
            End::Broken
        }
        end = h1::serve(session, &mut client, own) => end,
    };
    if let Some(client) = client.into_inner() {
        end.tell(client).await;
    }
}

/// Serves the streams of a client that speaks HTTP/2.
async fn streams<C: Stream>(
    session: &Session<'_>,
    client: C,
    own: Option<(Upward, Reached)>,
    (watch, attempt): (&mut Watch, &mut Attempt),
) {
    // The connection beneath stays with HTTP/2 until its end: a second hold on it is what resets it.
    let beneath = client.tcp().as_fd().try_clone_to_owned();
    let end = tokio::select! {
        biased;
        (refusal, generation) = watch.ended() => {
            attempt.revoked(&refusal, generation);
            End::Broken
        }
        end = h2::serve(session, client, own) => end,
    };
    if let (End::Broken, Ok(beneath)) = (end, beneath) {
        // Failing means that the connection is already gone.
        let _ = SockRef::from(&beneath).set_linger(Some(Duration::ZERO));
    }
}
