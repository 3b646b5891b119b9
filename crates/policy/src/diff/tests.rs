//! Differences as people read them.

use super::*;
use crate::document::parse;

fn document(text: &str) -> Document {
    let parsed = parse(&format!("version: 1\n{text}"));
    parsed.document.unwrap_or_else(|| panic!("{:#?}\n{text}", parsed.diagnostics))
}

fn between(before: &str, after: &str) -> String {
    Difference::between(&document(before), &document(after)).to_string()
}

const BEFORE: &str = "filesystem_policy: { read_only: [/usr, /opt] }
network_policies:
  b: { endpoints: [{ host: b.example, ports: [443, 80] }], binaries: [{ path: /bin/b }] }
  a:
    endpoints: [{ host: a.example, port: 443 }, { host: c.example, port: 22 }]
    binaries: [{ path: /bin/x }, { path: /bin/y }]
";

#[test]
fn order_formatting_and_split_ports_make_no_difference() {
    let after = "network_policies:
  a: { binaries: [{ path: /bin/y }, { path: '/bin/x' }], endpoints: [{ host: C.example., port: 22, protocol: tcp }, { host: a.example, ports: [443] }] }
  b: { endpoints: [{ host: b.example, port: 80 }, { host: b.example, port: 443 }], binaries: [{ path: /bin/b }] }
filesystem_policy: { read_only: [/opt, /usr] }
landlock: { compatibility: best_effort }
";
    assert_eq!(between(BEFORE, after), "");
}

#[test]
fn every_kind_of_difference_is_one_line() {
    let after = "filesystem_policy: { read_only: [/usr], include_workdir: true, read_write: [/data] }
landlock: { compatibility: hard_requirement }
process: { run_as_user: 1000 }
network_policies:
  z: { until: 2030-01-01T00:00:00Z, endpoints: [{ host: z.example, ports: [\"1-9\", 10] }], binaries: [{ path: /bin/z }] }
  a:
    name: other
    endpoints: [{ host: a.example, ports: [443, 8443], tls: skip }, { host: d.example, port: 22 }]
    binaries: [{ path: /bin/x }, { path: /bin/y, descendants: true }]
";
    let expected = "\
~ include_workdir false -> true
- read_only /opt
+ read_write /data
~ landlock best_effort -> hard_requirement
~ run_as_user sandbox -> 1000
~ a: name a -> other
- a: binary /bin/y
+ a: binary /bin/y and what it starts
~ a: a.example: ports 443 -> 443, 8443
+ a: a.example: tls skip
- a: endpoint c.example on port 22
+ a: endpoint d.example on port 22
- b: rule b
- b: endpoint b.example on port 80, 443
- b: binary /bin/b
+ z: rule z
+ z: until 2030-01-01T00:00:00Z
+ z: endpoint z.example on port 1-10
+ z: binary /bin/z
";
    assert_eq!(between(BEFORE, after), expected);
}

#[test]
fn a_rule_under_another_key_is_the_same_rule() {
    assert_eq!(between(BEFORE, &BEFORE.replace("  a:", "  q:")), "~ a: key a -> q\n");
}

#[test]
fn request_rules_are_compared_one_by_one_and_presets_by_what_they_stand_for() {
    let with = |more: &str| {
        format!(
            "network_policies: {{ a: {{ endpoints: [{{ host: a.example, port: 443, protocol: rest, {more} }}], binaries: [{{ path: /bin/x }}] }} }}\n"
        )
    };
    let preset = with("access: read-only");
    let written = with(
        "rules: [{ allow: { method: OPTIONS, path: '**' } }, { allow: { method: head } }, { allow: { method: GET } }]",
    );
    assert_eq!(between(&preset, &written), "");
    let other = with(
        "rules: [{ allow: { method: GET, path: /a, query: { q: { any: [b, a] } } } }], deny_rules: [{ path: /z }], enforcement: audit",
    );
    let expected = "\
+ a: a.example: enforcement audit
- a: a.example: allow method: GET
- a: a.example: allow method: HEAD
- a: a.example: allow method: OPTIONS
+ a: a.example: allow method: GET, path: /a, query q: a | b
+ a: a.example: deny path: /z
";
    assert_eq!(between(&written, &other), expected);
}
