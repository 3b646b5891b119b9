//! A connection for one destination, asked for with `CONNECT` or captured on its way: relayed as it
//! is, or read as requests where these are judged.

use openshell_audit::Way;
use openshell_codec::http1::{Guess, looks_like_request};
use openshell_types::{Generation, Host};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::accept::Context;
use crate::authorize::{Decided, Permit, PolicyWatch, Watch, bound, decide_for};
use crate::exchange::{self, Dialled, HelloEnd};
use crate::http::{self, Carrier, Session};
use crate::inference::{self, Visit};
use crate::intent::Intent;
use crate::limits;
use crate::refusal::Refusal;
use crate::relay::Stop;
use crate::report::Attempt;
use crate::seams::{Identified, Unidentified};
use crate::upstream_proxy::{Reached, Use, reach};

/// Serves one.
pub(crate) async fn serve(
    context: &Context,
    client: TcpStream,
    intent: Intent,
    identified: Result<Identified, Unidentified>,
    mut attempt: Attempt,
) {
    attempt.came(intent.way);
    let permitted = decide_for(context, &intent.to, identified, &mut attempt);
    let way = intent.way;
    match permitted {
        Ok((who, Decided::Routed(door))) => {
            let Intent { to, way, early } = intent;
            let client = match established(client, way).await {
                Ok(client) => client,
                Err(refusal) => return attempt.refused(&refusal),
            };
            let visit = Visit::new(to, door, way, who);
            inference::serve(context, (client, early), visit, attempt).await;
        }
        Ok((who, Decided::Allowed(permit))) if permit.inspects() => {
            inspect(context, client, (permit, intent, who), attempt).await;
        }
        Ok((_, Decided::Allowed(permit))) => {
            attempt.permitted(permit.rule());
            match connect(context, permit).await {
                Ok((permit, server)) => {
                    splice(context, Ends { client, server }, (permit, intent), attempt).await;
                }
                Err(refusal) => refuse(client, way, attempt, &refusal).await,
            }
        }
        Err(refusal) => refuse(client, way, attempt, &refusal).await,
    }
}

/// Vet and dial. What it returns has been judged by the policy that is in force now.
async fn connect(context: &Context, permit: Permit) -> Result<(Permit, Dialled), Refusal> {
    permit.meter(context).check(0)?;
    let (server, mut permit) = reach(context, permit, Use::Tunnel).await?;
    permit.refresh(&mut context.policy.clone(), server.reached)?;
    if permit.inspects() {
        // A policy that judges requests came into force while this was dialled.
        return Err(Refusal::unreachable("policy_changed", "the policy just changed".to_owned()));
    }
    Ok((permit, server))
}

/// Reads what the client says as requests, and has each judged.
async fn inspect(
    context: &Context,
    client: TcpStream,
    (permit, intent, who): (Permit, Intent, Identified),
    mut attempt: Attempt,
) {
    let Intent { to, way, early } = intent;
    let client = match established(client, way).await {
        Ok(client) => client,
        Err(refusal) => return attempt.refused(&refusal),
    };
    let session = Session { context, to, carrier: Carrier::Plain, who, way };
    let watch = Watch::new(permit, context);
    http::serve(session, (client, early), watch, attempt).await;
}

/// Answers a `CONNECT`; other ways in wait for no answer.
async fn established(mut client: TcpStream, way: Way) -> Result<TcpStream, Refusal> {
    if way == Way::Connect && client.write_all(ESTABLISHED).await.is_err() {
        return Err(Refusal::no_request("no_request", "the client went away"));
    }
    Ok(client)
}

/// Both ends of an admitted connection.
struct Ends {
    client: TcpStream,
    server: Dialled,
}

/// How an exchange ended.
enum End {
    /// Both sides ended it.
    Done,
    /// One side broke off.
    Broken,
    /// The client's TLS hello was refused.
    Hello(Refusal),
    /// The policy changed its mind.
    Revoked(Refusal, Generation),
    /// That it is allowed could not be recorded.
    Unrecorded,
    /// A budget has no room for more.
    UsedUp(Refusal),
}

/// Relays while the permit holds.
async fn splice(
    context: &Context,
    ends: Ends,
    (mut permit, intent): (Permit, Intent),
    mut attempt: Attempt,
) {
    let Ends { mut client, server: Dialled { stream: mut server, reached, .. } } = ends;
    let mut policies: PolicyWatch = context.policy.clone();
    // The clone has seen nothing newer than what the permit was refreshed with, or sees it now.
    if let Err(refusal) = permit.refresh(&mut policies, reached) {
        return refuse(client, intent.way, attempt, &refusal).await;
    }
    let allowed =
        Allowed { rule: permit.rule().to_owned(), reached, generation: permit.generation() };
    let name = match &intent.to.host {
        Host::Name(name) => Some(name.clone()),
        Host::Address(_) => None,
    };
    let meter = permit.meter(context);
    let end = tokio::select! {
        biased;
        (refusal, generation) = permit.revoked(&mut policies, Some(reached)) => {
            End::Revoked(refusal, generation)
        }
        (refusal, generation) = bound(context.policy.clone(), &intent.to) => {
            End::Revoked(refusal, generation)
        }
        end = async {
            if intent.way == Way::Connect && client.write_all(ESTABLISHED).await.is_err() {
                return End::Broken;
            }
            let mut greeting = meter.clone();
            let mut pass = |bytes| {
                if !allowed.report(&mut attempt) {
                    return Err(HelloEnd::Unrecorded);
                }
                greeting.charge(bytes).map_err(HelloEnd::UsedUp)
            };
            let held = match &name {
                Some(name) => {
                    let ends = (&mut client, &mut server);
                    exchange::check_hello(ends, name, intent.early, &mut pass).await
                }
                None => Ok(intent.early),
            };
            match held.and_then(|held| pass(0).map(|()| held)) {
                Ok(held) => server.relay(&mut client, &held, meter).await.into(),
                Err(end) => end.into(),
            }
        } => end,
    };
    match end {
        End::Done => {}
        End::Broken => {
            // A side that broke off before the client said anything had still been allowed.
            allowed.report(&mut attempt);
            exchange::reset(client);
            exchange::reset(server);
        }
        End::Hello(refusal) => {
            attempt.refused_late(&refusal);
            exchange::reset(server);
            exchange::farewell(client, &exchange::UNRECOGNIZED_NAME).await;
        }
        End::UsedUp(refusal) => {
            attempt.revoked(&refusal, allowed.generation);
            exchange::reset(client);
            exchange::reset(server);
        }
        End::Revoked(refusal, generation) => {
            attempt.revoked(&refusal, generation);
            exchange::reset(client);
            exchange::reset(server);
        }
        // SECURITY: M13; an agent that fills the disk gets no connection without a record.
        End::Unrecorded => {
            exchange::reset(client);
            exchange::reset(server);
        }
    }
}

impl From<Result<(), Stop>> for End {
    fn from(result: Result<(), Stop>) -> Self {
        match result {
            Ok(()) => Self::Done,
            Err(Stop::Broken) => Self::Broken,
            Err(Stop::UsedUp(refusal)) => Self::UsedUp(refusal),
        }
    }
}

impl From<HelloEnd> for End {
    fn from(end: HelloEnd) -> Self {
        match end {
            HelloEnd::Refused(refusal) => Self::Hello(refusal),
            HelloEnd::Broken => Self::Broken,
            HelloEnd::Unrecorded => Self::Unrecorded,
            HelloEnd::UsedUp(refusal) => Self::UsedUp(refusal),
        }
    }
}

/// What is reported once a connection may relay.
struct Allowed {
    rule: String,
    reached: Reached,
    generation: Generation,
}

impl Allowed {
    /// Says whether it is on record.
    fn report(&self, attempt: &mut Attempt) -> bool {
        attempt.allowed(&self.rule, self.reached.ip(), self.generation)
    }
}

/// Reports a refusal and tells the client, in HTTP where it speaks that.
async fn refuse(mut client: TcpStream, way: Way, mut attempt: Attempt, refusal: &Refusal) {
    attempt.refused(refusal);
    let response = refusal.to_response(attempt.destination(), attempt.binary());
    let speaks_http = way != Way::Transparent || is_http(&mut client).await;
    drop(attempt);
    if speaks_http {
        exchange::farewell(client, &response).await;
    } else {
        exchange::reset(client);
    }
}

/// Whether a refused transparent client sends HTTP; it is given a moment.
async fn is_http(client: &mut TcpStream) -> bool {
    let mut first = Vec::new();
    let guess = async {
        loop {
            match exchange::read_some(client, &mut first).await {
                Ok(0) | Err(_) => return false,
                Ok(_) => {}
            }
            match looks_like_request(&first) {
                Guess::Yes => return true,
                Guess::No => return false,
                Guess::NeedMore => {}
            }
        }
    };
    timeout(limits::DENIED_PEEK, guess).await.unwrap_or(false)
}

/// Answers a `CONNECT` that was permitted.
pub(crate) const ESTABLISHED: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";
