use proptest::prelude::*;

use super::*;

fn block8(content: &[u8]) -> Vec<u8> {
    [&[u8::try_from(content.len()).unwrap()], content].concat()
}

fn block16(content: &[u8]) -> Vec<u8> {
    [&u16::try_from(content.len()).unwrap().to_be_bytes()[..], content].concat()
}

fn extension(kind: u16, content: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &block16(content)].concat()
}

fn sni(name: &[u8]) -> Vec<u8> {
    extension(0, &block16(&[&[0][..], &block16(name)].concat()))
}

/// A handshake message with these extensions.
fn message(extensions: &[Vec<u8>]) -> Vec<u8> {
    let body = [
        &[3, 3][..],
        &[7; 32],
        &block8(&[9; 32]),
        &block16(&[0x13, 0x01, 0x13, 0x02]),
        &block8(&[0]),
        &block16(&extensions.concat()),
    ]
    .concat();
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[1], &length[1..], &body].concat()
}

/// The message in records of at most `size` octets.
fn records(message: &[u8], size: usize) -> Vec<u8> {
    message.chunks(size).flat_map(|part| [&[22, 3, 1][..], &block16(part)].concat()).collect()
}

fn read(bytes: &[u8]) -> Progress {
    Reader::new().feed(bytes)
}

fn read_message(extensions: &[Vec<u8>]) -> Progress {
    read(&records(&message(extensions), 16_384))
}

fn hello(name: Option<&str>, ech: bool) -> Progress {
    let sni = name.map(|name| HostName::parse(name).unwrap());
    Progress::Hello(ClientHello { sni, ech, alpn: vec![] })
}

/// A protocol extension with these names.
fn alpn(names: &[&[u8]]) -> Vec<u8> {
    let list: Vec<u8> = names.iter().flat_map(|name| block8(name)).collect();
    extension(16, &block16(&list))
}

#[test]
fn reads_the_server_name() {
    assert_eq!(read_message(&[sni(b"API.example.com")]), hello(Some("api.example.com"), false));
    assert_eq!(read_message(&[]), hello(None, false));
}

#[test]
fn d06_reads_the_offered_protocols_in_their_order() {
    let offered = |extension: Vec<u8>| match read_message(&[extension]) {
        Progress::Hello(hello) => Ok(hello.alpn),
        other => Err(other),
    };
    let names = [&b"h2"[..], b"http/1.1", &[0x0a, 0x0a], &[b'x'; 255]];
    assert_eq!(offered(alpn(&names)), Ok(names.map(<[u8]>::to_vec).to_vec()));
    let too_many = [&b"x"[..]; Reader::MOST_PROTOCOLS + 1];
    let most = &too_many[1..];
    assert_eq!(offered(alpn(most)).map(|names| names.len()), Ok(most.len()));
    let malformed = Err(Progress::Malformed(HelloError::Protocols));
    for content in [
        &b""[..],
        b"\0",
        b"\0\0",
        b"\0\x01\0",
        b"\0\x03\x03h2",
        b"\0\x03\x02h2\0",
        b"\0\x04\x02h2",
        b"\0\x04\x02h2\0",
    ] {
        assert_eq!(offered(extension(16, content)), malformed, "{content:?}");
    }
    assert_eq!(offered(alpn(&too_many)), malformed);
    let twice = read_message(&[alpn(&[b"h2"]), alpn(&[b"http/1.1"])]);
    assert_eq!(twice, Progress::Malformed(HelloError::Message));
}

#[test]
fn d02_a_hello_is_found_however_it_is_split() {
    let padding = extension(21, &vec![0; 40_000]);
    let message = message(&[padding, sni(b"a.com")]);
    for size in [1, 2, 3, 7, 100, 16_384] {
        if size == 1 {
            continue; // Five octets of header for each: refused below.
        }
        let wire = records(&message, size);
        if wire.len() <= Reader::LONGEST_READ {
            assert_eq!(read(&wire), hello(Some("a.com"), false), "{size}");
        }
        let mut reader = Reader::new();
        let mut last = Progress::NeedMore;
        for byte in &wire {
            last = reader.feed(&[*byte]);
        }
        assert_eq!(last, read(&wire), "{size}");
    }
    let absurd = records(&message, 1);
    assert_eq!(read(&absurd), Progress::Malformed(HelloError::TooLong));
}

#[test]
fn d02_hidden_names_are_seen() {
    assert_eq!(
        read_message(&[sni(b"front.com"), extension(0xfe0d, &[0; 8])]),
        hello(Some("front.com"), true)
    );
    assert_eq!(read_message(&[extension(0xffce, &[0; 8])]), hello(None, true));
}

#[test]
fn d01_several_or_odd_server_names_are_malformed() {
    let two_in_one = [&[0][..], &block16(b"a.com"), &[0], &block16(b"b.com")].concat();
    for (extensions, why) in [
        (vec![sni(b"a.com"), sni(b"b.com")], HelloError::Message),
        (vec![extension(0, &block16(&two_in_one))], HelloError::ServerName),
        (vec![sni(b"a.com\0.b.com")], HelloError::ServerName),
        (vec![sni(b"127.0.0.1")], HelloError::ServerName),
        (vec![sni(b"")], HelloError::ServerName),
        (vec![sni("\u{e4}.com".as_bytes())], HelloError::ServerName),
        (vec![extension(0, &[])], HelloError::Message),
        (
            vec![extension(0, &block16(&[&[1][..], &block16(b"a.com")].concat()))],
            HelloError::ServerName,
        ),
    ] {
        assert_eq!(read_message(&extensions), Progress::Malformed(why), "{extensions:?}");
    }
}

#[test]
fn d02_what_a_server_may_take_for_tls_is_never_another_protocol() {
    let whole = records(&message(&[sni(b"a.com")]), 16_384);
    let alert = [&[21, 3, 1, 0, 2, 1, 0][..], &whole].concat();
    let change = [&[20, 3, 3, 0, 1, 1][..], &whole].concat();
    let empty = [&[22, 3, 1, 0, 0][..], &whole].concat();
    let ssl2 = [0x80, 46, 1, 3, 1, 0, 21, 0, 0, 0, 16];
    for wire in [&alert[..], &change, &empty, &ssl2, &[22, 2, 0], &[22, 3, 1, 0xff, 0xff]] {
        assert_eq!(read(wire), Progress::Malformed(HelloError::Record), "{wire:?}");
    }
    assert_eq!(read(&[22, 3, 1, 0, 4, 2, 0, 0, 0]), Progress::Malformed(HelloError::Message));
    let mixed = records(&message(&[sni(b"a.com")]), 20);
    let mixed = [&mixed[..25], &[21, 3, 1, 0, 2, 1, 0], &mixed[25..]].concat();
    assert_eq!(read(&mixed), Progress::Malformed(HelloError::Record));
}

#[test]
fn other_protocols_are_told_by_their_first_bytes() {
    for wire in [&b"GET / HTTP/1.1"[..], b"SSH-2.0-x", b"\0\0\0\x08\x04\xd2\x16\x2f", b"\x80\0\x02"]
    {
        assert_eq!(read(wire), Progress::NotTls, "{wire:?}");
    }
    assert_eq!(read(b""), Progress::NeedMore);
    assert_eq!(read(b"\x16"), Progress::NeedMore);
}

#[test]
fn a_hello_that_is_too_long_is_refused_before_it_is_held() {
    let wire = [22, 3, 1, 0, 4, 1, 0x01, 0x00, 0x01];
    assert_eq!(read(&wire), Progress::Malformed(HelloError::TooLong));
}

proptest! {
    #[test]
    fn reading_is_split_invariant(
        size in 1_usize..60,
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        noise in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
    ) {
        let mut wire = records(&message(&[extension(10, &[0; 30]), sni(b"api.example.com")]), size);
        wire.extend_from_slice(b"and more");
        if let Some((at, byte)) = noise {
            let at = at.index(wire.len());
            wire[at] = byte;
        }
        let whole = read(&wire);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(wire.len())).collect();
        cuts.sort_unstable();
        let mut reader = Reader::new();
        let mut from = 0;
        let mut last = Progress::NeedMore;
        for cut in cuts.into_iter().chain([wire.len()]) {
            last = reader.feed(&wire[from..cut]);
            from = cut;
        }
        prop_assert_eq!(last, whole);
    }

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = read(&bytes);
        let _ = read(&[&[22, 3, 1, 1, 0, 1, 0, 0, 252][..], &bytes].concat());
    }
}
