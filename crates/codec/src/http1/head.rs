//! Reading a request head.

use openshell_types::{Authority, Host, Port};

use super::HeadError;
use super::forward::goes_upstream;
use super::response::keeps_alive;

/// A request head that was read strictly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHead {
    /// The method, as it was written.
    pub method: String,
    /// What is asked for.
    pub target: Target,
    /// The version that the client speaks.
    pub version: Version,
    /// All fields, in order, but those that `Connection` lists: they were for us alone.
    pub headers: Vec<Header>,
    /// How the body is framed.
    pub body: Body,
}

/// What a request asks for (RFC 9112, section 3.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// `CONNECT host:port`.
    Authority(Authority),
    /// `http://host[:port]/path`, as a proxy is asked.
    Absolute {
        /// Host and port, 80 when none was written.
        authority: Authority,
        /// Path and query, beginning with a slash.
        path: String,
    },
    /// `/path`, as a server is asked.
    Origin {
        /// Path and query.
        path: String,
        /// What `Host` says; port 80 when it names none.
        host: Option<Authority>,
    },
}

/// A version of HTTP/1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    Http11,
}

/// One header field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Its name, in lower case.
    pub name: String,
    /// Its value, without white space at the ends.
    pub value: Vec<u8>,
}

/// How a body is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// There is none.
    None,
    /// So many octets.
    Length(u64),
    /// In chunks.
    Chunked,
}

impl RequestHead {
    /// The longest head, in octets: cookies of 16 to 64 KiB occur in practice.
    pub const LONGEST: usize = 64 * 1024;
    /// The most fields of a head.
    pub const MOST_HEADERS: usize = 256;

    /// Reads a head at the beginning of `bytes`: the head and its length, or `None` when more
    /// bytes are needed. Bytes that cannot become a head are refused as soon as they are seen.
    pub fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, HeadError> {
        let Some(length) = find_end(bytes)? else {
            return if bytes.len() >= Self::LONGEST { Err(HeadError::TooLong) } else { Ok(None) };
        };
        if length > Self::LONGEST {
            return Err(HeadError::TooLong);
        }
        let bytes = bytes.get(..length).unwrap_or(bytes);
        let mut fields = [httparse::EMPTY_HEADER; Self::MOST_HEADERS];
        let mut request = httparse::Request::new(&mut fields);
        match request.parse(bytes) {
            Ok(httparse::Status::Complete(read)) if read == length => {}
            Ok(_) => return Err(HeadError::RequestLine),
            Err(error) => return Err(refusal(error)),
        }
        let (Some(method), Some(target), Some(version)) =
            (request.method, request.path, request.version)
        else {
            return Err(HeadError::RequestLine);
        };
        let version = match version {
            0 => Version::Http10,
            1 => Version::Http11,
            _ => return Err(HeadError::Version),
        };
        let mut headers: Vec<Header> = request
            .headers
            .iter()
            .map(|h| Header { name: h.name.to_ascii_lowercase(), value: h.value.to_vec() })
            .collect();
        strip(&mut headers)?;
        let body = framing(&headers, version)?;
        let target = read_target(method, target, host_field(&headers, version)?)?;
        if matches!(target, Target::Authority(_)) && body != Body::None {
            // SECURITY: what follows the head of a CONNECT is the tunnel; a body there would be a
            // second reading of the same bytes (RFC 9110, section 9.3.6).
            return Err(HeadError::Framing);
        }
        Ok(Some((Self { method: method.to_owned(), target, version, headers, body }, length)))
    }

    /// Whether the client goes on after this request.
    pub fn keeps_alive(&self) -> bool {
        keeps_alive(&self.headers, self.version)
    }

    /// Whether the client waits for a go-ahead before it sends the body.
    pub fn expects_continue(&self) -> bool {
        self.values("expect").any(|value| value.eq_ignore_ascii_case(b"100-continue"))
    }

    /// The values of a field, whose name is given in lower case.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        values(&self.headers, name)
    }
}

/// Whether bytes are the beginning of an HTTP/1 request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guess {
    /// They are.
    Yes,
    /// They cannot be.
    No,
    /// It takes more bytes to tell.
    NeedMore,
}

/// Tells from its first bytes whether a client speaks HTTP/1. Used only to choose the form of an
/// answer, never to decide.
pub fn looks_like_request(bytes: &[u8]) -> Guess {
    const METHODS: [&[u8]; 9] = [
        b"GET ",
        b"HEAD ",
        b"POST ",
        b"PUT ",
        b"DELETE ",
        b"OPTIONS ",
        b"PATCH ",
        b"TRACE ",
        b"CONNECT ",
    ];
    if METHODS.iter().any(|method| bytes.starts_with(method)) {
        Guess::Yes
    } else if METHODS.iter().any(|method| method.starts_with(bytes)) {
        Guess::NeedMore
    } else {
        Guess::No
    }
}

/// Takes out what `Connection` lists (RFC 9110, section 7.6.1). What has a meaning for this hop
/// stays; it does not go upstream either.
/// SECURITY: C9; here and not on the way out, so that no rule is held against a field that the
/// server does not get.
fn strip(headers: &mut Vec<Header>) -> Result<(), HeadError> {
    let mut named: Vec<String> = Vec::new();
    for value in values(headers, "connection") {
        let text = std::str::from_utf8(value).map_err(|_| HeadError::Connection)?;
        for token in text.split(',').map(str::trim).filter(|token| !token.is_empty()) {
            let token = token.to_ascii_lowercase();
            // SECURITY: C9; naming one of these would strip what we rebuild or judge by.
            if ["host", "content-length", "transfer-encoding"].contains(&token.as_str()) {
                return Err(HeadError::Connection);
            }
            if goes_upstream(&token) && !named.contains(&token) {
                named.push(token);
                if named.len() > RequestHead::MOST_HEADERS {
                    return Err(HeadError::TooManyHeaders);
                }
            }
        }
    }
    if !named.is_empty() {
        headers.retain(|header| !named.contains(&header.name));
    }
    Ok(())
}

/// The length of the head, when its end is there. Checks every octet on the way.
pub(super) fn find_end(bytes: &[u8]) -> Result<Option<usize>, HeadError> {
    let mut line_start = true;
    let mut line_empty = true;
    let mut first_line = true;
    let mut previous = 0;
    let mut lines = 0;
    for (at, &byte) in bytes.iter().enumerate().take(RequestHead::LONGEST) {
        // SECURITY: E2; httparse takes a bare LF, skips empty lines and, in values, tabs only.
        if previous == b'\r' && byte != b'\n' {
            return Err(HeadError::LineEnd);
        }
        match byte {
            b'\n' if previous != b'\r' => return Err(HeadError::LineEnd),
            b'\n' => {
                if line_empty {
                    return if first_line { Err(HeadError::RequestLine) } else { Ok(Some(at + 1)) };
                }
                (line_start, line_empty, first_line) = (true, true, false);
                lines += 1;
                // SECURITY: N2; seen at once, so that a head in drops is not read over and over.
                if lines > 1 + RequestHead::MOST_HEADERS {
                    return Err(HeadError::TooManyHeaders);
                }
            }
            b'\r' => line_start = false,
            b' ' | b'\t' if line_start => {
                return Err(if first_line { HeadError::RequestLine } else { HeadError::Folded });
            }
            b'\t' if first_line => return Err(HeadError::Control),
            0..=8 | 11..=31 | 127 => return Err(HeadError::Control),
            _ => (line_start, line_empty) = (false, false),
        }
        previous = byte;
    }
    Ok(None)
}

pub(super) fn refusal(error: httparse::Error) -> HeadError {
    match error {
        httparse::Error::HeaderName | httparse::Error::HeaderValue => HeadError::Header,
        httparse::Error::NewLine => HeadError::LineEnd,
        httparse::Error::TooManyHeaders => HeadError::TooManyHeaders,
        httparse::Error::Version => HeadError::Version,
        httparse::Error::Token | httparse::Error::Status => HeadError::RequestLine,
    }
}

pub(super) fn values<'a>(headers: &'a [Header], name: &str) -> impl Iterator<Item = &'a [u8]> {
    headers.iter().filter(move |h| h.name == name).map(|h| h.value.as_slice())
}

/// The one value of a field; `Err` when there are several.
fn single<'a>(headers: &'a [Header], name: &str) -> Result<Option<&'a [u8]>, ()> {
    let mut found = values(headers, name);
    match (found.next(), found.next()) {
        (value, None) => Ok(value),
        _ => Err(()),
    }
}

/// How the body is framed. SECURITY: E1; the smallest doubt refuses.
pub(super) fn framing(headers: &[Header], version: Version) -> Result<Body, HeadError> {
    let length = single(headers, "content-length").map_err(|()| HeadError::Framing)?;
    let coding = single(headers, "transfer-encoding").map_err(|()| HeadError::Framing)?;
    match (length, coding) {
        (None, None) => Ok(Body::None),
        (Some(digits), None) => {
            let plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
            let number = std::str::from_utf8(digits).ok().filter(|_| plain);
            match number.and_then(|text| text.parse().ok()) {
                Some(0) => Ok(Body::None),
                Some(length) => Ok(Body::Length(length)),
                None => Err(HeadError::Framing),
            }
        }
        (None, Some(coding))
            if version == Version::Http11 && coding.eq_ignore_ascii_case(b"chunked") =>
        {
            Ok(Body::Chunked)
        }
        _ => Err(HeadError::Framing),
    }
}

/// What `Host` says, as text; required of HTTP/1.1.
fn host_field(headers: &[Header], version: Version) -> Result<Option<&str>, HeadError> {
    match single(headers, "host").map_err(|()| HeadError::Host)? {
        Some(value) => std::str::from_utf8(value).map(Some).map_err(|_| HeadError::Host),
        None if version == Version::Http10 => Ok(None),
        None => Err(HeadError::Host),
    }
}

fn read_target(method: &str, target: &str, host: Option<&str>) -> Result<Target, HeadError> {
    if !target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
        return Err(HeadError::Target);
    }
    if method == "CONNECT" {
        let authority = Authority::parse(target).map_err(HeadError::Authority)?;
        agree(&authority, host, None)?;
        return Ok(Target::Authority(authority));
    }
    if target.starts_with('/') {
        let host = match host {
            Some(text) => {
                Some(Authority::parse_with_default(text, Some(HTTP)).map_err(|_| HeadError::Host)?)
            }
            None => None,
        };
        return Ok(Target::Origin { path: target.to_owned(), host });
    }
    let Some((scheme, rest)) = target.split_once("://") else {
        return Err(HeadError::Target);
    };
    if !scheme.eq_ignore_ascii_case("http") {
        return Err(HeadError::Scheme);
    }
    let (authority, path) = match rest.find(['/', '?']) {
        Some(at) => rest.split_at_checked(at).ok_or(HeadError::Target)?,
        None => (rest, ""),
    };
    let authority =
        Authority::parse_with_default(authority, Some(HTTP)).map_err(HeadError::Authority)?;
    agree(&authority, host, Some(HTTP))?;
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    Ok(Target::Absolute { authority, path })
}

/// Checks `Host` against the target. Without a port of its own it stands for `default`, or, when a
/// tunnel is asked for, for any: clients leave it out of `CONNECT`.
fn agree(
    authority: &Authority,
    host: Option<&str>,
    default: Option<Port>,
) -> Result<(), HeadError> {
    let Some(text) = host else {
        return Ok(());
    };
    let agrees = match Host::parse(text) {
        Ok(host) => host == authority.host && default.is_none_or(|port| port == authority.port),
        Err(_) => Authority::parse(text).map_err(|_| HeadError::Host)? == *authority,
    };
    if agrees { Ok(()) } else { Err(HeadError::HostMismatch) }
}

const HTTP: Port = match Port::new(80) {
    Some(port) => port,
    None => unreachable!(),
};
