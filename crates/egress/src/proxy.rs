//! Clients that know of the proxy: `CONNECT`, and requests in absolute form, one after the other.

use std::net::SocketAddr;
use std::sync::Arc;

use openshell_audit::Way;
use openshell_codec::http1::{Forwarded, RequestHead, Target};
use openshell_types::Authority;
use tokio::net::TcpStream;

use crate::accept::Context;
use crate::authorize::{Decided, Watch, authorize, decide};
use crate::http::h1::{self, Client, Next};
use crate::http::{Carrier, End, Session};
use crate::inference::{self, Visit};
use crate::intent::Intent;
use crate::refusal::Refusal;
use crate::report::Attempt;
use crate::seams::{Identified, Unidentified};
use crate::tunnel;

/// Serves a proxy client until it asks for a tunnel or ends.
pub(crate) async fn serve(
    context: &Context,
    client: TcpStream,
    dialled: SocketAddr,
    identified: Result<Identified, Unidentified>,
    attempt: Attempt,
) {
    let mut client = Client::new(client, &[]);
    let mut first = Some(attempt);
    let end = loop {
        let read = client.head().await;
        let mut attempt = match first.take() {
            Some(attempt) => attempt,
            // Between two requests there is nothing to tell.
            None if matches!(read, Ok(None)) => break End::Done,
            None => {
                let report = Arc::clone(&context.seams.report);
                let mut attempt = Attempt::begin(report, Way::Forward, dialled);
                attempt.under(context.policy.borrow().generation);
                if let Ok(identified) = &identified {
                    attempt.by(identified);
                }
                attempt
            }
        };
        let read = read.and_then(|head| head.ok_or_else(Refusal::no_request_at_all));
        if !client.asks_for_tunnel(read.as_ref().ok()) {
            attempt.came(Way::Forward);
        }
        let head = match read {
            Ok(head) => head,
            Err(refusal) => {
                attempt.without_destination();
                break tell(attempt, &refusal);
            }
        };
        match &head.target {
            Target::Authority(to) => {
                attempt.came(Way::Connect);
                attempt.to(to);
                let Some((client, early)) = client.into_parts() else { return };
                let intent = Intent { to: to.clone(), way: Way::Connect, early };
                return tunnel::serve(context, client, intent, identified, attempt).await;
            }
            Target::Absolute { authority, .. }
                if is_for_router(context, authority, &identified) =>
            {
                return route(context, client, (&head, authority), (identified, attempt)).await;
            }
            Target::Absolute { authority, .. } => {
                let who = identified.clone();
                match forward(context, &mut client, (&head, authority), who, attempt).await {
                    Next::Another => {}
                    Next::End(end) => break end,
                }
            }
            Target::Origin { .. } => {
                attempt.without_destination();
                break tell(attempt, &Refusal::not_for_a_proxy());
            }
        }
    };
    if let Some(client) = client.into_inner() {
        end.tell(client).await;
    }
}

/// Whether a connection for this server is for the router.
fn is_for_router(
    context: &Context,
    to: &Authority,
    identified: &Result<Identified, Unidentified>,
) -> bool {
    let Ok(who) = identified else { return false };
    let policy = Arc::clone(&context.policy.borrow());
    matches!(decide(policy, to.clone(), Arc::clone(&who.caller)), Ok(Decided::Routed(_)))
}

/// Has the router serve this request and those after it, which have to be for the same server.
async fn route(
    context: &Context,
    client: Client<TcpStream>,
    (head, to): (&RequestHead, &Authority),
    (identified, mut attempt): (Result<Identified, Unidentified>, Attempt),
) {
    attempt.to(to);
    let policy = Arc::clone(&context.policy.borrow());
    attempt.under(policy.generation);
    let decided = identified.map_err(|why| Refusal::unidentified(&why)).and_then(|who| {
        let decided = decide(policy, to.clone(), Arc::clone(&who.caller))?;
        Ok((who, decided))
    });
    let Some((client, early)) = client.into_parts() else { return };
    match (decided, &head.target) {
        (Ok((who, Decided::Routed(door))), Target::Absolute { path, .. }) => {
            let (target, body) = (path.as_str(), head.body);
            let forwarded = Forwarded {
                target,
                authority: to,
                default_port: 80,
                body,
                decoded: false,
                replaced: &[],
            };
            let held = [head.to_upstream(&forwarded), early].concat();
            let visit = Visit::new(to.clone(), door, Way::Forward, who);
            inference::serve(context, (client, held), visit, attempt).await;
        }
        (Ok(_), _) => {
            // The policy changed since.
            let refusal =
                Refusal::unreachable("policy_changed", "the policy just changed".to_owned());
            tell(attempt, &refusal).tell(client).await;
        }
        (Err(refusal), _) => tell(attempt, &refusal).tell(client).await,
    }
}

/// Reports a refusal and words it.
fn tell(mut attempt: Attempt, refusal: &Refusal) -> End {
    attempt.refused(refusal);
    End::Farewell(refusal.to_response(attempt.destination(), attempt.binary()))
}

/// One request, to the server that its target names.
async fn forward(
    context: &Context,
    client: &mut Client<TcpStream>,
    (head, to): (&RequestHead, &Authority),
    identified: Result<Identified, Unidentified>,
    mut attempt: Attempt,
) -> Next {
    attempt.to(to);
    let policy = Arc::clone(&context.policy.borrow());
    attempt.under(policy.generation);
    let permitted = identified.map_err(|why| Refusal::unidentified(&why)).and_then(|who| {
        let permit = authorize(policy, to.clone(), Arc::clone(&who.caller))?;
        Ok((who, permit))
    });
    let (who, permit) = match permitted {
        Ok(permitted) => permitted,
        Err(refusal) => return Next::End(tell(attempt, &refusal)),
    };
    let mut watch = Watch::new(permit, context);
    let session =
        Session { context, to: to.clone(), carrier: Carrier::Plain, who, way: Way::Forward };
    tokio::select! {
        biased;
        (refusal, generation) = watch.ended() => {
            attempt.revoked(&refusal, generation);
            Next::End(End::Broken)
        }
        next = h1::forward(&session, client, head, &mut attempt) => next,
    }
}
