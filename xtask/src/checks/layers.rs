//! Which crate may use which: the picture in ARCHITECTURE.md, enforced.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::run::{Outcome, cargo, output};

/// Each crate with the crates of ours that it may use. What is not here is not allowed.
const MAY_USE: [(&str, &[&str]); 20] = [
    ("types", &[]),
    ("wire", &["types"]),
    ("policy", &["types"]),
    ("codec", &["types"]),
    ("audit", &["types"]),
    ("credential", &["types", "policy", "codec"]),
    ("inference", &["types", "codec", "credential"]),
    ("isolation", &["types"]),
    ("egress", &["types", "policy", "codec", "audit", "credential", "inference"]),
    ("driver", &["types"]),
    ("driver-native", &["types", "driver"]),
    (
        "supervisor",
        &[
            "types",
            "wire",
            "policy",
            "audit",
            "credential",
            "inference",
            "isolation",
            "egress",
            "driver",
        ],
    ),
    ("client", &["types", "wire"]),
    ("gateway", &["types", "wire", "policy", "audit", "credential", "driver"]),
    (
        "cli",
        &[
            "types",
            "policy",
            "codec",
            "audit",
            "credential",
            "isolation",
            "client",
            "gateway",
            "driver-native",
        ],
    ),
    ("policy-oracle", &["types", "policy"]),
    ("testkit", &[]),
    ("e2e", &["audit", "testkit"]),
    ("xtask", &[]),
    ("benches", &["types", "policy"]),
];

/// Crates that are pure: what they must not use, so that they stay without I/O and without tasks.
const PURE: [&str; 5] = ["types", "policy", "codec", "audit", "inference"];
const IMPURE: [&str; 6] = ["tokio", "rustix", "libc", "hyper", "tonic", "sqlx"];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    /// `None` for an ordinary dependency, else `dev` or `build`.
    kind: Option<String>,
}

/// Compares the manifests with the two tables.
pub fn check() -> Outcome {
    let text = output(cargo().args(["metadata", "--format-version", "1", "--no-deps"]))?;
    let metadata: Metadata =
        serde_json::from_str(&text).map_err(|error| format!("cargo metadata: {error}"))?;
    let allowed: BTreeMap<&str, &[&str]> = MAY_USE.into_iter().collect();
    let mut wrong = Vec::new();
    for package in &metadata.packages {
        let name = package.name.strip_prefix("openshell-").unwrap_or(&package.name);
        let Some(may_use) = allowed.get(name) else {
            wrong.push(format!("`{name}` has no place in the picture"));
            continue;
        };
        // Tests may use more: the tables are about what ships.
        for used in package.dependencies.iter().filter(|used| used.kind.is_none()) {
            if let Some(ours) = used.name.strip_prefix("openshell-")
                && !may_use.contains(&ours)
            {
                wrong.push(format!("`{name}` may not use `{ours}`"));
            }
            if PURE.contains(&name) && IMPURE.contains(&used.name.as_str()) {
                wrong.push(format!("`{name}` is pure and may not use `{}`", used.name));
            }
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
}
