use proptest::prelude::*;

use super::*;

const AGREED: Option<Deflate> = Some(Deflate {
    server_no_context_takeover: false,
    client_no_context_takeover: false,
    server_max_window_bits: None,
    client_max_window_bits: None,
});

const FORGETTING: Option<Deflate> = Some(Deflate {
    server_no_context_takeover: false,
    client_no_context_takeover: true,
    server_max_window_bits: None,
    client_max_window_bits: Some(9),
});

#[test]
fn reads_the_examples_of_the_rfc() {
    // RFC 7692, section 7.2.3: one frame, fragments, a shared window, no compression, a last block,
    // two blocks.
    let hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    for agreed in [AGREED, FORGETTING] {
        assert_eq!(messages(&masked(0xc1, &hello), agreed), [text("Hello")]);
        let parts = [masked(0x41, &hello[..3]), masked(0x80, &hello[3..])].concat();
        assert_eq!(messages(&parts, agreed), [text("Hello")]);
        let twice = masked(0xc1, &hello).repeat(2);
        assert_eq!(messages(&twice, agreed), [text("Hello"), text("Hello")]);
        let stored = [0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00];
        assert_eq!(messages(&masked(0xc1, &stored), agreed), [text("Hello")]);
        let last = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00];
        assert_eq!(
            messages(&masked(0xc1, &last).repeat(2), agreed),
            [text("Hello"), text("Hello")]
        );
        let blocks = [0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00];
        assert_eq!(messages(&masked(0xc1, &blocks), agreed), [text("Hello")]);
    }
    let shared = [masked(0xc1, &hello), masked(0xc1, &[0xf2, 0x00, 0x11, 0x00, 0x00])].concat();
    assert_eq!(messages(&shared, AGREED), [text("Hello"), text("Hello")]);
    assert_eq!(refused(&shared, FORGETTING), Some(Violation::Deflate));
}

#[test]
fn messages_may_be_left_uncompressed_and_empty() {
    let stream = [masked(0x81, b"plain"), masked(0xc1, b"\0"), masked(0xc2, b"")].concat();
    for agreed in [AGREED, FORGETTING] {
        let expected = [text("plain"), text(""), Message::Binary(Vec::new())];
        assert_eq!(messages(&stream, agreed), expected);
    }
}

#[test]
fn f08_malformed_compression_is_refused() {
    let mut state = compressor();
    let whole = compress(&mut state, b"a text that is long enough to be cut anywhere");
    for payload in [
        &[0x06][..],                                    // a reserved kind of block
        &[0x00, 0x05, 0x00, 0xfa, 0xfe],                // a length unlike its complement
        &[0x00, 0x05, 0x00, 0xfa, 0xff, b'H'],          // a stored block that goes on
        &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 1], // something behind a last block
        &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0, 0, 0],
        &[0xf2, 0x00, 0x11, 0x00, 0x00], // a look back to where nothing was
        &whole[..whole.len() / 2],
    ] {
        assert_eq!(
            refused(&masked(0xc1, payload), AGREED),
            Some(Violation::Deflate),
            "{payload:?}"
        );
    }
    let bad = compress(&mut compressor(), b"\xff\xfe");
    assert_eq!(refused(&masked(0xc1, &bad), AGREED), Some(Violation::Utf8));
}

/// Compressed octets that make `count` times 64 KiB, and one octet more when asked.
fn bomb(count: usize, one_more: bool) -> Vec<u8> {
    let mut state = compressor();
    let mut block = Vec::with_capacity(1024);
    state.compress_vec(&[b'a'; 1 << 16], &mut block, FlushCompress::Full).unwrap();
    let mut out = block.repeat(count);
    out.extend(compress(&mut compressor(), if one_more { b"a" } else { b"" }));
    out
}

#[test]
fn n06_bombs_are_refused_while_they_are_inflated() {
    for (first, limit, violation) in [
        (0xc1, ClientReader::LONGEST_TEXT, Violation::TextTooLong),
        (0xc2, ClientReader::LONGEST_BINARY, Violation::BinaryTooLong),
    ] {
        let count = limit >> 16;
        let most = bomb(count, false);
        assert!(most.len() < limit / 500);
        assert_eq!(messages(&masked(first, &most), AGREED).len(), 1);
        let longer = masked(first, &bomb(count, true));
        assert_eq!(read_all(&longer, AGREED, usize::MAX), (Vec::new(), Some(violation)));
        // The rest of a large one is not even waited for.
        let bomb = masked(first, &bomb(100 * count, false));
        assert_eq!(read_all(&bomb[..bomb.len() / 50], AGREED, 997), (Vec::new(), Some(violation)));
    }
}

#[test]
fn n06_compressed_octets_without_output_have_an_end() {
    let nothing = [0, 0, 0, 0xff, 0xff].repeat(10_000);
    let mut stream = masked(0x41, &nothing);
    for _ in 0..200 {
        stream.extend(masked(0x00, &nothing));
    }
    assert_eq!(refused(&stream, AGREED), Some(Violation::TextTooLong));
}

#[test]
fn memory_grows_with_what_came() {
    let mut content = Vec::new();
    let limit = 5000;
    for _ in 0..limit {
        inflate::append(&mut content, b"a", limit);
        assert!(content.capacity() <= limit && content.capacity() <= 2 * content.len().max(128));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_is_compressed_is_read(
        sent in prop::collection::vec(
            prop_oneof![
                prop::collection::vec(any::<u8>(), 0..3000),
                prop::collection::vec(0..4_u8, 0..50_000),
            ],
            1..6,
        ),
        level in 0..=9_u32,
        forgets: bool,
        fragment in 1..9000_usize,
        piece in 1..9000_usize,
    ) {
        let mut state = Compress::new(Compression::new(level), false);
        let mut stream = Vec::new();
        for content in &sent {
            if forgets {
                state.reset();
            }
            let payload = compress(&mut state, content);
            let mut parts: Vec<_> = payload.chunks(fragment).collect();
            let last = parts.pop().unwrap_or_default();
            let mut first = 0x42;
            for part in parts {
                stream.extend(masked(first, part));
                first = 0;
            }
            stream.extend(masked(first | 0x80, last));
        }
        let agreed = if forgets { FORGETTING } else { AGREED };
        let expected: Vec<_> = sent.into_iter().map(Message::Binary).collect();
        prop_assert_eq!(read_all(&stream, agreed, piece), (expected, None));
    }

    #[test]
    fn any_compressed_bytes_are_read_the_same_however_split(
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 1..4),
        piece in 1..20_usize,
    ) {
        let stream: Vec<u8> = payloads.iter().flat_map(|payload| masked(0xc2, payload)).collect();
        prop_assert_eq!(read_all(&stream, AGREED, piece), read_all(&stream, AGREED, usize::MAX));
    }

    #[test]
    fn damaged_compression_is_read_the_same_however_split(
        content in prop::collection::vec(0..40_u8, 0..20_000),
        level in 0..=9_u32,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        piece in 1..300_usize,
    ) {
        let mut state = Compress::new(Compression::new(level), false);
        let mut payload = compress(&mut state, &content);
        for (at, octet) in &damage {
            let at = at.index(payload.len());
            payload[at] = *octet;
        }
        let stream = [masked(0xc2, &payload), masked(0xc2, &payload)].concat();
        prop_assert_eq!(read_all(&stream, AGREED, piece), read_all(&stream, AGREED, usize::MAX));
    }
}
