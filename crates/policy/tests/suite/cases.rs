//! Runs `cases/*.yaml`: a policy, and what it decides.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use openshell_policy::{BinaryTable, Binding, Caller, Decision, Destination, Policy, Program};
use openshell_types::{Authority, Digest, FileId, Host};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// What the case shows; for readers.
    #[serde(rename = "about")]
    _about: String,
    policy: String,
    /// Literal paths that resolve, and their inodes.
    #[serde(default)]
    bind: BTreeMap<String, u64>,
    #[serde(default = "long_ago")]
    now: String,
    decisions: Vec<Wanted>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    to: String,
    by: String,
    /// The inode that runs, when it is not the one that `by` is bound to.
    inode: Option<u64>,
    sha256: Option<String>,
    #[serde(default)]
    ancestors: Vec<String>,
    /// `allow RULE` or `deny PREDICATE`.
    want: String,
    /// Resolved addresses, and `ok` or the word of the refusal.
    #[serde(default)]
    admits: BTreeMap<String, String>,
    resolves: Option<bool>,
    host_loopback: Option<bool>,
    /// A part of the nearest edit; empty when there is to be none.
    nearest: Option<String>,
    line: Option<u32>,
}

fn long_ago() -> String {
    "2030-01-01T00:00:00Z".to_owned()
}

const UNBOUND: u64 = 999_999;

impl Case {
    fn program(&self, path: &str, inode: Option<u64>, sha256: Option<&str>) -> Program {
        let inode = inode.or_else(|| self.bind.get(path).copied()).unwrap_or(UNBOUND);
        Program {
            file: FileId { device: 1, inode },
            path: (path != "-").then(|| path.into()),
            sha256: sha256.map(|text| Digest::of(text.as_bytes())),
        }
    }

    fn run(&self, name: &str) {
        let (policy, _) = Policy::compile(&self.policy)
            .unwrap_or_else(|findings| panic!("{name}: {findings:#?}"));
        let mut table = BinaryTable::new();
        for (path, inode) in &self.bind {
            table.insert(path, Binding::Files(vec![FileId { device: 1, inode: *inode }]));
        }
        let policy = policy.bind(&table);
        for wanted in &self.decisions {
            self.check(&policy, wanted, &format!("{name}: {} by {}", wanted.to, wanted.by));
        }
    }

    fn check(&self, policy: &Policy, wanted: &Wanted, at: &str) {
        let now = self.now.parse().unwrap();
        let authority = Authority::parse(&wanted.to).unwrap();
        let to = match &authority.host {
            Host::Name(name) => Destination::Name(name, authority.port),
            Host::Address(address) => Destination::Address(*address, authority.port),
        };
        let caller = Caller {
            exe: self.program(&wanted.by, wanted.inode, wanted.sha256.as_deref()),
            ancestors: wanted.ancestors.iter().map(|p| self.program(p, None, None)).collect(),
        };
        let decision = policy.connect(&to, &caller, now);
        let found = match &decision {
            Decision::Allow(grant) => format!("allow {}", policy.rule_name(grant)),
            Decision::Deny(denial) => format!("deny {}", denial.predicate.as_str()),
        };
        assert_eq!(found, wanted.want, "{at}");
        let words = policy.explain(&to, Some(&caller), &decision);
        if let Some(part) = &wanted.nearest {
            let nearest = words.nearest.clone().unwrap_or_default();
            let fits = if part.is_empty() { nearest.is_empty() } else { nearest.contains(part) };
            assert!(fits, "{at}: nearest is {nearest:?}");
        }
        if wanted.line.is_some() {
            assert_eq!(words.line, wanted.line, "{at}");
        }
        if let (Some(resolves), Host::Name(name)) = (wanted.resolves, &authority.host) {
            assert_eq!(policy.resolves(name), resolves, "{at}");
        }
        let Decision::Allow(grant) = decision else { return };
        if let Some(loopback) = wanted.host_loopback {
            assert_eq!(policy.host_loopback(&grant), loopback, "{at}");
        }
        for (address, verdict) in &wanted.admits {
            let parsed: IpAddr = address.parse().unwrap();
            let found = match policy.admits(&grant, parsed) {
                Ok(()) => "ok",
                Err(refusal) => refusal.as_str(),
            };
            assert_eq!(found, verdict, "{at}: {address}");
        }
    }
}

#[test]
fn case_files_hold() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut ran = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let case: Case =
            serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        case.run(&name);
        ran += 1;
    }
    assert!(ran >= 6, "only {ran} case files were found");
}
