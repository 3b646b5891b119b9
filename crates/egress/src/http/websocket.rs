//! A WebSocket that a client asked for, the policy allowed and the server agreed to: each message of
//! the client is judged before a byte of it goes upstream; the server's frames pass unchanged, but
//! where a credential is bound, see `masked`.
//!
//! Told are the upgrade, the first message that passes, and each that does not, or is only noted:
//! one event for each message of a busy connection would bury the others.

mod masked;

use std::pin::pin;

use openshell_codec::http1::RequestHead;
use openshell_codec::websocket::{
    Agreed, ClientReader, Deflate, Message, ServerReader, Upgrade, encode,
};
use rustix::rand::{GetRandomFlags, getrandom};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::{SemaphorePermit, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

use self::masked::Echoed;
use super::echo::Echo;
use super::h1::Client;
use super::inbox::Inbox;
use super::judge::{self, Question, Reading};
use super::line::{self, Line};
use super::record::{self, RequestRecord};
use super::{End, Session};
use crate::authorize::{Permit, PolicyWatch};
use crate::counted::is_used_up;
use crate::ledger::Meter;
use crate::limits;
use crate::refusal::Refusal;
use crate::seams::State;
use crate::sending::InFlight;
use crate::stream::Stream;
use crate::upstream_proxy::Reached;
use crate::vet::recheck;

/// A request for a WebSocket that may be one.
pub(super) struct Opening {
    pub(super) upgrade: Upgrade,
    /// As what it was judged.
    pub(super) reading: Reading,
}

/// A WebSocket to which the server agreed.
pub(super) struct Opened<'a> {
    pub(super) reading: Reading,
    /// The request that opened it.
    pub(super) question: Question<'a>,
    pub(super) agreed: Agreed,
    /// What is looked for in the server's messages.
    pub(super) echo: Option<Echo<'a>>,
}

/// The WebSocket that a request asks for. Another protocol is not spoken: the wish for it is not
/// passed on.
pub(super) fn wanted(
    head: &RequestHead,
    reading: &Reading,
    permit: &Permit,
) -> Result<Option<Upgrade>, Refusal> {
    const WORD: &[u8] = b"websocket";
    let is_wanted = head
        .values("upgrade")
        .any(|value| value.windows(WORD.len()).any(|word| word.eq_ignore_ascii_case(WORD)));
    if !is_wanted {
        return Ok(None);
    }
    // SECURITY: F7; behind an upgrade that nobody judges everything would pass.
    if !reading.has_messages() {
        let detail = "no rule of protocol `websocket` is for this path".to_owned();
        return Err(Refusal::unsupported(detail));
    }
    let fields = head.headers.iter().map(|own| (own.name.as_str(), own.value.as_slice()));
    let upgrade = Upgrade::parse(&head.method, head.version, fields)
        .map_err(|error| Refusal::malformed_request(error.to_string()))?;
    // SECURITY: I3; what the server says is searched, and masked, as it comes.
    let is_searched = permit.credentials().echoes(permit.to()).is_some();
    Ok(upgrade.map(|own| if is_searched { own.without_extensions() } else { own }))
}

/// Relays until one side ends.
pub(super) async fn serve<C: Stream>(
    session: &Session<'_>,
    client: &mut Client<C>,
    line: Line,
    opened: Opened<'_>,
) -> End {
    let Line { inbox: mut from_server, write: mut to_server, reached, .. } = line;
    let Client { inbox, write } = client;
    let (say, said) = oneshot::channel();
    let deflate = opened.agreed.deflate;
    let mut opened = opened;
    let echoed = opened.echo.take().map(Echoed::new);
    let is_searched = echoed.is_some();
    let mut talk = Talk {
        session,
        opened,
        reached,
        // A policy of another number is asked again before the first message.
        judged_by: None,
        policies: session.context.policy.clone(),
        is_told: false,
        is_searched,
        meter: to_server.meter.clone(),
    };
    let end = {
        let mut down = pin!(down(&mut from_server, write, (deflate, echoed), said));
        let mut up = pin!(talk.up(inbox, &mut to_server));
        tokio::select! {
            biased;
            over = &mut up => match over {
                Over::Closed => {
                    let _answer = timeout(limits::WEBSOCKET_CLOSE, down).await;
                    End::Done
                }
                Over::Gone => End::Done,
                Over::Unrecorded => End::Broken,
                Over::Stop(goodbye) => {
                    let _gone = say.send(goodbye);
                    let _late = timeout(limits::FAREWELL, down).await;
                    End::Done
                }
            },
            has_closed = &mut down => {
                if has_closed {
                    let _answer = timeout(limits::WEBSOCKET_CLOSE, up).await;
                }
                End::Done
            }
        }
    };
    let meters = [&from_server.meter, &to_server.meter];
    if let Some(refusal) = meters.into_iter().flatten().find_map(Meter::spent) {
        let Opened { reading, question, .. } = &talk.opened;
        record::cut(session, (question.method, reading.path()), refusal);
    }
    end
}

/// What a close frame tells.
struct Goodbye {
    code: u16,
    reason: String,
}

/// A budget has no room for more.
fn used_up() -> Goodbye {
    Goodbye { code: 1008, reason: "denied by policy: budget".to_owned() }
}

/// How a client's side ended.
enum Over {
    /// With a close frame, which the server got.
    Closed,
    /// Without a word, or the server takes no more.
    Gone,
    /// It is ended by us.
    Stop(Goodbye),
    /// What is allowed could not be recorded.
    Unrecorded,
}

impl Over {
    fn stop(code: u16, reason: impl Into<String>) -> Self {
        Self::Stop(Goodbye { code, reason: reason.into() })
    }
}

/// Passes the server's frames on, until its close frame (true), its end, a violation, or until
/// something else is to be said.
async fn down<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
    from: &mut Inbox<R>,
    to: &mut W,
    (deflate, mut echoed): (Option<Deflate>, Option<Echoed<'_>>),
    mut said: oneshot::Receiver<Goodbye>,
) -> bool {
    let mut reader = ServerReader::new(deflate);
    let goodbye = loop {
        let passed = match &mut echoed {
            Some(echoed) => echoed.pass(&mut reader, from.bytes()),
            None => reader.pass(from.bytes()),
        };
        let passed = match passed {
            Ok(passed) => passed,
            Err(violation) => break Goodbye { code: 1002, reason: violation.to_string() },
        };
        let bytes = match &echoed {
            Some(echoed) => echoed.passing(),
            None => from.bytes().get(..passed.bytes).unwrap_or_default(),
        };
        if to.write_all(bytes).await.is_err() {
            return false;
        }
        from.take(passed.bytes);
        if passed.closed {
            return to.flush().await.is_ok();
        }
        if passed.bytes > 0 {
            continue;
        }
        if to.flush().await.is_err() {
            return false;
        }
        tokio::select! {
            biased;
            goodbye = &mut said => match goodbye {
                Ok(goodbye) => break goodbye,
                Err(_) => return false,
            },
            read = from.more() => match read {
                Ok(1..) => {}
                Err(error) if is_used_up(&error) => break used_up(),
                Ok(0) | Err(_) => return false,
            },
        }
    };
    // Within a frame nothing can be said.
    if echoed.is_some() || reader.is_between_frames() {
        let mut frame = Vec::new();
        encode::close_to_client(goodbye.code, &goodbye.reason, &mut frame);
        let _gone = to.write_all(&frame).await;
        let _gone = to.flush().await;
    }
    false
}

/// A client's side of a WebSocket.
struct Talk<'a> {
    session: &'a Session<'a>,
    opened: Opened<'a>,
    reached: Reached,
    /// The policy that allowed the upgrade last.
    judged_by: Option<State>,
    policies: PolicyWatch,
    /// Whether a message that passed is on record.
    is_told: bool,
    /// Whether the server's messages are searched for values.
    is_searched: bool,
    /// Counts its messages.
    meter: Option<Meter>,
}

/// A message that has begun and not ended. There are only so many at once.
struct Assembly<'a> {
    begun: Instant,
    _place: SemaphorePermit<'a>,
}

impl<'a> Talk<'a> {
    /// Passes the client's messages on, as far as they are allowed.
    async fn up<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
        &mut self,
        from: &mut Inbox<R>,
        to: &mut W,
    ) -> Over {
        let mut reader = ClientReader::new(self.opened.agreed.deflate);
        let mut assembly: Option<Assembly<'a>> = None;
        loop {
            loop {
                match reader.next_message() {
                    Ok(Some(message)) => {
                        let is_control = matches!(message, Message::Ping(_) | Message::Pong(_));
                        // SECURITY: N6; a few octets may have become a large message.
                        if assembly.is_none() && is_large(&message) {
                            assembly = match self.begin_at_once() {
                                Ok(begun) => Some(begun),
                                Err(over) => return over,
                            };
                        }
                        if let Err(over) = self.pass(message, to).await {
                            return over;
                        }
                        // Only now is the memory that it took free again.
                        if !is_control {
                            assembly = None;
                        }
                    }
                    Ok(None) => break,
                    Err(violation) => {
                        return Over::stop(violation.close_code(), violation.to_string());
                    }
                }
            }
            if !from.bytes().is_empty() {
                let fed = reader.feed(from.bytes());
                from.take(fed);
                continue;
            }
            if !reader.is_mid_message() {
                assembly = None;
            } else if assembly.is_none() {
                assembly = match self.begin().await {
                    Ok(begun) => Some(begun),
                    Err(over) => return over,
                };
            }
            let deadline = assembly.as_ref().map(|assembly| {
                let idle = Instant::now() + limits::WEBSOCKET_ASSEMBLY_IDLE;
                idle.min(assembly.begun + limits::WEBSOCKET_ASSEMBLY)
            });
            let more = async {
                if deadline.is_some() { from.much_more().await } else { from.more().await }
            };
            tokio::select! {
                read = more => if !matches!(read, Ok(1..)) { return Over::Gone },
                () = until(deadline) => {
                    return Over::stop(1002, "a message was not ended in time");
                }
                () = change(&mut self.policies) => if let Err(over) = self.judge_again() {
                    return over;
                },
            }
        }
    }

    /// SECURITY: N6; what is held of unended messages is bounded over all connections.
    async fn begin(&self) -> Result<Assembly<'a>, Over> {
        let place = self.session.context.assemblies.acquire();
        match timeout(limits::WEBSOCKET_ASSEMBLY_IDLE, place).await {
            Ok(Ok(place)) => Ok(Assembly { begun: Instant::now(), _place: place }),
            Ok(Err(_)) | Err(_) => Err(Over::stop(1013, "too many messages are being read")),
        }
    }

    /// The same for a message that is there already, and does not wait.
    fn begin_at_once(&self) -> Result<Assembly<'a>, Over> {
        match self.session.context.assemblies.try_acquire() {
            Ok(place) => Ok(Assembly { begun: Instant::now(), _place: place }),
            Err(_) => Err(Over::stop(1013, "too many messages are being read")),
        }
    }

    /// Judges one message and sends it on.
    async fn pass<W: AsyncWrite + Unpin>(
        &mut self,
        message: Message,
        to: &mut W,
    ) -> Result<(), Over> {
        let (filled, sending) = self.fill(&message)?.unzip();
        match &message {
            Message::Text(text) => self.judge(Some(text))?,
            // SECURITY: F8; it cannot be read, so only rules that do not look into messages pass it.
            Message::Binary(_) => self.judge(None)?,
            Message::Ping(_) | Message::Pong(_) | Message::Close { .. } => {}
        }
        let message = filled.unwrap_or(message);
        let mut key = [0; 4];
        if !getrandom(&mut key, GetRandomFlags::empty()).is_ok_and(|got| got == key.len()) {
            return Err(Over::stop(1011, "no random bytes"));
        }
        let mut bytes = Vec::new();
        encode::to_server(&message, key, &mut bytes);
        let is_last = matches!(message, Message::Close { .. });
        drop(message);
        let sent = async {
            to.write_all(&bytes).await?;
            to.flush().await
        };
        // SECURITY: I13; a server that does not read cannot keep a value in force.
        let longest =
            if sending.is_some() { limits::CREDENTIAL_SENT } else { limits::WEBSOCKET_SEND };
        match timeout(longest, sent).await {
            Ok(Ok(())) if is_last => Err(Over::Closed),
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) if is_used_up(&error) => Err(Over::Stop(used_up())),
            Ok(Err(_)) => Err(Over::Gone),
            Err(_) => Err(Over::stop(1011, "the server does not take a message")),
        }
    }

    /// Looks for placeholders in a message: the one that goes out, if it is another. Whoever changes
    /// the values in it waits until it is sent.
    fn fill(&self, message: &Message) -> Result<Option<(Message, InFlight)>, Over> {
        let (session, reading) = (self.session, &self.opened.reading);
        if !session.context.policy.borrow().credentials.search_bodies(&session.to) {
            return Ok(None);
        }
        loop {
            let found = line::permit(session).and_then(|permit| {
                let filled = reading.fill_message(&permit, message)?;
                Ok(filled.map(|filled| (filled, permit.begin_sending(), permit.state())))
            });
            match found {
                Ok(None) => return Ok(None),
                // SECURITY: I13; asked for the last time when it is counted already.
                Ok(Some((filled, sending, state))) => {
                    if session.context.policy.borrow().state() == state {
                        return Ok(Some((filled, sending)));
                    }
                }
                Err(refusal) => return Err(self.denied(&refusal)),
            }
        }
    }

    /// Reports that a message is denied.
    fn denied(&self, refusal: &Refusal) -> Over {
        let mut record = RequestRecord::begin(self.session);
        record.asks(judge::MESSAGE, self.opened.reading.path());
        record.refused(refusal);
        Over::stop(1008, format!("denied by policy: {}", refusal.predicate()))
    }

    fn judge(&mut self, text: Option<&str>) -> Result<(), Over> {
        let state = self.session.context.policy.borrow().state();
        if self.judged_by != Some(state) {
            self.judge_again()?;
        }
        let Opened { reading, question, .. } = &self.opened;
        let mut record = RequestRecord::begin(self.session);
        record.asks(judge::MESSAGE, reading.path());
        let judged = line::permit(self.session)
            .and_then(|permit| reading.message(&permit, question, text))
            .and_then(|passed| match self.meter.as_mut().map(|meter| meter.count(passed.count)) {
                Some(Err(refusal)) => Err(passed.about(judge::MESSAGE, refusal)),
                Some(Ok(())) | None => Ok(passed),
            });
        match judged {
            Ok(passed) if passed.noted.is_some() || !self.is_told => {
                self.is_told |= passed.noted.is_none();
                // SECURITY: M13; nothing goes upstream without its record.
                let is_kept = record.allowed(&passed, self.reached.ip());
                if is_kept { Ok(()) } else { Err(Over::Unrecorded) }
            }
            Ok(_) => Ok(()),
            Err(refusal) => Err(self.denied(&refusal)),
        }
    }

    /// Asks about the upgrade again, when the policy has changed since, and for rules with a time
    /// limit.
    fn judge_again(&mut self) -> Result<(), Over> {
        let mut record = RequestRecord::begin(self.session);
        match self.upgrade(&mut record) {
            Ok((reading, state)) => {
                (self.opened.reading, self.judged_by) = (reading, Some(state));
                Ok(())
            }
            Err(refusal) => {
                record.refused(&refusal);
                Err(Over::stop(1012, "the policy has changed"))
            }
        }
    }

    fn upgrade(&self, record: &mut RequestRecord) -> Result<(Reading, State), Refusal> {
        let (session, question) = (self.session, &self.opened.question);
        let permit = line::permit(session)?;
        recheck(&permit, self.reached, &*session.context.seams.host)?;
        let reading = judge::read(session, &permit, question, record)?;
        if !reading.has_messages() {
            let detail = "no rule of protocol `websocket` is for this path".to_owned();
            return Err(Refusal::unsupported(detail));
        }
        let passed = reading.decide(&permit, question, None)?;
        // SECURITY: I3; it may be compressed.
        if passed.echoes.is_some() && !self.is_searched {
            let detail = "a credential was bound to the server since".to_owned();
            return Err(Refusal::unsupported(detail));
        }
        Ok((reading, permit.state()))
    }
}

/// Whether a message takes more than a connection's buffers do.
fn is_large(message: &Message) -> bool {
    let length = match message {
        Message::Text(text) => text.len(),
        Message::Binary(bytes) => bytes.len(),
        Message::Ping(_) | Message::Pong(_) | Message::Close { .. } => 0,
    };
    length > limits::RELAY_BUFFER
}

/// Waits until the policy has to be asked again.
async fn change(policies: &mut PolicyWatch) {
    let changed = timeout(limits::REJUDGE_EVERY, policies.changed());
    if let Ok(Err(_)) = changed.await {
        // Nobody can change the policy any more; time limits still count.
        tokio::time::sleep(limits::REJUDGE_EVERY).await;
    }
    policies.mark_unchanged();
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
