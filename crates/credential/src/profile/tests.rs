//! What profiles say, and what is said about them.

use openshell_policy::{Severity, parse};
use openshell_types::Host;

use super::*;

const FULL: &str = r#"
id: acme-cloud
resource_version: 7
annotations: { owner: "the team", note: "a: b" }
display_name: Acme Cloud
description: |
  Models and storage.
  Two lines.
category: inference
inference_capable: true
credentials:
  - name: api_key
    description: "from the console"
    env_vars: [ACME_API_KEY, ACME_KEY]
    required: true
    auth_style: header
    header_name: X-Api-Key
    in_body: true
    stable_placeholder: true
  - name: token
    env_vars: [ACME_TOKEN]
    auth_style: bearer
    refresh:
      strategy: oauth2_refresh_token
      token_url: https://login.acme.test/token
      scopes: [read, "write:all"]
      refresh_before_seconds: 60
      max_lifetime_seconds: 7200
      material:
        - { name: client_id, required: true }
        - { name: refresh_token, description: "from the sign-in", required: true, secret: true }
      additional_outputs: [{ output: id_token, credential: id }]
  - { name: id, env_vars: [ACME_ID], auth_style: query, query_param: id }
  - { name: bot, env_vars: [ACME_BOT], auth_style: path, path_template: "/bot{credential}/send" }
  - { name: pair, env_vars: [ACME_PAIR], auth_style: basic }
discovery: { credentials: [api_key, token] }
endpoints:
  - { host: api.acme.test, ports: [443, "8443-8444"], path: /v1/**, protocol: rest,
      access: read-write, enforcement: enforce }
  - { host: telemetry.acme.test, port: 443, allow_uninspected_credentials: true }
binaries: [{ path: /usr/bin/acme, descendants: true }]
"#;

fn good(text: &str) -> Profile {
    Profile::parse(text).unwrap_or_else(|findings| panic!("{findings:#?}\n{text}"))
}

/// Codes, lines and columns of what is found.
fn found(text: &str) -> Vec<(&'static str, u32, u32)> {
    Profile::read(text).1.iter().map(|one| (one.code, one.line, one.column)).collect()
}

/// Codes of errors and warnings in a profile with these lines.
fn codes(lines: &str) -> Vec<&'static str> {
    let (_, findings) = Profile::read(&format!("id: x\n{lines}"));
    let weighty = findings.iter().filter(|one| one.severity > Severity::Note);
    weighty.map(|one| one.code).collect()
}

#[test]
fn a_profile_says_all_that_its_text_does() {
    let profile = good(FULL);
    assert_eq!((profile.id(), profile.display_name()), ("acme-cloud", "Acme Cloud"));
    assert_eq!(profile.description(), "Models and storage.\nTwo lines.\n");
    assert_eq!(profile.resource_version(), Some(7));
    assert_eq!(profile.annotations()["note"], "a: b");
    assert_eq!((profile.category(), profile.inference_capable()), (Category::Inference, true));
    assert_eq!(profile.discovery(), ["api_key", "token"]);
    assert_eq!(profile.binaries().collect::<Vec<_>>(), ["/usr/bin/acme"]);
    let placements = profile.credentials().iter().map(|spec| spec.placement.clone().unwrap());
    assert_eq!(
        placements.map(|placement| placement.to_string()).collect::<Vec<_>>(),
        [
            "header:x-api-key",
            "authorization",
            "query:id",
            "path:/bot{credential}/send",
            "authorization",
        ]
    );
    let key = profile.credential("api_key").unwrap();
    assert!(key.required && key.stable_placeholder && key.refresh.is_none());
    let variables: Vec<&str> = key.env_vars.iter().map(|name| name.as_str()).collect();
    assert_eq!(variables, ["ACME_API_KEY", "ACME_KEY"]);
    let refresh = profile.credential("token").unwrap().refresh.as_ref().unwrap();
    assert_eq!(refresh.strategy, Strategy::Oauth2RefreshToken);
    assert_eq!((refresh.before_seconds, refresh.max_lifetime_seconds), (60, 7200));
    assert!(refresh.material[1].secret && !refresh.material[0].secret);
    assert_eq!(refresh.additional_outputs[0].credential, "id");
}

#[test]
fn what_is_written_reads_the_same() {
    for text in [FULL, "id: x", "id: x\ncategory: other\ncredentials: []\nendpoints: []"] {
        let profile = good(text);
        let written = profile.to_yaml();
        let again = good(&written);
        assert_eq!(again.to_yaml(), written);
        assert_eq!(again.credentials(), profile.credentials());
        assert_eq!(again.annotations(), profile.annotations());
        assert_eq!(again.discovery(), profile.discovery());
        assert_eq!(again.bindings(), profile.bindings());
        assert_eq!(again.description(), profile.description());
    }
    assert_eq!(good("id: x").to_yaml(), "id: x\ncategory: other\n");
}

#[test]
fn everything_wrong_is_found_at_once_and_in_its_place() {
    let text = "id: Acme\ncolour: red\ncategory: inferrence\ncredentials:\n  - nam: a\n  - name: b\n    \
                env_vars: [\"A B\"]\n    auth_style: header\nendpoints:\n  - { host: \"*\", port: 0 }\n\
                binaries:\n  - path: curl\n";
    assert_eq!(
        found(text),
        [
            ("C0101", 1, 5),
            ("P0101", 2, 1),
            ("P0104", 3, 11),
            ("P0101", 5, 5),
            ("P0103", 5, 5),
            ("C0101", 7, 16),
            ("C0102", 8, 5),
            ("P0303", 10, 13),
            ("P0306", 10, 24),
            ("P0203", 12, 11),
        ]
    );
    assert!(found("").iter().any(|(code, ..)| *code == "P0001"));
    assert_eq!(found("[]"), [("P0102", 1, 1)]);
    assert_eq!(found("{}"), [("P0103", 1, 1)]);
    assert_eq!(found("id: x\nid: y"), [("P0004", 2, 1)]);
    assert_eq!(found("id: x\ndescription: \"a\\0\""), [("C0101", 2, 14)]);
}

#[test]
fn ids_are_in_kebab_case() {
    for good_one in ["a", "1", "claude-code", "a-b-c", &"a".repeat(64)] {
        assert!(Profile::parse(&format!("id: \"{good_one}\"")).is_ok(), "{good_one}");
    }
    for bad in ["", "-a", "a-", "a--b", "A", "a_b", "a.b", "a/b", "../x", &"a".repeat(65)] {
        assert!(Profile::parse(&format!("id: \"{bad}\"")).is_err(), "{bad}");
    }
}

#[test]
fn placements_have_what_they_need_and_nothing_else() {
    let of =
        |lines: &str| codes(&format!("credentials:\n  - {{ name: a, env_vars: [A], {lines} }}"));
    for fine in [
        "auth_style: bearer",
        "auth_style: basic",
        "auth_style: header, header_name: PRIVATE-TOKEN",
        "auth_style: query, query_param: api_key",
        "auth_style: path, path_template: \"/bot{credential}\"",
    ] {
        assert_eq!(of(fine), [""; 0], "{fine}");
    }
    for (bad, code) in [
        ("auth_style: cookie", "P0104"),
        ("auth_style: header", "C0102"),
        ("auth_style: bearer, header_name: x", "C0102"),
        ("header_name: x", "C0102"),
        ("auth_style: header, header_name: \"a b\"", "C0101"),
        ("auth_style: header, header_name: Host", "C0101"),
        ("auth_style: header, header_name: proxy-authorization", "C0101"),
        ("auth_style: query, query_param: \"a=b&c\"", "C0101"),
        ("auth_style: path, path_template: /bot", "C0101"),
        ("auth_style: path, path_template: \"bot{credential}\"", "C0101"),
        ("auth_style: path, path_template: \"/{credential}{credential}\"", "C0101"),
        ("auth_style: path, path_template: \"/a/../{credential}\"", "C0101"),
        ("auth_style: path, path_template: \"/{credential}?x=1\"", "C0101"),
        ("env_var: [B]", "P0101"),
        ("token_grant: { token_endpoint: x }", "C0105"),
        ("refresh: { strategy: magic }", "P0104"),
        ("refresh: {}", "P0103"),
        ("refresh: { strategy: static, token_url: \"http://a.test/\" }", "C0101"),
        ("refresh: { strategy: static, token_url: \"https://u@a.test/\" }", "C0101"),
        ("refresh: { strategy: static, refresh_before_seconds: 0 }", "C0104"),
        (
            "refresh: { strategy: static, additional_outputs: [{ output: a, credential: b }] }",
            "C0103",
        ),
    ] {
        assert_eq!(of(bad), [code], "{bad}");
    }
}

#[test]
fn names_and_variables_stand_once() {
    let two = |one: &str, two: &str| codes(&format!("credentials: [{{ {one} }}, {{ {two} }}]"));
    assert_eq!(two("name: a, env_vars: [A]", "name: a, env_vars: [B]"), ["C0103"]);
    assert_eq!(two("name: a, env_vars: [A]", "name: b, env_vars: [A]"), ["C0103"]);
    assert_eq!(two("name: a, env_vars: [A]", "name: b, env_vars: [B]"), [""; 0]);
    assert_eq!(codes("discovery: { credentials: [a] }"), ["C0103"]);
    let many: Vec<String> =
        (0..33).map(|at| format!("{{ name: a{at}, env_vars: [A{at}] }}")).collect();
    assert_eq!(codes(&format!("credentials: [{}]", many.join(", "))), ["P0002"]);
}

#[test]
fn i02_a_secret_goes_only_where_somebody_said() {
    let of = |endpoint: &str| {
        codes(&format!(
            "credentials: [{{ name: a, env_vars: [A], auth_style: bearer }}]\n\
             endpoints: [{{ {endpoint} }}]\nbinaries: [{{ path: /bin/a, descendants: false }}]"
        ))
    };
    let rest = "protocol: rest, access: full, enforcement: enforce";
    assert_eq!(of(&format!("host: a.test, port: 443, path: /v1/**, {rest}")), [""; 0]);
    assert_eq!(of(&format!("host: \"*.a.test\", port: 443, path: /v1/**, {rest}")), ["C0203"]);
    assert_eq!(
        of(&format!("host: a.test, ports: [\"1000-1040\"], path: /v1/**, {rest}")),
        ["C0203"]
    );
    assert_eq!(of(&format!("host: a.test, ports: [80, 443], path: /v1/**, {rest}")), ["C0204"]);
    assert_eq!(of("host: a.test, port: 443"), ["C0202"]);
    assert_eq!(of("host: a.test, port: 443, tls: skip"), ["C0202"]);
    assert_eq!(of("host: a.test, port: 443, allow_uninspected_credentials: true"), [""; 0]);
    let unbound = "credentials: [{ name: a, auth_style: bearer }, { name: b, env_vars: [B] }]\n\
                   endpoints: [{ host: a.test, port: 443, path: /v1/**, protocol: rest, access: full, \
                   enforcement: enforce }]\nbinaries: [{ path: /bin/a, descendants: false }]";
    assert_eq!(codes(unbound), ["C0201", "C0205"]);
}

#[test]
fn bindings_are_what_credentials_and_endpoints_come_to() {
    let profile = good(FULL);
    let bindings = profile.bindings();
    assert_eq!(bindings.len(), 7, "one for each placement, and none where nothing is read");
    let host = Host::parse("api.acme.test").unwrap();
    assert!(bindings.iter().all(|one| one.host == host && one.path.as_deref() == Some("/v1/**")));
    let ports: Vec<u16> = bindings[0].ports.iter().map(|port| port.number()).collect();
    assert_eq!(ports, [443, 8443, 8444]);
    assert_eq!(
        (bindings[0].credential.as_str(), bindings[6].credential.as_str()),
        ("api_key", "pair")
    );
    let of_key = profile.bindings_of("ACME_KEY");
    let placements: Vec<String> = of_key.iter().map(|one| one.placement.to_string()).collect();
    assert_eq!(placements[..2], ["header:x-api-key".to_owned(), "header:x-api-key".to_owned()]);
    for within in ["body", "message"] {
        assert_eq!(placements.iter().filter(|placement| *placement == within).count(), 3);
    }
    assert_eq!(good("id: x").bindings(), []);
}

#[test]
fn a_credential_may_stand_in_bodies_alone() {
    let text = "credentials: [{ name: a, env_vars: [A], in_body: true }]\n\
                endpoints: [{ host: a.test, port: 443, path: /v1/**, protocol: rest, access: full, \
                enforcement: enforce }]\nbinaries: [{ path: /bin/a, descendants: false }]";
    assert_eq!(codes(text), [""; 0]);
    let profile = good(&format!("id: x\n{text}"));
    let bindings = profile.bindings();
    let placements: Vec<String> = bindings.iter().map(|own| own.placement.to_string()).collect();
    assert_eq!(placements, ["body", "message"]);
    assert!(profile.to_yaml().contains("in_body: true"), "{}", profile.to_yaml());
    assert_eq!(good(&profile.to_yaml()).credentials(), profile.credentials());
    // Nothing but yes and no.
    for other in ["json", "[json]", "{ path: token }", "1"] {
        assert_ne!(codes(&text.replace("in_body: true", &format!("in_body: {other}"))), [""; 0]);
    }
    assert!(
        !good(&format!("id: x\n{}", text.replace("true", "false"))).to_yaml().contains("in_body")
    );
}

#[test]
fn a_profile_becomes_one_rule_of_a_policy() {
    let policy = parse("version: 1").document.unwrap();
    let rule = good(FULL).policy_rule("_provider_work").unwrap();
    let joined = policy.join([&rule]).unwrap();
    assert_eq!(joined.endpoint_views().count(), 2);
    assert!(joined.formatted().contains("_provider_work:"), "{}", joined.formatted());
    assert!(good("id: x").policy_rule("_provider_work").is_none());
    let bad = good(FULL).policy_rule("_provider_{}").unwrap();
    assert!(policy.join([&bad]).is_err());
}

#[test]
fn codes_of_findings_are_in_the_page_about_them() {
    let page = include_str!("../profile.rs");
    let sources = [
        include_str!("check.rs"),
        include_str!("credential.rs"),
        include_str!("library.rs"),
        include_str!("read.rs"),
        include_str!("refresh.rs"),
    ];
    for code in sources.iter().flat_map(|text| text.split("\"C0").skip(1)) {
        let code = format!("| C0{} |", code.get(..3).unwrap());
        assert!(page.contains(&code), "{code}");
    }
}

#[test]
fn i10_what_signs_is_bound_where_an_endpoint_says_for_what() {
    let with = |endpoint: &str| {
        format!(
            "credentials: [{{ name: a, env_vars: [AWS_ACCESS_KEY_ID] }}, \
             {{ name: b, env_vars: [OTHER], auth_style: bearer }}]\n\
             endpoints: [{{ host: {endpoint} }}]\n\
             binaries: [{{ path: /usr/bin/curl }}]"
        )
    };
    let signing = "port: 443, protocol: rest, access: full, enforcement: enforce, \
                   credential_signing: sigv4, signing_service: s3";
    let fine = with(&format!("a.test, {signing}, signing_region: eu-1"));
    assert_eq!(codes(&fine), [""; 0]);
    let profile = good(&format!("id: x\n{fine}"));
    let bound: Vec<String> =
        profile.bindings().iter().map(|own| own.placement.to_string()).collect();
    assert_eq!(bound, ["sigv4:key:s3:eu-1", "authorization"]);
    assert_eq!(codes(&with(&format!("a.test, {signing}"))), ["C0206"]);
    let wide = with(&format!("\"*.a.test\", {signing}, signing_region: eu-1"));
    assert!(codes(&wide).contains(&"C0203"));
}
