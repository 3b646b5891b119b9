//! Connections that are decided by one rule alone.

use jiff::Timestamp;
use openshell_policy::{Caller, Decision, Destination, Policy, Predicate, Program};
use openshell_types::{FileId, HostName, Port};

const TEXT: &str = "\
version: 1
network_policies:
  A_wide:
    name: _own
    endpoints:
      - { host: '*.example.com', port: 443 }
      - { host: a.example.com, port: 443 }
    binaries: [{ path: '/usr/**' }]
  _own:
    endpoints: [{ host: a.example.com, port: 443 }]
    binaries: [{ path: '/usr/bin/a*' }]
  over:
    endpoints: [{ host: a.example.com, port: 443 }]
    binaries: [{ path: '/usr/**' }]
    until: 2020-01-01T00:00:00Z
";

/// What is decided of a program's connection to a host by the rule of this key.
fn by_rule(key: &str, program: &str, host: &str) -> Result<(), Predicate> {
    let (policy, _) = Policy::compile(TEXT).unwrap_or_else(|errors| panic!("{errors:?}"));
    let file = FileId { device: 1, inode: 1 };
    let exe = Program { file, path: Some(program.into()), sha256: None };
    let by = Caller { exe, ancestors: Vec::new() };
    let (name, port) = (HostName::parse(host).unwrap(), Port::new(443).unwrap());
    let to = Destination::Name(&name, port);
    let decision = policy.connect_by(key, &to, &by, Timestamp::now());
    let told = policy.explain(&to, Some(&by), &decision);
    match decision {
        Decision::Allow(grant) => {
            assert!(matches!(policy.connect(&to, &by, Timestamp::now()), Decision::Allow(_)));
            assert!(!policy.rule_name(&grant).is_empty());
            Ok(())
        }
        Decision::Deny(denial) => {
            assert_eq!(told.predicate, denial.predicate.as_str());
            Err(denial.predicate)
        }
    }
}

#[test]
fn a_rule_that_is_asked_alone_is_not_widened_by_others() {
    for (key, program, host, decided) in [
        ("_own", "/usr/bin/a1", "a.example.com", Ok(())),
        ("_own", "/usr/bin/b1", "a.example.com", Err(Predicate::Binary)),
        ("_own", "/usr/bin/a1", "b.example.com", Err(Predicate::Host)),
        ("A_wide", "/usr/bin/b1", "b.example.com", Ok(())),
        ("over", "/usr/bin/a1", "a.example.com", Err(Predicate::Expired)),
        ("none", "/usr/bin/a1", "a.example.com", Err(Predicate::Host)),
    ] {
        assert_eq!(by_rule(key, program, host), decided, "{key} {program} {host}");
    }
}
