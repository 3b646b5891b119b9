//! Signatures of the vendor's own examples, and what is never signed.

use openshell_codec::http1::Header;
use openshell_types::{Authority, Binding, Credential, CredentialSet, Placement, Redacted};
use proptest::prelude::*;

use super::canonical::{self, Request};
use super::claimed::Claimed;
use super::{DATE, Fields, Unsignable, moment};
use crate::{Asked, Credentials, Going, Misuse, Place, Placed};

mod payload;

/// Fields by name.
type Texts<'a> = &'a [(&'a str, &'a str)];

/// What the jail holds.
const KEY: &str = "AKIAPLACEHOLDERPLACEHOLDER23";
const SECRET: &str = "PLACEHOLDERplaceholderPLACEHOLDERplaceho";
const TOKEN: &str = "PLACEHOLDERtokenPLACEHOLDERtokenPLACEHOLDERtoken";
/// The values in the vendor's documents.
const REAL_SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const BUCKET: &str = "examplebucket.s3.amazonaws.com:443";

/// The three of one provider, bound to a server for a scope of `SERVICE:REGION`.
fn provider(name: &str, to: &str, scope: &str, token: Option<&str>) -> Vec<Credential> {
    let to = Authority::parse(to).unwrap();
    let credential = |variable: &str, placeholder: &str, secret: &str, part: &str| Credential {
        name: format!("{name}/{variable}"),
        placeholder: placeholder.to_owned(),
        secret: Redacted::new(secret.to_owned()),
        expires_ms: None,
        bindings: vec![Binding {
            host: to.host.clone(),
            port: to.port,
            path: None,
            placement: Placement::parse(&format!("sigv4:{part}:{scope}")).unwrap(),
            rule: None,
        }],
    };
    let real = if scope.starts_with("s3") { "AKIAIOSFODNN7EXAMPLE" } else { "AKIDEXAMPLE" };
    let secret = if scope.starts_with("s3") {
        REAL_SECRET.to_owned()
    } else {
        REAL_SECRET.replace("K7MDENG/", "K7MDENG+")
    };
    let mut all = vec![
        credential("AWS_ACCESS_KEY_ID", KEY, real, "key"),
        credential("AWS_SECRET_ACCESS_KEY", SECRET, &secret, "secret"),
    ];
    all.extend(token.map(|real| credential("AWS_SESSION_TOKEN", TOKEN, real, "token")));
    all
}

fn set(all: Vec<Credential>) -> Credentials {
    Credentials::new(CredentialSet { epoch: 1, mark: Redacted::new([7; 32]), all })
}

/// Any signature: it is not looked at.
fn signed(day: &str, scope: &str, fields: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential={KEY}/{day}/{scope}/aws4_request, SignedHeaders={fields}, \
         Signature=0000"
    )
}

fn place(
    credentials: &Credentials,
    head: (&str, &str, &str),
    fields: &[(&str, &str)],
    now: &str,
) -> Result<Placed, Misuse> {
    place_with(credentials, head, (fields, None), now)
}

/// The same of a request whose body is there.
fn place_with(
    credentials: &Credentials,
    (method, to, target): (&str, &str, &str),
    (fields, body): (&[(&str, &str)], Option<&[u8]>),
    now: &str,
) -> Result<Placed, Misuse> {
    let headers: Vec<Header> = fields
        .iter()
        .map(|(name, value)| Header { name: (*name).to_owned(), value: value.as_bytes().to_vec() })
        .collect();
    let to = Authority::parse(to).unwrap();
    let asked =
        Asked { to: &to, method, is_secure: true, target, headers: &headers, bound: &[], body };
    credentials.place(&asked, moment(now).unwrap())
}

/// What goes out in `authorization`.
fn authorization(placed: &Placed) -> String {
    let (_, value) = placed.fields.last().unwrap();
    String::from_utf8(value.expose().clone()).unwrap()
}

/// The examples of "Signature calculations for the Authorization header" in S3's reference.
#[test]
fn the_examples_of_s3_come_out() {
    let s3 = set(provider("aws", BUCKET, "s3:us-east-1", None));
    let now = "20130524T000000Z";
    let put = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072";
    let cases: [(&str, &str, Texts<'_>, &str); 4] = [
        (
            "GET",
            "/test.txt",
            &[("range", "bytes=0-9"), ("x-amz-content-sha256", EMPTY), ("x-amz-date", now)],
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
        (
            "PUT",
            "/test%24file.text",
            &[
                ("date", "Fri, 24 May 2013 00:00:00 GMT"),
                ("x-amz-content-sha256", put),
                ("x-amz-date", now),
                ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
            ],
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        ),
        (
            "GET",
            "/?lifecycle",
            &[("x-amz-content-sha256", EMPTY), ("x-amz-date", now)],
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        ),
        (
            "GET",
            "/?max-keys=2&prefix=J",
            &[("x-amz-content-sha256", EMPTY), ("x-amz-date", now)],
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
    ];
    for (method, target, fields, signature) in cases {
        let mut names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
        names.push("host");
        // In an order that is not that of the signature.
        names.reverse();
        let own = signed("20130524", "us-east-1/s3", &names.join(";"));
        let mut all = vec![("authorization", own.as_str())];
        all.extend(fields);
        let placed = place(&s3, (method, BUCKET, target), &all, now).unwrap();
        names.sort_unstable();
        assert_eq!(
            authorization(&placed),
            format!(
                "AWS4-HMAC-SHA256 \
                 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, \
                 SignedHeaders={}, Signature={signature}",
                names.join(";")
            ),
            "{target}"
        );
        assert_eq!(placed.names, ["aws/AWS_ACCESS_KEY_ID", "aws/AWS_SECRET_ACCESS_KEY"]);
        assert!(!format!("{placed:?}").contains("AKIAIOSFODNN7EXAMPLE"));
    }
}

/// Of AWS's test suite for signatures, and of botocore for what that has not.
#[test]
fn other_services_encode_a_path_once_more() {
    let empty = Fields::new();
    let date = "20150830T123600Z";
    let suite = |target: &str, signature: &str| {
        let mut fields = empty.clone();
        fields.insert("host", Redacted::new("example.amazonaws.com".to_owned()));
        fields.insert(DATE, Redacted::new(date.to_owned()));
        let text = signed("20150830", "us-east-1/service", "host;x-amz-date");
        let claimed = Claimed::parse(&text).unwrap();
        let request = Request { method: "GET", target, fields: &fields, payload: EMPTY };
        let secret = REAL_SECRET.replace("K7MDENG/", "K7MDENG+");
        assert_eq!(canonical::signature(&request, &claimed, &secret), signature, "{target}");
    };
    suite("/", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31");
    suite(
        "/?Param2=value2&Param1=value1",
        "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
    );

    let to = "bedrock-runtime.us-east-1.amazonaws.com:443";
    let token = Some("real/session+token==");
    let bedrock = set(provider("aws", to, "bedrock:us-east-1", token));
    let names = "content-type;host;x-amz-content-sha256;x-amz-date;x-amz-security-token";
    let own = signed("20150830", "us-east-1/bedrock", names);
    let fields = [
        ("x-amz-security-token", TOKEN),
        ("authorization", &own),
        ("content-type", "application/json"),
        ("x-amz-content-sha256", EMPTY),
        ("x-amz-date", date),
    ];
    let target = "/model/anthropic.claude-v2%3A1/invoke?a=%2Fx&B=";
    let placed = place(&bedrock, ("POST", to, target), &fields, date).unwrap();
    let signature = "3dc323215b4d6e352d4cef872fe41d08eb6c41f48e3a02123897722688df7dff";
    assert!(authorization(&placed).ends_with(&format!("{names}, Signature={signature}")));
    let (at, token) = &placed.fields[0];
    assert_eq!((*at, token.expose().as_slice()), (0, b"real/session+token==".as_slice()));
    assert_eq!(placed.names.len(), 3);
}

#[test]
fn what_is_sent_is_signed() {
    let to = "s3.us-east-1.amazonaws.com:443";
    let s3 = set(provider("aws", to, "s3:us-east-1", None));
    let date = "20150830T123600Z";
    // Fields of the hop are not sent, so they are not signed either; and a length is a number.
    let own = signed(
        "20150830",
        "us-east-1/s3",
        "connection;content-length;expect;host;transfer-encoding;x-amz-content-sha256;x-amz-date;x-amz-meta-a",
    );
    let fields = [
        ("authorization", own.as_str()),
        ("connection", "close"),
        ("content-length", "003"),
        ("expect", "100-continue"),
        ("x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
        ("x-amz-date", date),
        ("x-amz-meta-a", "  two   words "),
    ];
    let target = "/b/a%20b%2Bc/%C3%BC~1.txt?partNumber=1&uploadId=x%2By";
    let placed = place(&s3, ("PUT", to, target), &fields, date).unwrap();
    let names = "content-length;host;x-amz-content-sha256;x-amz-date;x-amz-meta-a";
    let signature = "6cf4814ee356ffbbdc9c1e3b7602731e7ffc5565316aa7000ffc3b3f71f84f2b";
    assert!(authorization(&placed).ends_with(&format!("{names}, Signature={signature}")));
}

/// A request that is fine, but for what a case changes in it.
fn refused(
    credentials: &Credentials,
    scope: &str,
    signed_fields: &str,
    fields: &[(&str, &str)],
) -> Misuse {
    let own = signed("20130524", scope, signed_fields);
    let mut all = vec![("authorization", own.as_str())];
    all.extend(fields);
    place(credentials, ("GET", BUCKET, "/a"), &all, NOW).unwrap_err()
}

const NOW: &str = "20130524T000000Z";
const FINE: [(&str, &str); 2] = [("x-amz-content-sha256", EMPTY), ("x-amz-date", NOW)];
const NAMES: &str = "host;x-amz-content-sha256;x-amz-date";
const SCOPE: &str = "us-east-1/s3";

fn why(misuse: &Misuse) -> &Unsignable {
    match misuse {
        Misuse::Unsignable { why, .. } => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn i10_nothing_is_signed_for_another_scope() {
    let s3 = set(provider("aws", BUCKET, "s3:us-east-1", None));
    for scope in ["eu-west-1/s3", "us-east-1/ec2", "us-east-1/sts"] {
        let misuse = refused(&s3, scope, NAMES, &FINE);
        let (region, service) = scope.split_once('/').unwrap();
        let told = misuse.to_string();
        assert!(told.contains(&format!("`{service}` in `{region}`")), "{told}");
        assert!(told.contains("`aws/AWS_ACCESS_KEY_ID`") && told.contains("AWS_REGION"), "{told}");
        assert_eq!(misuse.predicate(), "credential_scope");
    }
    // Another host, on which nothing is bound.
    let own = signed("20130524", SCOPE, NAMES);
    let fields = [("authorization", own.as_str()), FINE[0], FINE[1]];
    let other = place(&s3, ("GET", "other.s3.amazonaws.com:443", "/a"), &fields, NOW);
    assert!(matches!(other.unwrap_err(), Misuse::Elsewhere { .. }));
}

#[test]
fn i05_i15_only_the_providers_own_key_signs() {
    let s3 = set(provider("aws", BUCKET, "s3:us-east-1", Some("real-token")));
    let place_of = |fields: &[(&str, &str)]| place(&s3, ("PUT", BUCKET, "/a"), fields, NOW);
    let field = |name: &str| Misuse::Foreign { place: Place::Field(name.to_owned()) };
    let own =
        signed("20130524", SCOPE, "host;x-amz-content-sha256;x-amz-date;x-amz-security-token");
    let foreign = own.replace(KEY, "AKIAATTACKER");
    let token = ("x-amz-security-token", TOKEN);
    assert!(place_of(&[("authorization", &own), token, FINE[0], FINE[1]]).is_ok());
    for (fields, misuse) in [
        (vec![("authorization", foreign.as_str()), token], field("authorization")),
        (vec![("authorization", &own), (token.0, "mine")], field(token.0)),
        (
            vec![("authorization", &own), token, (token.0, "mine")],
            Unsignable::Twice(token.0).into(),
        ),
        (vec![("authorization", "Bearer mine")], field("authorization")),
        // The way before version 4.
        (vec![("authorization", "AWS AKIAATTACKER:c2ln")], field("authorization")),
        (vec![], Unsignable::Absent.into()),
        (vec![("authorization", &own)], Unsignable::NoToken.into()),
        (
            vec![("authorization", &own), ("authorization", &foreign), token],
            Unsignable::Twice("authorization").into(),
        ),
    ] {
        let mut all = fields.clone();
        all.extend(FINE);
        assert_eq!(place_of(&all).unwrap_err(), misuse, "{fields:?}");
    }
    for query in [
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=x&X-Amz-Signature=0",
        "x-amz-%73ignature=0",
        "AWSAccessKeyId=x&Signature=y&Expires=1",
    ] {
        let target = format!("/a?{query}");
        for fields in [&[][..], &[("authorization", own.as_str()), token, FINE[0], FINE[1]]] {
            let misuse = place(&s3, ("GET", BUCKET, &target), fields, NOW).unwrap_err();
            assert_eq!(misuse, Unsignable::Presigned.into(), "{query}");
        }
    }
}

#[test]
fn i10_what_cannot_be_signed_is_told() {
    let s3 = set(provider("aws", BUCKET, "s3:us-east-1", None));
    let date = |text| vec![FINE[0], ("x-amz-date", text)];
    let digest = |text| vec![("x-amz-content-sha256", text), FINE[1]];
    let meta = [&FINE[..], &[("x-amz-acl", "public-read")]].concat();
    let twin = [&FINE[..], &[("x_amz_acl", "public-read")]].concat();
    let from = |name| [&FINE[..], &[(name, "/closed/secret")]].concat();
    let (copy, copy_twin) = (from("x-amz-copy-source"), from("x_amz_copy_source"));
    let moved = from("x-amz-rename-source");
    for (names, fields, wanted) in [
        (NAMES, date("20130524T001501Z"), Unsignable::Clock),
        (NAMES, date("20130523T234459Z"), Unsignable::Clock),
        (NAMES, date("2013-05-24T00:00Z"), Unsignable::Date),
        (NAMES, date("20130524 000000Z"), Unsignable::Date),
        (NAMES, date("20131324T000000Z"), Unsignable::Date),
        ("host;x-amz-content-sha256", vec![FINE[0]], Unsignable::Date),
        ("host;x-amz-date", vec![FINE[1]], Unsignable::NoDigest),
        (NAMES, digest("e3b0"), Unsignable::Digest),
        (NAMES, digest("STREAMING-AWS4-HMAC-SHA256-PAYLOAD"), Unsignable::Chunks),
        (NAMES, digest("STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"), Unsignable::Chunks),
        (NAMES, copy, Unsignable::Source),
        (NAMES, copy_twin, Unsignable::Source),
        (NAMES, moved, Unsignable::Source),
        (NAMES, meta, Unsignable::NotSigned("x-amz-acl".to_owned())),
        (NAMES, twin, Unsignable::NotSigned("x_amz_acl".to_owned())),
        (
            "host;range;x-amz-content-sha256;x-amz-date",
            FINE.to_vec(),
            Unsignable::NotSent("range".to_owned()),
        ),
        (
            "x-amz-content-sha256;x-amz-date",
            FINE.to_vec(),
            Unsignable::Malformed("`host` is not among the signed fields"),
        ),
    ] {
        assert_eq!(why(&refused(&s3, SCOPE, names, &fields)), &wanted);
    }
    // The day of the scope is another, though the time is near.
    let misuse = refused(&s3, SCOPE, NAMES, &date("20130523T235959Z"));
    assert!(matches!(why(&misuse), Unsignable::Malformed(_)), "{misuse}");
    for fine in ["UNSIGNED-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"] {
        let own = signed("20130524", SCOPE, NAMES);
        let fields = [&[("authorization", own.as_str())], &digest(fine)[..]].concat();
        assert!(place(&s3, ("PUT", BUCKET, "/a"), &fields, NOW).is_ok(), "{fine}");
    }
    let mut alone = provider("aws", BUCKET, "s3:us-east-1", None);
    alone.remove(1);
    assert_eq!(why(&refused(&set(alone), SCOPE, NAMES, &FINE)), &Unsignable::NoSecret);
}

#[test]
fn i10_keys_of_two_providers_are_not_mixed() {
    let mut all = provider("one", BUCKET, "s3:us-east-1", None);
    let mut two = provider("two", BUCKET, "s3:us-east-1", Some("real-token"));
    two[0].placeholder = "AKIAOTHEROTHEROTHEROTHER2345".to_owned();
    all.extend(two);
    let both = set(all);
    let own =
        signed("20130524", SCOPE, "host;x-amz-content-sha256;x-amz-date;x-amz-security-token");
    let token = ("x-amz-security-token", TOKEN);
    let fields = [("authorization", own.as_str()), token, FINE[0], FINE[1]];
    let misuse = place(&both, ("GET", BUCKET, "/a"), &fields, NOW).unwrap_err();
    assert!(matches!(misuse, Misuse::Elsewhere { .. }), "{misuse}");
}

#[test]
fn values_that_are_over_sign_nothing() {
    let mut all = provider("aws", BUCKET, "s3:us-east-1", None);
    all[1].expires_ms = Some(moment(NOW).unwrap());
    let name = "aws/AWS_SECRET_ACCESS_KEY".to_owned();
    assert_eq!(refused(&set(all), SCOPE, NAMES, &FINE), Misuse::Expired { name });
}

proptest! {
    #[test]
    fn no_signature_is_read_badly(text in "(AWS4-HMAC-SHA256 )?[ -~]{0,80}", fields in "[a-z;-]{0,40}") {
        let _ = Claimed::parse(&text);
        let text = signed("20130524", SCOPE, &fields);
        if let Ok(claimed) = Claimed::parse(&text) {
            prop_assert_eq!(claimed.key, KEY);
            prop_assert_eq!(claimed.scope(), "20130524/us-east-1/s3/aws4_request");
            prop_assert_eq!(claimed.signed, fields.split(';').collect());
        }
    }
}
