//! Rewriting a request that a proxy was asked for into the one that the server gets.

use openshell_types::{Authority, Redacted};

use super::head::{Body, RequestHead};
use super::response::{put, put_switch};
use crate::target::names_target;
use crate::websocket::Upgrade;

/// What of a request goes upstream that its client did not write.
#[derive(Clone, Copy, Debug)]
pub struct Forwarded<'a> {
    /// The target in origin form, as it was judged.
    pub target: &'a str,
    /// The authority that was judged.
    pub authority: &'a Authority,
    /// The scheme's own port, which `Host` leaves out.
    pub default_port: u16,
    /// How the body is framed now; another than the client's when it was read and decoded.
    pub body: Body,
    /// The body was decoded: its coding is not named any more.
    pub decoded: bool,
    /// Fields by their index in the head, with the values that go out in the place of theirs.
    pub replaced: &'a [(usize, Redacted<Vec<u8>>)],
}

impl RequestHead {
    /// The head that goes upstream: origin form, one `Host` made from the authority that was
    /// judged, framing stated by us, and nothing of what concerns this connection or the way to us
    /// (RFC 9110, section 7.6). Always HTTP/1.1.
    pub fn to_upstream(&self, forwarded: &Forwarded<'_>) -> Vec<u8> {
        self.write(forwarded, None)
    }

    /// The same for a request that opens a WebSocket, with the extensions that may be offered.
    pub fn to_switching_upstream(&self, forwarded: &Forwarded<'_>, upgrade: &Upgrade) -> Vec<u8> {
        self.write(forwarded, Some(upgrade))
    }

    fn write(&self, forwarded: &Forwarded<'_>, upgrade: Option<&Upgrade>) -> Vec<u8> {
        let mut out = Vec::with_capacity(512);
        let Forwarded { target, authority, default_port, body, decoded, replaced } = *forwarded;
        let host = host_value(authority, default_port);
        for part in [&self.method, " ", target, " HTTP/1.1\r\nHost: ", &host] {
            out.extend_from_slice(part.as_bytes());
        }
        out.extend_from_slice(b"\r\n");
        for (at, header) in self.headers.iter().enumerate() {
            let is_coding = decoded && header.name == "content-encoding";
            let is_offer = upgrade.is_some() && header.name == EXTENSIONS;
            if is_dropped(&header.name) || is_coding || is_offer {
                continue;
            }
            let other = replaced.iter().find(|(index, _)| *index == at);
            let value = other.map_or(&header.value, |(_, value)| value.expose());
            put(&mut out, header.name.as_bytes(), value);
        }
        match body {
            // A stated length of zero is kept: servers want one on POST and PUT.
            Body::None if self.states_a_body() => put(&mut out, b"content-length", b"0"),
            Body::None => {}
            Body::Length(length) => {
                put(&mut out, b"content-length", length.to_string().as_bytes());
            }
            Body::Chunked => put(&mut out, b"transfer-encoding", b"chunked"),
        }
        if let Some(upgrade) = upgrade {
            put_switch(&mut out);
            if let Some(extensions) = upgrade.extensions() {
                put(&mut out, EXTENSIONS.as_bytes(), extensions.as_bytes());
            }
        }
        out.extend_from_slice(b"\r\n");
        out
    }

    fn states_a_body(&self) -> bool {
        ["content-length", "transfer-encoding"]
            .iter()
            .any(|name| self.values(name).next().is_some())
    }
}

/// The field with a WebSocket's extensions.
const EXTENSIONS: &str = "sec-websocket-extensions";

/// The authority as `Host` has it: the default port is left out.
pub fn host_value(authority: &Authority, default_port: u16) -> String {
    if authority.port.number() == default_port {
        authority.host.to_string()
    } else {
        authority.to_string()
    }
}

/// Whether a client's field, whose name is given in lower case, goes upstream as it is: it is not of
/// this hop only, nor of the way to us, nor rebuilt by us.
pub fn goes_upstream(name: &str) -> bool {
    !is_dropped(name)
}

/// SECURITY: C9; gateways in the manner of CGI do not tell `_` from `-` in the name of a field.
fn is_dropped(name: &str) -> bool {
    if name.contains('_') { is_of_way(&name.replace('_', "-")) } else { is_of_way(name) }
}

fn is_of_way(name: &str) -> bool {
    const DROPPED: [&str; 12] = [
        "connection",
        "content-length",
        "forwarded",
        "host",
        "http2-settings",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "via",
        "x-real-ip",
    ];
    DROPPED.contains(&name)
        || name.starts_with("proxy-")
        || name.starts_with("x-forwarded-")
        || names_target(name)
}
