//! The environment of the jail's processes: built, never inherited.

use std::collections::BTreeMap;

use openshell_isolation::TRUST;
use openshell_types::SandboxSpec;

use crate::trust;

/// Folders in which a command is looked for.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What never goes through the proxy: the jail's own loopback.
const NO_PROXY: &str = "127.0.0.1,localhost,::1";

/// The variables that every process of the sandbox starts with. `proxy` is the captured address of
/// the egress; programs that ignore it are captured all the same, these variables only let a denial
/// carry its reason. What the person gave comes last and wins.
pub(crate) fn compose(spec: &SandboxSpec, proxy: &str, timezone: &str) -> BTreeMap<String, String> {
    let composed = [
        ("PATH", PATH),
        ("HOME", "/sandbox"),
        ("USER", "sandbox"),
        ("LOGNAME", "sandbox"),
        ("SHELL", "/bin/bash"),
        ("LANG", "C.UTF-8"),
        ("TZ", timezone),
        ("TERM", "xterm-256color"),
        ("COLORTERM", "truecolor"),
        ("OPENSHELL_SANDBOX", "1"),
        ("HTTP_PROXY", proxy),
        ("http_proxy", proxy),
        ("HTTPS_PROXY", proxy),
        ("https_proxy", proxy),
        ("ALL_PROXY", proxy),
        ("all_proxy", proxy),
        ("NO_PROXY", NO_PROXY),
        ("no_proxy", NO_PROXY),
        ("grpc_proxy", proxy),
        ("NODE_USE_ENV_PROXY", "1"),
    ];
    let mut variables: BTreeMap<String, String> =
        composed.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let trusted = trust::variables(TRUST);
    variables.extend(trusted.into_iter().map(|(name, value)| (name.to_owned(), value)));
    variables.extend(given(&spec.environment));
    variables
}

/// Variables as a person or an exec gave them; names that no environment can hold are left out.
pub(crate) fn given(
    variables: &BTreeMap<String, String>,
) -> impl Iterator<Item = (String, String)> + '_ {
    variables
        .iter()
        .filter(|(name, value)| {
            // SECURITY: M17: a NUL would cut the variable off, a `=` would name another one.
            !name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0')
        })
        .map(|(name, value)| (name.clone(), value.clone()))
}

/// The name of the host's time zone, from where /etc/localtime points.
pub(crate) fn host_timezone() -> String {
    let link = std::fs::read_link("/etc/localtime").unwrap_or_default();
    let path = link.to_string_lossy();
    path.split_once("zoneinfo/")
        .map(|(_, zone)| zone)
        .filter(|zone| zone.bytes().all(|b| b.is_ascii_alphanumeric() || b"/_+-".contains(&b)))
        .unwrap_or("UTC")
        .to_owned()
}

#[cfg(test)]
mod tests {
    use openshell_types::{Identity, SandboxId, SandboxName, WorkspaceName};

    use super::*;

    #[test]
    fn i01_nothing_is_inherited_and_what_the_person_gave_wins() {
        let spec = SandboxSpec {
            version: SandboxSpec::VERSION,
            id: SandboxId::parse("0b6a3b1e-58a7-4b11-9d3c-0f54d1f0a001").expect("id"),
            name: SandboxName::parse("box").expect("name"),
            workspace: WorkspaceName::default_workspace(),
            command: vec!["true".into()],
            terminal: None,
            environment: BTreeMap::from([
                ("TERM".into(), "dumb".into()),
                ("MINE".into(), "a b".into()),
                ("BAD=NAME".into(), "x".into()),
                ("NUL".into(), "a\0b".into()),
            ]),
            mounts: vec![],
            tool_binds: vec![],
            await_attach: false,
            await_credentials: false,
            identity: Identity::Caller { uid: 1000, gid: 1000 },
        };
        let variables = compose(&spec, "http://198.18.0.1:3128", "UTC");
        let get = |name: &str| variables.get(name).map(String::as_str);
        assert_eq!(get("TERM"), Some("dumb"));
        assert_eq!(get("MINE"), Some("a b"));
        assert_eq!(get("https_proxy"), Some("http://198.18.0.1:3128"));
        assert_eq!(get("OPENSHELL_SANDBOX"), Some("1"));
        assert_eq!(get("BAD=NAME"), None);
        assert_eq!(get("NUL"), None);
        assert_eq!(get("SSL_CERT_FILE"), Some("/etc/openshell-tls/ca-bundle.pem"));
        assert_eq!(get("NODE_EXTRA_CA_CERTS"), Some("/etc/openshell-tls/openshell-ca.pem"));
        assert_eq!(variables.len(), 21 + trust::variables(TRUST).len());
    }
}
