//! Rewriting a request that a proxy was asked for into the one that the server gets.

use openshell_types::Authority;

use super::HeadError;
use super::head::{Body, RequestHead, Target, Version};
use crate::target::names_target;

impl RequestHead {
    /// The head that goes upstream for an absolute-form request: origin form, one `Host` made from
    /// the authority that was judged, framing stated by us, `Connection: close`, and nothing of
    /// what concerns this connection or the way to us (RFC 9110, section 7.6). `None` for another
    /// form of target.
    pub fn to_origin(&self) -> Result<Option<Vec<u8>>, HeadError> {
        let Target::Absolute { authority, path } = &self.target else {
            return Ok(None);
        };
        let named = self.named_by_connection()?;
        let mut out = Vec::with_capacity(512);
        let version = match self.version {
            Version::Http10 => "HTTP/1.0",
            Version::Http11 => "HTTP/1.1",
        };
        for part in [&self.method, " ", path, " ", version, "\r\nHost: ", &host_value(authority)] {
            out.extend_from_slice(part.as_bytes());
        }
        out.extend_from_slice(b"\r\n");
        for header in &self.headers {
            if is_dropped(&header.name) || named.contains(&header.name) {
                continue;
            }
            out.extend_from_slice(header.name.as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(&header.value);
            out.extend_from_slice(b"\r\n");
        }
        match self.body {
            // A stated length of zero is kept: servers want one on POST and PUT.
            Body::None if self.values("content-length").next().is_some() => {
                out.extend_from_slice(b"content-length: 0\r\n");
            }
            Body::None => {}
            Body::Length(length) => {
                out.extend_from_slice(format!("content-length: {length}\r\n").as_bytes());
            }
            Body::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        }
        out.extend_from_slice(b"connection: close\r\n\r\n");
        Ok(Some(out))
    }

    /// The fields that `Connection` lists, in lower case.
    fn named_by_connection(&self) -> Result<Vec<String>, HeadError> {
        let mut named = Vec::new();
        for value in self.values("connection") {
            let text = std::str::from_utf8(value).map_err(|_| HeadError::Connection)?;
            for token in text.split(',').map(str::trim).filter(|token| !token.is_empty()) {
                let token = token.to_ascii_lowercase();
                // SECURITY: C9; naming one of these would strip what we rebuild or judge by.
                if ["host", "content-length", "transfer-encoding"].contains(&token.as_str()) {
                    return Err(HeadError::Connection);
                }
                named.push(token);
            }
        }
        Ok(named)
    }
}

/// The authority as `Host` has it: the default port is left out.
fn host_value(authority: &Authority) -> String {
    if authority.port.number() == 80 { authority.host.to_string() } else { authority.to_string() }
}

/// Fields of this hop only, of the way to us, or rebuilt by us.
fn is_dropped(name: &str) -> bool {
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
