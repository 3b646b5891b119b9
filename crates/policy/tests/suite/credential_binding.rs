//! Which requests are given credentials, and which endpoints may not give any.

use jiff::Timestamp;
use openshell_policy::{
    BinaryTable, Binding, BoundEndpoint, Caller, Destination, Policy, Program, parse,
};
use openshell_types::{FileId, HostName, Port};

const TEXT: &str = "
version: 1
network_policies:
  curl:
    endpoints:
      - { host: api.example.com, port: 443, protocol: rest, access: read-only, credential_binding: { provider: corp } }
      - { host: api.example.com, port: 443, protocol: rest, access: full, path: '/{open,free}/**' }
      - { host: api.example.com, port: 443, protocol: rest, access: full, path: '/v2/**', credential_binding: { provider: other } }
    binaries: [{ path: /usr/bin/curl, descendants: true }]
  python:
    endpoints: [{ host: '*.example.com', port: 443, protocol: rest, access: full }]
    binaries: [{ path: /usr/bin/python3 }, { path: /usr/bin/curl }]
  timely:
    until: 2026-01-01T00:00:00Z
    endpoints: [{ host: once.example.com, port: 443, protocol: rest, access: full, credential_binding: { provider: corp } }]
    binaries: [{ path: /usr/bin/curl }]
";

fn program(path: &str) -> Program {
    let inode = path.bytes().map(u64::from).sum();
    Program { file: FileId { device: 1, inode }, path: Some(path.into()), sha256: None }
}

/// Rules and paths of the endpoints that give a request of `by`, started by `/usr/bin/make`,
/// credentials.
fn bound(host: &str, port: u16, by: &[&str], path: &str, now: &str) -> Vec<String> {
    let (policy, _) = Policy::compile(TEXT).unwrap_or_else(|all| panic!("{all:#?}"));
    let mut table = BinaryTable::new();
    for path in policy.binary_paths() {
        table.insert(path, Binding::Files(vec![program(path).file]));
    }
    let policy = policy.bind(&table);
    let host = HostName::parse(host).unwrap();
    let to = Destination::Name(&host, Port::new(port).unwrap());
    let mut programs = by.iter().map(|path| program(path));
    let by = Caller { exe: programs.next().unwrap(), ancestors: programs.collect() };
    let now: Timestamp = now.parse().unwrap();
    let all = policy.bound_endpoints(&to, &by, path, now).into_iter();
    let text = |BoundEndpoint { rule, path }| format!("{rule} {}", path.as_deref().unwrap_or("-"));
    all.map(text).collect()
}

#[test]
fn i02_credentials_are_for_the_programs_the_host_and_the_paths_of_their_endpoint() {
    const NOW: &str = "2025-06-01T00:00:00Z";
    let (curl, python) = (&["/usr/bin/curl"][..], &["/usr/bin/python3"][..]);
    for (host, port, by, path, wanted) in [
        ("api.example.com", 443, curl, "/v1/x", &["curl -"][..]),
        ("api.example.com", 443, curl, "/v2/x", &["curl /v2/**"]),
        // A more specific endpoint that gives none speaks there.
        ("api.example.com", 443, curl, "/open/x", &[]),
        ("api.example.com", 443, curl, "/free/x", &[]),
        // What curl starts is meant, and another program is not, whatever lets it through.
        ("api.example.com", 443, &["/usr/bin/x", "/usr/bin/curl"], "/v1/x", &["curl -"]),
        ("api.example.com", 443, python, "/v1/x", &[]),
        ("api.example.com", 443, &["/usr/bin/python3", "/usr/bin/make"], "/v2/x", &[]),
        ("web.example.com", 443, curl, "/v1/x", &[]),
        ("api.example.com", 8443, curl, "/v1/x", &[]),
        ("once.example.com", 443, curl, "/", &["timely -"]),
    ] {
        assert_eq!(bound(host, port, by, path, NOW), wanted, "{host}:{port}{path} {by:?}");
    }
    let later = bound("once.example.com", 443, curl, "/", "2026-06-01T00:00:00Z");
    assert_eq!(later, [""; 0]);
}

/// Codes, lines and help of the errors of an endpoint with a binding.
fn errors(endpoint: &str) -> Vec<(&'static str, u32, String)> {
    let text = format!(
        "version: 1\nnetwork_policies:\n  a:\n    binaries: [{{ path: /x }}]\n    endpoints:\n      - {{ {endpoint}, credential_binding: {{ provider: corp }} }}\n"
    );
    let parsed = parse(&text);
    let errors = parsed.diagnostics.into_iter().filter(|found| found.is_error());
    errors.map(|one| (one.code, one.line, one.help.unwrap_or_default())).collect()
}

#[test]
fn i02_credentials_for_more_than_one_place_are_refused_with_line_and_fix() {
    let rest = "protocol: rest, access: full";
    let api = format!("host: api.example.com, port: 443, {rest}");
    let signed = "credential_signing: sigv4, signing_service: s3";
    for (endpoint, code, fix) in [
        (format!("host: '*.example.com', port: 443, {rest}"), "P0421", "name each host"),
        (format!("host: '**.example.com', port: 443, {rest}"), "P0421", "name each host"),
        (format!("allowed_ips: [10.0.0.0/8], port: 443, {rest}"), "P0421", "name the host"),
        (format!("host: api.example.com, port: '1-33', {rest}"), "P0421", "name the ports"),
        ("host: api.example.com, port: 443".to_owned(), "P0421", "protocol: rest"),
        ("host: api.example.com, port: 443, protocol: tcp".to_owned(), "P0421", "protocol: rest"),
        ("host: api.example.com, port: 443, protocol: udp".to_owned(), "P0421", "protocol: rest"),
        ("host: api.example.com, port: 443, tls: skip".to_owned(), "P0421", "protocol: rest"),
        (format!("{api}, {signed}"), "P0416", "signing_region"),
        (
            format!("{api}, {signed}, signing_region: eu-1, request_body_credential_rewrite: true"),
            "P0416",
            "request_body_credential_rewrite",
        ),
    ] {
        let found = errors(&endpoint);
        let [(first, line, help)] = found.as_slice() else { panic!("{endpoint}: {found:?}") };
        assert_eq!((*first, *line), (code, 6), "{endpoint}");
        assert!(help.contains(fix), "{endpoint}: {help}");
    }
    let aws = "host: s3.eu-central-1.amazonaws.com, port: 443";
    for fine in [
        api.clone(),
        format!("{api}, path: '/v1/**'"),
        format!("host: api.example.com, port: '1-32', {rest}"),
        format!("host: 10.1.2.3, port: 443, {rest}"),
        format!("host: host.openshell.internal, port: 443, {rest}"),
        "host: api.example.com, port: 443, protocol: grpc, access: full".to_owned(),
        "host: api.example.com, port: 443, protocol: mcp, access: full".to_owned(),
        "host: api.example.com, port: 443, protocol: websocket, access: full, websocket_credential_rewrite: true".to_owned(),
        format!("{aws}, {rest}, {signed}"),
        format!("{api}, {signed}, signing_region: eu-1"),
    ] {
        assert_eq!(errors(&fine), [], "{fine}");
    }
}

#[test]
fn credentials_in_plain_text_are_worth_a_warning() {
    for (host, port, warned) in [
        ("api.example.com", "80", true),
        ("api.example.com", "8000-8100", false),
        ("api.example.com", "8070-8081", true),
        ("api.example.com", "443", false),
        ("host.openshell.internal", "8080", false),
    ] {
        let text = format!(
            "version: 1\nnetwork_policies:\n  a:\n    binaries: [{{ path: /x }}]\n    endpoints:\n      - {{ host: {host}, port: {port}, protocol: rest, access: full, credential_binding: {{ provider: corp }} }}\n"
        );
        let found = parse(&text).diagnostics;
        // More than 32 ports are an error, which is told alone.
        let is_warned = found.iter().any(|one| one.code == "P0521" && !one.is_error());
        assert_eq!(is_warned, warned, "{host}:{port} {found:#?}");
    }
}

#[test]
fn providers_that_cannot_be_bound_are_told_with_rule_line_and_fix() {
    let document = parse(TEXT).document.unwrap();
    let keys: Vec<_> = document.bound_endpoints().map(|(key, view)| (key, view.provider)).collect();
    assert_eq!(keys, [("curl", Some("corp")), ("curl", Some("other")), ("timely", Some("corp"))]);
    let found = document.unbindable(|view| {
        let wrong = || ("`other` is not there".to_owned(), "make it".to_owned());
        (view.provider == Some("other")).then(wrong)
    });
    let [one] = found.as_slice() else { panic!("{found:#?}") };
    assert_eq!((one.code, one.line, one.is_error()), ("P0422", 8, true));
    assert!(one.message.contains("rule `curl`") && one.message.contains("`other` is not there"));
    assert_eq!(one.help.as_deref(), Some("make it"));
}
