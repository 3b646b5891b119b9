//! Answering the jail's DNS questions from the policy alone.
//!
//! SECURITY: A7; no question of a client ever causes a question of ours, so names carry nothing
//! out. Names are resolved when a permitted connection is dialled.

mod refused;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use openshell_codec::dns::{Answer, Query, RecordType};
use openshell_types::HostName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

pub(crate) use refused::{Refused, Why};

use crate::accept::Context;
use crate::limits;
use crate::names::{Pool, Synthetic};
use crate::seams::DnsSocket;

/// Answers datagrams for ever.
pub(crate) async fn serve_udp(context: &Context, socket: &impl DnsSocket) {
    // One octet more than the longest message, so that a cut one is seen to be too long.
    let mut buffer = vec![0; limits::DNS_MESSAGE + 1];
    let mut flushed = Instant::now();
    loop {
        let received = timeout(limits::DNS_FOLD, socket.recv(&mut buffer)).await;
        if flushed.elapsed() >= limits::DNS_FOLD {
            context.refused.flush();
            flushed = Instant::now();
        }
        let (length, client, server) = match received {
            Ok(Ok(received)) => received,
            Ok(Err(error)) => {
                tracing::warn!(%error, "Receiving a DNS question failed");
                sleep(limits::ACCEPT_PAUSE).await;
                continue;
            }
            Err(_) => continue,
        };
        let reply = buffer.get(..length).and_then(|message| answer(context, message));
        if let Some(reply) = reply
            && let Err(error) = socket.send(&reply, server, client).await
        {
            tracing::debug!(%error, "Sending a DNS answer failed");
        }
    }
}

/// Answers the questions of one connection, each behind two octets of length (RFC 7766).
pub(crate) async fn serve_tcp(context: &Context, mut client: TcpStream) {
    for _ in 0..limits::DNS_TCP_QUESTIONS {
        let exchange = timeout(limits::DNS_TCP_IDLE, async {
            let length = usize::from(client.read_u16().await?);
            // SECURITY: A11; what is longer is read no further.
            let mut message = vec![0; length.min(limits::DNS_MESSAGE + 1)];
            client.read_exact(&mut message).await?;
            let Some(reply) = answer(context, &message).filter(|_| length == message.len()) else {
                return Err(std::io::ErrorKind::InvalidData.into());
            };
            let length = u16::try_from(reply.len()).map_err(std::io::Error::other)?;
            client.write_all(&[&length.to_be_bytes(), reply.as_slice()].concat()).await
        });
        if !matches!(exchange.await, Ok(Ok(()))) {
            return;
        }
    }
}

/// The answer to one message; `None` when it gets none.
pub(crate) fn answer(context: &Context, message: &[u8]) -> Option<Vec<u8>> {
    match Query::parse(message) {
        Ok(query) => {
            let answer = decide(context, &query);
            Some(query.answer(&answer))
        }
        Err(error) => {
            context.refused.note("", "", Why::Malformed);
            error.answer()
        }
    }
}

fn decide(context: &Context, query: &Query) -> Answer {
    const INTERNET: u16 = 1;
    let refused = |why| {
        context.refused.note(&query.display_name(), &query.record_type.to_string(), why);
        Answer::NxDomain { prohibited: true }
    };
    let Some(name) = query.host() else {
        return refused(Why::NotInPolicy);
    };
    if query.class != INTERNET {
        return refused(Why::UnsupportedType);
    }
    if is_localhost(&name) {
        return match query.record_type {
            RecordType::A => Answer::Address(Ipv4Addr::LOCALHOST.into(), limits::DNS_TTL),
            RecordType::AAAA => Answer::Address(Ipv6Addr::LOCALHOST.into(), limits::DNS_TTL),
            _ => Answer::NoData,
        };
    }
    let policy = Arc::clone(&context.policy.borrow());
    if !policy.policy.resolves(&name) && !policy.routes.resolves(&name) {
        return refused(Why::NotInPolicy);
    }
    let pool = if policy.policy.resolves_for_udp(&name) { Pool::Both } else { Pool::Tcp };
    let choose: fn(Synthetic) -> IpAddr = match query.record_type {
        RecordType::A => |synthetic| synthetic.v4.into(),
        RecordType::AAAA => |synthetic| synthetic.v6.into(),
        // Asked beside A and AAAA by ordinary clients, and no sign of anything.
        RecordType::HTTPS => return Answer::NoData,
        // SECURITY: A10; the name exists, but carries nothing but addresses.
        _ => {
            refused(Why::UnsupportedType);
            return Answer::NoData;
        }
    };
    match context.names.bind(&name, pool) {
        Some(synthetic) => Answer::Address(choose(synthetic), limits::DNS_TTL),
        None => {
            refused(Why::PoolExhausted);
            Answer::ServFail
        }
    }
}

/// RFC 6761, section 6.3.
fn is_localhost(name: &HostName) -> bool {
    name.labels().next_back() == Some("localhost")
}
