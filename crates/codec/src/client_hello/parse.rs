//! The fields of a hello.

use openshell_types::HostName;

use super::{ClientHello, HelloError, Reader};

/// Reads the body of a client's hello, all of it.
pub(super) fn client_hello(body: &[u8]) -> Result<ClientHello, HelloError> {
    let mut body = Cursor(body);
    body.take(2 + 32)?; // legacy version and random
    let session = body.block8()?;
    let suites = body.block16()?;
    let compression = body.block8()?;
    if session.0.len() > 32
        || suites.0.is_empty()
        || suites.0.len() % 2 != 0
        || compression.0.is_empty()
    {
        return Err(HelloError::Message);
    }
    let mut hello = ClientHello { sni: None, ech: false, alpn: Vec::new() };
    if body.is_empty() {
        return Ok(hello);
    }
    let mut extensions = body.block16()?;
    if !body.is_empty() {
        return Err(HelloError::Message);
    }
    let mut seen = Vec::new();
    while !extensions.is_empty() {
        let kind = extensions.u16()?;
        let content = extensions.block16()?;
        // SECURITY: D1; of two server names, another reader might take the other one.
        if seen.contains(&kind) || seen.len() >= MOST_EXTENSIONS {
            return Err(HelloError::Message);
        }
        seen.push(kind);
        match kind {
            SERVER_NAME => hello.sni = Some(server_name(content)?),
            ENCRYPTED_CLIENT_HELLO | ENCRYPTED_SERVER_NAME => hello.ech = true,
            PROTOCOLS => hello.alpn = protocols(content).ok_or(HelloError::Protocols)?,
            _ => {}
        }
    }
    Ok(hello)
}

/// The one name of a server name extension.
fn server_name(mut extension: Cursor<'_>) -> Result<HostName, HelloError> {
    let mut list = extension.block16()?;
    let kind = list.take(1)?;
    let name = list.block16()?;
    if kind != [0] || !list.is_empty() || !extension.is_empty() {
        return Err(HelloError::ServerName);
    }
    std::str::from_utf8(name.0)
        .ok()
        .and_then(|text| HostName::parse(text).ok())
        .ok_or(HelloError::ServerName)
}

/// The names in a protocol extension: at least one, none of them empty.
fn protocols(mut extension: Cursor<'_>) -> Option<Vec<Vec<u8>>> {
    let mut list = extension.block16().ok()?;
    let mut protocols = Vec::new();
    while !list.is_empty() {
        let name = list.block8().ok()?;
        if name.is_empty() || protocols.len() >= Reader::MOST_PROTOCOLS {
            return None;
        }
        protocols.push(name.0.to_vec());
    }
    (extension.is_empty() && !protocols.is_empty()).then_some(protocols)
}

/// Bytes that are read from the front.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], HelloError> {
        let (head, rest) = self.0.split_at_checked(length).ok_or(HelloError::Message)?;
        self.0 = rest;
        Ok(head)
    }

    fn u16(&mut self) -> Result<u16, HelloError> {
        match *self.take(2)? {
            [high, low] => Ok(u16::from_be_bytes([high, low])),
            _ => Err(HelloError::Message),
        }
    }

    /// A vector with one octet of length.
    fn block8(&mut self) -> Result<Self, HelloError> {
        let length = self.take(1)?.first().copied().unwrap_or_default();
        self.take(usize::from(length)).map(Cursor)
    }

    /// A vector with two octets of length.
    fn block16(&mut self) -> Result<Self, HelloError> {
        let length = self.u16()?;
        self.take(usize::from(length)).map(Cursor)
    }
}

const SERVER_NAME: u16 = 0;
const PROTOCOLS: u16 = 16;
const ENCRYPTED_CLIENT_HELLO: u16 = 0xfe0d;
const ENCRYPTED_SERVER_NAME: u16 = 0xffce;

/// More extensions than any client sends, so that looking for doubles stays cheap.
const MOST_EXTENSIONS: usize = 128;
