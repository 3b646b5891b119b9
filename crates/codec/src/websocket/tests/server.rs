use proptest::prelude::*;

use super::*;

/// A server's frame.
fn plain(first: u8, payload: &[u8]) -> Vec<u8> {
    frame(first, payload, None)
}

/// What passes of a stream that comes in pieces.
fn pass_all(
    bytes: &[u8],
    deflate: Option<Deflate>,
    piece: usize,
) -> (Vec<u8>, bool, Option<Violation>) {
    let mut reader = ServerReader::new(deflate);
    let (mut waiting, mut passed) = (Vec::new(), Vec::new());
    for next in bytes.chunks(piece) {
        waiting.extend_from_slice(next);
        loop {
            match reader.pass(&waiting) {
                Ok(Passed { bytes, closed }) => {
                    passed.extend(waiting.drain(..bytes));
                    assert_eq!(closed, reader.is_closed());
                    if closed {
                        assert_eq!(reader.pass(b"\x81\0"), Ok(Passed { bytes: 0, closed: true }));
                        return (passed, true, None);
                    }
                    if bytes == 0 {
                        assert!(waiting.len() < ServerReader::LONGEST_HEADER);
                        break;
                    }
                }
                Err(violation) => {
                    assert!(reader.is_between_frames());
                    return (passed, false, Some(violation));
                }
            }
        }
    }
    (passed, false, None)
}

fn refused(bytes: &[u8], deflate: Option<Deflate>) -> Option<Violation> {
    pass_all(bytes, deflate, usize::MAX).2
}

#[test]
fn legal_frames_pass_unchanged_however_split() {
    let stream = [
        plain(0x81, b"Hello"),
        plain(0x01, b"Hel"),
        plain(0x89, b"ping"),
        plain(0x80, b"lo"),
        plain(0x82, &[1; 256]),
        plain(0xc2, &[2; 65536]),
        plain(0x88, b"\x03\xe8"),
    ]
    .concat();
    let late = [&stream[..], &plain(0x81, b"late")].concat();
    for piece in [1, 2, 3, 100, 70_000] {
        let passed = pass_all(&late, Some(Deflate::default()), piece);
        assert_eq!(passed, (stream.clone(), true, None), "{piece}");
    }
}

#[test]
fn f08_illegal_frames_of_a_server_are_refused_and_what_stands_before_passes() {
    let agreed = Some(Deflate::default());
    for (bad, violation) in [
        (masked(0x81, b"a"), Violation::Masked),
        (plain(0xc1, b"a"), Violation::Reserved),
        (plain(0xa1, b"a"), Violation::Reserved),
        (plain(0x83, b"a"), Violation::Opcode),
        (plain(0x8b, b"a"), Violation::Opcode),
        (plain(0x09, b"a"), Violation::Control),
        (plain(0x89, &[0; 126]), Violation::Control),
        (plain(0x80, b"a"), Violation::Order),
        ([plain(0x01, b"a"), plain(0x81, b"b")].concat(), Violation::Order),
        (vec![0x82, 126, 0, 125], Violation::Length),
        (vec![0x82, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff], Violation::Length),
        (vec![0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0], Violation::Length),
        (plain(0x88, b"\x03"), Violation::Close),
    ] {
        assert_eq!(refused(&bad, None), Some(violation), "{bad:?}");
        let good = plain(0x82, b"good");
        let (passed, _, refused) = pass_all(&[&good[..], &bad].concat(), None, 3);
        assert_eq!(refused, Some(violation));
        assert!(passed.starts_with(&good) && !passed.ends_with(&bad));
    }
    for first in [0xc9, 0xc0, 0xe1, 0xd1] {
        assert_eq!(refused(&plain(first, b""), agreed), Some(Violation::Reserved));
    }
}

#[test]
fn a_frame_may_be_of_any_length_and_passes_as_it_comes() {
    let mut reader = ServerReader::new(None);
    let header = [0x82, 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    assert_eq!(reader.pass(&header[..9]), Ok(Passed { bytes: 0, closed: false }));
    assert!(reader.is_between_frames());
    assert_eq!(reader.pass(&header), Ok(Passed { bytes: 10, closed: false }));
    for _ in 0..100 {
        assert_eq!(reader.pass(&[0x83; 5000]), Ok(Passed { bytes: 5000, closed: false }));
        assert!(!reader.is_between_frames());
    }
}

#[test]
fn pings_and_closes_for_the_client_are_legal() {
    let mut stream = Vec::new();
    encode::ping_to_client(&[b'p'; 200], &mut stream);
    encode::close_to_client(1008, &"€".repeat(100), &mut stream);
    assert_eq!(stream.len(), 2 + 125 + 2 + 2 + 123);
    assert_eq!(pass_all(&stream, None, 7), (stream.clone(), true, None));
}

proptest! {
    #[test]
    fn any_bytes_pass_the_same_however_split(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
        piece in 1..40_usize,
    ) {
        let agreed = Some(Deflate::default());
        let (passed, closed, refused) = pass_all(&bytes, agreed, piece);
        prop_assert!(bytes.starts_with(&passed));
        prop_assert_eq!((passed, closed, refused), pass_all(&bytes, agreed, usize::MAX));
    }
}

#[test]
fn i03_frames_are_read_piece_by_piece_however_they_come() {
    let frames = [
        plain(0x01, b"Hel"),
        plain(0x89, b"p"),
        plain(0x80, b"lo"),
        plain(0x82, b""),
        plain(0x88, b""),
        b"more".to_vec(),
    ];
    let stream = frames.concat();
    for size in 1..=stream.len() {
        let mut reader = ServerReader::new(None);
        let (mut said, mut shown, mut seen) = (Vec::new(), Vec::new(), 0);
        for part in stream.chunks(size) {
            shown.extend_from_slice(part);
            while let Some((piece, taken)) = reader.piece(&shown[seen..]).expect("legal frames") {
                seen += taken;
                match piece {
                    Piece::Control { header, payload } => said.push((header[0], payload.to_vec())),
                    Piece::Message { begins, payload, ends } => {
                        if let Some(is_text) = begins {
                            said.push((u8::from(is_text), Vec::new()));
                        }
                        let message = said.iter_mut().rfind(|(first, _)| *first < 0x80).unwrap();
                        message.1.extend_from_slice(payload);
                        if ends {
                            message.0 += 16;
                        }
                    }
                }
            }
        }
        let expected: Vec<(u8, Vec<u8>)> = vec![
            (17, b"Hello".to_vec()),
            (0x89, b"p".to_vec()),
            (16, Vec::new()),
            (0x88, Vec::new()),
        ];
        assert_eq!((said, seen, reader.is_closed()), (expected, stream.len() - 4, true), "{size}");
    }
    let mut reader = ServerReader::new(None);
    assert_eq!(reader.piece(&[0xc1, 0]), Err(Violation::Reserved));
}
