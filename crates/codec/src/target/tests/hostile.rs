//! The cases of the list of hostile inputs.

use openshell_types::Authority;

use super::*;

#[test]
fn g01_dot_segments_are_resolved_before_anything_is_judged() {
    become_these(&[
        ("/public/../secret", "/secret"),
        ("/public/%2e%2e/secret", "/secret"),
        ("/public/%2E./secret", "/secret"),
        ("/public/.%2e/secret", "/secret"),
        ("/a/b/c/./../../g", "/a/g"),
        ("/a/..", "/"),
        ("/a/b/..", "/a/"),
        ("/a/.", "/a/"),
        ("/a/%2E/b", "/a/b"),
        ("/.", "/"),
    ]);
    refused(&[
        ("/..", TargetError::AboveRoot),
        ("/../a", TargetError::AboveRoot),
        ("/a/../../b", TargetError::AboveRoot),
        ("/%2e%2e/a", TargetError::AboveRoot),
        ("//..", TargetError::AboveRoot),
        ("http://a.com/../b", TargetError::AboveRoot),
    ]);
}

#[test]
fn g01_what_some_servers_read_as_a_dot_segment_is_refused() {
    refused(&[
        ("/public/..;/secret", TargetError::DotSegment),
        ("/public/..;x=1/secret", TargetError::DotSegment),
        ("/public/.;/secret", TargetError::DotSegment),
        ("/public/%2e%2e;/secret", TargetError::DotSegment),
        ("/public/..%3B/secret", TargetError::DotSegment),
        ("/public/..%3bx/secret", TargetError::DotSegment),
        ("/public/..%253B/secret", TargetError::DotSegment),
        ("/public/..%20/secret", TargetError::DotSegment),
        ("/public/%20../secret", TargetError::DotSegment),
        ("/public/.%20./secret", TargetError::DotSegment),
    ]);
}

#[test]
fn g02_empty_segments_are_one_slash() {
    become_these(&[
        ("//", "/"),
        ("//evil.com/x", "/evil.com/x"),
        ("/a//b", "/a/b"),
        ("/a///", "/a/"),
        ("/a/./b", "/a/b"),
        ("/a//../b", "/b"),
        ("http://a.com//x", "/x"),
    ]);
}

#[test]
fn g02_backslashes_and_parameters_are_refused() {
    refused(&[
        ("/a\\b", TargetError::Backslash),
        ("/a\\..\\b", TargetError::Backslash),
        ("/a%5cb", TargetError::Backslash),
        ("/..%5C", TargetError::Backslash),
        ("/a%255cb", TargetError::Backslash),
        ("/admin;x=1/users", TargetError::Parameter),
        ("/admin;", TargetError::Parameter),
        ("/;/admin", TargetError::Parameter),
    ]);
}

#[test]
fn g02_an_encoded_slash_passes_where_the_endpoint_wants_it_and_stays() {
    for raw in ["/@scope%2fname", "/a%2F%2Fb", "/%2Fa", "/a%2F"] {
        assert_eq!(read(raw), Err(TargetError::EncodedSlash), "{raw}");
        assert_eq!(forwarded(raw, WANTED), Ok(raw.replace("%2f", "%2F")), "{raw}");
    }
    refused(&[
        ("/a%2F..", TargetError::DotSegment),
        ("/..%2Fa", TargetError::DotSegment),
        ("/a%2f%2e%2e%2fb", TargetError::DotSegment),
        ("/a%2F.;x", TargetError::Parameter),
        ("/a%2F.%3B%2Fb", TargetError::DotSegment),
    ]);
}

#[test]
fn g03_hidden_characters_are_refused() {
    refused(&[
        ("/%252e%252e/a", TargetError::EncodedTwice),
        ("/%25%32%65/a", TargetError::EncodedTwice),
        ("/%25252e/a", TargetError::EncodedTwice),
        ("/a%252Fb", TargetError::EncodedTwice),
        ("/a%25252fb", TargetError::EncodedTwice),
        ("/%2561dmin", TargetError::EncodedTwice),
        ("/%2525252520", TargetError::EncodedTwice),
        ("/a%2500", TargetError::EncodedControl),
        ("/a%00", TargetError::EncodedControl),
        ("/a%0d%0ab", TargetError::EncodedControl),
        ("/a%7F", TargetError::EncodedControl),
        ("/a%C2%85", TargetError::EncodedControl),
        ("/%c0%ae%c0%ae/a", TargetError::Utf8),
        ("/%c0%af", TargetError::Utf8),
        ("/%e0%80%ae", TargetError::Utf8),
        ("/%f0%80%80%ae", TargetError::Utf8),
        ("/%ed%a0%80", TargetError::Utf8),
        ("/%25c0%25ae", TargetError::Utf8),
        ("/%ff", TargetError::Utf8),
    ]);
    become_these(&[("/a%2520b", "/a%2520b"), ("/%253a", "/%253a"), ("/100%25x", "/100%25x")]);
}

#[test]
fn g03_look_alikes_make_no_dot_segments() {
    refused(&[
        ("/a/\u{ff0e}\u{ff0e}/b", TargetError::Character),
        ("/a/%EF%BC%8E%EF%BC%8E/b", TargetError::DotSegment),
        ("/a/.%EF%BC%8E/b", TargetError::DotSegment),
        ("/a/%E2%80%A5/b", TargetError::DotSegment),
        ("/a/%E2%80%A4/b", TargetError::DotSegment),
        ("/a/..%EF%BC%8Fb", TargetError::DotSegment),
        ("/a/b%E2%88%95..", TargetError::DotSegment),
        ("/a/..%C2%A5b", TargetError::DotSegment),
        ("/a/..%EF%BC%9Bb", TargetError::DotSegment),
        ("/a/%25EF%25BC%258E", TargetError::DotSegment),
    ]);
    become_these(&[("/%EF%BC%8Ea/%C2%A5100", "/%EF%BC%8Ea/%C2%A5100")]);
}

#[test]
fn g03_a_query_hides_nothing() {
    refused(&[
        ("/?a=%00", TargetError::EncodedControl),
        ("/?a%00b=1", TargetError::EncodedControl),
        ("/?a=%c0%ae", TargetError::Utf8),
        ("/?a=%ff", TargetError::Utf8),
        ("/?a=%", TargetError::Percent),
        ("/?a=%u0061", TargetError::Percent),
    ]);
    let target = read("/?a=%2561&b=x%0Ay").unwrap();
    assert_eq!(pairs(&target), [("a", "%61"), ("b", "x\ny")]);
}

#[test]
fn g04_each_form_belongs_to_its_methods() {
    let read = |name: &str, raw: &str| Target::parse(&method(name), raw.as_bytes(), WANTED);
    refused(&[
        ("/a#b", TargetError::Fragment),
        ("/#", TargetError::Fragment),
        ("http://a.com/#f", TargetError::Fragment),
        ("", TargetError::Form),
        ("*", TargetError::Form),
        ("a.com:443", TargetError::Form),
        ("a/b", TargetError::Form),
        ("?a", TargetError::Form),
        ("http:/a.com/", TargetError::Form),
        ("ftp://a.com/", TargetError::Scheme),
        ("file:///etc/passwd", TargetError::Scheme),
        ("/a b", TargetError::Character),
        ("/a\tb", TargetError::Character),
        ("/a\0", TargetError::Character),
        ("/\u{e4}", TargetError::Character),
        ("/%", TargetError::Percent),
        ("/%4", TargetError::Percent),
        ("/%zz", TargetError::Percent),
        ("/%+1", TargetError::Percent),
    ]);
    for raw in ["http://u@a.com/", "http://a.com:0/", "http:///x", "http://a.com\\@b.com/"] {
        assert!(matches!(read("GET", raw), Err(TargetError::Authority(_))), "{raw}");
    }
    for raw in ["/", "*", "http://a.com/", "a.com", "a.com:443/x", "u@a.com:443"] {
        assert!(matches!(read("CONNECT", raw), Err(TargetError::Authority(_))), "{raw}");
    }
    let tunnel = read("CONNECT", "A.com:443").unwrap();
    assert_eq!(tunnel.to_bytes(), b"a.com:443");
    assert_eq!(tunnel.authority(), Some(&Authority::parse("a.com:443").unwrap()));
    assert_eq!((tunnel.path(), tunnel.query()), ("", None));
    for raw in ["*", "http://a.com"] {
        let server = read("OPTIONS", raw).unwrap();
        assert_eq!((server.path(), server.to_bytes()), ("*", b"*".to_vec()), "{raw}");
    }
    assert_eq!(read("OPTIONS", "http://a.com/").unwrap().path(), "/");
    assert_eq!(read("OPTIONS", "http://a.com?").unwrap().to_bytes(), b"/?");
}

#[test]
fn g04_the_absolute_form_names_its_server_and_goes_on_as_a_path() {
    for (raw, scheme, authority, path) in [
        ("http://A.com", Scheme::Http, "a.com:80", "/"),
        ("HTTPS://a.com?x=/../", Scheme::Https, "a.com:443", "/?x=/../"),
        ("https://a.com:8443/a/../b", Scheme::Https, "a.com:8443", "/b"),
        ("http://[::1]/http://b.com/", Scheme::Http, "[::1]:80", "/http:/b.com/"),
    ] {
        let target = read(raw).unwrap();
        let authority = Authority::parse(authority).unwrap();
        assert_eq!(target.origin(), Some(&Origin { scheme, authority }), "{raw}");
        assert_eq!(target.to_string(), path, "{raw}");
    }
    assert_eq!(read("/http://a.com/").unwrap().origin(), None);
}

fn judged(
    written: &str,
    headers: &[(&str, &str)],
    forms: &[&str],
) -> Result<Vec<String>, OverrideError> {
    let headers = headers.iter().map(|(name, value)| (*name, value.as_bytes()));
    let forms: Vec<&[u8]> = forms.iter().map(|form| form.as_bytes()).collect();
    let methods = methods_to_judge(&method(written), headers, &forms)?;
    Ok(methods.iter().map(ToString::to_string).collect())
}

#[test]
fn g05_a_second_method_is_judged_beside_the_written_one() {
    for name in METHOD_HEADERS.iter().copied().chain([
        "X-HTTP-Method-Override",
        "X-HTTP-METHOD",
        "X-Method-Override",
        "x_http_method_override",
        "X-HTTP_Method-Override",
    ]) {
        let methods = judged("POST", &[("a", "b"), (name, " delete ")], &[]).unwrap();
        assert_eq!(methods, ["POST", "DELETE"], "{name}");
    }
    for form in [
        "_method=DELETE",
        "a=1&_method=delete",
        "a=1;_method=DELETE",
        "%5Fm%65thod=%44ELETE",
        "_METHOD=DELETE",
        "+_method=DELETE+",
        ".method=DELETE",
        "_method=&_method=DELETE&_method=POST",
    ] {
        assert_eq!(judged("POST", &[], &["", form]).unwrap(), ["POST", "DELETE"], "{form}");
    }
    for form in ["", "_method", "_method=", "method=DELETE", "x_method=DELETE", "a=_method=DELETE"]
    {
        assert_eq!(judged("POST", &[("x-http-methods", "PUT")], &[form]).unwrap(), ["POST"]);
    }
    let all = judged("POST", &[("x-http-method", "PUT")], &["_method=DELETE", "_method=PATCH"]);
    assert_eq!(all.unwrap(), ["POST", "PUT", "DELETE", "PATCH"]);
}

#[test]
fn g05_a_second_method_that_is_none_refuses_the_request() {
    for value in ["GET, DELETE", "DEL ETE", "*", "WEBSOCKET_TEXT", "D\u{e4}", "\u{131}"] {
        let headers = [("x-http-method-override", value)];
        assert_eq!(
            judged("POST", &headers, &[]),
            Err(OverrideError::Method(MethodError::Malformed)),
            "{value}"
        );
    }
    assert_eq!(
        judged("POST", &[], &["_method=pri"]),
        Err(OverrideError::Method(MethodError::Reserved))
    );
    let many = "_method=A&_method=B&_method=C&_method=D";
    assert_eq!(judged("POST", &[], &[many]), Err(OverrideError::TooMany));
}

#[test]
fn g05_fields_with_a_second_target_are_known() {
    for name in ["X-Original-URL", "x-rewrite-url", "X_Rewrite_URL", "x-original_url"] {
        assert!(names_target(name), "{name}");
    }
    for name in ["x-original", "original-url", "x-rewrite-urls", "x-request-url"] {
        assert!(!names_target(name), "{name}");
    }
}

#[test]
fn g06_methods_are_exact_tokens() {
    for name in ["GET", "TRACE", "M-SEARCH", "PROPFIND", "VERSION-CONTROL", "X"] {
        assert_eq!(Method::parse(name.as_bytes()).unwrap().as_str(), name);
    }
    for (name, error) in [
        ("", MethodError::Malformed),
        ("*", MethodError::Malformed),
        ("GET ", MethodError::Malformed),
        ("GE\0T", MethodError::Malformed),
        ("G\u{c4}T", MethodError::Malformed),
        ("GET/", MethodError::Malformed),
        ("-GET", MethodError::Malformed),
        ("1GET", MethodError::Malformed),
        ("WEBSOCKET_TEXT", MethodError::Malformed),
        ("get", MethodError::Case),
        ("Get", MethodError::Case),
        ("pri", MethodError::Case),
        ("PRI", MethodError::Reserved),
        ("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG", MethodError::TooLong),
    ] {
        assert_eq!(Method::parse(name.as_bytes()), Err(error), "{name}");
    }
}

#[test]
fn g07_every_value_stands_under_its_exact_key() {
    for (raw, expected) in [
        ("/?a=1&a=2&a=1", &[("a", "1"), ("a", "2"), ("a", "1")][..]),
        ("/?a[]=1&a[]=2", &[("a[]", "1"), ("a[]", "2")]),
        ("/?a%5B0%5D=1&a[x]=2", &[("a[0]", "1"), ("a[x]", "2")]),
        ("/?a+b=c+d%2Be", &[("a b", "c d+e")]),
        ("/?a=b=c&=d&e&&f=", &[("a", "b=c"), ("", "d"), ("e", ""), ("f", "")]),
        ("/?%61=%31", &[("a", "1")]),
        ("/?a=1?b=2", &[("a", "1?b=2")]),
        ("/?a=1%26b=2%3Bc", &[("a", "1&b=2;c")]),
        ("/?a=%C3%A4", &[("a", "\u{e4}")]),
    ] {
        assert_eq!(pairs(&read(raw).unwrap()), expected, "{raw}");
    }
}

#[test]
fn g07_a_query_with_two_readings_passes_only_where_no_rule_looks() {
    for (raw, error, key) in [
        ("/?a=1;b=2", TargetError::QuerySemicolon, "a"),
        ("/?f=x:wght@400;700", TargetError::QuerySemicolon, "f"),
        ("/?a=1&A=2", TargetError::QueryKeys, "a"),
        ("/?a=1&a[]=2", TargetError::QueryKeys, "a"),
        ("/?A[0]=2&a=1", TargetError::QueryKeys, "a"),
        ("/?a.b=1&a_b=2", TargetError::QueryKeys, "a.b"),
        ("/?a=1&+a=2", TargetError::QueryKeys, "a"),
    ] {
        assert_eq!(read(raw), Err(error), "{raw}");
        let target = Target::parse(&method("GET"), raw.as_bytes(), WANTED).unwrap();
        assert_eq!(target.to_string(), raw);
        assert!(target.pairs().any(|pair| pair.0 == key), "{raw}");
    }
    let whole = Target::parse(&method("GET"), b"/?a=1;b=2", WANTED).unwrap();
    assert_eq!(pairs(&whole), [("a", "1;b=2")]);
}
