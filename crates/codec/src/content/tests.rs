use std::io::Write as _;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use proptest::prelude::*;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use super::*;

const TEXT: &[u8] = br#"{"a": [1, 2, 3], "text": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}"#;
/// [`TEXT`] as the reference encoders of Brotli and Zstandard write it, the latter with a checksum.
const BROTLI: &str = "1b4300f82d0a6c1b997d231a03e9e22bcbd1d76122317b5b4466666be9f4154b57\
                      80641f924814328c279f2c185001";
const ZSTD: &str = "28b52ffd24441d0100e87b2261223a205b312c20322c20335d2c202274657874223a202261227d01002bc118fd30799b";
/// 10 MiB of zeros.
const BROTLI_BOMB: &str = "cbffff3ff82700e2b14020f7fe2fffff3ff04f00c4611180eefd07";
/// With a window of 1 GiB, which is an extension of the format.
const BROTLI_LARGE: &str = "115e9c0fe097088bc60201a101";
const LIMIT: usize = 16 * 1024 * 1024;

fn hex(text: &str) -> Vec<u8> {
    ::hex::decode(text).unwrap()
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn zlib(body: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn zstd(body: &[u8]) -> Vec<u8> {
    compress_to_vec(body, CompressionLevel::Fastest)
}

/// [`TEXT`] in each coding.
fn encoded() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("gzip", gzip(TEXT)),
        ("X-GZip", gzip(TEXT)),
        ("deflate", zlib(TEXT)),
        ("br", hex(BROTLI)),
        ("zstd", hex(ZSTD)),
        ("zstd", zstd(TEXT)),
    ]
}

#[test]
fn codings_are_undone() {
    for (coding, body) in encoded() {
        assert_eq!(decode(&[coding], &body, TEXT.len()).as_deref(), Ok(TEXT), "{coding}");
    }
    assert_eq!(decode(&[], TEXT, LIMIT).as_deref(), Ok(TEXT));
    assert_eq!(decode(&["identity"], TEXT, LIMIT).as_deref(), Ok(TEXT));
    assert_eq!(decode(&["gzip"], &gzip(b""), 0).as_deref(), Ok(&b""[..]));
    let twice = zlib(&gzip(TEXT));
    assert_eq!(decode(&["gzip, deflate"], &twice, LIMIT).as_deref(), Ok(TEXT));
    assert_eq!(decode(&["gzip", "\tDEFLATE "], &twice, LIMIT).as_deref(), Ok(TEXT));
    assert_eq!(decode(&["deflate, gzip"], &twice, LIMIT), Err(ContentError::Malformed));
}

#[test]
fn h03_what_cannot_be_decoded_is_refused() {
    for coding in
        ["compress", "dcb", "dcz", "", "gzip,", ",gzip", "g zip", "gzip;q=1", "*", "aws-chunked"]
    {
        assert_eq!(decode(&[coding], TEXT, LIMIT), Err(ContentError::Unknown), "{coding}");
    }
    for codings in [&["gzip, gzip, gzip"][..], &["gzip", "identity", "br"]] {
        assert_eq!(decode(codings, TEXT, LIMIT), Err(ContentError::TooMany));
    }
    for coding in ["gzip", "deflate", "br", "zstd"] {
        assert!(decode(&[coding], TEXT, LIMIT).is_err(), "{coding}");
        assert_eq!(decode(&[coding], b"", LIMIT), Err(ContentError::Truncated), "{coding}");
    }
}

#[test]
fn h03_raw_deflate_is_no_deflate() {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(TEXT).unwrap();
    let raw = encoder.finish().unwrap();
    assert_eq!(decode(&["deflate"], &raw, LIMIT), Err(ContentError::Malformed));
    assert_eq!(decode(&["deflate"], &gzip(TEXT), LIMIT), Err(ContentError::Malformed));
    assert_eq!(decode(&["gzip"], &zlib(TEXT), LIMIT), Err(ContentError::Malformed));
}

#[test]
fn h03_bytes_behind_the_end_are_refused() {
    for (coding, body) in encoded() {
        for more in [&b"\0"[..], b"x", &body] {
            let trailing = [&body, more].concat();
            assert_eq!(
                decode(&[coding], &trailing, LIMIT),
                Err(ContentError::Trailing),
                "{coding}"
            );
        }
    }
}

#[test]
fn h03_a_body_without_its_end_is_refused() {
    for (coding, body) in encoded() {
        for end in 0..body.len() {
            let error = decode(&[coding], &body[..end], LIMIT).unwrap_err();
            assert!(
                matches!(error, ContentError::Truncated | ContentError::Malformed),
                "{coding} {end} {error:?}"
            );
        }
    }
}

#[test]
fn h03_a_wrong_checksum_is_refused() {
    for (coding, mut body) in [("gzip", gzip(TEXT)), ("deflate", zlib(TEXT)), ("zstd", hex(ZSTD))] {
        let last = body.len() - if coding == "gzip" { 5 } else { 1 };
        body[last] ^= 1;
        assert_eq!(decode(&[coding], &body, LIMIT), Err(ContentError::Malformed), "{coding}");
    }
}

#[test]
fn h03_odd_frames_are_refused() {
    let mut reserved = gzip(TEXT);
    reserved[3] |= 0x20;
    assert_eq!(decode(&["gzip"], &reserved, LIMIT), Err(ContentError::Malformed));
    let skippable = [&hex("502a4d1804000000")[..], b"skip", &hex(ZSTD)].concat();
    assert_eq!(decode(&["zstd"], &skippable, LIMIT), Err(ContentError::Malformed));
    // A window of 16 MiB, an empty last block.
    assert_eq!(decode(&["zstd"], &hex("28b52ffd0070010000"), LIMIT), Err(ContentError::Malformed));
    assert_eq!(decode(&["zstd"], &hex("28b52ffd0068010000"), LIMIT).as_deref(), Ok(&b""[..]));
    assert_eq!(decode(&["zstd"], &hex("28b52ffd0868010000"), LIMIT), Err(ContentError::Malformed));
    // A frame that asks for dictionary 1, and a zlib stream that asks for one.
    assert_eq!(
        decode(&["zstd"], &hex("28b52ffd016801010000"), LIMIT),
        Err(ContentError::Malformed)
    );
    assert_eq!(decode(&["deflate"], &hex("78bb00000001"), LIMIT), Err(ContentError::Malformed));
    assert_eq!(decode(&["br"], &hex(BROTLI_LARGE), LIMIT), Err(ContentError::Malformed));
}

#[test]
fn n06_bombs_are_refused() {
    let zeros = vec![0; 512 * 1024];
    let bombs = [
        ("gzip", gzip(&zeros)),
        ("deflate", zlib(&zeros)),
        ("br", hex(BROTLI_BOMB)),
        ("zstd", zstd(&zeros)),
    ];
    for (coding, body) in bombs {
        assert_eq!(decode(&[coding], &body, 1024), Err(ContentError::TooLong), "{coding}");
        assert_eq!(decode(&[coding], &body, LIMIT), Err(ContentError::Ratio), "{coding}");
    }
    // What a bomb comes to counts from the body as it was sent.
    let nested = gzip(&gzip(&zeros));
    assert_eq!(decode(&["gzip, gzip"], &nested, LIMIT), Err(ContentError::Ratio));
    // The limit is for what stands between, too.
    let random: Vec<u8> =
        (0..4096_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    assert_eq!(decode(&["gzip"], &gzip(&random), random.len()).as_deref(), Ok(&random[..]));
    assert_eq!(decode(&["gzip"], &gzip(&random), random.len() - 1), Err(ContentError::TooLong));
    assert_eq!(decode(&[], &random, random.len() - 1), Err(ContentError::TooLong));
}

#[test]
fn n06_small_bodies_may_grow() {
    let zeros = vec![0; RATIO_FREE];
    assert_eq!(decode(&["gzip"], &gzip(&zeros), LIMIT).as_deref(), Ok(&zeros[..]));
    assert_eq!(decode(&["gzip"], &gzip(&vec![0; RATIO_FREE + 1]), LIMIT), Err(ContentError::Ratio));
}

fn essence(value: &str) -> Result<String, MediaTypeError> {
    MediaType::parse(value.as_bytes()).map(|media_type| media_type.essence().to_owned())
}

#[test]
fn media_types_are_read() {
    for value in [
        "application/json",
        " Application/JSON\t",
        "application/json;charset=utf-8",
        "application/json ; charset=\"UTF-8\" ;; x=\"a\\\"; b/c\"",
        "application/json;",
        "APPLICATION/json; CharSet=\"u\\tf-8\"",
    ] {
        let media_type = MediaType::parse(value.as_bytes()).unwrap();
        assert_eq!(media_type.essence(), "application/json", "{value}");
        assert!(media_type.is_json(), "{value}");
    }
    let form = MediaType::parse(b"multipart/form-data; Boundary=\"a b\\\"c\"").unwrap();
    assert_eq!(form.parameter("boundary"), Some("a b\"c"));
    assert!(!form.is_json());
}

#[test]
fn h03_json_in_another_charset_or_type_is_no_json() {
    for value in [
        "application/json;charset=utf-16",
        "application/json;charset=iso-8859-1",
        "application/json;charset=utf-7",
        "application/json;charset=utf8",
        "application/json;charset=\"\"",
        "text/plain",
        "text/json",
        "application/jsonx",
        "application/x-www-form-urlencoded",
        "multipart/form-data;boundary=x",
        "application/vnd.api+json",
    ] {
        assert!(!MediaType::parse(value.as_bytes()).unwrap().is_json(), "{value}");
    }
}

#[test]
fn h03_a_content_type_has_one_reading() {
    for value in [
        "",
        "application",
        "application/",
        "/json",
        "application/json, text/plain",
        "application/json,text/plain",
        "application/json text/plain",
        "application /json",
        "application/ json",
        "application/json; charset",
        "application/json; charset =utf-8",
        "application/json; charset= utf-8",
        "application/json; charset=",
        "application/json; =utf-8",
        "application/json; charset=\"utf-8",
        "application/json; charset=\"utf-8\\",
        "application/json; charset=\"utf-8\"x",
        "application/json; charset='utf-8' x",
        "application/json; charset=utf-8, text/plain",
        "application/json; x=\"\u{1}\"",
        "application/json\u{b}",
        "application/j\0son",
        "applic\u{e4}tion/json",
        "application/json/x",
    ] {
        assert_eq!(essence(value), Err(MediaTypeError::Malformed), "{value}");
    }
    for value in
        ["a/b;charset=utf-8;charset=utf-8", "a/b;charset=utf-8;CHARSET=utf-16", "a/b;x=1;x=1"]
    {
        assert_eq!(essence(value), Err(MediaTypeError::Duplicate), "{value}");
    }
    assert_eq!(essence(&format!("a/{}", "b".repeat(1024))), Err(MediaTypeError::TooLong));
    let many: String = (0..17).map(|n| format!(";p{n}=1")).collect();
    assert_eq!(essence(&format!("a/b{many}")), Err(MediaTypeError::TooLong));
}

proptest! {
    #[test]
    fn what_was_encoded_comes_back(body in prop::collection::vec(any::<u8>(), 0..512)) {
        for (coding, encoded) in [("gzip", gzip(&body)), ("deflate", zlib(&body)), ("zstd", zstd(&body))] {
            let decoded = decode(&[coding], &encoded, body.len());
            prop_assert_eq!(decoded.as_ref(), Ok(&body), "{}", coding);
        }
    }

    #[test]
    fn damaged_bodies_are_bounded(
        which in 0_usize..6,
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let (coding, mut body) = encoded().swap_remove(which);
        let at = at.index(body.len());
        body[at] = byte;
        body.truncate(cut.index(body.len()) + 1);
        if let Ok(decoded) = decode(&[coding], &body, 256) {
            prop_assert!(decoded.len() <= 256);
        }
    }

    #[test]
    fn any_bytes_are_decoded_or_refused(body in prop::collection::vec(any::<u8>(), 0..256)) {
        for coding in ["gzip", "deflate", "br", "zstd"] {
            let _decoded = decode(&[coding], &body, 4096);
        }
        let _media_type = MediaType::parse(&body);
    }
}

/// What a body with this coding becomes when it comes in such parts.
fn streamed(coding: &str, parts: &[&[u8]]) -> Result<Vec<u8>, ContentError> {
    let mut decoder = Decoder::new(&[coding])?.expect("a coding");
    let mut out = Vec::new();
    for part in parts {
        decoder.push(part, &mut |given| out.extend_from_slice(given))?;
    }
    if decoder.is_settled() { Ok(out) } else { Err(ContentError::Truncated) }
}

#[test]
fn i03_a_body_in_parts_becomes_what_the_whole_does() {
    for (coding, body) in encoded() {
        for split in 0..=body.len() {
            let (one, two) = body.split_at(split);
            assert_eq!(streamed(coding, &[one, two]).as_deref(), Ok(TEXT), "{coding} {split}");
        }
        let bytes: Vec<&[u8]> = body.chunks(1).collect();
        assert_eq!(streamed(coding, &bytes).as_deref(), Ok(TEXT), "{coding}");
    }
    let twice = zlib(&gzip(TEXT));
    assert_eq!(streamed("gzip, deflate", &[&twice]).as_deref(), Ok(TEXT));
    for coding in ["gzip", "zstd"] {
        let one = if coding == "gzip" { gzip(TEXT) } else { zstd(TEXT) };
        let two = [&one[..], &one].concat();
        let text = [TEXT, TEXT].concat();
        let parts: Vec<&[u8]> = two.chunks(7).collect();
        assert_eq!(streamed(coding, &parts).as_deref(), Ok(&text[..]), "{coding}");
    }
    assert!(matches!(Decoder::new(&["identity"]), Ok(None)));
    for coding in ["compress", "", "gzip,"] {
        assert!(matches!(Decoder::new(&[coding]), Err(ContentError::Unknown)), "{coding}");
    }
}

#[test]
fn i03_what_was_flushed_is_given_at_once() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let mut decoder = Decoder::new(&["gzip"]).unwrap().unwrap();
    let mut seen = 0;
    for line in ["data: one\n\n", "data: two\n\n"] {
        encoder.write_all(line.as_bytes()).unwrap();
        encoder.flush().unwrap();
        let mut out = Vec::new();
        let new = encoder.get_ref()[seen..].to_vec();
        decoder.push(&new, &mut |given| out.extend_from_slice(given)).unwrap();
        assert_eq!(out, line.as_bytes());
        seen += new.len();
    }
}

#[test]
fn n06_a_bomb_in_parts_is_not_unpacked() {
    let zeros = vec![0; 17 * 1024 * 1024];
    for (coding, body) in [("gzip", gzip(&zeros)), ("zstd", zstd(&zeros))] {
        let parts: Vec<&[u8]> = body.chunks(1000).collect();
        assert_eq!(streamed(coding, &parts), Err(ContentError::Ratio), "{coding}");
    }
    assert_eq!(streamed("br", &[&hex(BROTLI_LARGE)]), Err(ContentError::Malformed));
    for (coding, body) in encoded() {
        if coding != "zstd" && !coding.eq_ignore_ascii_case("x-gzip") && coding != "gzip" {
            let longer = [&body[..], b"x"].concat();
            assert_eq!(streamed(coding, &[&longer]), Err(ContentError::Trailing), "{coding}");
        }
        assert!(streamed(coding, &[TEXT]).is_err(), "{coding}");
    }
}
