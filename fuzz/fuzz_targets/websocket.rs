//! A client's stream gives the same messages however it is split, and they are read again from what
//! is written for the server; of a server's stream, what passes is its beginning.

#![no_main]

use libfuzzer_sys::fuzz_target;
use openshell_codec::websocket::{ClientReader, Deflate, Message, ServerReader, Violation, encode};

fuzz_target!(|input: (bool, bool, u8, &[u8])| {
    let (compressed, client_no_context_takeover, piece, bytes) = input;
    let deflate = compressed.then(|| Deflate { client_no_context_takeover, ..Deflate::default() });
    let whole = read(bytes, deflate, usize::MAX);
    assert_eq!(read(bytes, deflate, usize::from(piece) + 1), whole);
    let (messages, _) = whole;
    let mut written = Vec::new();
    for message in &messages {
        encode::to_server(message, [1, 2, 3, piece], &mut written);
    }
    assert_eq!(read(&written, None, usize::MAX), (messages, None));
    let mut server = ServerReader::new(deflate);
    let mut rest = bytes;
    while let Ok(passed) = server.pass(rest) {
        rest = &rest[passed.bytes..];
        if passed.bytes == 0 {
            break;
        }
    }
});

/// The messages of a stream that is fed in pieces, and the violation that ends it.
fn read(bytes: &[u8], deflate: Option<Deflate>, piece: usize) -> (Vec<Message>, Option<Violation>) {
    let mut reader = ClientReader::new(deflate);
    let mut messages = Vec::new();
    for mut bytes in bytes.chunks(piece) {
        while !bytes.is_empty() {
            let taken = reader.feed(bytes);
            assert!(taken > 0, "no room is left");
            bytes = &bytes[taken..];
            loop {
                match reader.next_message() {
                    Ok(Some(message)) => messages.push(message),
                    Ok(None) => break,
                    Err(violation) => return (messages, Some(violation)),
                }
            }
        }
    }
    (messages, None)
}
