//! HTTP/2, spoken on both sides: each stream is judged by its own head, and its frames are
//! relayed, trailers too. Nothing is ever turned into HTTP/1, so no field of one version is read by
//! the rules of the other.

mod relay;
mod stream;
mod upstream;

use std::future::poll_fn;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use h2::RecvStream;
use h2::server::{Connection, SendResponse};
use http::Request;
use tokio::time::timeout;

use super::{End, Session};
use crate::limits;
use crate::stream::{Stream, Upward};
use crate::upstream_proxy::Reached;
use upstream::Upstream;

/// Serves the streams of one client, all to the same server. `own` is a connection that is there
/// for them.
pub(crate) async fn serve<C: Stream>(
    session: &Session<'_>,
    client: C,
    own: Option<(Upward, Reached)>,
) -> End {
    let handshake = h2::server::Builder::new()
        .max_concurrent_streams(limits::STREAMS)
        .initial_window_size(limits::STREAM_WINDOW)
        .initial_connection_window_size(limits::CONNECTION_WINDOW)
        .max_send_buffer_size(limits::STREAM_SENT)
        .max_header_list_size(HEAD)
        // SECURITY: F5; a flood of streams that are reset at once ends the connection.
        .max_pending_accept_reset_streams(limits::RESET_STREAMS)
        .handshake(client);
    let Ok(Ok(mut connection)) = timeout(limits::H2_HANDSHAKE, handshake).await else {
        return End::Broken;
    };
    let upstream = Upstream::new(session, own).await;
    streams(session, &mut connection, &upstream).await
}

async fn streams<C: Stream>(
    session: &Session<'_>,
    connection: &mut Connection<C, Bytes>,
    upstream: &Upstream<'_>,
) -> End {
    let mut served = FuturesUnordered::new();
    loop {
        let accepted = tokio::select! {
            accepted = timeout(limits::KEPT_ALIVE, next(connection, served.len())) => accepted,
            Some(()) = served.next(), if !served.is_empty() => continue,
        };
        match accepted {
            Ok(Some(Ok((request, answer)))) => {
                served.push(stream::serve(session, upstream, request, answer));
            }
            Ok(Some(Err(error))) => {
                tracing::debug!(%error, "A client's HTTP/2 connection broke");
                return End::Broken;
            }
            Ok(None) => return End::Closed,
            Err(_) if served.is_empty() => {
                connection.graceful_shutdown();
            }
            Err(_) => {}
        }
    }
}

/// The next stream, when there is room for it.
/// SECURITY: F5; streams that a client resets no longer count for its connection, but are served
/// until they notice. Beyond the limit none is taken, and [`limits::RESET_STREAMS`] holds.
async fn next<C: Stream>(
    connection: &mut Connection<C, Bytes>,
    served: usize,
) -> Option<Result<(Request<RecvStream>, SendResponse<Bytes>), h2::Error>> {
    poll_fn(|context| {
        if served < limits::STREAMS as usize {
            connection.poll_accept(context)
        } else {
            connection.poll_closed(context).map(|closed| closed.err().map(Err))
        }
    })
    .await
}

/// The longest list of fields, in octets as they are counted without compression.
const HEAD: u32 = 64 * 1024;
