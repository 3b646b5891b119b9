use proptest::prelude::*;

use super::*;

#[test]
fn reads_the_examples_of_the_rfc() {
    // RFC 6455, section 5.7.
    let hello = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    assert_eq!(messages(&hello, None), [text("Hello")]);
    let pong = [0x8a, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    assert_eq!(messages(&pong, None), [Message::Pong(b"Hello".to_vec())]);
    let fragments = [masked(0x01, b"Hel"), masked(0x80, b"lo")].concat();
    assert_eq!(messages(&fragments, None), [text("Hello")]);
    for length in [256, 65536] {
        let content = vec![7; length];
        assert_eq!(messages(&masked(0x82, &content), None), [Message::Binary(content)]);
    }
}

#[test]
fn f08_a_secret_in_fragments_is_one_text() {
    let stream = [
        masked(0x01, b"sec"),
        masked(0x89, b"are you there"),
        masked(0x00, b""),
        masked(0x00, b"r"),
        masked(0x8a, b""),
        masked(0x80, b"et"),
        masked(0x02, b"sec"),
        masked(0x80, b"ret"),
    ]
    .concat();
    let expected = [
        Message::Ping(b"are you there".to_vec()),
        Message::Pong(Vec::new()),
        text("secret"),
        Message::Binary(b"secret".to_vec()),
    ];
    assert_eq!(messages(&stream, None), expected);
}

#[test]
fn f08_unmasked_frames_are_refused() {
    assert_eq!(refused(&frame(0x81, b"Hello", None), None), Some(Violation::Unmasked));
    assert_eq!(refused(&[0x81, 0], None), Some(Violation::Unmasked));
    let later = [masked(0x81, b"a"), frame(0x81, b"b", None)].concat();
    assert_eq!(read_all(&later, None, 3), (vec![text("a")], Some(Violation::Unmasked)));
}

#[test]
fn f08_reserved_bits_and_opcodes_are_refused() {
    let agreed = Some(Deflate::default());
    for first in [0xc1, 0xa1, 0x91, 0xf2, 0xc9] {
        assert_eq!(refused(&masked(first, b""), None), Some(Violation::Reserved), "{first:#x}");
    }
    for first in [0xa1, 0x91, 0xe1, 0xd2, 0xc8, 0xc9, 0xca] {
        assert_eq!(refused(&masked(first, b""), agreed), Some(Violation::Reserved), "{first:#x}");
    }
    let late = [masked(0x01, b"a"), masked(0xc0, b"b")].concat();
    assert_eq!(refused(&late, agreed), Some(Violation::Reserved));
    for opcode in (3..=7).chain(11..=15) {
        assert_eq!(refused(&[0x80 | opcode], None), Some(Violation::Opcode), "{opcode}");
        assert_eq!(refused(&[opcode], agreed), Some(Violation::Opcode), "{opcode}");
    }
}

#[test]
fn f08_control_frames_are_short_and_whole() {
    for first in [0x88, 0x89, 0x8a] {
        assert_eq!(refused(&masked(first, &[b'a'; 126]), None), Some(Violation::Control));
        assert_eq!(refused(&masked(first & 0x0f, b""), None), Some(Violation::Control));
        assert_eq!(refused(&[first, 0xff], None), Some(Violation::Control));
    }
    assert_eq!(messages(&masked(0x89, &[1; 125]), None), [Message::Ping(vec![1; 125])]);
}

#[test]
fn f08_lengths_have_one_spelling() {
    for bytes in [
        &[0x82, 0xfe, 0, 125][..],
        &[0x82, 0xfe, 0, 0],
        &[0x82, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff],
        &[0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0],
    ] {
        assert_eq!(refused(bytes, None), Some(Violation::Length), "{bytes:?}");
    }
}

#[test]
fn f08_fragments_come_in_order() {
    for frames in [
        vec![masked(0x80, b"a")],
        vec![masked(0x00, b"a")],
        vec![masked(0x01, b"a"), masked(0x81, b"b")],
        vec![masked(0x01, b"a"), masked(0x02, b"b")],
        vec![masked(0x01, b"a"), masked(0x80, b"b"), masked(0x80, b"c")],
    ] {
        assert_eq!(refused(&frames.concat(), None), Some(Violation::Order), "{frames:?}");
    }
}

#[test]
fn a_message_has_a_bounded_number_of_fragments() {
    let mut stream = masked(0x01, b"a");
    for _ in 2..ClientReader::MOST_FRAGMENTS {
        stream.extend(masked(0x00, b""));
    }
    let most = [&stream[..], &masked(0x80, b"b")].concat();
    // Counted anew for each message.
    assert_eq!(messages(&[&most[..], &most].concat(), None), [text("ab"), text("ab")]);
    stream.extend([masked(0x00, b""), masked(0x80, b"b")].concat());
    assert_eq!(refused(&stream, None), Some(Violation::Fragments));
}

#[test]
fn messages_that_are_too_long_are_refused_at_their_header() {
    let limit = ClientReader::LONGEST_TEXT;
    let most = "a".repeat(limit);
    assert_eq!(messages(&masked(0x81, most.as_bytes()), None), [text(&most)]);
    let longer = masked(0x81, &vec![b'a'; limit + 1]);
    assert_eq!(refused(&longer[..14], None), Some(Violation::TextTooLong));
    let parts = [masked(0x01, most.as_bytes()), masked(0x80, b"a")].concat();
    assert_eq!(refused(&parts, None), Some(Violation::TextTooLong));
    let limit = ClientReader::LONGEST_BINARY;
    let most = vec![0; limit];
    assert_eq!(messages(&masked(0x82, &most), None), [Message::Binary(most)]);
    let longer = masked(0x82, &vec![0; limit + 1]);
    assert_eq!(refused(&longer[..14], None), Some(Violation::BinaryTooLong));
    let endless = [0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4];
    assert_eq!(refused(&endless, None), Some(Violation::BinaryTooLong));
}

#[test]
fn text_is_utf8_as_a_whole() {
    let split = [masked(0x01, &[0xe2]), masked(0x00, &[0x82]), masked(0x80, &[0xac])].concat();
    assert_eq!(messages(&split, None), [text("€")]);
    for bad in [&[0xff][..], &[0xe2, 0x82], &[0xed, 0xa0, 0x80], &[0xc0, 0xaf], b"\xf4\x90\x80\x80"]
    {
        assert_eq!(refused(&masked(0x81, bad), None), Some(Violation::Utf8), "{bad:?}");
        assert_eq!(messages(&masked(0x82, bad), None), [Message::Binary(bad.to_vec())]);
    }
}

#[test]
fn close_frames_are_well_formed_and_the_end() {
    let with = |code: u16, reason: &[u8]| masked(0x88, &[&code.to_be_bytes()[..], reason].concat());
    for code in [1000, 1001, 1003, 1007, 1011, 1012, 1013, 1014, 3000, 4999] {
        assert_eq!(messages(&with(code, b"so"), None), [close(code, "so")]);
    }
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535] {
        assert_eq!(refused(&with(code, b""), None), Some(Violation::Close), "{code}");
    }
    let empty = Message::Close { code: None, reason: String::new() };
    assert_eq!(messages(&masked(0x88, b""), None), [empty]);
    assert_eq!(refused(&masked(0x88, b"\x03"), None), Some(Violation::Close));
    assert_eq!(refused(&with(1000, b"\xff"), None), Some(Violation::Utf8));
    let mut reader = ClientReader::new(None);
    let stream = [with(1000, b"bye"), frame(0x81, b"unmasked", None)].concat();
    assert_eq!(reader.feed(&stream), stream.len());
    assert_eq!(reader.next_message(), Ok(Some(close(1000, "bye"))));
    assert_eq!(reader.feed(&[0xff; 100_000]), 100_000);
    assert_eq!(reader.next_message(), Ok(None));
    assert!(reader.is_closed() && !reader.is_mid_message());
}

#[test]
fn tells_whether_a_message_is_waited_for() {
    let mut reader = ClientReader::new(None);
    let mut after = |bytes: &[u8]| {
        assert_eq!(reader.feed(bytes), bytes.len());
        while reader.next_message().unwrap().is_some() {}
        reader.is_mid_message()
    };
    assert!(!after(b""));
    assert!(!after(&masked(0x81, b"whole")));
    assert!(after(&[0x81]));
    assert!(after(&[0x81, 1, 2, 3, 4]));
    assert!(!after(&[5]));
    assert!(after(&masked(0x01, b"part")));
    assert!(after(&masked(0x89, b"ping")));
    assert!(!after(&masked(0x80, b"end")));
}

#[test]
fn a_full_buffer_takes_more_once_messages_are_taken() {
    let one = masked(0x81, b"a");
    let stream = one.repeat(ClientReader::BUFFER / one.len() * 3);
    let mut reader = ClientReader::new(None);
    let (mut fed, mut count) = (0, 0);
    fed += reader.feed(&stream);
    assert_eq!(fed, ClientReader::BUFFER);
    assert_eq!(reader.feed(&stream[fed..]), 0);
    while fed < stream.len() {
        while let Some(message) = reader.next_message().unwrap() {
            assert_eq!(message, text("a"));
            count += 1;
            fed += reader.feed(&stream[fed..]);
        }
        fed += reader.feed(&stream[fed..]);
    }
    assert_eq!(count, stream.len() / one.len());
}

#[test]
fn every_split_gives_the_same_messages() {
    let mut state = compressor();
    let deflated = compress(&mut state, b"once and once and once more");
    let again = compress(&mut state, b"once and once and once more");
    let streams = [
        vec![
            masked(0x01, "h€".as_bytes()),
            masked(0x89, b"p"),
            masked(0x80, b"llo"),
            masked(0x82, &[3; 200]),
            masked(0xc1, &deflated),
            masked(0x42, &again[..3]),
            masked(0x80, &again[3..]),
            masked(0x88, b"\x03\xe8bye"),
            masked(0x81, b"late"),
        ],
        vec![masked(0x81, b"a"), masked(0xc1, &deflated[..deflated.len() - 3]), masked(0x81, b"")],
        vec![masked(0xc1, &deflated), masked(0xc1, b"\xf3\x48\xcd\xc9\xc9\x07\0\0"), vec![0x83]],
        vec![masked(0x81, b"a"), masked(0x01, b"b"), masked(0x81, b"c")],
    ];
    for frames in streams {
        let stream = frames.concat();
        let agreed = Some(Deflate::default());
        let whole = read_all(&stream, agreed, usize::MAX);
        assert!(!whole.0.is_empty());
        for at in 0..=stream.len() {
            let (left, right) = stream.split_at(at);
            assert_eq!(read_pieces([left, right], agreed), whole, "split at {at}");
        }
        assert_eq!(read_all(&stream, agreed, 1), whole);
    }
}

fn any_message() -> impl Strategy<Value = Message> {
    let octets = || prop::collection::vec(any::<u8>(), 0..=125);
    prop_oneof![
        ".{0,300}".prop_map(Message::Text),
        prop::collection::vec(any::<u8>(), 0..70_000).prop_map(Message::Binary),
        octets().prop_map(Message::Ping),
        octets().prop_map(Message::Pong),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_is_read(
        mut sent in prop::collection::vec(any_message(), 0..6),
        code in 3000..5000_u16,
        reason in "[a-zé€]{0,40}",
        key: [u8; 4],
        piece in 1..5000_usize,
    ) {
        sent.push(close(code, &reason));
        let mut stream = Vec::new();
        for message in &sent {
            encode::to_server(message, key, &mut stream);
        }
        prop_assert_eq!(read_all(&stream, None, piece), (sent, None));
    }

    #[test]
    fn any_bytes_are_read_the_same_however_split(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
        piece in 1..40_usize,
    ) {
        let agreed = Some(Deflate::default());
        prop_assert_eq!(read_all(&bytes, agreed, piece), read_all(&bytes, agreed, usize::MAX));
    }
}

#[test]
fn what_the_proxy_adds_is_cut_to_a_legal_length() {
    let mut stream = Vec::new();
    encode::to_server(&Message::Ping(vec![1; 300]), KEY, &mut stream);
    encode::to_server(&Message::Pong(vec![2; 300]), KEY, &mut stream);
    encode::to_server(&close(1008, &"é".repeat(100)), KEY, &mut stream);
    let expected =
        [Message::Ping(vec![1; 125]), Message::Pong(vec![2; 125]), close(1008, &"é".repeat(61))];
    assert_eq!(messages(&stream, None), expected);
    stream.clear();
    encode::to_server(&Message::Close { code: None, reason: "x".to_owned() }, KEY, &mut stream);
    assert_eq!(stream, masked(0x88, b""));
}
