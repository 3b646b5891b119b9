use std::net::IpAddr;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{Name, RData};
use proptest::prelude::*;

use super::*;

/// A question for `labels`, with an OPT record if `edns`.
fn message(labels: &[&[u8]], kind: u16, edns: bool) -> Vec<u8> {
    let mut out = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(edns)];
    for label in labels {
        out.push(u8::try_from(label.len()).unwrap());
        out.extend_from_slice(label);
    }
    out.push(0);
    out.extend_from_slice(&kind.to_be_bytes());
    out.extend_from_slice(&[0, 1]);
    if edns {
        out.extend_from_slice(&[0, 0, 41, 4, 0xd0, 0, 0, 0, 0, 0, 0]);
    }
    out
}

fn query(kind: u16, edns: bool) -> Query {
    Query::parse(&message(&[b"aPi", b"Example", b"com"], kind, edns)).unwrap()
}

#[test]
fn reads_a_question() {
    let query = query(28, true);
    assert_eq!(query.host().unwrap().as_str(), "api.example.com");
    assert_eq!((query.record_type, query.class, query.id), (RecordType::AAAA, 1, 0x1234));
    assert_eq!(query.edns, Some(Edns { payload: 1232 }));
    assert!(query.recursion_desired);
}

#[test]
fn answers_are_read_by_others_and_repeat_the_question_as_it_was_written() {
    let address: IpAddr = "198.18.1.7".parse().unwrap();
    let bytes = query(1, true).answer(&Answer::Address(address, 5));
    assert!(bytes.windows(3).any(|window| window == b"aPi"));
    let answer = Message::from_vec(&bytes).unwrap();
    assert_eq!(answer.metadata.id, 0x1234);
    assert_eq!(answer.metadata.response_code, ResponseCode::NoError);
    assert_eq!(answer.answers.len(), 1);
    assert_eq!(answer.answers[0].ttl, 5);
    assert_eq!(answer.answers[0].name, Name::from_ascii("api.example.com.").unwrap());
    assert_eq!(
        answer.answers[0].data,
        RData::A("198.18.1.7".parse::<std::net::Ipv4Addr>().unwrap().into())
    );
    let bytes = query(28, false).answer(&Answer::Address("fd23::7".parse().unwrap(), 5));
    let answer = Message::from_vec(&bytes).unwrap();
    assert!(answer.edns.is_none());
    assert_eq!(answer.answers[0].data.ip_addr(), Some("fd23::7".parse().unwrap()));
}

#[test]
fn a07_a_prohibited_name_does_not_exist_and_says_why() {
    let bytes = query(1, true).answer(&Answer::NxDomain { prohibited: true });
    let answer = Message::from_vec(&bytes).unwrap();
    assert_eq!(answer.metadata.response_code, ResponseCode::NXDomain);
    assert!(answer.answers.is_empty());
    // Option 15 (extended error), 29 octets, code 18 (prohibited).
    assert!(bytes.windows(6).any(|window| window == [0, 15, 0, 29, 0, 18]));
    let bytes = query(1, false).answer(&Answer::NxDomain { prohibited: true });
    assert!(Message::from_vec(&bytes).unwrap().edns.is_none());
}

#[test]
fn other_answers_have_no_records() {
    for (answer, code) in [
        (Answer::NoData, ResponseCode::NoError),
        (Answer::ServFail, ResponseCode::ServFail),
        (Answer::NxDomain { prohibited: false }, ResponseCode::NXDomain),
    ] {
        let message = Message::from_vec(&query(1, true).answer(&answer)).unwrap();
        assert_eq!(message.metadata.response_code, code);
        assert!(message.answers.is_empty() && message.authorities.is_empty());
    }
}

#[test]
fn a01_foreign_bytes_in_labels_are_no_host_and_are_escaped() {
    for labels in [
        &[&b"allowed.com"[..], b"evil", b"com"][..],
        &[b"a\0b", b"com"],
        &[b"\xff", b"com"],
        &[b"127", b"0", b"0", b"1"],
        &[],
    ] {
        let query = Query::parse(&message(labels, 1, false)).unwrap();
        assert_eq!(query.host(), None, "{labels:?}");
        assert!(query.display_name().is_ascii());
    }
    let query = Query::parse(&message(&[b"a\x1b[31m", b"Com"], 1, false)).unwrap();
    assert_eq!(query.display_name(), "a\\027\\09131m.com");
}

#[test]
fn a11_hostile_messages_are_malformed_and_bounded() {
    let header = [0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    let loop_ = [&header[..], &[0xc0, 12, 0, 1, 0, 1]].concat();
    let forward = [&header[..], &[1, b'a', 0xc0, 12, 0, 1, 0, 1]].concat();
    let two =
        [&[0x12, 0x34, 1, 0, 0, 2, 0, 0, 0, 0, 0, 0][..], &[0, 0, 1, 0, 1, 0, 0, 1, 0, 1]].concat();
    let none = [&[0x12, 0x34, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0][..]].concat();
    let mut long = header.to_vec();
    for _ in 0..5 {
        long.push(63);
        long.extend_from_slice(&[b'a'; 63]);
    }
    long.extend_from_slice(&[0, 0, 1, 0, 1]);
    let excess = [&message(&[b"a", b"com"], 1, false)[..], b"x"].concat();
    let huge = [&message(&[b"a", b"com"], 1, false)[..], &[0; 65_000]].concat();
    let cut = message(&[b"a", b"com"], 1, true)[..24].to_vec();
    let many = [&[0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0xff, 0xff][..], &[0, 0, 1, 0, 1]].concat();
    for bytes in [loop_, forward, two, none, long, excess, huge, cut, many] {
        let error = Query::parse(&bytes).unwrap_err();
        assert_eq!(
            error,
            QueryError::Malformed { id: 0x1234 },
            "{:?}",
            &bytes[..bytes.len().min(40)]
        );
        let answer = Message::from_vec(&error.answer().unwrap()).unwrap();
        assert_eq!(answer.metadata.response_code, ResponseCode::FormErr);
    }
}

#[test]
fn answers_and_scraps_get_no_answer() {
    let mut answer = message(&[b"a", b"com"], 1, false);
    answer[2] |= 0x80;
    for bytes in [&answer[..], b"", b"\x12\x34"] {
        assert_eq!(Query::parse(bytes), Err(QueryError::NotAQuestion));
    }
    assert_eq!(QueryError::NotAQuestion.answer(), None);
}

#[test]
fn other_operations_are_not_implemented() {
    let mut update = message(&[b"a", b"com"], 1, false);
    update[2] = 5 << 3;
    let error = Query::parse(&update).unwrap_err();
    let answer = Message::from_vec(&error.answer().unwrap()).unwrap();
    assert_eq!(answer.metadata.response_code, ResponseCode::NotImp);
}

#[test]
fn types_have_names() {
    assert_eq!(RecordType(65).to_string(), "HTTPS");
    assert_eq!(RecordType(4711).to_string(), "TYPE4711");
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Query::parse(&bytes);
        let _ = Query::parse(&[&[0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1][..], &bytes].concat());
    }
}
