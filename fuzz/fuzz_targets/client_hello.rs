//! The beginning of a stream says the same about TLS however it is split.

#![no_main]

use libfuzzer_sys::fuzz_target;
use openshell_codec::client_hello::{Progress, Reader};

fuzz_target!(|input: (u8, &[u8])| {
    let (piece, bytes) = input;
    let whole = feed(bytes, usize::MAX);
    let pieces = feed(bytes, usize::from(piece) + 1);
    assert_eq!(pieces, whole);
});

fn feed(bytes: &[u8], piece: usize) -> Progress {
    let mut reader = Reader::new();
    let mut progress = reader.feed(&[]);
    for part in bytes.chunks(piece) {
        progress = reader.feed(part);
        if progress != Progress::NeedMore {
            break;
        }
    }
    progress
}
