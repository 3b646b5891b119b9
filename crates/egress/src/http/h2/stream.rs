//! One stream: one request and its answer.

use std::future::poll_fn;
use std::time::Duration;

use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri, Version};
use openshell_codec::http1::{Header, goes_to_client, goes_upstream};
use tokio::time::{sleep, timeout};

use super::super::echo::{Answer, Echo};
use super::super::judge::{self, Passed, Question, Wants};
use super::super::line;
use super::super::record::{self, RequestRecord};
use super::super::searched::Search;
use super::super::{Session, body};
use super::relay;
use super::upstream::{Ready, Upstream, broken};
use crate::authorize::bound;
use crate::ledger::Meter;
use crate::limits;
use crate::refusal::Refusal;
use crate::sending::InFlight;

/// Serves one stream.
pub(super) async fn serve(
    session: &Session<'_>,
    upstream: &Upstream<'_>,
    request: Request<RecvStream>,
    mut answer: SendResponse<Bytes>,
) {
    let (head, mut body) = request.into_parts();
    let is_grpc = head.headers.get("content-type").is_some_and(|value| {
        value.as_bytes().get(..GRPC.len()).is_some_and(|start| start.eq_ignore_ascii_case(GRPC))
    });
    let mut record = RequestRecord::begin(session);
    let head = Head { headers: headers(&head.headers), head };
    let admitted = tokio::select! {
        biased;
        _ = poll_fn(|context| answer.poll_reset(context)) => {
            return record.refused(&Refusal::no_request("no_request", "the client took it back"));
        }
        admitted = admit(session, upstream, (&head, &mut body), &mut record) => admitted,
    };
    match admitted {
        Ok(Admitted { mut passed, held, ready, mut meter, room: _room }) => {
            let Ready { mut requests, heads, reached, place: _place } = ready;
            if let Err(refusal) = meter.count(passed.count) {
                let refusal = passed.about(head.head.method.as_str(), refusal);
                say(&record, answer, &refusal, is_grpc);
                return record.refused(&refusal);
            }
            // SECURITY: M13; nothing goes upstream without its record.
            if !record.allowed(&passed, reached.ip()) {
                return answer.send_reset(Reason::INTERNAL_ERROR);
            }
            let is_decoded = passed.body.is_some();
            let held = passed.body.take().or(held);
            let body_sent = (held.as_deref(), is_decoded);
            let outgoing = match to_upstream(session, &head, &passed, body_sent) {
                Ok(outgoing) => outgoing,
                Err(refusal) => return refuse(session, answer, &refusal, is_grpc),
            };
            let ends = body.is_end_stream() && held.as_ref().is_none_or(Vec::is_empty);
            let method = head.head.method.as_str();
            let octets = passed.target.len() + method.len() + relay::size(outgoing.headers());
            if let Err(refusal) = meter.charge(octets) {
                let refusal = passed.about(method, refusal);
                record::cut(session, (method, passed.path()), &refusal);
                return refuse(session, answer, &refusal, is_grpc);
            }
            let sent = requests.send_request(outgoing, ends);
            let mut sending = passed.sending.take();
            if let Ok((_, up)) = &sent
                && let Some(sending) = sending.take_if(|_| !passed.is_filled)
            {
                heads.of_stream(up.stream_id().into()).until_written(sending);
            }
            match sent {
                Ok((response, up)) => {
                    let idle = (!is_grpc).then_some(limits::BODY_IDLE);
                    let held = held.map(|body| (body, sending));
                    let search = passed.search.take();
                    let up = Up { stream: up, held, body, ends, idle, meter, search };
                    let echoes = passed.echoes.take();
                    let echo = echoes.map(|own| Echo::new(session, own, (method, passed.path())));
                    let back = Back { answer, is_grpc, echo: echo.as_ref() };
                    if let Err(refusal) = exchange(session, response, up, back).await {
                        let refusal = passed.about(method, *refusal);
                        record::cut(session, (method, passed.path()), &refusal);
                    }
                }
                Err(error) => refuse(session, answer, &broken(&error), is_grpc),
            }
        }
        Err(refusal) => {
            let words = |answer| say(&record, answer, &refusal, is_grpc);
            words(answer);
            record.refused(&refusal);
        }
    }
}

/// A request's head, and its fields as the policy is asked.
struct Head {
    head: http::request::Parts,
    headers: Vec<Header>,
}

/// A request that may go upstream.
struct Admitted<'a> {
    passed: Passed,
    held: Option<Vec<u8>>,
    ready: Ready,
    meter: Meter,
    room: Option<body::Room<'a>>,
}

/// Judges a request and finds its connection, under the policy that is in force when both are done.
async fn admit<'a>(
    session: &Session<'a>,
    upstream: &Upstream<'_>,
    (head, body): (&Head, &mut RecvStream),
    record: &mut RequestRecord,
) -> Result<Admitted<'a>, Refusal> {
    let question = question(session, head, !body.is_end_stream())?;
    let mut held: Option<Vec<u8>> = None;
    let mut room = None;
    loop {
        let permit = line::permit(session)?;
        let state = permit.state();
        record.under(state.generation);
        let reading = judge::read(session, &permit, &question, record)?;
        if held.is_none() && question.has_body {
            let wants = reading.wants(&question);
            (held, room) = read_body(session, body, head, wants).await?.unzip();
        }
        let mut passed = reading.decide(&permit, &question, held.as_deref())?;
        let mut meter = session.meter(passed.path());
        // What there is no room for dials nobody.
        let has_room = meter.check(passed.count);
        has_room.map_err(|refusal| passed.about(question.method, refusal))?;
        if let Some(search) = &mut passed.search {
            search.reserve(session).await?;
        }
        let (ready, permit) = upstream.ready(permit).await?;
        // SECURITY: E10; while the server was dialled, or had no room, the policy may have changed its mind.
        if permit.state() == state && session.context.policy.borrow().state() == state {
            return Ok(Admitted { passed, held, ready, meter, room });
        }
    }
}

fn question<'a>(
    session: &Session<'_>,
    head: &'a Head,
    has_body: bool,
) -> Result<Question<'a>, Refusal> {
    let uri = &head.head.uri;
    let scheme = if session.is_secure() { "https" } else { "http" };
    if head.head.method == Method::CONNECT {
        // SECURITY: F6; neither a tunnel nor another protocol in a stream.
        return Err(Refusal::unsupported("a tunnel within a stream is not allowed".to_owned()));
    }
    if uri.scheme_str() != Some(scheme) {
        return Err(Refusal::malformed_request(format!("the request's scheme is not {scheme}")));
    }
    let authority = uri.authority().map(http::uri::Authority::as_str);
    let mut hosts = head.headers.iter().filter(|header| header.name == "host");
    // SECURITY: F1; two names for the server, of which another reader may take the other.
    let differs = hosts.any(|host| authority.is_some_and(|name| host.value != name.as_bytes()));
    if authority.is_none() || differs {
        return Err(Refusal::other_authority(&session.to));
    }
    // SECURITY: F2; a rule would be asked about the space around a value, which a server strips.
    if let Some(header) = head.headers.iter().find(|header| has_space_around(&header.value)) {
        let name = &header.name;
        return Err(Refusal::malformed_request(format!(
            "there is space around the value of `{name}`"
        )));
    }
    let mut lengths = head.headers.iter().filter(|header| header.name == "content-length");
    let is_number =
        |length: &Header| !length.value.is_empty() && length.value.iter().all(u8::is_ascii_digit);
    // SECURITY: F3; the first is held against the body, another reader may take the second.
    if !lengths.next().is_none_or(is_number) || lengths.next().is_some() {
        return Err(Refusal::malformed_request("the body's length is ambiguous".to_owned()));
    }
    let target = uri.path_and_query().map_or("", http::uri::PathAndQuery::as_str);
    let method = head.head.method.as_str();
    Ok(Question { method, target, authority, headers: &head.headers, has_body })
}

/// Whether a value begins or ends with what RFC 9113, section 8.2.1, forbids there.
fn has_space_around(value: &[u8]) -> bool {
    let is_space = |octet: Option<&u8>| matches!(octet, Some(b' ' | b'\t'));
    is_space(value.first()) || is_space(value.last())
}

fn headers(map: &HeaderMap) -> Vec<Header> {
    map.iter()
        .map(|(name, value)| Header {
            name: name.as_str().to_owned(),
            value: value.as_bytes().to_vec(),
        })
        .collect()
}

/// Reads the body, if it must be known before the request can be judged.
async fn read_body<'a>(
    session: &Session<'a>,
    stream: &mut RecvStream,
    head: &Head,
    wants: Wants,
) -> Result<Option<(Vec<u8>, body::Room<'a>)>, Refusal> {
    let stated = head.head.headers.get("content-length").and_then(|value| value.to_str().ok());
    let stated: Option<usize> = stated.and_then(|text| text.parse().ok());
    let longest = match wants {
        Wants::Nothing => return Ok(None),
        // Of a longer form nothing is taken, so that all of it can be passed on.
        Wants::Form(longest) if stated.is_some_and(|length| length <= longest) => longest,
        Wants::Form(_) => return Ok(None),
        Wants::Whole(longest) => longest,
    };
    let room = body::room(session, stated.unwrap_or(longest).min(longest)).await?;
    match timeout(limits::BODY_TIMEOUT, relay::collect(stream, longest)).await {
        Ok(Ok(Some(read))) => {
            let room = body::shrink(room, read.len());
            Ok(Some((read, room)))
        }
        Ok(Ok(None)) => Err(Refusal::body_too_long(longest)),
        Ok(Err(error)) => {
            Err(Refusal::no_request("no_request", &format!("the client went away: {error}")))
        }
        Err(_) => {
            Err(Refusal::no_request("body_timeout", "the client did not end its body in time"))
        }
    }
}

/// The request that goes upstream: the target that was judged, one authority, and no field of this
/// hop or of the way to us.
fn to_upstream(
    session: &Session<'_>,
    head: &Head,
    passed: &Passed,
    (held, is_decoded): (Option<&[u8]>, bool),
) -> Result<Request<()>, Refusal> {
    let scheme = if session.is_secure() { "https" } else { "http" };
    let authority = if session.to.port.number() == session.default_port() {
        session.to.host.to_string()
    } else {
        session.to.to_string()
    };
    let malformed =
        || Refusal::malformed_request("the request cannot be written in HTTP/2".to_owned());
    let uri = Uri::builder()
        .scheme(scheme)
        .authority(authority)
        .path_and_query(passed.sent_target())
        .build()
        .map_err(|_| malformed())?;
    let mut request = Request::new(());
    *request.method_mut() = head.head.method.clone();
    *request.version_mut() = Version::HTTP_2;
    *request.uri_mut() = uri;
    for (at, (name, value)) in head.head.headers.iter().enumerate() {
        // RFC 9113, section 8.2.2: the one value of `te` that has a meaning; gRPC needs it.
        let is_te = name == "te" && value == "trailers";
        let is_length = name == "content-length" && held.is_none();
        let is_coding =
            is_decoded && name == "content-encoding" || held.is_some() && name == "expect";
        if is_te || is_length || goes_upstream(name.as_str()) && !is_coding {
            let value = sent_value(passed, at, value).ok_or_else(malformed)?;
            request.headers_mut().append(name, value);
        }
    }
    if let Some(body) = held {
        request.headers_mut().insert("content-length", HeaderValue::from(body.len()));
    }
    Ok(request)
}

/// The value of a field as it goes out. One that is a credential's is not kept in the compression's
/// table (RFC 7541, section 7.1.3).
fn sent_value(passed: &Passed, at: usize, value: &HeaderValue) -> Option<HeaderValue> {
    let Some((_, other)) = passed.placed.fields.iter().find(|(index, _)| *index == at) else {
        return Some(value.clone());
    };
    let mut value = HeaderValue::from_bytes(other.expose()).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// What of a request is still to be sent.
struct Up {
    stream: h2::SendStream<Bytes>,
    /// A body that was read, and what waits until it is sent if values are in it.
    held: Option<(Vec<u8>, Option<InFlight>)>,
    body: RecvStream,
    ends: bool,
    /// How long the client may be silent in it; calls of gRPC go on for as long as they like.
    idle: Option<Duration>,
    meter: Meter,
    search: Option<Search>,
}

/// Sends the body, while the answer already comes in. Fails when a budget cut either off, or what is
/// in the body did.
async fn exchange(
    session: &Session<'_>,
    response: ResponseFuture,
    up: Up,
    Back { mut answer, is_grpc, echo }: Back<'_>,
) -> Result<(), Box<Refusal>> {
    let mut is_whole = up.ends;
    let mut meter = up.meter.clone();
    let mut sent = std::pin::pin!(send(up));
    let mut is_sent = false;
    let mut response = std::pin::pin!(response);
    let mut bound = std::pin::pin!(bound(session.context.policy.clone(), &session.to));
    let received = loop {
        tokio::select! {
            received = &mut response => break received,
            (refusal, _) = &mut bound, if echo.is_none() => {
                refuse(session, answer, &refusal, is_grpc);
                return Err(Box::new(refusal));
            }
            result = &mut sent, if !is_sent => {
                (is_sent, is_whole) = (true, result.is_ok());
                match result {
                    Err(relay::Broken::Source) => {
                        answer.send_reset(Reason::CANCEL);
                        return Ok(());
                    }
                    Err(relay::Broken::Denied(refusal)) => {
                        refuse(session, answer, &refusal, is_grpc);
                        return Err(refusal);
                    }
                    // The server may have said why it does not want the rest.
                    Ok(()) | Err(relay::Broken::Sink) => {}
                }
            }
            // SECURITY: a client that gives up takes its request back from the server.
            _ = poll_fn(|context| answer.poll_reset(context)) => return Ok(()),
        }
    };
    let (mut head, body) = match received {
        Ok(response) => response.into_parts(),
        Err(error) => {
            refuse(session, answer, &broken(&error), is_grpc);
            return Ok(());
        }
    };
    if let Err(refusal) = meter.charge(relay::size(&head.headers)) {
        refuse(session, answer, &refusal, is_grpc);
        return Err(Box::new(refusal));
    }
    let ends = body.is_end_stream();
    let search = match search_through(&mut head, ends, echo).await {
        Ok(search) => search,
        Err(refusal) => {
            refuse(session, answer, &refusal, is_grpc);
            return Err(refusal);
        }
    };
    let Ok(down) = answer.send_response(to_client(&head), ends) else { return Ok(()) };
    if !ends {
        let mut received =
            std::pin::pin!(relay::pump(body, down, goes_to_client, (None, meter, search)));
        loop {
            let result = tokio::select! {
                result = &mut received => match result {
                    Ok(()) => break,
                    Err(relay::Broken::Denied(refusal)) => return Err(refusal),
                    Err(_) => return Ok(()),
                },
                result = &mut sent, if !is_sent => result,
                (refusal, _) = &mut bound, if echo.is_none() => {
                    Err(relay::Broken::Denied(Box::new(refusal)))
                }
            };
            (is_sent, is_whole) = (true, result.is_ok());
            if let Err(relay::Broken::Denied(refusal)) = result {
                answer.send_reset(Reason::CANCEL);
                return Err(refusal);
            }
        }
    }
    if !is_whole {
        // The rest of the request is not wanted, and the stream is reset when this ends. curl 7.88
        // takes an answer for broken of which the reset comes with the last byte.
        sleep(limits::FAREWELL).await;
    }
    Ok(())
}

/// The way back to the client.
struct Back<'a> {
    answer: SendResponse<Bytes>,
    is_grpc: bool,
    /// What is looked for in the answer.
    echo: Option<&'a Echo<'a>>,
}

/// Masks values of credentials in a head, and gives the search through what follows it.
async fn search_through<'a>(
    head: &mut http::response::Parts,
    ends: bool,
    echo: Option<&'a Echo<'a>>,
) -> Result<Option<Answer<'a>>, Box<Refusal>> {
    let Some(echo) = echo else { return Ok(None) };
    echo.mask_map(&mut head.headers);
    if ends { Ok(None) } else { echo.body(&headers(&head.headers)).await.map(Some) }
}

async fn send(up: Up) -> Result<(), relay::Broken> {
    let Up { mut stream, held, body, ends, idle, meter, search } = up;
    if ends {
        return Ok(());
    }
    match held {
        // SECURITY: E3; a server that adds trailers to the fields would read what nobody judged.
        Some((held, None)) => relay::send_all(&mut stream, held, meter).await,
        Some((held, Some(sending))) => {
            let sent = relay::send_all(&mut stream, held, meter);
            // SECURITY: I13; a server that does not read cannot keep a value in force.
            let sent = timeout(limits::CREDENTIAL_SENT, sent).await.unwrap_or_else(|_| {
                stream.send_reset(Reason::CANCEL);
                Err(relay::Broken::Sink)
            });
            sent_soon(sending);
            sent
        }
        None => relay::pump(body, stream, |_| false, (idle, meter, search)).await,
    }
}

/// The library does not say when a body that was queued is on the wire.
fn sent_soon(sending: InFlight) {
    tokio::spawn(async move {
        sleep(limits::STREAM_BODY_SENT).await;
        drop(sending);
    });
}

/// The head that the client gets.
fn to_client(head: &http::response::Parts) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = head.status;
    *response.version_mut() = Version::HTTP_2;
    for (name, value) in &head.headers {
        if name == "content-length" || goes_to_client(name.as_str()) {
            response.headers_mut().append(name, value.clone());
        }
    }
    response
}

/// Words for a client whose request was allowed, and recorded, and then came to nothing.
fn refuse(session: &Session<'_>, answer: SendResponse<Bytes>, refusal: &Refusal, is_grpc: bool) {
    say(&RequestRecord::begin(session), answer, refusal, is_grpc);
}

fn say(record: &RequestRecord, mut answer: SendResponse<Bytes>, refusal: &Refusal, is_grpc: bool) {
    if is_grpc {
        if let Ok(head) = refusal.to_grpc().body(()) {
            // Failing means that the client is gone.
            let _ = answer.send_response(head, true);
        }
        return;
    }
    let (head, body) = refusal.to_parts(record.destination(), record.binary());
    if let Ok(head) = head.body(())
        && let Ok(mut stream) = answer.send_response(head, false)
    {
        // It is short: it waits in the stream for the client's window.
        let _ = stream.send_data(body.into(), true);
    }
}

const GRPC: &[u8] = b"application/grpc";
