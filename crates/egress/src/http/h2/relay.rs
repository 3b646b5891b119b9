//! Moving what follows a head in a stream: data and trailers, no faster than they are read.

use std::future::poll_fn;
use std::time::Duration;

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream};
use http::HeaderMap;
use tokio::time::{Instant, sleep, timeout_at};

use super::super::searched::Sieve;
use crate::ledger::Meter;
use crate::limits;
use crate::refusal::Refusal;

/// Which side broke off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// The one that is read.
    Source,
    /// The one that is written.
    Sink,
    /// Neither: a budget has no room for more, or something is in the body that must not pass.
    Denied(Box<Refusal>),
}

/// Moves all of `from` to `to`, of trailers those whose name `keeps` wants. `from` may be silent for
/// `idle`, or for ever; `search` lets pass what may. When one breaks off, or what passes
/// is no longer granted, so does the other.
pub(super) async fn pump<S: Sieve>(
    mut from: RecvStream,
    mut to: SendStream<Bytes>,
    keeps: fn(&str) -> bool,
    (idle, mut meter, mut search): (Option<Duration>, Meter, Option<S>),
) -> Result<(), Broken> {
    loop {
        let until = search.as_ref().and_then(Sieve::until);
        let is_short = search.as_ref().is_some_and(Sieve::is_short);
        let data = tokio::select! {
            data = from.data() => data,
            () = sleep(limits::ANSWER_WAITS), if is_short => {
                let late = search.as_mut().map(Sieve::late).unwrap_or_default();
                send(&mut to, late.into(), false, &mut meter).await?;
                continue;
            }
            () = silence(idle, until) => {
                to.send_reset(Reason::CANCEL);
                return Err(Broken::Source);
            }
            _ = poll_fn(|context| to.poll_reset(context)) => return Err(Broken::Sink),
        };
        match data {
            Some(Ok(data)) => {
                let length = data.len();
                let ends = from.is_end_stream();
                let data = searched(&mut to, &mut search, data, ends)?;
                if ends || !data.is_empty() {
                    send_held(&mut to, &mut search, (data, ends), &mut meter).await?;
                }
                // Only now may the sender send as much again.
                let _ = from.flow_control().release_capacity(length);
                if ends {
                    return Ok(());
                }
            }
            Some(Err(error)) => {
                // SECURITY: E12; what was cut short is not ended as if it were whole.
                to.send_reset(error.reason().unwrap_or(Reason::INTERNAL_ERROR));
                return Err(Broken::Source);
            }
            None => break,
        }
    }
    let rest = searched(&mut to, &mut search, Bytes::new(), true)?;
    if !rest.is_empty() {
        send_held(&mut to, &mut search, (rest, false), &mut meter).await?;
    }
    match from.trailers().await {
        Ok(Some(trailers)) if trailers.keys().any(|name| keeps(name.as_str())) => {
            let mut all = HeaderMap::new();
            for (name, value) in trailers.iter().filter(|(name, _)| keeps(name.as_str())) {
                all.append(name, value.clone());
            }
            if let Some(search) = &search {
                search.trailers(&mut all);
            }
            granted(&mut to, &mut meter, size(&all))?;
            to.send_trailers(all).map_err(|_| Broken::Sink)
        }
        Ok(_) => to.send_data(Bytes::new(), true).map_err(|_| Broken::Sink),
        Err(error) => {
            to.send_reset(error.reason().unwrap_or(Reason::INTERNAL_ERROR));
            Err(Broken::Source)
        }
    }
}

/// What may pass after a part of a body came.
/// SECURITY: I7; what is denied in its middle is not ended as if it were whole.
fn searched(
    to: &mut SendStream<Bytes>,
    search: &mut Option<impl Sieve>,
    data: Bytes,
    ends: bool,
) -> Result<Bytes, Broken> {
    let Some(search) = search else { return Ok(data) };
    search.pass_shared(&data, ends).map_err(|refusal| {
        to.send_reset(Reason::CANCEL);
        Broken::Denied(refusal)
    })
}

/// Waits for as long as a side may be silent, and no longer than until then.
async fn silence(longest: Option<Duration>, until: Option<Instant>) {
    let silent = async {
        match longest {
            Some(longest) => sleep(longest).await,
            None => std::future::pending().await,
        }
    };
    match until {
        Some(until) => drop(timeout_at(until, silent).await),
        None => silent.await,
    }
}

/// Sends what a search gave, in the time that it has for what it held.
async fn send_held(
    to: &mut SendStream<Bytes>,
    search: &mut Option<impl Sieve>,
    (data, ends): (Bytes, bool),
    meter: &mut Meter,
) -> Result<(), Broken> {
    let Some(search) = search else { return send(to, data, ends, meter).await };
    let result = match search.until() {
        Some(until) => match timeout_at(until, send(to, data, ends, meter)).await {
            Ok(result) => result,
            Err(_) => {
                to.send_reset(Reason::CANCEL);
                Err(Broken::Sink)
            }
        },
        None => send(to, data, ends, meter).await,
    };
    search.sent();
    result
}

/// Sends a whole body.
pub(super) async fn send_all(
    to: &mut SendStream<Bytes>,
    body: Vec<u8>,
    mut meter: Meter,
) -> Result<(), Broken> {
    send(to, body.into(), true, &mut meter).await
}

/// How long fields count: as they would be written in HTTP/1.
pub(super) fn size(fields: &HeaderMap) -> usize {
    fields.iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len()).sum()
}

/// Sends as the reader makes room.
async fn send(
    to: &mut SendStream<Bytes>,
    mut data: Bytes,
    ends: bool,
    meter: &mut Meter,
) -> Result<(), Broken> {
    if data.is_empty() {
        return to.send_data(data, ends).map_err(|_| Broken::Sink);
    }
    while !data.is_empty() {
        to.reserve_capacity(data.len());
        let room = poll_fn(|context| to.poll_capacity(context)).await;
        let Some(Ok(room)) = room else { return Err(Broken::Sink) };
        let part = data.split_to(room.min(data.len()));
        let is_last = ends && data.is_empty();
        granted(to, meter, part.len())?;
        to.send_data(part, is_last).map_err(|_| Broken::Sink)?;
    }
    Ok(())
}

/// Counts what is to be sent; what there is no room for ends the stream.
/// SECURITY: E12; what was cut short is not ended as if it were whole.
fn granted(to: &mut SendStream<Bytes>, meter: &mut Meter, octets: usize) -> Result<(), Broken> {
    meter.charge(octets).map_err(|refusal| {
        to.send_reset(Reason::CANCEL);
        Broken::Denied(Box::new(refusal))
    })
}

/// Reads a whole body of at most `longest` octets; `None` when it is longer.
pub(super) async fn collect(
    from: &mut RecvStream,
    longest: usize,
) -> Result<Option<Vec<u8>>, h2::Error> {
    let mut body = Vec::new();
    while let Some(data) = from.data().await {
        let data = data?;
        if body.len().saturating_add(data.len()) > longest {
            return Ok(None);
        }
        body.extend_from_slice(&data);
        let _ = from.flow_control().release_capacity(data.len());
    }
    Ok(Some(body))
}
