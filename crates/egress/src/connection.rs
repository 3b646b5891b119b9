//! The life of one captured connection, from its acceptance to its end.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;

use openshell_audit::Way;
use openshell_codec::http1::{Guess, looks_like_request};
use openshell_types::{Generation, Host};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::accept::Context;
use crate::authorize::{Permit, PolicyWatch, authorize};
use crate::exchange::{self, Dialled, HelloEnd};
use crate::intent::{self, Intent, Opening};
use crate::limits;
use crate::refusal::Refusal;
use crate::relay::{self, Request};
use crate::report::Attempt;
use crate::seams::{Identified, Unidentified};
use crate::vet::vet;

/// Serves one connection; `dialled` is the address that its client dialled.
pub(crate) async fn serve(
    context: &Context,
    mut client: TcpStream,
    from: SocketAddr,
    dialled: SocketAddr,
) {
    let is_proxy = context.settings.is_proxy(dialled);
    let way = if is_proxy { Way::Connect } else { Way::Transparent };
    let mut attempt = Attempt::begin(Arc::clone(&context.seams.report), way, dialled);
    attempt.under(context.policy.borrow().generation);
    // SECURITY: J13; before a byte is read, while the connection is still its creator's.
    let identified = identify(context, &client, from, dialled).await;
    if let Ok(identified) = &identified {
        attempt.by(identified);
    }
    let intent = if is_proxy {
        match intent::read_request(&mut client, &mut attempt).await {
            Ok(intent) => intent,
            Err(refusal) => {
                attempt.without_destination();
                return refuse(client, attempt, &refusal).await;
            }
        }
    } else {
        match intent::from_dialled(dialled, &context.names) {
            Some(intent) => intent,
            None => return exchange::reset(client),
        }
    };
    attempt.came(intent.way());
    attempt.to(&intent.to);
    match admit(context, &intent, identified, &mut attempt).await {
        Ok((permit, server)) => {
            exchange(context, Ends { client, server }, (permit, intent), attempt).await
        }
        Err(refusal) => refuse(client, attempt, &refusal).await,
    }
}

async fn identify(
    context: &Context,
    client: &TcpStream,
    from: SocketAddr,
    dialled: SocketAddr,
) -> Result<Identified, Unidentified> {
    let asked = context.seams.identify.caller(client.as_fd(), from, dialled);
    timeout(limits::IDENTIFY_TIMEOUT, asked)
        .await
        .unwrap_or_else(|_| Err(Unidentified::Host("identifying took too long".to_owned())))
}

/// Authorise, vet, dial. What it returns has been judged by the policy that is in force now.
async fn admit(
    context: &Context,
    intent: &Intent,
    identified: Result<Identified, Unidentified>,
    attempt: &mut Attempt,
) -> Result<(Permit, Dialled), Refusal> {
    let identified = identified.map_err(|why| Refusal::unidentified(&why))?;
    let policy = Arc::clone(&context.policy.borrow());
    attempt.under(policy.generation);
    let permit = authorize(policy, intent.to.clone(), identified.caller)?;
    let upstream = vet(permit, &context.resolve, &*context.seams.host).await?;
    let server = exchange::dial(&upstream).await?;
    let mut permit = upstream.into_permit();
    permit.refresh(&mut context.policy.clone(), server.address.ip())?;
    Ok((permit, server))
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
}

/// Relays while the permit holds.
async fn exchange(
    context: &Context,
    ends: Ends,
    (mut permit, intent): (Permit, Intent),
    mut attempt: Attempt,
) {
    let Ends { mut client, server: Dialled { stream: mut server, address } } = ends;
    let mut policies: PolicyWatch = context.policy.clone();
    // The clone has seen nothing newer than what the permit was refreshed with, or sees it now.
    if let Err(refusal) = permit.refresh(&mut policies, address.ip()) {
        return refuse(client, attempt, &refusal).await;
    }
    let allowed =
        Allowed { rule: permit.rule().to_owned(), address, generation: permit.generation() };
    let name = match &intent.to.host {
        Host::Name(name) => Some(name.clone()),
        Host::Address(_) => None,
    };
    let is_request = matches!(intent.opening, Opening::Forward { .. });
    let end = tokio::select! {
        biased;
        (refusal, generation) = permit.revoked(&mut policies, address.ip()) => {
            End::Revoked(refusal, generation)
        }
        end = async {
            let held = match intent.opening {
                Opening::Forward { head, body, early } => {
                    if !allowed.report(&mut attempt) {
                        return End::Unrecorded;
                    }
                    let request = Request { head, body, early };
                    return relay::one_request(&mut client, &mut server, request).await.into();
                }
                Opening::Connect { early } => {
                    if client.write_all(ESTABLISHED).await.is_err() {
                        return End::Broken;
                    }
                    early
                }
                Opening::Transparent => Vec::new(),
            };
            let mut on_record = || allowed.report(&mut attempt);
            let held = match &name {
                Some(name) => {
                    let ends = (&mut client, &mut server);
                    exchange::check_hello(ends, name, held, &mut on_record).await
                }
                None => Ok(held),
            };
            match held {
                Ok(held) => {
                    if !on_record() {
                        return End::Unrecorded;
                    }
                    relay::tunnel(&mut client, &mut server, &held).await.into()
                }
                Err(HelloEnd::Refused(refusal)) => End::Hello(refusal),
                Err(HelloEnd::Broken) => End::Broken,
                Err(HelloEnd::Unrecorded) => End::Unrecorded,
            }
        } => end,
    };
    match end {
        // The server may have answered before the request's end: the answer is not cut.
        End::Done if is_request => exchange::farewell(client, &[]).await,
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

impl From<io::Result<()>> for End {
    fn from(result: io::Result<()>) -> Self {
        if result.is_ok() { Self::Done } else { Self::Broken }
    }
}

/// What is reported once a connection may relay.
struct Allowed {
    rule: String,
    address: SocketAddr,
    generation: Generation,
}

impl Allowed {
    /// Says whether it is on record.
    fn report(&self, attempt: &mut Attempt) -> bool {
        attempt.allowed(&self.rule, self.address.ip(), self.generation)
    }
}

/// Reports a refusal and tells the client, in HTTP where it speaks that.
async fn refuse(mut client: TcpStream, mut attempt: Attempt, refusal: &Refusal) {
    attempt.refused(refusal);
    let response = refusal.to_response(attempt.destination(), attempt.binary());
    let speaks_http = attempt.way() != Way::Transparent || is_http(&mut client).await;
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

/// Answers a `CONNECT` that was permitted and dialled.
const ESTABLISHED: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";
