//! HTTP/1 as clients speak it to us.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use openshell_codec::http1::{Body, Forwarded, RequestHead, Target, Version};
use openshell_types::Redacted;
use tokio::io::{AsyncRead, AsyncWriteExt};
use tokio::time::timeout;

use super::body::{self, Broken, Incoming, Outgoing};
use super::echo::Echo;
use super::inbox::Inbox;
use super::judge::{self, Passed, Question, Wants};
use super::line::{self, Line};
use super::record::{self, Account, RequestRecord};
use super::response::{self, Answered, Asked, Failed};
use super::searched::Search;
use super::websocket::{self, Opened, Opening};
use super::{End, Session};
use crate::authorize::{Permit, bound};
use crate::halves::{ReadHalf, WriteHalf, split};
use crate::ledger::Meter;
use crate::limits;
use crate::refusal::Refusal;
use crate::report::Attempt;
use crate::seams::State;
use crate::sending::InFlight;
use crate::stream::Stream;
use crate::upstream_proxy::{Use, absolute, refused};

/// A client's connection.
pub(crate) struct Client<C> {
    pub(super) inbox: Inbox<ReadHalf<C>>,
    pub(super) write: WriteHalf<C>,
}

/// What follows a request.
pub(crate) enum Next {
    /// Another may.
    Another,
    /// None does.
    End(End),
}

impl<C: Stream> Client<C> {
    /// One of which `held` was read already.
    pub(crate) fn new(stream: C, held: &[u8]) -> Self {
        let (read, write) = split(stream);
        Self { inbox: Inbox::new(read, held).with_idle(limits::BODY_IDLE), write }
    }

    /// The connection, without what was read of it. It is there, since both halves are.
    pub(crate) fn into_inner(self) -> Option<C> {
        self.inbox.into_inner().unsplit(self.write)
    }

    /// The connection, and what was read of it. It is there, since both halves are.
    pub(crate) fn into_parts(self) -> Option<(C, Vec<u8>)> {
        let (read, bytes) = self.inbox.into_parts();
        Some((read.unsplit(self.write)?, bytes.to_vec()))
    }

    /// The next request's head; `None` when the client ended its connection between two requests,
    /// or was silent for too long.
    pub(crate) async fn head(&mut self) -> Result<Option<RequestHead>, Refusal> {
        if self.inbox.bytes().is_empty() {
            match timeout(limits::KEPT_ALIVE, self.inbox.more()).await {
                Ok(Ok(1..)) => {}
                Ok(Ok(0) | Err(_)) | Err(_) => return Ok(None),
            }
        }
        timeout(limits::HEAD_TIMEOUT, self.begun_head()).await.unwrap_or_else(|_| {
            Err(Refusal::no_request(
                "head_timeout",
                "the client did not end its request head in time",
            ))
        })
    }

    /// The rest of a head that has begun.
    async fn begun_head(&mut self) -> Result<Option<RequestHead>, Refusal> {
        let mut seen = 0;
        loop {
            let new = self.inbox.bytes().get(seen..).unwrap_or_default();
            // A head ends with a line: between line ends there is nothing new to see.
            if new.contains(&b'\n') || self.inbox.bytes().len() >= RequestHead::LONGEST {
                let found = RequestHead::parse(self.inbox.bytes()).map_err(Refusal::bad_head)?;
                if let Some((head, length)) = found {
                    self.inbox.take(length);
                    return Ok(Some(head));
                }
            }
            seen = self.inbox.bytes().len();
            match self.inbox.more().await {
                Ok(1..) => {}
                Ok(0) => return Err(Refusal::no_request_at_all()),
                Err(error) => {
                    let detail = format!("the client went away: {error}");
                    return Err(Refusal::no_request("no_request", &detail));
                }
            }
        }
    }

    /// Whether it asks for a tunnel, by the head that was read, or what there is of one.
    pub(crate) fn asks_for_tunnel(&self, head: Option<&RequestHead>) -> bool {
        head.map_or_else(
            || self.inbox.bytes().starts_with(b"CONNECT "),
            |head| matches!(head.target, Target::Authority(_)),
        )
    }

    async fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write.write_all(bytes).await?;
        self.write.flush().await
    }
}

/// Serves the requests of one client, all to the same server, each judged. `own` is a connection
/// that is there for the first of them.
pub(crate) async fn serve<C: Stream>(
    session: &Session<'_>,
    client: &mut Client<C>,
    mut own: Option<Line>,
) -> End {
    let end = loop {
        let head = match client.head().await {
            Ok(Some(head)) => head,
            Ok(None) => break End::Done,
            Err(refusal) => break refuse(Account::new(session, None), &refusal),
        };
        let account = Account::new(session, None);
        match one(session, client, &head, (&mut own, account)).await {
            Next::Another => {}
            Next::End(end) => break end,
        }
    };
    if let Some(line) = own {
        session.context.lines.put(session, line);
    }
    end
}

/// One request in absolute form, to the server of `session`.
pub(crate) async fn forward<C: Stream>(
    session: &Session<'_>,
    client: &mut Client<C>,
    head: &RequestHead,
    attempt: &mut Attempt,
) -> Next {
    let mut own = None;
    let account = Account::new(session, Some(attempt));
    let next = one(session, client, head, (&mut own, account)).await;
    if let Some(line) = own {
        session.context.lines.put(session, line);
    }
    next
}

/// Records and words a refusal.
fn refuse(account: Account<'_>, refusal: &Refusal) -> End {
    End::Farewell(account.refused(refusal))
}

/// One request, from its head to the end of its answer.
async fn one<C: Stream>(
    session: &Session<'_>,
    client: &mut Client<C>,
    head: &RequestHead,
    (own, mut account): (&mut Option<Line>, Account<'_>),
) -> Next {
    let admitted = match admit(session, client, head, own, &mut account).await {
        Ok(admitted) => admitted,
        Err(refusal) => return Next::End(refuse(account, &refusal)),
    };
    let Admitted { line, mut passed, held, opening, state, mut meter, room: _room } = admitted;
    if let Err(refusal) = meter.count(passed.count) {
        *own = Some(line);
        return Next::End(refuse(account, &passed.about(&head.method, refusal)));
    }
    // SECURITY: M13; nothing goes upstream without its record.
    if !account.allowed(&passed, line.reached.ip()) {
        return Next::End(End::Broken);
    }
    let decoded = passed.body.is_some();
    let held = passed.body.take().or(held);
    let outgo = Outgo { head, passed, held, decoded, opening, state, meter };
    exchange(session, client, outgo, (own, line)).await
}

/// A request that may go upstream.
struct Admitted<'a> {
    line: Line,
    passed: Passed,
    /// Its body, when it was read.
    held: Option<Vec<u8>>,
    /// The WebSocket that it asks for.
    opening: Option<Opening>,
    /// What allowed it.
    state: State,
    meter: Meter,
    room: Option<body::Room<'a>>,
}

/// Judges a request and connects it, under the policy that is in force when both are done.
async fn admit<'a, C: Stream>(
    session: &Session<'a>,
    client: &mut Client<C>,
    head: &RequestHead,
    own: &mut Option<Line>,
    account: &mut Account<'_>,
) -> Result<Admitted<'a>, Refusal> {
    let question = question(head);
    let mut held: Option<Vec<u8>> = None;
    let mut room = None;
    loop {
        let permit = line::permit(session)?;
        let state = permit.state();
        account.under(state.generation);
        let (mut passed, opening) = if account.judges(&permit) {
            let reading = judge::read(session, &permit, &question, account.request())?;
            let upgrade = websocket::wanted(head, &reading, &permit)?;
            if held.is_none() && head.body != Body::None {
                let wants = reading.wants(&question);
                (held, room) = read_body(session, client, head, wants).await?.unzip();
            }
            let passed = reading.decide(&permit, &question, held.as_deref())?;
            (passed, upgrade.map(|upgrade| Opening { upgrade, reading }))
        } else {
            (Passed::unjudged(&permit, question.target), None)
        };
        let mut meter = session.meter(passed.path());
        // What there is no room for dials nobody.
        let has_room = meter.check(passed.count);
        has_room.map_err(|refusal| passed.about(&head.method, refusal))?;
        if let Some(search) = &mut passed.search {
            search.reserve(session).await?;
        }
        let wanted = if opening.is_some() { Use::Tunnel } else { Use::PlainRequests };
        let terms = (may_repeat(head), wanted);
        let (found, permit) = line::line(session, permit, own.take(), terms).await?;
        // SECURITY: E10; while the server was dialled, the policy may have changed its mind.
        if permit.state() == state && session.context.policy.borrow().state() == state {
            return Ok(Admitted { line: found, passed, held, opening, state, meter, room });
        }
        *own = Some(found);
    }
}

fn question(head: &RequestHead) -> Question<'_> {
    let target = match &head.target {
        Target::Origin { path, .. } | Target::Absolute { path, .. } => path.as_str(),
        Target::Authority(_) => "",
    };
    let host = head.values("host").next().and_then(|value| std::str::from_utf8(value).ok());
    Question {
        method: &head.method,
        target,
        authority: host,
        headers: &head.headers,
        has_body: head.body != Body::None,
    }
}

/// Reads the body, if it must be known before the request can be judged.
async fn read_body<'a, C: Stream>(
    session: &Session<'a>,
    client: &mut Client<C>,
    head: &RequestHead,
    wants: Wants,
) -> Result<Option<(Vec<u8>, body::Room<'a>)>, Refusal> {
    let longest = match wants {
        Wants::Nothing => return Ok(None),
        // Of a longer form nothing is taken, so that all of it can be passed on.
        Wants::Form(longest) => match head.body {
            Body::Length(length) if length <= longest as u64 => longest,
            _ => return Ok(None),
        },
        Wants::Whole(longest) => longest,
    };
    let room = match head.body {
        Body::Length(length) if length > longest as u64 => {
            return Err(Refusal::body_too_long(longest));
        }
        Body::Length(length) => usize::try_from(length).unwrap_or(longest),
        Body::None | Body::Chunked => longest,
    };
    let room = body::room(session, room).await?;
    // RFC 9110, section 10.1.1: HTTP/1.0 knows no interim answers.
    let waits = head.version == Version::Http11 && head.expects_continue();
    if waits && client.inbox.bytes().is_empty() {
        client.say(CONTINUE).await.map_err(|error| gone(&error))?;
    }
    let body = body::collect(&mut client.inbox, Incoming::of_request(head.body), longest);
    match timeout(limits::BODY_TIMEOUT, body).await {
        Ok(Ok(Some(body))) => {
            let room = body::shrink(room, body.len());
            Ok(Some((body, room)))
        }
        Ok(Ok(None)) => Err(Refusal::body_too_long(longest)),
        Ok(Err(error)) => Err(gone(&error)),
        Err(_) => {
            Err(Refusal::no_request("body_timeout", "the client did not end its body in time"))
        }
    }
}

fn gone(error: &io::Error) -> Refusal {
    Refusal::no_request("no_request", &format!("the client went away: {error}"))
}

/// Whether a request may be sent again when its connection turns out to be closed (RFC 9110,
/// section 9.2.2), and nothing of it would be missing.
fn may_repeat(head: &RequestHead) -> bool {
    matches!(head.method.as_str(), "GET" | "HEAD" | "OPTIONS" | "PUT" | "DELETE")
        && head.body == Body::None
}

/// A request on its way out.
struct Outgo<'a> {
    head: &'a RequestHead,
    passed: Passed,
    held: Option<Vec<u8>>,
    /// Whether the codings of what is held were undone.
    decoded: bool,
    opening: Option<Opening>,
    /// What allowed it.
    state: State,
    meter: Meter,
}

/// Sends a request and passes its answer on.
async fn exchange<C: Stream>(
    session: &Session<'_>,
    client: &mut Client<C>,
    outgo: Outgo<'_>,
    (own, mut line): (&mut Option<Line>, Line),
) -> Next {
    let Outgo { head, mut passed, held, decoded, opening, state, meter } = outgo;
    let sending = passed.sending.take();
    line.count(&meter);
    let body = held.as_ref().map_or(head.body, |body| match body.len() as u64 {
        0 => Body::None,
        length => Body::Length(length),
    });
    let upgrade = opening.as_ref().map(|opening| &opening.upgrade);
    let (version, stays) = (head.version, head.keeps_alive());
    let (search, has_begun) = (passed.search.take(), AtomicBool::new(false));
    let echoes = passed.echoes.take();
    let echo = echoes.map(|echoes| Echo::new(session, echoes, (&head.method, passed.path())));
    // Two connections to the same server may want the request in two forms.
    let write = |is_forward: bool| {
        let target = if is_forward {
            Cow::Owned(absolute(&session.to, passed.sent_target()))
        } else {
            Cow::Borrowed(passed.sent_target())
        };
        let (authority, default_port) = (&session.to, session.default_port());
        let replaced = &passed.placed.fields;
        let forwarded =
            Forwarded { target: &target, authority, default_port, body, decoded, replaced };
        let mut bytes = match upgrade {
            Some(upgrade) => head.to_switching_upstream(&forwarded, upgrade),
            None => head.to_upstream(&forwarded),
        };
        bytes.extend_from_slice(held.as_deref().unwrap_or_default());
        let (method, has_begun, echo) = (&head.method, &has_begun, echo.as_ref());
        let asked = Asked { method, version, stays, upgrade, is_forward, echo, has_begun };
        (Redacted::new(bytes), asked)
    };
    let streamed = if held.is_some() { Body::None } else { head.body };
    let was_used = line.is_used;
    let written = write(line.is_forward);
    let mut outcome = match send(&mut line, written, sending).await {
        Ok(asked) => attempt(session, client, &mut line, &asked, (streamed, search)).await,
        Err(failed) => Err(failed),
    };
    if let Err(Failed::Unanswered(error)) = &outcome
        && (was_used && may_repeat(head) && line::is_gone(error))
    {
        let wanted = if upgrade.is_some() { Use::Tunnel } else { Use::PlainRequests };
        outcome = match again(session, state, wanted).await {
            Ok((fresh, sending)) => {
                line = fresh;
                line.count(&meter);
                let written = write(line.is_forward);
                match send(&mut line, written, Some(sending)).await {
                    Ok(asked) => {
                        attempt(session, client, &mut line, &asked, (streamed, None)).await
                    }
                    Err(failed) => Err(failed),
                }
            }
            Err(refusal) => return Next::End(last_words(session, &refusal)),
        };
    }
    let denied = match &outcome {
        Err(Failed::Denied(refusal)) => Some(&**refusal),
        Err(_) => line.spent(),
        Ok(_) => None,
    };
    if let (Err(failed), Some(refusal)) = (&outcome, denied) {
        let refusal = passed.about(&head.method, refusal.clone());
        record::cut(session, (&head.method, passed.path()), &refusal);
        let is_midway = matches!(failed, Failed::Midway) || has_begun.load(Ordering::Relaxed);
        return Next::End(if is_midway { End::Broken } else { last_words(session, &refusal) });
    }
    match (outcome, opening) {
        (Ok(Answered { switched: Some(agreed), .. }), Some(Opening { reading, .. })) => {
            let opened = Opened { reading, question: question(head), agreed, echo };
            Next::End(websocket::serve(session, client, line, opened).await)
        }
        (Ok(Answered { server_stays, client_stays, is_private, .. }), _) => {
            line.is_private |= is_private || asks_for_private(head);
            line.rest();
            *own = server_stays.then_some(line);
            if client_stays { Next::Another } else { Next::End(End::Done) }
        }
        (Err(Failed::Unanswered(error)), _) => {
            let detail = format!("the server gave no usable answer: {error}");
            Next::End(last_words(session, &Refusal::bad_answer(detail)))
        }
        (Err(Failed::Proxy(status)), _) => {
            Next::End(last_words(session, &refused(status, &session.to)))
        }
        (Err(Failed::Midway | Failed::Denied(_)), _) => Next::End(End::Broken),
    }
}

/// Whether the request itself authenticates the connection, as an answer that does not mention it
/// may have accepted.
fn asks_for_private(head: &RequestHead) -> bool {
    ["authorization", "proxy-authorization"]
        .iter()
        .flat_map(|name| head.values(name))
        .any(response::is_of_connection)
}

/// Words for a client whose request was allowed, and recorded, and then came to nothing.
fn last_words(session: &Session<'_>, refusal: &Refusal) -> End {
    End::Farewell(RequestRecord::begin(session).words(refusal))
}

/// A new connection for a request whose first one was closed.
async fn again(
    session: &Session<'_>,
    state: State,
    wanted: Use,
) -> Result<(Line, InFlight), Refusal> {
    let permit: Permit = line::permit(session)?;
    let (line, permit) = line::line(session, permit, None, (false, wanted)).await?;
    // SECURITY: E10; the request was judged once, and under no other policy is it sent.
    let in_force = Arc::clone(&session.context.policy.borrow());
    let sending = in_force.sending.begin();
    if permit.state() != state || session.context.policy.borrow().state() != state {
        return Err(Refusal::unreachable("policy_changed", "the policy just changed".to_owned()));
    }
    Ok((line, sending))
}

/// Sends a head, and a body that was held. Values of credentials are in it: whoever changes them
/// waits for `sending` to be dropped.
async fn send<'a>(
    line: &mut Line,
    (bytes, asked): (Redacted<Vec<u8>>, Asked<'a>),
    sending: Option<InFlight>,
) -> Result<Asked<'a>, Failed> {
    let sent = async {
        line.write.write_all(bytes.expose()).await?;
        line.write.flush().await
    };
    let result = match &sending {
        // SECURITY: I13; a server that does not read cannot keep a value in force.
        Some(_) => timeout(limits::CREDENTIAL_SENT, sent)
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())),
        None => sent.await,
    };
    result.map(|()| asked).map_err(Failed::Unanswered)
}

/// Sends what is streamed, while the answer already comes in.
async fn attempt<C: Stream>(
    session: &Session<'_>,
    client: &mut Client<C>,
    line: &mut Line,
    asked: &Asked<'_>,
    (streamed, search): (Body, Option<Search>),
) -> Result<Answered, Failed> {
    let Client { inbox, write } = client;
    let answered = response::relay(asked, &mut line.inbox, write);
    let mut down = std::pin::pin!(async {
        if asked.echo.is_some() {
            return answered.await;
        }
        tokio::select! {
            biased;
            answered = answered => answered,
            (refusal, _) = bound(session.context.policy.clone(), &session.to) => {
                Err(Failed::Denied(Box::new(refusal)))
            }
        }
    });
    if streamed == Body::None {
        return tokio::select! {
            biased;
            answered = &mut down => answered,
            () = broke_off(inbox, asked.version, asked.stays) => Err(Failed::Midway),
        };
    }
    let outgoing = if streamed == Body::Chunked { Outgoing::Chunked } else { Outgoing::Plain };
    let incoming = Incoming::of_request(streamed);
    let sent = tokio::select! {
        biased;
        // SECURITY: E11; the rest of the body is not read, so neither connection goes on.
        early = &mut down => {
            return early.map(|answered| Answered {
                server_stays: false,
                client_stays: false,
                ..answered
            });
        }
        sent = body::relay(inbox, incoming, &mut line.write, outgoing, search) => sent,
    };
    match sent {
        // SECURITY: N2; nobody waits for the answer of a client that is gone.
        Ok(()) => tokio::select! {
            biased;
            answered = &mut down => answered,
            () = broke_off(inbox, asked.version, asked.stays) => Err(Failed::Midway),
        },
        Err(Broken::Source(_)) => Err(Failed::Midway),
        Err(Broken::Denied(refusal)) => Err(Failed::Denied(refusal)),
        Err(Broken::Sink) if line.write.is_spent() => Err(Failed::Midway),
        // The server does not want the rest; it may have said why.
        Err(Broken::Sink) => down.await.map(|answered| Answered {
            server_stays: false,
            client_stays: false,
            ..answered
        }),
    }
}

/// Waits for a client to break off while its answer is awaited. Whoever wants no other request may
/// have ended its side and still read.
async fn broke_off<R: AsyncRead + Unpin>(inbox: &mut Inbox<R>, version: Version, stays: bool) {
    // What comes early is the next request: it waits, and so does its end.
    while inbox.bytes().len() < limits::HEAD_READ {
        match inbox.more().await {
            Ok(1..) => {}
            Ok(0) if version == Version::Http10 || !stays => break,
            Ok(0) | Err(_) => return,
        }
    }
    std::future::pending().await
}

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
