//! A connection to a door of the router.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use openshell_audit::Way;
use openshell_inference::Door;
use openshell_types::Authority;
use rustls::AlertDescription;
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::call;
use crate::accept::Context;
use crate::authorize::{Decided, decide};
use crate::exchange;
use crate::http::first::{First, Speech};
use crate::http::secure::check_hello;
use crate::limits;
use crate::refusal::Refusal;
use crate::report::Attempt;
use crate::seams::Identified;
use crate::stream::Stream;
use crate::tls::{Rewound, accept, alert};

/// Who came to which door.
pub(crate) struct Visit {
    /// The name that was asked.
    pub(crate) to: Authority,
    pub(crate) door: Door,
    pub(crate) way: Way,
    pub(crate) who: Identified,
    /// Whether a call of it could not be recorded: then it makes no other.
    unrecorded: Arc<AtomicBool>,
}

impl Visit {
    pub(crate) fn new(to: Authority, door: Door, way: Way, who: Identified) -> Self {
        Self { to, door, way, who, unrecorded: Arc::default() }
    }

    pub(super) const fn unrecorded(&self) -> &Arc<AtomicBool> {
        &self.unrecorded
    }
}

/// Serves a connection of which `held` was read already, for as long as it is one for the router.
pub(crate) async fn serve(
    context: &Context,
    (mut client, held): (TcpStream, Vec<u8>),
    visit: Visit,
    mut attempt: Attempt,
) {
    let Some(context) = context.own.upgrade() else { return exchange::reset(client) };
    let mut first = First::new(held);
    let speech = first.listen(&mut client).await;
    let held = first.into_held();
    match speech {
        Ok(Speech::Tls(hello)) => {
            let (host, leaves) = (&visit.to.host, &context.seams.tls.leaves);
            let config = check_hello(host, &hello).and_then(|offer| {
                leaves.config(host, offer).map_err(|error| {
                    let refusal = Refusal::unreachable("leaf", error.to_string());
                    (refusal, AlertDescription::InternalError)
                })
            });
            let config = match config {
                Ok(config) => config,
                Err((refusal, description)) => {
                    attempt.refused(&refusal);
                    return exchange::farewell(client, &alert(description)).await;
                }
            };
            match accept(held, client, config).await {
                Ok(client) => converse(context, client, visit, attempt).await,
                Err(error) => {
                    let detail = format!("the TLS handshake with the client failed: {error}");
                    attempt.refused(&Refusal::no_request("client_tls", &detail));
                }
            }
        }
        Ok(Speech::Http1 | Speech::Http2) if visit.to.port.number() == PLAIN => {
            converse(context, Rewound::new(held, client), visit, attempt).await;
        }
        Ok(Speech::Http1 | Speech::Http2) => {
            let detail = format!("`{}` is spoken to in TLS", visit.to);
            attempt.refused(&Refusal::unsupported(detail));
            exchange::reset(client);
        }
        Err(refusal) => {
            attempt.refused(&refusal);
            exchange::reset(client);
        }
    }
}

/// Serves the requests of a client. When the connection is no longer one for the router, those that
/// have begun are served to their end.
async fn converse(context: Arc<Context>, client: impl Stream, visit: Visit, mut attempt: Attempt) {
    let mut policies = context.policy.clone();
    let generation = policies.borrow_and_update().generation;
    // SECURITY: M13; what a call cost is known at its end. Before its beginning stands this.
    if !attempt.allowed(RULE, None, generation) {
        return;
    }
    let visit = Arc::new(visit);
    let has_asked = Arc::new(AtomicBool::new(false));
    let served = (Arc::clone(&context), Arc::clone(&visit), Arc::clone(&has_asked));
    let service = service_fn(move |request| {
        let (context, visit, has_asked) = served.clone();
        has_asked.store(true, Ordering::Relaxed);
        async move { Ok::<_, Infallible>(call::serve(context, visit, request).await) }
    });
    let server = server();
    let mut connection = pin!(server.serve_connection(TokioIo::new(client), service));
    let mut silence = pin!(sleep(limits::CALLER_IDLE));
    let (mut is_ending, mut is_waiting) = (false, true);
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "A connection to the router broke");
                }
                return;
            }
            // SECURITY: N2; the library has no limit before it knows which HTTP is spoken.
            () = silence.as_mut(), if is_waiting => {
                if !has_asked.load(Ordering::Relaxed) {
                    return;
                }
                is_waiting = false;
            }
            Ok(()) = policies.changed(), if !is_ending => {
                if !is_routed(&context, &visit) {
                    connection.as_mut().graceful_shutdown();
                    is_ending = true;
                }
            }
        }
    }
}

fn is_routed(context: &Context, visit: &Visit) -> bool {
    let policy = Arc::clone(&context.policy.borrow());
    let decided = decide(policy, visit.to.clone(), Arc::clone(&visit.who.caller));
    matches!(decided, Ok(Decided::Routed(door)) if door == visit.door)
}

fn server() -> auto::Builder<TokioExecutor> {
    let mut server = auto::Builder::new(TokioExecutor::new());
    server
        .http1()
        .timer(TokioTimer::new())
        // It counts between two requests, too.
        .header_read_timeout(limits::CALLER_IDLE)
        .max_buf_size(HEAD);
    server
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits::STREAMS)
        .initial_stream_window_size(limits::STREAM_WINDOW)
        .initial_connection_window_size(limits::CONNECTION_WINDOW)
        .max_send_buf_size(limits::STREAM_SENT)
        .max_header_list_size(u32::try_from(HEAD).unwrap_or(u32::MAX))
        // SECURITY: F5; a flood of streams that are reset at once ends the connection.
        .max_pending_accept_reset_streams(limits::RESET_STREAMS)
        .keep_alive_interval(limits::CALLER_IDLE)
        .keep_alive_timeout(limits::CALLER_PING);
    server
}

/// What stands for a rule in the record of a connection.
const RULE: &str = "inference";

/// The port without TLS.
const PLAIN: u16 = 80;

/// The longest head of a request, in octets.
const HEAD: usize = 64 * 1024;
