//! From the sandbox's specification and its policy to what the jail shall be.

use std::env;
use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use openshell_driver::launch::{CONFIG, file};
use openshell_isolation::{JailSpec, LandlockMode, View, default_binds, mounts};
use openshell_policy::{Landlock, Policy};
use openshell_types::SandboxSpec;

/// Folders beneath a person's home that a policy never opens: keys, tokens, cookies, and our own.
const SECRETS: &[&str] = &[
    ".ssh",
    ".gnupg",
    ".aws",
    ".azure",
    ".kube",
    ".docker",
    ".netrc",
    ".git-credentials",
    ".config/gcloud",
    ".config/gh",
    ".config/openshell",
    ".local/state/openshell",
    ".local/share/keyrings",
    ".password-store",
    ".mozilla",
    ".config/google-chrome",
    ".config/chromium",
    ".config/BraveSoftware",
    ".config/microsoft-edge",
];

/// The jail of `spec` under `policy`, and a line for each path that is left out of it; a policy with
/// the hard requirement forgives no such line. `folder` is the sandbox's folder, `uid` the host user
/// that the supervisor was started by.
pub(crate) fn jail_spec(
    spec: &SandboxSpec,
    policy: &Policy,
    folder: &Path,
    uid: u32,
) -> Result<(JailSpec, Vec<String>), String> {
    let paths = |texts: &[String]| texts.iter().map(PathBuf::from).collect::<Vec<_>>();
    let filesystem = policy.filesystem();
    let (mut read_only, read_write) = (paths(&filesystem.read_only), paths(&filesystem.read_write));
    // SECURITY: K23: what only a group of the supervisor's opens is not a policy's to show.
    let groups = mounts::own_groups().map_err(|error| format!("reading our groups: {error}"))?;
    let mut left_out = Vec::new();
    read_only.retain(|path| {
        let Ok(real) = path.canonicalize() else { return true };
        match mounts::check_groups(&real, spec.identity, &groups) {
            Ok(()) => true,
            Err(refusal) => {
                left_out.push(format!("`{}` is left out: {refusal}", path.display()));
                false
            }
        }
    });
    let (binds, mut notes) = default_binds(&View {
        read_only: &read_only,
        read_write: &read_write,
        mounts: &spec.mounts,
        tools: &spec.tool_binds,
        forbidden: &forbidden(folder, home_of(uid), env::var_os(CONFIG).map(PathBuf::from)),
    });
    notes.append(&mut left_out);
    if policy.landlock() == Landlock::HardRequirement && !notes.is_empty() {
        return Err(format!("the policy requires all of its paths: {}", notes.join("; ")));
    }
    let jail = JailSpec {
        hostname: spec.name.as_str().to_owned(),
        identity: spec.identity,
        binds,
        home: folder.join(file::HOME),
        landlock: LandlockMode::Required,
    };
    Ok((jail, notes))
}

/// The Unix sockets that the person mounted by name, as paths in the jail.
pub(crate) fn named_sockets(spec: &SandboxSpec) -> Vec<PathBuf> {
    spec.mounts
        .iter()
        .filter(|mount| {
            fs::metadata(&mount.source).is_ok_and(|found| found.file_type().is_socket())
        })
        .map(|mount| mount.target.clone())
        .collect()
}

fn forbidden(folder: &Path, home: Option<PathBuf>, config: Option<PathBuf>) -> Vec<PathBuf> {
    // The sandbox's folder is state/openshell/sandboxes/ID.
    let state = folder.ancestors().nth(2).map(PathBuf::from);
    let secrets = home.iter().flat_map(|home| SECRETS.iter().map(|name| home.join(name)));
    let config = config.map(|config| config.join("openshell"));
    let ours = state.into_iter().chain(config).chain([PathBuf::from("/etc/openshell")]);
    ours.chain(secrets).collect()
}

/// The home of `uid`, from /etc/passwd; the environment is not asked.
fn home_of(uid: u32) -> Option<PathBuf> {
    let accounts = fs::read("/etc/passwd").ok()?;
    let accounts = String::from_utf8_lossy(&accounts);
    accounts.lines().find_map(|line| {
        let mut fields = line.split(':').skip(2);
        let found = fields.next()?.parse() == Ok(uid);
        found.then(|| fields.nth(2).map(PathBuf::from)).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn k05_a_policy_opens_neither_our_own_state_nor_a_persons_secrets() {
        let folder = Path::new("/home/ada/.state/openshell/sandboxes/x");
        let forbidden = forbidden(folder, Some("/home/ada".into()), Some("/srv/ada".into()));
        for path in [
            "/home/ada/.state/openshell",
            "/srv/ada/openshell",
            "/home/ada/.ssh",
            "/home/ada/.config/gcloud",
        ] {
            assert!(forbidden.contains(&PathBuf::from(path)), "{path}");
        }
    }

    #[test]
    fn the_home_of_root_is_found() {
        assert_eq!(home_of(0), Some(PathBuf::from("/root")));
        assert_eq!(home_of(u32::MAX - 7), None);
    }
}
