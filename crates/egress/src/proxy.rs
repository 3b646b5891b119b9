//! Clients that know of the proxy: `CONNECT`, and requests in absolute form, one after the other.

use std::net::SocketAddr;
use std::sync::Arc;

use openshell_audit::Way;
use openshell_codec::http1::{Forwarded, RequestHead, Target};
use openshell_types::Authority;
use tokio::net::TcpStream;

use crate::accept::Context;
use crate::authorize::{Decided, Permit, Watch, decide_for};
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
            Target::Absolute { authority: to, path } => {
                match decide_for(context, to, identified.clone(), &mut attempt) {
                    Ok((who, Decided::Routed(door))) => {
                        let visit = Visit::new(to.clone(), door, Way::Forward, who);
                        return route(context, client, (&head, path), visit, attempt).await;
                    }
                    Ok((who, Decided::Allowed(permit))) => {
                        let asked = (&head, to);
                        match forward(context, &mut client, asked, (who, permit), attempt).await {
                            Next::Another => {}
                            Next::End(end) => break end,
                        }
                    }
                    Err(refusal) => break tell(attempt, &refusal),
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

/// Has the router serve this request and those after it, which have to be for the same server.
async fn route(
    context: &Context,
    client: Client<TcpStream>,
    (head, target): (&RequestHead, &str),
    visit: Visit,
    attempt: Attempt,
) {
    let Some((client, early)) = client.into_parts() else { return };
    let forwarded = Forwarded {
        target,
        authority: &visit.to,
        default_port: 80,
        body: head.body,
        decoded: false,
        replaced: &[],
    };
    let held = [head.to_upstream(&forwarded), early].concat();
    inference::serve(context, (client, held), visit, attempt).await;
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
    (who, permit): (Identified, Permit),
    mut attempt: Attempt,
) -> Next {
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
