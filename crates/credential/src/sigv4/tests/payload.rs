//! What is said of bodies, as an endpoint wants it.

use super::*;

const ZEROS: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// The digest of `Welcome to Amazon S3.`.
const WELCOME: &str = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072";
const TRAILED: &str = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";
const CHUNKS: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
const NAMES: &str = "host;x-amz-content-sha256;x-amz-date";
const SCOPE: &str = "us-east-1/s3";
const NOW: &str = "20130524T000000Z";

/// A `PUT` whose program said `digest` of its body: what is said and signed in its place.
fn put(scope: &str, digest: &str, body: Option<&[u8]>) -> Result<(String, String), Misuse> {
    let keys = set(provider("aws", BUCKET, scope, None));
    let own = signed("20130524", SCOPE, NAMES);
    let fields =
        [("authorization", own.as_str()), ("x-amz-content-sha256", digest), ("x-amz-date", NOW)];
    let placed = place_with(&keys, ("PUT", BUCKET, "/a"), (&fields, body), NOW)?;
    let said = placed.fields.iter().find(|(at, _)| *at == 1);
    let said = said.map_or_else(
        || digest.to_owned(),
        |(_, value)| String::from_utf8(value.expose().clone()).unwrap(),
    );
    Ok((said, authorization(&placed)))
}

fn why(misuse: &Misuse) -> &Unsignable {
    let Misuse::Unsignable { why, .. } = misuse else { panic!("{misuse}") };
    why
}

#[test]
fn the_digest_of_the_body_that_is_sent_is_signed() {
    let body = b"Welcome to Amazon S3.";
    let said = put("s3:us-east-1", WELCOME, None).unwrap();
    for digest in [WELCOME, ZEROS, "UNSIGNED-PAYLOAD"] {
        assert_eq!(put("s3:us-east-1:body", digest, Some(body)).unwrap(), said, "{digest}");
    }
    let empty = put("s3:us-east-1", EMPTY, None).unwrap();
    assert_eq!(put("s3:us-east-1:body", ZEROS, Some(b"")).unwrap(), empty);
    for framed in [TRAILED, CHUNKS] {
        let refused = put("s3:us-east-1:body", framed, Some(body)).unwrap_err();
        assert_eq!(why(&refused), &Unsignable::Chunks, "{framed}");
    }
    assert_eq!(why(&put("s3:us-east-1:body", ZEROS, None).unwrap_err()), &Unsignable::NoDigest);
}

#[test]
fn a_body_may_be_left_unsigned() {
    let said = put("s3:us-east-1", "UNSIGNED-PAYLOAD", None).unwrap();
    for digest in [WELCOME, "UNSIGNED-PAYLOAD"] {
        assert_eq!(put("s3:us-east-1:no_body", digest, None).unwrap(), said, "{digest}");
    }
    let trailed = put("s3:us-east-1", TRAILED, None).unwrap();
    assert_eq!(put("s3:us-east-1:no_body", TRAILED, None).unwrap(), trailed);
    let refused = put("s3:us-east-1:no_body", CHUNKS, None).unwrap_err();
    assert_eq!(why(&refused), &Unsignable::Chunks);
}

/// The example of "Create a signed AWS API request", which says nothing of its body: services other
/// than S3 digest it themselves.
#[test]
fn a_request_that_says_nothing_of_its_body_is_signed_with_its_digest() {
    const IAM: &str = "iam.amazonaws.com:443";
    let names = "content-type;host;x-amz-date";
    let own = signed("20150830", "us-east-1/iam", names);
    let fields = [
        ("authorization", own.as_str()),
        ("content-type", "application/x-www-form-urlencoded; charset=utf-8"),
        ("x-amz-date", "20150830T123600Z"),
    ];
    let head = ("GET", IAM, "/?Action=ListUsers&Version=2010-05-08");
    for scope in ["iam:us-east-1", "iam:us-east-1:body"] {
        let keys = set(provider("aws", IAM, scope, None));
        let placed = place_with(&keys, head, (&fields, Some(b"")), "20150830T123600Z").unwrap();
        let sent = authorization(&placed);
        let wanted = "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7";
        assert!(sent.ends_with(&format!("Signature={wanted}")), "{sent}");
        let late = place_with(&keys, head, (&fields, None), "20150830T123600Z").unwrap_err();
        assert_eq!(why(&late), &Unsignable::NoDigest);
        let coded = [&fields[..], &[("content-encoding", "gzip")]].concat();
        let coded = place_with(&keys, head, (&coded, Some(b"")), "20150830T123600Z").unwrap_err();
        assert_eq!(why(&coded), &Unsignable::Coded);
    }
}

#[test]
fn bodies_are_held_only_where_their_digest_is_ours_to_make() {
    let said = [Header { name: "x-amz-content-sha256".into(), value: EMPTY.into() }];
    let to = Authority::parse(BUCKET).unwrap();
    let going = Going { to: &to, path: "/a", bound: &[] };
    for (scope, with, without) in [
        ("s3:us-east-1", false, false),
        ("s3:us-east-1:body", true, true),
        ("s3:us-east-1:no_body", false, false),
        ("iam:us-east-1", false, true),
    ] {
        let keys = set(provider("aws", BUCKET, scope, None));
        let held = (keys.signs_body(going, &said), keys.signs_body(going, &[]));
        assert_eq!(held, (with, without), "{scope}");
    }
}

#[test]
fn i10_nothing_is_signed_for_a_program_that_the_rule_does_not_name() {
    let mut all = provider("corp", BUCKET, "s3:us-east-1", None);
    for binding in all.iter_mut().flat_map(|one| &mut one.bindings) {
        binding.rule = Some("store".to_owned());
    }
    let own = signed("20130524", SCOPE, NAMES);
    let fields =
        [("authorization", own.as_str()), ("x-amz-content-sha256", EMPTY), ("x-amz-date", NOW)];
    let misuse = place(&set(all), ("GET", BUCKET, "/a"), &fields, NOW).unwrap_err();
    assert!(matches!(misuse, Misuse::OtherProgram { .. }), "{misuse}");
}
