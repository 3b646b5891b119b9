mod client;
mod deflate;
mod server;
mod upgrade;

use flate2::{Compress, Compression, FlushCompress};

use super::*;

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A frame with this first octet, masked when there is a key.
fn frame(first: u8, payload: &[u8], key: Option<[u8; 4]>) -> Vec<u8> {
    let mut out = vec![first];
    let masked = if key.is_some() { 0x80 } else { 0 };
    match payload.len() {
        length @ ..=125 => out.push(masked | length as u8),
        length @ ..=0xffff => {
            out.push(masked | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(masked | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(key.as_ref().map_or(&[][..], |key| key));
    let key = key.unwrap_or_default();
    out.extend(payload.iter().enumerate().map(|(at, octet)| octet ^ key[at % 4]));
    out
}

/// A client's frame.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    frame(first, payload, Some(KEY))
}

/// Everything that a reader makes of a stream, fed in pieces of at most `piece` octets.
fn read_all(
    bytes: &[u8],
    deflate: Option<Deflate>,
    piece: usize,
) -> (Vec<Message>, Option<Violation>) {
    read_pieces(bytes.chunks(piece), deflate)
}

fn read_pieces<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    deflate: Option<Deflate>,
) -> (Vec<Message>, Option<Violation>) {
    let mut reader = ClientReader::new(deflate);
    let mut messages = Vec::new();
    for mut bytes in pieces {
        while !bytes.is_empty() {
            let taken = reader.feed(bytes);
            assert!(taken > 0, "no room is left though all messages were taken");
            bytes = &bytes[taken..];
            loop {
                match reader.next_message() {
                    Ok(Some(message)) => messages.push(message),
                    Ok(None) => break,
                    Err(violation) => {
                        assert_eq!(reader.next_message(), Err(violation), "it stays");
                        return (messages, Some(violation));
                    }
                }
            }
        }
    }
    (messages, None)
}

/// The violation that a stream ends in, whatever came before.
fn refused(bytes: &[u8], deflate: Option<Deflate>) -> Option<Violation> {
    read_all(bytes, deflate, usize::MAX).1
}

/// The messages of a stream without a violation.
fn messages(bytes: &[u8], deflate: Option<Deflate>) -> Vec<Message> {
    let (messages, violation) = read_all(bytes, deflate, usize::MAX);
    assert_eq!(violation, None);
    messages
}

/// Compresses as a client does: everything but the last four octets of a flush.
fn compress(state: &mut Compress, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len() + content.len() / 4 + 128);
    state.compress_vec(content, &mut out, FlushCompress::Sync).unwrap();
    assert!(out.ends_with(&[0, 0, 0xff, 0xff]));
    out.truncate(out.len() - 4);
    out
}

fn compressor() -> Compress {
    Compress::new(Compression::default(), false)
}

fn text(content: &str) -> Message {
    Message::Text(content.to_owned())
}

fn close(code: u16, reason: &str) -> Message {
    Message::Close { code: Some(code), reason: reason.to_owned() }
}

#[test]
fn each_violation_has_a_code_and_a_sentence() {
    for (violation, code) in [
        (Violation::Unmasked, 1002),
        (Violation::Fragments, 1002),
        (Violation::Deflate, 1002),
        (Violation::Utf8, 1007),
        (Violation::TextTooLong, 1009),
        (Violation::BinaryTooLong, 1009),
    ] {
        assert_eq!(violation.close_code(), code);
        let mut close = Vec::new();
        encode::close_to_client(code, &violation.to_string(), &mut close);
        assert!(ServerReader::new(None).pass(&close).unwrap().closed);
    }
}
