//! `Sec-WebSocket-Extensions` (RFC 6455, section 9.1), of which only `permessage-deflate` is known
//! (RFC 7692, section 7).

use std::fmt;

/// The agreed parameters of `permessage-deflate` (RFC 7692, section 7.1). As text, the value of
/// the field that tells the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deflate {
    /// Whether each message of the server is compressed by itself.
    pub server_no_context_takeover: bool,
    /// Whether each message of the client is compressed by itself.
    pub client_no_context_takeover: bool,
    /// The base-2 logarithm of the server's window, 8 to 15; 15 when it is not stated.
    pub server_max_window_bits: Option<u8>,
    /// The base-2 logarithm of the client's window, 8 to 15; 15 when it is not stated.
    pub client_max_window_bits: Option<u8>,
}

/// What a client offers. As text, the element of the field that offers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Offer {
    stated: Deflate,
    /// Whether the client takes a limit of its window, though it states none itself.
    takes_window: bool,
}

/// One element of the field, as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Extension<'a> {
    name: &'a str,
    parameters: Vec<(&'a str, Option<&'a str>)>,
}

impl Offer {
    /// An offer of `permessage-deflate`; `None` when it is another extension, or has parameters
    /// that are not known, not well-formed or doubled: who is offered it must decline
    /// (RFC 7692, section 7.1).
    pub(super) fn from_extension(extension: &Extension<'_>) -> Option<Self> {
        if extension.name != NAME {
            return None;
        }
        let mut takes_window = false;
        let mut others = extension.clone();
        others.parameters.retain(|parameter| {
            let bare = *parameter == (CLIENT_WINDOW, None) && !takes_window;
            takes_window |= bare;
            !bare
        });
        let stated = Deflate::from_extension(&others)?;
        if takes_window && stated.client_max_window_bits.is_some() {
            return None;
        }
        Some(Self { stated, takes_window })
    }

    /// Whether an answer keeps to the offer (RFC 7692, sections 7.1.1 and 7.1.2).
    pub(super) fn covers(&self, answer: &Deflate) -> bool {
        let takeover = answer.server_no_context_takeover || !self.stated.server_no_context_takeover;
        let server = match (self.stated.server_max_window_bits, answer.server_max_window_bits) {
            (Some(most), Some(bits)) => bits <= most,
            (Some(_), None) => false,
            (None, _) => true,
        };
        let client = match (self.stated.client_max_window_bits, answer.client_max_window_bits) {
            (Some(most), Some(bits)) => bits <= most,
            (None, Some(_)) => self.takes_window,
            (_, None) => true,
        };
        takeover && server && client
    }
}

impl Deflate {
    /// The parameters of an element named `permessage-deflate`, each at most once and well-formed.
    pub(super) fn from_extension(extension: &Extension<'_>) -> Option<Self> {
        if extension.name != NAME {
            return None;
        }
        let mut read = Self::default();
        for (name, value) in &extension.parameters {
            let flag = match *name {
                SERVER_TAKEOVER => &mut read.server_no_context_takeover,
                CLIENT_TAKEOVER => &mut read.client_no_context_takeover,
                _ => {
                    let bits = match *name {
                        SERVER_WINDOW => &mut read.server_max_window_bits,
                        CLIENT_WINDOW => &mut read.client_max_window_bits,
                        _ => return None,
                    };
                    if bits.replace(window_bits((*value)?)?).is_some() {
                        return None;
                    }
                    continue;
                }
            };
            if value.is_some() || std::mem::replace(flag, true) {
                return None;
            }
        }
        Some(read)
    }
}

impl fmt::Display for Deflate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAME)?;
        for (stated, name) in [
            (self.server_no_context_takeover, SERVER_TAKEOVER),
            (self.client_no_context_takeover, CLIENT_TAKEOVER),
        ] {
            if stated {
                write!(f, "; {name}")?;
            }
        }
        for (bits, name) in [
            (self.server_max_window_bits, SERVER_WINDOW),
            (self.client_max_window_bits, CLIENT_WINDOW),
        ] {
            if let Some(bits) = bits {
                write!(f, "; {name}={bits}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.stated.fmt(f)?;
        if self.takes_window {
            write!(f, "; {CLIENT_WINDOW}")?;
        }
        Ok(())
    }
}

/// Reads the elements of a field; `None` when it does not keep to the grammar. Empty elements are
/// passed over, as in every list of HTTP (RFC 9110, section 5.6.1).
pub(super) fn parse(field: &str) -> Option<Vec<Extension<'_>>> {
    let mut rest = Rest(field);
    let mut extensions = Vec::new();
    loop {
        rest.skip_space();
        if !rest.0.is_empty() && !rest.0.starts_with(',') {
            let mut extension = Extension { name: rest.token()?, parameters: Vec::new() };
            rest.skip_space();
            while rest.skip(';') {
                rest.skip_space();
                let name = rest.token()?;
                rest.skip_space();
                let value = if rest.skip('=') { Some(rest.value()?) } else { None };
                extension.parameters.push((name, value));
                rest.skip_space();
            }
            extensions.push(extension);
        }
        if rest.0.is_empty() {
            return Some(extensions);
        }
        if !rest.skip(',') {
            return None;
        }
    }
}

/// Whether a text is a token (RFC 9110, section 5.6.2).
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_token_char)
}

const fn is_token_char(char: char) -> bool {
    char.is_ascii_alphanumeric()
        || matches!(
            char,
            '!' | '#'
                | '$'
                | '%'
                | '&'
                | '\''
                | '*'
                | '+'
                | '-'
                | '.'
                | '^'
                | '_'
                | '`'
                | '|'
                | '~'
        )
}

/// 8 to 15, without a leading zero (RFC 7692, section 7.1.2).
fn window_bits(value: &str) -> Option<u8> {
    let plain = value.bytes().all(|byte| byte.is_ascii_digit()) && !value.starts_with('0');
    let bits = value.parse().ok().filter(|_| plain)?;
    (8..=15).contains(&bits).then_some(bits)
}

/// A text that is read from the front.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    fn skip_space(&mut self) {
        self.0 = self.0.trim_start_matches([' ', '\t']);
    }

    fn skip(&mut self, char: char) -> bool {
        let Some(rest) = self.0.strip_prefix(char) else {
            return false;
        };
        self.0 = rest;
        true
    }

    fn token(&mut self) -> Option<&'a str> {
        let end = self.0.find(|char| !is_token_char(char)).unwrap_or(self.0.len());
        let (token, rest) = self.0.split_at_checked(end)?;
        self.0 = rest;
        (!token.is_empty()).then_some(token)
    }

    /// A token, or one in quotes. Escapes in it, which a token never needs, are refused.
    fn value(&mut self) -> Option<&'a str> {
        self.skip_space();
        if !self.skip('"') {
            return self.token();
        }
        let token = self.token()?;
        self.skip('"').then_some(token)
    }
}

const NAME: &str = "permessage-deflate";
const SERVER_TAKEOVER: &str = "server_no_context_takeover";
const CLIENT_TAKEOVER: &str = "client_no_context_takeover";
const SERVER_WINDOW: &str = "server_max_window_bits";
const CLIENT_WINDOW: &str = "client_max_window_bits";
