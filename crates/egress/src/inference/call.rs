//! One call: read, allowed, written anew, sent.

use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_ENCODING;
use http::{HeaderMap, Request, Version};
use http_body_util::{BodyExt, Either, Full};
use hyper::body::{Body, Incoming};
use jiff::Timestamp;
use openshell_inference::{BODY, Call, Outgoing, Refused};
use openshell_types::{Authority, Host, HostName, ModelProtocol, Port, Route};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::answer::{Kept, Reply, Search, pass_on};
use super::backend::{Unsent, dial};
use super::cost::Cost;
use super::failure::Failure;
use super::record::CallRecord;
use super::visit::Visit;
use crate::accept::Context;
use crate::authorize::{Permit, authorize_calls};
use crate::http::body::kib;
use crate::limits;
use crate::refusal::Refusal;
use crate::seams::PolicyInForce;

/// Answers one request.
pub(super) async fn serve(
    context: Arc<Context>,
    visit: Arc<Visit>,
    request: Request<Incoming>,
) -> Reply {
    let mut record = CallRecord::begin(&context, &visit);
    let read = read(&visit, &request, &mut record);
    let protocol = match &read {
        Ok(call) => Some(call.operation.protocol()),
        Err(_) => visit.door.protocol(),
    };
    let result = match read {
        Ok(call) => exchange(&context, &visit, (call, request), &mut record).await,
        Err(failure) => Err(failure),
    };
    match result {
        Ok(Answered { call, answer, cost, kept, search }) => {
            pass_on(&call, (answer, search), (record, cost, kept))
        }
        Err(failure) => {
            let told = (record.destination(), record.binary());
            let response = failure.response(protocol, told);
            record.failed(&failure);
            response.map(|body| Either::Left(Full::new(body)))
        }
    }
}

/// Reads what a request asks for.
fn read(
    visit: &Visit,
    request: &Request<Incoming>,
    record: &mut CallRecord,
) -> Result<Call, Failure> {
    record.asks(format!("{} {}", request.method(), request.uri().path()));
    record.check()?;
    same_door(visit, request)?;
    let call = Call::read(&visit.door, request.method(), request.uri())?;
    record.calls(&call);
    Ok(call)
}

/// SECURITY: C3, C4, F4; a request for another name is not for this door.
fn same_door(visit: &Visit, request: &Request<Incoming>) -> Result<(), Refusal> {
    let other = || Refusal::other_authority(&visit.to);
    let mut named = request.headers().get_all(http::header::HOST).iter();
    let (host, more) = (named.next(), named.next());
    if more.is_some() || (host.is_none() && request.version() == Version::HTTP_11) {
        return Err(other());
    }
    let host = host.map(http::HeaderValue::to_str).transpose().map_err(|_| other())?;
    let target = request.uri().authority().map(http::uri::Authority::as_str);
    let is_ours = |text: &str| match Host::parse(text) {
        Ok(host) => host == visit.to.host,
        Err(_) => Authority::parse(text).is_ok_and(|named| named == visit.to),
    };
    if host.into_iter().chain(target).all(is_ours) { Ok(()) } else { Err(other()) }
}

/// A backend's answer, and what it is an answer to.
struct Answered {
    call: Call,
    answer: http::Response<Incoming>,
    cost: Cost,
    kept: Kept,
    /// Looks through it.
    search: Option<Search>,
}

async fn exchange(
    context: &Arc<Context>,
    visit: &Visit,
    (call, request): (Call, Request<Incoming>),
    record: &mut CallRecord,
) -> Result<Answered, Failure> {
    let protocol = call.operation.protocol();
    // Before the body is read: most of what is refused is refused here.
    let (_, route, _) = permitted(context, visit, protocol)?;
    record.goes_to(&route);
    let mut cost = Cost::new(context, protocol);
    cost.check()?;
    let (head, body) = request.into_parts();
    let (body, mut room) = collect(context, (&call, &head.headers), body).await?;
    let mut shared = None;
    let (mut may_be_stale, mut is_counted) = (true, false);
    loop {
        let (policy, route, permit) = permitted(context, visit, protocol)?;
        record.goes_to(&route);
        // What is refused dials nobody.
        let mut outgoing = Outgoing::write(&call, &route, &head.headers, body.clone())?;
        if let Some(mut room) = room.take() {
            let octets = body.len().saturating_add(outgoing.body.len());
            shared = Some(Arc::new(room.split(kib(octets) as usize).unwrap_or(room)));
        }
        if let Some(room) = &shared {
            outgoing.body =
                Bytes::from_owner(Held { body: outgoing.body, _room: Arc::clone(room) });
        }
        let base = &route.base;
        let waiting = if may_be_stale { context.backends.take(base).await } else { None };
        let mut wire = match waiting {
            Some(wire) => wire,
            None => {
                may_be_stale = false;
                dial(context, permit.for_backend(&base.authority), base).await?
            }
        };
        // SECURITY: I13; from here on the state of before is not over until this is sent.
        let sending = policy.sending.begin();
        if context.policy.borrow().state() != policy.state() {
            context.backends.put(base, wire);
            continue;
        }
        if !is_counted {
            if let Err(refusal) = cost.sends(call.operation, outgoing.body.len()) {
                context.backends.put(base, wire);
                return Err(refusal.into());
            }
            is_counted = true;
        }
        match timeout(route.idle, wire.send(base, outgoing, sending)).await {
            Ok(Ok(answer)) => {
                let echoes = policy.routes.echoes(protocol);
                let search =
                    echoes.map(|own| Search::new(context, own, answer.headers())).transpose()?;
                let kept = Kept { context: Arc::clone(context), route: Arc::clone(&route), wire };
                return Ok(Answered { call, answer, cost, kept, search });
            }
            Ok(Err(Unsent::Again)) if may_be_stale => {}
            Ok(Err(Unsent::Again)) => {
                return Err(Failure::Broken("it ended the connection at once".to_owned()));
            }
            Ok(Err(Unsent::Failed(failure))) => return Err(failure),
            Err(_) => return Err(Failure::Silent(route.idle.as_secs())),
        }
    }
}

/// A body, and the room that it takes until nobody has it any more.
/// SECURITY: N6; a backend may answer, and read what it was sent late or never.
struct Held {
    body: Bytes,
    _room: Arc<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

/// The backend of a protocol, and the permit of this caller for it, under the policy in force.
fn permitted(
    context: &Context,
    visit: &Visit,
    protocol: ModelProtocol,
) -> Result<(Arc<PolicyInForce>, Arc<Route>, Permit), Failure> {
    let policy = Arc::clone(&context.policy.borrow());
    let route = policy.routes.get(protocol).cloned().ok_or(Refused::NoRoute(protocol))?;
    Refused::check_expiry(&route, Timestamp::now().as_millisecond())?;
    let to = stands_for(protocol)?;
    let (rule, by) = (format!("{}{protocol}", Route::RULE_PREFIX), Arc::clone(&visit.who.caller));
    let permit = authorize_calls(Arc::clone(&policy), (&rule, to), by)?;
    Ok((policy, route, permit))
}

/// The destination by which the policy has a word on who may use a backend.
fn stands_for(protocol: ModelProtocol) -> Result<Authority, Refusal> {
    let name = HostName::parse(&format!("{protocol}.inference.local"));
    match (name, Port::new(443)) {
        (Ok(name), Some(port)) => Ok(Authority { host: Host::Name(name), port }),
        _ => Err(Refusal::unsupported("the protocol has no name".to_owned())),
    }
}

/// Reads a whole body. SECURITY: N6; what callers can make us hold is bounded over all of them.
async fn collect(
    context: &Context,
    (call, headers): (&Call, &HeaderMap),
    mut body: Incoming,
) -> Result<(Bytes, Option<OwnedSemaphorePermit>), Failure> {
    if !call.operation.has_body() || body.is_end_stream() {
        return Ok((Bytes::new(), None));
    }
    let length = body.size_hint().exact().map_or(Ok(BODY), usize::try_from);
    let length = length.ok().filter(|length| *length <= BODY).ok_or(Refused::TooLong)?;
    let read = async {
        let mut gathered = Gathered::new(context, length);
        while let Some(frame) = body.frame().await {
            let gone = |error: hyper::Error| {
                let detail = format!("the caller went away: {error}");
                Refusal::no_request("no_request", &detail)
            };
            let Ok(data) = frame.map_err(gone)?.into_data() else { continue };
            gathered.push(&data).await?;
        }
        if headers.contains_key(CONTENT_ENCODING) {
            // Without its coding it may become as long as any.
            gathered.claim(gathered.bytes.len().saturating_add(BODY)).await?;
        }
        Ok((gathered.bytes.into(), gathered.room))
    };
    timeout(limits::BODY_TIMEOUT, read).await.unwrap_or_else(|_| {
        Err(Refusal::no_request("body_timeout", "the body did not come in time").into())
    })
}

/// A body that is being read. SECURITY: N6; it takes room for what came of it, and not for what its
/// head promises.
struct Gathered {
    bytes: Vec<u8>,
    room: Option<OwnedSemaphorePermit>,
    rooms: Arc<Semaphore>,
    /// Octets that it will have at most.
    most: usize,
}

impl Gathered {
    fn new(context: &Context, most: usize) -> Self {
        Self { bytes: Vec::new(), room: None, rooms: Arc::clone(&context.bodies), most }
    }

    async fn push(&mut self, data: &[u8]) -> Result<(), Failure> {
        let length = self.bytes.len().saturating_add(data.len());
        if length > BODY {
            return Err(Refused::TooLong.into());
        }
        if length > self.bytes.capacity() {
            let twice = self.bytes.capacity().saturating_mul(2).max(limits::BODY_FIRST);
            let size = length.max(twice.min(self.most));
            self.claim(size).await?;
            self.bytes.reserve_exact(size.saturating_sub(self.bytes.len()));
        }
        self.bytes.extend_from_slice(data);
        Ok(())
    }

    /// Takes room for so many octets in all. SECURITY: N6; bodies that wait for each other's room do
    /// so for a while, and not until their time is up.
    async fn claim(&mut self, octets: usize) -> Result<(), Failure> {
        let has = self.room.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let more = kib(octets).saturating_sub(u32::try_from(has).unwrap_or(u32::MAX));
        if more == 0 {
            return Ok(());
        }
        let room = Arc::clone(&self.rooms).acquire_many_owned(more);
        let Ok(Ok(room)) = timeout(limits::BODY_ROOM, room).await else {
            return Err(Failure::NoRoom);
        };
        match &mut self.room {
            Some(own) => own.merge(room),
            own @ None => *own = Some(room),
        }
        Ok(())
    }
}
