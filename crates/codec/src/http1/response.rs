//! Reading a response head, and what of it a client gets.

use super::HeadError;
use super::head::{Body, Header, RequestHead, Version, find_end, framing, refusal, values};

/// A response head that was read strictly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseHead {
    /// The version that the server speaks.
    pub version: Version,
    /// The status code, 100 to 599.
    pub status: u16,
    /// The reason phrase; often empty.
    pub reason: Vec<u8>,
    /// All fields, in order.
    pub headers: Vec<Header>,
    /// How the body is framed.
    pub body: ResponseBody,
    /// Whether the connection may carry another request after this one.
    pub keeps_alive: bool,
}

/// How the body of a response is framed (RFC 9112, section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseBody {
    /// There is none.
    None,
    /// So many octets.
    Length(u64),
    /// In chunks.
    Chunked,
    /// All until the server closes.
    UntilClose,
}

impl ResponseHead {
    /// Reads a head at the beginning of `bytes`, of the answer to a request with this method: the
    /// head and its length, or `None` when more bytes are needed.
    pub fn parse(bytes: &[u8], method: &str) -> Result<Option<(Self, usize)>, HeadError> {
        let Some(length) = find_end(bytes)? else {
            let is_full = bytes.len() >= RequestHead::LONGEST;
            return if is_full { Err(HeadError::TooLong) } else { Ok(None) };
        };
        if length > RequestHead::LONGEST {
            return Err(HeadError::TooLong);
        }
        let bytes = bytes.get(..length).unwrap_or(bytes);
        let mut fields = [httparse::EMPTY_HEADER; RequestHead::MOST_HEADERS];
        let mut response = httparse::Response::new(&mut fields);
        match response.parse(bytes) {
            Ok(httparse::Status::Complete(read)) if read == length => {}
            Ok(_) => return Err(HeadError::StatusLine),
            Err(error) => return Err(refusal(error)),
        }
        let (Some(version), Some(status @ 100..=599)) = (response.version, response.code) else {
            return Err(HeadError::StatusLine);
        };
        let version = if version == 0 { Version::Http10 } else { Version::Http11 };
        let headers: Vec<Header> = response
            .headers
            .iter()
            .map(|h| Header { name: h.name.to_ascii_lowercase(), value: h.value.to_vec() })
            .collect();
        let body = body(&headers, version, (method, status))?;
        let keeps_alive = keeps_alive(&headers, version) && body != ResponseBody::UntilClose;
        let reason = response.reason.unwrap_or_default().as_bytes().to_vec();
        Ok(Some((Self { version, status, reason, headers, body, keeps_alive }, length)))
    }

    /// Whether another response to the same request follows.
    pub const fn is_interim(&self) -> bool {
        self.status < 200 && self.status != 101
    }

    /// The values of a field, whose name is given in lower case.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        values(&self.headers, name)
    }

    /// The head that the client gets: framing stated by us, `Connection: close` when `last`, and
    /// nothing of what concerns the connection to the server or offers a way around us.
    pub fn to_client(&self, client: Version, last: bool) -> Vec<u8> {
        let mut out = self.fields(client, last);
        out.extend_from_slice(b"\r\n");
        out
    }

    /// The same for the answer that switches to a WebSocket.
    pub fn to_switching_client(&self) -> Vec<u8> {
        let mut out = self.fields(Version::Http11, false);
        put_switch(&mut out);
        out.extend_from_slice(b"\r\n");
        out
    }

    /// All but the empty line at the end.
    fn fields(&self, client: Version, last: bool) -> Vec<u8> {
        let mut out = Vec::with_capacity(512);
        out.extend_from_slice(b"HTTP/1.1 ");
        out.extend_from_slice(self.status.to_string().as_bytes());
        out.push(b' ');
        out.extend_from_slice(&self.reason);
        out.extend_from_slice(b"\r\n");
        let named = named_by_connection(&self.headers);
        for header in &self.headers {
            // A HEAD's or a 304's length states what is not sent; a 204 has none (RFC 9110, section
            // 8.6), and a client that believed one would take the next answer for a body.
            let is_length = header.name == "content-length"
                && self.body == ResponseBody::None
                && self.status != 204;
            let goes = goes_to_client(&header.name) && !named.contains(&header.name);
            if is_length && self.status >= 200 || goes {
                put(&mut out, header.name.as_bytes(), &header.value);
            }
        }
        match self.body {
            ResponseBody::Length(length) => {
                put(&mut out, b"content-length", length.to_string().as_bytes());
            }
            ResponseBody::Chunked | ResponseBody::UntilClose if client == Version::Http11 => {
                put(&mut out, b"transfer-encoding", b"chunked");
            }
            _ => {}
        }
        match (last, client) {
            (true, _) if !self.is_interim() => put(&mut out, b"connection", b"close"),
            (false, Version::Http10) => put(&mut out, b"connection", b"keep-alive"),
            _ => {}
        }
        out
    }
}

/// Whether a server's field, whose name is given in lower case, goes to the client as it is.
pub fn goes_to_client(name: &str) -> bool {
    !DROPPED.contains(&name) && !name.starts_with("proxy-")
}

/// Appends what says that the connection goes on as a WebSocket (RFC 6455, section 4).
pub(super) fn put_switch(out: &mut Vec<u8>) {
    put(out, b"connection", b"Upgrade");
    put(out, b"upgrade", b"websocket");
}

/// Appends one field.
pub(super) fn put(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Fields of one hop, fields that we state ourselves, the offer of another way that is not judged
/// (F11), and the mark of our own denials, which nobody else may set.
const DROPPED: [&str; 11] = [
    "alt-svc",
    "alternate-protocol",
    "connection",
    "content-length",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-openshell-policy",
];

fn body(
    headers: &[Header],
    version: Version,
    (method, status): (&str, u16),
) -> Result<ResponseBody, HeadError> {
    // Doubtful framing is refused also where there is no body: the next reader may see one.
    let framed = framing(headers, version)?;
    if method == "HEAD" || status < 200 || status == 204 || status == 304 {
        return Ok(ResponseBody::None);
    }
    let states = |name| values(headers, name).next().is_some();
    Ok(match framed {
        Body::Length(length) => ResponseBody::Length(length),
        Body::Chunked => ResponseBody::Chunked,
        Body::None if states("content-length") => ResponseBody::Length(0),
        Body::None => ResponseBody::UntilClose,
    })
}

/// Whether the peer goes on after this message (RFC 9112, section 9.3).
pub(super) fn keeps_alive(headers: &[Header], version: Version) -> bool {
    let named = named_by_connection(headers);
    let has = |word: &str| named.iter().any(|name| name == word);
    match version {
        _ if has("close") => false,
        Version::Http11 => true,
        Version::Http10 => has("keep-alive"),
    }
}

/// What `Connection` lists, in lower case; what is no text is left out.
fn named_by_connection(headers: &[Header]) -> Vec<String> {
    values(headers, "connection")
        .filter_map(|value| std::str::from_utf8(value).ok())
        .flat_map(|text| text.split(','))
        .map(|token| token.trim().to_ascii_lowercase())
        .filter(|token| !token.is_empty())
        .collect()
}
