use super::*;

mod hostile;
mod properties;

const WANTED: Options = Options { encoded_slash: Doubtful::Allowed, query: Doubtful::Allowed };

fn method(name: &str) -> Method {
    Method::parse(name.as_bytes()).unwrap()
}

fn read(raw: &str) -> Result<Target, TargetError> {
    Target::parse(&method("GET"), raw.as_bytes(), Options::default())
}

/// What is forwarded for a target, or why it was refused.
fn forwarded(raw: &str, options: Options) -> Result<String, TargetError> {
    Target::parse(&method("GET"), raw.as_bytes(), options).map(|target| target.to_string())
}

/// Expects each target, or path, to be forwarded in the form beside it.
fn become_these(cases: &[(&str, &str)]) {
    for (raw, canonical) in cases {
        assert_eq!(forwarded(raw, Options::default()).as_deref(), Ok(*canonical), "{raw}");
    }
}

/// Expects each target to be refused for its reason, whatever the endpoint wants.
fn refused(cases: &[(&str, TargetError)]) {
    for (raw, error) in cases {
        assert_eq!(forwarded(raw, WANTED), Err(*error), "{raw}");
        assert!(forwarded(raw, Options::default()).is_err(), "{raw}");
    }
}

fn pairs(target: &Target) -> Vec<(&str, &str)> {
    target.pairs().collect()
}

#[test]
fn a_path_has_one_spelling() {
    become_these(&[
        ("/", "/"),
        ("/a/b", "/a/b"),
        ("/a/b/", "/a/b/"),
        ("/%61%2D%2e%5f%7E%5A", "/a-._~Z"),
        ("/%c3%a4%3a%40", "/%C3%A4%3A%40"),
        ("/a:b@c!$&'()*+,=", "/a:b@c!$&'()*+,="),
        ("/[slug]|{x}^`\"<>", "/%5Bslug%5D%7C%7Bx%7D%5E%60%22%3C%3E"),
        ("/100%25", "/100%25"),
        ("/a%3Fb%23c%20d%3Be", "/a%3Fb%23c%20d%3Be"),
        ("/.../..a/.well-known/a..b", "/.../..a/.well-known/a..b"),
    ]);
}

#[test]
fn a_query_is_forwarded_as_it_was_written() {
    for raw in ["/?", "/?a=%7e&&b", "/?a=[{\"x\":1}]", "/?a?b/../c", "/?a=\\"] {
        assert_eq!(forwarded(raw, Options::default()).as_deref(), Ok(raw));
    }
    assert_eq!(read("/a?").unwrap().query(), Some(&b""[..]));
    assert_eq!(read("/a").unwrap().query(), None);
    assert_eq!(read("/a/%2e%2e/b?x=%2e%2e").unwrap().query(), Some(&b"x=%2e%2e"[..]));
}

#[test]
fn what_is_too_long_is_refused_before_and_after() {
    let longest = format!("/{}", "a".repeat(Target::LONGEST - 1));
    assert_eq!(forwarded(&longest, Options::default()).as_deref(), Ok(longest.as_str()));
    assert_eq!(read(&format!("{longest}a")), Err(TargetError::TooLong));
    assert_eq!(read(&format!("/{}", "[".repeat(2000))), Err(TargetError::TooLong));
    assert_eq!(read(&format!("/%{}41", "25".repeat(2000))), Err(TargetError::EncodedTwice));
}
