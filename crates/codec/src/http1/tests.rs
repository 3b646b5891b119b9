use openshell_types::Authority;
use proptest::prelude::*;

use super::*;

fn read(text: &str) -> Result<RequestHead, HeadError> {
    match RequestHead::parse(text.as_bytes()) {
        Ok(Some((head, length))) => {
            assert_eq!(length, text.len(), "{text:?}");
            Ok(head)
        }
        Ok(None) => panic!("incomplete: {text:?}"),
        Err(error) => Err(error),
    }
}

fn authority(text: &str) -> Authority {
    Authority::parse(text).unwrap()
}

/// Adds the lines that make a whole head out of one field.
fn with_field(field: &str) -> String {
    format!("POST http://a.com/ HTTP/1.1\r\nHost: a.com\r\n{field}\r\n\r\n")
}

#[test]
fn reads_the_three_forms_of_targets() {
    let head = read("CONNECT A.com:443 HTTP/1.1\r\nHost: a.com:443\r\n\r\n").unwrap();
    assert_eq!(head.target, Target::Authority(authority("a.com:443")));
    let head = read("GET http://a.com/x?y HTTP/1.1\r\nHost: a.com\r\n\r\n").unwrap();
    let path = "/x?y".to_owned();
    assert_eq!(head.target, Target::Absolute { authority: authority("a.com:80"), path });
    let head = read("GET HTTP://a.com?y HTTP/1.1\r\nHost: a.com:80\r\n\r\n").unwrap();
    let path = "/?y".to_owned();
    assert_eq!(head.target, Target::Absolute { authority: authority("a.com:80"), path });
    let head = read("GET /x HTTP/1.1\r\nHost: a.com\r\n\r\n").unwrap();
    let host = Some(authority("a.com:80"));
    assert_eq!(head.target, Target::Origin { path: "/x".to_owned(), host });
}

#[test]
fn leaves_what_follows_the_head() {
    let bytes = b"CONNECT a.com:443 HTTP/1.1\r\nHost: a.com\r\n\r\n\x16\x03\x01";
    let (_, length) = RequestHead::parse(bytes).unwrap().unwrap();
    assert_eq!(&bytes[length..], b"\x16\x03\x01");
}

#[test]
fn a01_names_with_foreign_bytes_are_refused() {
    for name in ["allowed.com\0.evil.com:443", "evil.com\0.allowed.com:443", "a\u{ff0e}com:443"] {
        assert!(read(&format!("CONNECT {name} HTTP/1.1\r\nHost: a\r\n\r\n")).is_err(), "{name:?}");
    }
}

#[test]
fn b11_authorities_have_a_strict_grammar() {
    for target in ["host:443@evil.com:443", "u@host:443", "host:0", "host:65536", "host:+443", "h"]
    {
        let head = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n");
        assert!(matches!(read(&head), Err(HeadError::Authority(_))), "{target}");
        let head = format!("GET http://{target}/ HTTP/1.1\r\nHost: h\r\n\r\n");
        assert!(target == "h" || read(&head).is_err(), "{target}");
    }
}

#[test]
fn c03_c04_host_and_target_must_agree() {
    for head in [
        "CONNECT a.com:443 HTTP/1.1\r\nHost: b.com:443\r\n\r\n",
        "CONNECT a.com:443 HTTP/1.1\r\nHost: a.com:444\r\n\r\n",
        "GET http://a.com/ HTTP/1.1\r\nHost: b.com\r\n\r\n",
        "GET http://a.com:8080/ HTTP/1.1\r\nHost: a.com\r\n\r\n",
    ] {
        assert_eq!(read(head), Err(HeadError::HostMismatch), "{head:?}");
    }
    for head in [
        "CONNECT a.com:443 HTTP/1.1\r\n\r\n",
        "GET http://a.com/ HTTP/1.1\r\nHost: a.com\r\nHost: a.com\r\n\r\n",
        "GET http://a.com/ HTTP/1.1\r\nHost:\r\n\r\n",
        "GET http://a.com/ HTTP/1.1\r\nHost: a.com/x\r\n\r\n",
    ] {
        assert_eq!(read(head), Err(HeadError::Host), "{head:?}");
    }
    assert!(read("CONNECT a.com:443 HTTP/1.1\r\nHost: A.COM\r\n\r\n").is_ok());
    assert!(read("CONNECT a.com:443 HTTP/1.0\r\n\r\n").is_ok());
}

#[test]
fn only_plain_http_is_forwarded() {
    for scheme in ["https", "ftp", "ws"] {
        let head = format!("GET {scheme}://a.com/ HTTP/1.1\r\nHost: a.com\r\n\r\n");
        assert_eq!(read(&head), Err(HeadError::Scheme));
    }
    for target in ["*", "a.com", "http:/a.com", "http://a.com/#f", "http://a.com/\u{e4}"] {
        let head = format!("GET {target} HTTP/1.1\r\nHost: a.com\r\n\r\n");
        assert!(read(&head).is_err(), "{target}");
    }
}

#[test]
fn e01_doubtful_framing_is_refused() {
    for fields in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5, 5",
        "Content-Length: +5",
        "Content-Length: -1",
        "Content-Length: 0x5",
        "Content-Length:",
        "Content-Length: 18446744073709551616",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    ] {
        assert_eq!(read(&with_field(fields)), Err(HeadError::Framing), "{fields:?}");
    }
    assert_eq!(read(&with_field("Transfer-Encoding : chunked")), Err(HeadError::Header));
    let old = "POST http://a.com/ HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(read(old), Err(HeadError::Framing));
    let tunnel = "CONNECT a.com:443 HTTP/1.1\r\nHost: a.com\r\nContent-Length: 5\r\n\r\n";
    assert_eq!(read(tunnel), Err(HeadError::Framing));
    assert_eq!(read(&with_field("Content-Length: 5")).unwrap().body, Body::Length(5));
    assert_eq!(read(&with_field("Transfer-Encoding: Chunked")).unwrap().body, Body::Chunked);
}

#[test]
fn e02_line_ends_folds_and_controls_are_refused() {
    let get = "GET http://a.com/ HTTP/1.1";
    for (head, why) in [
        (format!("{get}\nHost: a.com\r\n\r\n"), HeadError::LineEnd),
        (format!("{get}\r\nHost: a.com\n\n"), HeadError::LineEnd),
        (format!("{get}\r\nHost: a.com\rX: y\r\n\r\n"), HeadError::LineEnd),
        (format!("{get}\r\nHost: a.com\r\r\n\r\n"), HeadError::LineEnd),
        (format!("{get}\r\nHost: a.com\r\nX: a\r\n b\r\n\r\n"), HeadError::Folded),
        (format!("{get}\r\n Host: a.com\r\n\r\n"), HeadError::Folded),
        (format!("{get}\r\nHost: a.com\r\nX: a\0b\r\n\r\n"), HeadError::Control),
        (format!("{get}\r\nHost: a.com\r\nX: a\x7fb\r\n\r\n"), HeadError::Control),
        (format!("{get}\r\nHost: a.com\r\nX : a\r\n\r\n"), HeadError::Header),
        (format!("{get}\r\nHost: a.com\r\nX\r\n\r\n"), HeadError::Header),
        (format!("{get}\r\nHost: a.com\r\n: a\r\n\r\n"), HeadError::Header),
        (format!("\r\n{get}\r\nHost: a.com\r\n\r\n"), HeadError::RequestLine),
        ("GET\thttp://a.com/ HTTP/1.1\r\nHost: a.com\r\n\r\n".to_owned(), HeadError::Control),
        ("GET  http://a.com/ HTTP/1.1\r\nHost: a.com\r\n\r\n".to_owned(), HeadError::RequestLine),
    ] {
        assert_eq!(RequestHead::parse(head.as_bytes()), Err(why), "{head:?}");
    }
}

#[test]
fn e06_other_versions_are_refused() {
    for version in ["HTTP/0.9", "HTTP/2.0", "HTTP/1.2", "HTTP/1.10", "http/1.1", "HTTP/11", "X"] {
        let head = format!("GET http://a.com/ {version}\r\nHost: a.com\r\n\r\n");
        assert!(RequestHead::parse(head.as_bytes()).is_err(), "{version}");
    }
    assert!(RequestHead::parse(b"GET http://a.com/\r\n\r\n").is_err());
}

#[test]
fn e07_large_heads_are_bounded_and_legitimate_ones_pass() {
    assert!(read(&with_field(&format!("Cookie: {}", "c".repeat(60_000)))).is_ok());
    let endless = with_field(&format!("Cookie: {}", "c".repeat(70_000)));
    assert_eq!(RequestHead::parse(endless.as_bytes()), Err(HeadError::TooLong));
    let unended = "GET http://a.com/ HTTP/1.1\r\nX: ".to_owned() + &"x".repeat(70_000);
    assert_eq!(RequestHead::parse(unended.as_bytes()), Err(HeadError::TooLong));
    let many = (0..1000).map(|n| format!("X-{n}: y")).collect::<Vec<_>>().join("\r\n");
    assert_eq!(read(&with_field(&many)), Err(HeadError::TooManyHeaders));
    assert_eq!(HeadError::TooManyHeaders.status(), 431);
}

/// An absolute-form request as its server gets it.
fn upstream(head: &RequestHead) -> Vec<u8> {
    let Target::Absolute { authority, path } = &head.target else { panic!("another form") };
    let (body, decoded) = (head.body, false);
    head.to_upstream(&Forwarded {
        target: path,
        authority,
        default_port: 80,
        body,
        decoded,
        replaced: &[],
    })
}

#[test]
fn c09_what_goes_upstream_is_made_by_us() {
    let head = read(
        "POST http://A.com:8080/x HTTP/1.1\r\nHost: a.com:8080\r\nProxy-Authorization: Basic x\r\n\
         Proxy-Connection: keep-alive\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\n\
         Keep-Alive: 5\r\nTE: trailers\r\nUpgrade: h2c\r\nHTTP2-Settings: A\r\nForwarded: for=1\r\n\
         Via: 1.1 x\r\nX-Forwarded-For: 1\r\nX-Original-URL: /secret\r\n\
         X_Rewrite_URL: /secret\r\nAccept: */*\r\n\
         Content-Length: 3\r\n\r\n",
    )
    .unwrap();
    assert_eq!(
        String::from_utf8(upstream(&head)).unwrap(),
        "POST /x HTTP/1.1\r\nHost: a.com:8080\r\naccept: */*\r\ncontent-length: 3\r\n\
         \r\n"
    );
    for field in ["host", "Content-Length", "x, transfer-encoding"] {
        let head = read(&with_field(&format!("Connection: {field}")));
        assert_eq!(head, Err(HeadError::Connection), "{field}");
    }
}

#[test]
fn c09_what_connection_lists_is_not_there_to_be_judged() {
    let head =
        read(&with_field("Connection: x-mode, Upgrade\r\nX-Mode: safe\r\nUpgrade: a")).unwrap();
    assert_eq!((head.values("x-mode").count(), head.values("upgrade").count()), (0, 1));
    assert!(!String::from_utf8(upstream(&head)).unwrap().contains("x-mode"));
}

#[test]
fn c09_underscores_hide_nothing() {
    let fields = "X_Forwarded_Host: b\r\nTransfer_Encoding: chunked\r\nContent_Length: 9\r\n\
                  X_Real_IP: 1\r\nProxy_Authorization: x\r\nX_Other: y";
    let text = String::from_utf8(upstream(&read(&with_field(fields)).unwrap())).unwrap();
    assert!(text.contains("x_other: y"), "{text}");
    assert_eq!(text.matches('_').count(), 1, "{text}");
}

#[test]
fn n02_a_head_of_many_lines_is_refused_before_its_end() {
    let text = format!("GET / HTTP/1.1\r\n{}", "a:\r\n".repeat(257));
    assert_eq!(RequestHead::parse(text.as_bytes()), Err(HeadError::TooManyHeaders));
}

#[test]
fn what_goes_upstream_is_read_the_same_again() {
    let head = read(&with_field("Transfer-Encoding: chunked\r\nX: a b\tc")).unwrap();
    let bytes = upstream(&head);
    let (again, _) = RequestHead::parse(&bytes).unwrap().unwrap();
    assert_eq!(again.body, Body::Chunked);
    assert_eq!(again.values("x").collect::<Vec<_>>(), [b"a b\tc"]);
    let host = Some(authority("a.com:80"));
    assert_eq!(again.target, Target::Origin { path: "/".to_owned(), host });
}

#[test]
fn guesses_http_from_its_first_bytes() {
    assert_eq!(looks_like_request(b"GET /"), Guess::Yes);
    assert_eq!(looks_like_request(b"P"), Guess::NeedMore);
    assert_eq!(looks_like_request(b""), Guess::NeedMore);
    assert_eq!(looks_like_request(b"\x16\x03\x01"), Guess::No);
    assert_eq!(looks_like_request(b"SSH-2.0"), Guess::No);
}

/// Reads a body in pieces: the data, and how many octets it took, when it ended.
fn unchunk(pieces: &[&[u8]]) -> Result<(Vec<u8>, Option<usize>), ChunkError> {
    let mut reader = ChunkedReader::new();
    let (mut data, mut taken) = (Vec::new(), 0);
    for piece in pieces {
        let mut rest = *piece;
        while !rest.is_empty() {
            let chunk = reader.read(rest)?;
            data.extend_from_slice(chunk.data);
            taken += chunk.consumed;
            if chunk.done {
                return Ok((data, Some(taken)));
            }
            rest = &rest[chunk.consumed..];
        }
    }
    Ok((data, None))
}

#[test]
fn finds_the_end_of_a_chunked_body() {
    let body = b"5\r\nhello\r\n1;x=y\r\n!\r\n0\r\n\r\nGET /smuggled";
    assert_eq!(unchunk(&[body]), Ok((b"hello!".to_vec(), Some(25))));
    assert_eq!(unchunk(&[b"5\r\nhel"]), Ok((b"hel".to_vec(), None)));
}

#[test]
fn e03_hostile_chunks_are_refused_and_trailers_end_here() {
    for body in [
        "0x5\r\nhello\r\n",
        "-5\r\nhello\r\n",
        "+5\r\nhello\r\n",
        " 5\r\nhello\r\n",
        "5 \r\nhello\r\n",
        "\r\nhello\r\n",
        ";x\r\n",
        "10000000000000000\r\n",
        "00000000000000005\r\nhello",
        "5\nhello\r\n",
        "5\rhello\r\n",
        "5\r\nhello!\r\n",
        "5\r\nhello\n0\r\n",
        "5;a\0b\r\nhello\r\n",
        "0\r\nHost: x\n\r\n",
    ] {
        assert!(unchunk(&[body.as_bytes()]).is_err(), "{body:?}");
    }
    let extension = format!("5;{}\r\n", "x".repeat(64 * 1024));
    assert_eq!(unchunk(&[extension.as_bytes()]), Err(ChunkError::TooLong));
    let trailers = format!("0\r\n{}", "X: y\r\n".repeat(10_000));
    assert_eq!(unchunk(&[trailers.as_bytes()]), Err(ChunkError::TooLong));
    let trailer = b"1\r\na\r\n0\r\nHost: evil\r\nAuthorization: x\r\n\r\n";
    assert_eq!(unchunk(&[trailer]), Ok((b"a".to_vec(), Some(trailer.len()))));
}

proptest! {
    #[test]
    fn chunking_is_split_invariant(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..6),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        noise in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
    ) {
        let mut wire: Vec<u8> = Vec::new();
        for chunk in &chunks {
            wire.extend_from_slice(format!("{:X}\r\n", chunk.len()).as_bytes());
            wire.extend_from_slice(chunk);
            wire.extend_from_slice(b"\r\n");
        }
        wire.extend_from_slice(b"0\r\nT: t\r\n\r\nexcess");
        if let Some((at, byte)) = noise {
            let at = at.index(wire.len());
            wire[at] = byte;
        }
        let whole = unchunk(&[&wire]);
        if noise.is_none() {
            prop_assert_eq!(&whole, &Ok((chunks.concat(), Some(wire.len() - 6))));
        }
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(wire.len())).collect();
        cuts.sort_unstable();
        let mut pieces = Vec::new();
        let mut from = 0;
        for cut in cuts.into_iter().chain([wire.len()]) {
            pieces.push(&wire[from..cut]);
            from = cut;
        }
        prop_assert_eq!(unchunk(&pieces), whole);
    }

    #[test]
    fn a_head_is_never_read_from_a_prefix_of_itself(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut wire = b"GET http://a.com/ HTTP/1.1\r\nHost: a.com\r\n".to_vec();
        wire.extend_from_slice(&bytes);
        if let Ok(Some((head, length))) = RequestHead::parse(&wire) {
            for end in 0..length {
                prop_assert_eq!(RequestHead::parse(&wire[..end]), Ok(None));
            }
            prop_assert_eq!(RequestHead::parse(&wire[..length]), Ok(Some((head, length))));
        }
    }
}

fn answer(text: &str, method: &str) -> Result<ResponseHead, HeadError> {
    ResponseHead::parse(text.as_bytes(), method).map(|found| found.expect("a whole head").0)
}

#[test]
fn responses_are_framed_as_the_request_and_the_status_say() {
    for (head, method, body) in [
        ("200 OK\r\nContent-Length: 5", "GET", ResponseBody::Length(5)),
        ("200 OK\r\nContent-Length: 0", "GET", ResponseBody::Length(0)),
        ("200 OK\r\nContent-Length: 5", "HEAD", ResponseBody::None),
        ("304 Not Modified\r\nContent-Length: 5", "GET", ResponseBody::None),
        ("204 No Content", "POST", ResponseBody::None),
        ("103 Early Hints", "GET", ResponseBody::None),
        ("200 OK\r\nTransfer-Encoding: Chunked", "GET", ResponseBody::Chunked),
        ("200", "GET", ResponseBody::UntilClose),
    ] {
        let read = answer(&format!("HTTP/1.1 {head}\r\n\r\n"), method).unwrap();
        assert_eq!(read.body, body, "{head}");
        assert_eq!(read.keeps_alive, body != ResponseBody::UntilClose, "{head}");
    }
    assert_eq!(ResponseHead::parse(b"HTTP/1.1 200 OK\r\nA: b\r\n", "GET"), Ok(None));
    let old = answer("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n", "GET").unwrap();
    assert!(!old.keeps_alive);
}

#[test]
fn e08_doubtful_responses_are_refused() {
    for head in [
        "200 OK\r\nContent-Length: 5\r\nContent-Length: 5",
        "200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked",
        "200 OK\r\nTransfer-Encoding: gzip, chunked",
        "200 OK\r\nContent-Length: -5",
        "200 OK\r\nA: b\n X: y",
        "200 OK\r\nA: b\r\n c",
        "200 OK\r\nA : b",
        "099 No\r\nA: b",
        "600 No\r\nA: b",
        "2000 No\r\nA: b",
    ] {
        let text = format!("HTTP/1.1 {head}\r\n\r\n");
        assert!(ResponseHead::parse(text.as_bytes(), "GET").is_err(), "{head}");
    }
    assert!(ResponseHead::parse(b"HTTP/2.0 200 OK\r\n\r\n", "GET").is_err());
}

#[test]
fn f11_what_a_client_gets_offers_no_other_way() {
    let head = answer(
        "HTTP/1.1 200 OK\r\nAlt-Svc: h3=\":443\"\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\n\
         Keep-Alive: timeout=5\r\nX-OpenShell-Policy: denied\r\nContent-Length: 2\r\nETag: e\r\n\r\n",
        "GET",
    )
    .unwrap();
    let text = |last| String::from_utf8(head.to_client(Version::Http11, last)).unwrap();
    assert_eq!(text(false), "HTTP/1.1 200 OK\r\netag: e\r\ncontent-length: 2\r\n\r\n");
    assert!(text(true).ends_with("content-length: 2\r\nconnection: close\r\n\r\n"));
    let head = answer("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", "HEAD").unwrap();
    let text = String::from_utf8(head.to_client(Version::Http11, false)).unwrap();
    assert_eq!(text, "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n");
    let head = answer("HTTP/1.1 204 No\r\nContent-Length: 9\r\n\r\n", "GET").unwrap();
    let text = String::from_utf8(head.to_client(Version::Http11, false)).unwrap();
    assert_eq!(text, "HTTP/1.1 204 No\r\n\r\n");
}
