//! Ending TLS, so that what it carries can be judged. The server is asked first what it speaks, or
//! was asked before: the client is offered just that.

use openshell_codec::client_hello::ClientHello;
use openshell_types::Host;
use rustls::AlertDescription;
use tokio::net::TcpStream;

use super::h1::Client;
use super::line::{self, Line};
use super::{Carrier, Session, allow, requests, streams};
use crate::authorize::Watch;
use crate::exchange;
use crate::refusal::Refusal;
use crate::report::Attempt;
use crate::stream::Upward;
use crate::tls::{Alpn, Protocol, accept, alert, negotiated};
use crate::upstream_proxy::Reached;

/// What the server speaks, and a connection to it if one was needed to learn that.
type Chosen = (Option<Protocol>, Option<(Upward, Reached)>);

/// A refusal, and what the client's TLS is told.
pub(crate) type Refused = (Refusal, AlertDescription);

/// Serves a client that began with this hello.
pub(super) async fn serve(
    mut session: Session<'_>,
    (client, held): (TcpStream, Vec<u8>),
    hello: ClientHello,
    (mut watch, mut attempt): (Watch, Attempt),
) {
    session.carrier = Carrier::Tls(None);
    let chosen = match check_hello(&session.to.host, &hello) {
        Ok(offer) => choose(&session, offer).await,
        Err(refused) => Err(refused),
    };
    let (protocol, own) = match chosen {
        Ok(chosen) => chosen,
        Err((refusal, description)) => {
            attempt.refused(&refusal);
            return exchange::farewell(client, &alert(description)).await;
        }
    };
    session.carrier = Carrier::Tls(protocol);
    let tls = &session.context.seams.tls;
    let config = match tls.leaves.config(&session.to.host, Alpn::only(protocol)) {
        Ok(config) => config,
        Err(error) => {
            attempt.refused(&Refusal::unreachable("leaf", error.to_string()));
            return exchange::farewell(client, &alert(AlertDescription::InternalError)).await;
        }
    };
    let client = match accept(held, client, config).await {
        Ok(client) => client,
        Err(error) => {
            let detail = format!("the TLS handshake with the client failed: {error}");
            return attempt.refused(&Refusal::no_request("client_tls", &detail));
        }
    };
    if !allow(&mut attempt, &watch) {
        return exchange::reset(client);
    }
    let record = (&mut watch, &mut attempt);
    if protocol == Some(Protocol::Http2) {
        streams(&session, client, own, record).await;
    } else {
        let own = own.map(|(upward, reached)| Line::new(upward, reached));
        requests(&session, Client::new(client, &[]), own, record).await;
    }
}

/// Checks that the hello asks for the server that the connection was allowed for, and says what
/// the client offers to speak.
pub(crate) fn check_hello(to: &Host, hello: &ClientHello) -> Result<Alpn, Refused> {
    let refuse = |predicate, detail| {
        Err((Refusal::hello(predicate, detail), AlertDescription::UnrecognisedName))
    };
    if hello.ech {
        let detail = format!("the TLS hello for `{to}` may hide another name");
        return refuse("sni_hidden", detail);
    }
    match (to, &hello.sni) {
        // SECURITY: D1; the address may serve other names than the one that is permitted.
        (Host::Name(name), Some(sni)) if sni != name => {
            let detail = format!("the TLS hello asks for `{sni}`, permitted is `{name}`");
            return refuse("sni_mismatch", detail);
        }
        // SECURITY: A13; a name in a hello never makes a name of an address.
        (Host::Address(address), Some(sni)) => {
            let detail = format!("the TLS hello asks for `{sni}`, permitted is `{address}`");
            return refuse("sni_mismatch", detail);
        }
        (Host::Name(name), None) => {
            let detail = format!("the TLS hello names no server, permitted is `{name}`");
            return refuse("sni_missing", detail);
        }
        (Host::Name(_), Some(_)) | (Host::Address(_), None) => {}
    }
    Alpn::from_offer(&hello.alpn).ok_or_else(|| {
        let detail = "the client offers no protocol that is spoken here".to_owned();
        (Refusal::unsupported(detail), AlertDescription::NoApplicationProtocol)
    })
}

/// What the server speaks of what the client offers. When nobody has asked it yet, it is asked
/// now, over a connection that then carries the first request.
async fn choose(session: &Session<'_>, offer: Alpn) -> Result<Chosen, Refused> {
    let (tls, to) = (&session.context.seams.tls, &session.to);
    let (protocol, own) = match tls.remembered.get(&to.host, to.port, offer) {
        Some(protocol) => (protocol, None),
        None => {
            let fail = |refusal: Refusal| {
                let description = refusal.alert();
                (refusal, description)
            };
            let permit = line::permit(session).map_err(fail)?;
            let (upward, reached, _) = line::dial(session, permit, offer).await.map_err(fail)?;
            let protocol = match &upward {
                Upward::Secure(stream) => negotiated(stream),
                Upward::Plain(_) => None,
            };
            tls.remembered.put(&to.host, to.port, offer, protocol);
            (protocol, Some((upward, reached)))
        }
    };
    if offer == Alpn::Http2 && protocol != Some(Protocol::Http2) {
        // SECURITY: D6; nothing is downgraded silently.
        let detail = format!("`{}` does not speak HTTP/2, and the client nothing else", to.host);
        return Err((Refusal::unsupported(detail), AlertDescription::NoApplicationProtocol));
    }
    Ok((protocol, own))
}
