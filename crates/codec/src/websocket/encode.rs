//! Frames that the proxy writes (RFC 6455, section 5.2): each is a whole message, uncompressed.

use super::Message;
use super::frame::{LONGEST_CONTROL, Opcode, apply_mask};

/// Appends a client's message as the server gets it, masked with a key that nobody can foresee
/// (RFC 6455, section 10.3). The payload of a control frame is cut at 125 octets.
pub fn to_server(message: &Message, key: [u8; 4], out: &mut Vec<u8>) {
    match message {
        Message::Text(text) => frame(Opcode::Text, text.as_bytes(), Some(key), out),
        Message::Binary(octets) => frame(Opcode::Binary, octets, Some(key), out),
        Message::Ping(octets) => frame(Opcode::Ping, cut(octets), Some(key), out),
        Message::Pong(octets) => frame(Opcode::Pong, cut(octets), Some(key), out),
        Message::Close { code: Some(code), reason } => {
            frame(Opcode::Close, &close_payload(*code, reason), Some(key), out);
        }
        Message::Close { code: None, .. } => frame(Opcode::Close, &[], Some(key), out),
    }
}

/// Appends a close frame for the client. The reason is cut at 123 octets, between characters.
pub fn close_to_client(code: u16, reason: &str, out: &mut Vec<u8>) {
    frame(Opcode::Close, &close_payload(code, reason), None, out);
}

/// Appends a ping for the client. The payload is cut at 125 octets.
pub fn ping_to_client(payload: &[u8], out: &mut Vec<u8>) {
    frame(Opcode::Ping, cut(payload), None, out);
}

/// Appends a part of a server's message for the client: of one that begins with it whether that is a
/// text, and whether it ends with it.
pub fn part_to_client(begins: Option<bool>, ends: bool, payload: &[u8], out: &mut Vec<u8>) {
    let opcode = match begins {
        Some(true) => Opcode::Text,
        Some(false) => Opcode::Binary,
        None => Opcode::Continuation,
    };
    let begin = out.len();
    frame(opcode, payload, None, out);
    if let (false, Some(first)) = (ends, out.get_mut(begin)) {
        *first &= !LAST;
    }
}

fn close_payload(code: u16, reason: &str) -> Vec<u8> {
    let mut payload = code.to_be_bytes().to_vec();
    let most = reason.floor_char_boundary(LONGEST_CONTROL.saturating_sub(payload.len()));
    payload.extend_from_slice(reason.get(..most).unwrap_or_default().as_bytes());
    payload
}

fn cut(payload: &[u8]) -> &[u8] {
    payload.get(..LONGEST_CONTROL).unwrap_or(payload)
}

fn frame(opcode: Opcode, payload: &[u8], key: Option<[u8; 4]>, out: &mut Vec<u8>) {
    out.reserve(payload.len().saturating_add(LONGEST_HEADER));
    out.push(LAST | opcode.bits());
    let masked = if key.is_some() { MASKED } else { 0 };
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length @ ..=125), _) => out.push(masked | length),
        (_, Ok(length)) => {
            out.push(masked | 126);
            out.extend_from_slice(&length.to_be_bytes());
        }
        _ => {
            out.push(masked | 127);
            let length = u64::try_from(payload.len()).unwrap_or(u64::MAX);
            out.extend_from_slice(&length.to_be_bytes());
        }
    }
    if let Some(key) = key {
        out.extend_from_slice(&key);
    }
    let begin = out.len();
    out.extend_from_slice(payload);
    if let (Some(key), Some(written)) = (key, out.get_mut(begin..)) {
        apply_mask(written, key, 0);
    }
}

/// The bit that says that a message ends with the frame.
const LAST: u8 = 0x80;

/// The bit that says that the payload is masked.
const MASKED: u8 = 0x80;

/// The longest header, in octets.
const LONGEST_HEADER: usize = 14;
