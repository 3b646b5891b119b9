//! What is read as a request goes upstream as bytes that are read as the same request again; a
//! response keeps its framing on its way to the client; a chunked body is the same however it is
//! split.

#![no_main]

use libfuzzer_sys::fuzz_target;
use openshell_codec::http1::{
    ChunkedReader, Forwarded, RequestHead, ResponseBody, ResponseHead, Target, Version,
};

fuzz_target!(|input: (u8, &[u8])| {
    let (kind, bytes) = input;
    match kind % 3 {
        0 => request(bytes),
        1 => response(bytes, if kind & 4 == 0 { "GET" } else { "HEAD" }),
        _ => chunks(bytes, usize::from(kind / 3) + 1),
    }
});

fn request(bytes: &[u8]) {
    let Ok(Some((head, length))) = RequestHead::parse(bytes) else { return };
    assert!(length <= bytes.len() && length <= RequestHead::LONGEST);
    // No prefix of a head is a head.
    assert_eq!(RequestHead::parse(&bytes[..length - 1]), Ok(None));
    let Target::Absolute { authority, path } = &head.target else { return };
    let forwarded = Forwarded {
        target: path,
        authority,
        default_port: 80,
        body: head.body,
        decoded: false,
        replaced: &[],
    };
    let sent = head.to_upstream(&forwarded);
    let (again, whole) = RequestHead::parse(&sent).expect("ours is well-formed").expect("whole");
    assert_eq!(whole, sent.len());
    assert_eq!((&again.method, again.body), (&head.method, head.body));
    let Target::Origin { path: sent_path, host } = again.target else { panic!("another form") };
    assert_eq!((&sent_path, host.as_ref()), (path, Some(authority)));
}

fn response(bytes: &[u8], method: &str) {
    let Ok(Some((head, length))) = ResponseHead::parse(bytes, method) else { return };
    assert!(length <= bytes.len());
    if head.is_interim() || head.status == 101 {
        return;
    }
    let sent = head.to_client(Version::Http11, false);
    let (again, whole) =
        ResponseHead::parse(&sent, method).expect("ours is well-formed").expect("whole");
    assert_eq!((whole, again.status), (sent.len(), head.status));
    let expected = match head.body {
        ResponseBody::UntilClose => ResponseBody::Chunked,
        body => body,
    };
    assert_eq!(again.body, expected);
}

fn chunks(bytes: &[u8], piece: usize) {
    assert_eq!(unchunk(bytes, usize::MAX), unchunk(bytes, piece));
}

/// The data, how many octets it took, and whether the body ended; `None` when it is malformed.
fn unchunk(bytes: &[u8], piece: usize) -> Option<(Vec<u8>, usize, bool)> {
    let mut reader = ChunkedReader::new();
    let (mut data, mut taken) = (Vec::new(), 0);
    for mut part in bytes.chunks(piece) {
        while !part.is_empty() {
            let chunk = reader.read(part).ok()?;
            data.extend_from_slice(chunk.data);
            taken += chunk.consumed;
            if chunk.done {
                return Some((data, taken, true));
            }
            part = &part[chunk.consumed..];
        }
    }
    Some((data, taken, false))
}
