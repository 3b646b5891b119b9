//! Any bytes are decoded or refused, within the bounds; the first byte chooses the codings.

#![no_main]

use libfuzzer_sys::fuzz_target;
use openshell_codec::content::{MediaType, RATIO, RATIO_FREE, decode};

const CODINGS: [&[&str]; 6] =
    [&["gzip"], &["deflate"], &["br"], &["zstd"], &["gzip, br"], &["zstd", "deflate"]];
const LIMIT: usize = 1024 * 1024;

fuzz_target!(|bytes: &[u8]| {
    let _media_type = MediaType::parse(bytes);
    let Some((choice, body)) = bytes.split_first() else {
        return;
    };
    let codings = CODINGS[usize::from(*choice) % CODINGS.len()];
    if let Ok(decoded) = decode(codings, body, LIMIT) {
        assert!(decoded.len() <= LIMIT.min((body.len() * RATIO).max(RATIO_FREE)));
    }
});
