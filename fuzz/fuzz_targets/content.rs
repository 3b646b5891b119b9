//! Any bytes are decoded or refused, within the bounds; the first byte chooses the codings. What is
//! decoded as a whole is decoded in parts, to the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use openshell_codec::content::{Decoder, MediaType, RATIO, RATIO_FREE, decode};

const CODINGS: [&[&str]; 6] =
    [&["gzip"], &["deflate"], &["br"], &["zstd"], &["gzip, br"], &["zstd", "deflate"]];
const LIMIT: usize = 1024 * 1024;

fuzz_target!(|bytes: &[u8]| {
    let _media_type = MediaType::parse(bytes);
    let [choice, part, body @ ..] = bytes else { return };
    let codings = CODINGS[usize::from(*choice) % CODINGS.len()];
    let mut decoder = Decoder::new(codings).expect("known codings").expect("there are some");
    let mut given = Vec::new();
    let parts = body.chunks(usize::from(*part) + 1);
    let in_parts = parts.map(|part| decoder.push(part, &mut |own| given.extend_from_slice(own)));
    let in_parts: Result<(), _> = in_parts.collect();
    if let Ok(decoded) = decode(codings, body, LIMIT) {
        assert!(decoded.len() <= LIMIT.min((body.len() * RATIO).max(RATIO_FREE)));
        in_parts.expect("it is decoded as a whole");
        assert!(decoder.is_settled());
        assert_eq!(given, decoded);
    }
});
