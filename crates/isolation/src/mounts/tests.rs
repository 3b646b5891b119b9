use std::os::unix::fs::{PermissionsExt, chown, symlink};

use super::*;

struct World {
    folder: tempfile::TempDir,
    forbidden: Vec<PathBuf>,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for path in ["home/.ssh/keys", "home/project/src", "other"] {
            std::fs::create_dir_all(folder.path().join(path)).unwrap();
        }
        let forbidden = vec![folder.path().join("home/.ssh"), folder.path().join("home/.aws")];
        Self { folder, forbidden }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn check(&self, path: &str) -> Result<PathBuf, Refusal> {
        check(&self.path(path), Path::new("/sandbox/x"), &self.forbidden)
    }
}

#[test]
fn gives_the_real_path_of_an_ordinary_folder() {
    let world = World::new();
    symlink(world.path("home/project"), world.path("other/link")).unwrap();
    let real = world.path("home/project").canonicalize().unwrap();
    assert_eq!(world.check("home/project"), Ok(real.clone()));
    assert_eq!(world.check("other/link"), Ok(real));
}

#[test]
fn k22_secret_folders_are_refused_by_every_way_to_them() {
    let world = World::new();
    symlink(world.path("home/.ssh"), world.path("other/link")).unwrap();
    for path in ["home/.ssh/keys", "home", "", "other/link", "home/project/../.ssh"] {
        assert!(matches!(world.check(path), Err(Refusal::Secret { .. })), "{path}");
    }
    // Also one that does not exist yet: its folder would hold it.
    assert!(touching(&world.path("home"), &[world.path("home/.aws")]).is_some());
}

#[test]
fn a_secret_folder_is_mounted_when_named_exactly() {
    let world = World::new();
    assert!(world.check("home/.ssh").is_ok());
}

#[test]
fn refuses_the_root_the_kernels_folders_and_what_is_not_there() {
    for path in ["/", "/proc", "/proc/self", "/sys", "/dev", "/no/such/path", "relative"] {
        let result = check(Path::new(path), Path::new("/sandbox/x"), &[]);
        assert!(matches!(result, Err(Refusal::Source { .. })), "{path}");
    }
}

#[test]
fn refuses_targets_that_the_jail_needs_for_itself() {
    let world = World::new();
    for target in [
        "/",
        "/proc",
        "/proc/1",
        "/dev/shm",
        "/sys/x",
        "/.openshell",
        "/etc",
        "/etc/passwd",
        "/etc/resolv.conf",
        "/sandbox",
        "sandbox/x",
        "/sandbox/../etc/passwd",
        "",
    ] {
        let result = check(&world.path("other"), Path::new(target), &[]);
        assert!(matches!(result, Err(Refusal::Target { .. })), "{target}");
    }
    for target in ["/sandbox/x", "/work", "/etc/gitconfig", "/home/me/project", "/tmp/x"] {
        assert!(check(&world.path("other"), Path::new(target), &[]).is_ok(), "{target}");
    }
}

#[test]
fn k23_what_only_a_supplementary_group_opens_is_refused() {
    const CALLER: Identity = Identity::Caller { uid: 4_000_001, gid: 4_000_002 };
    const DOCKER: u32 = 4_000_003;
    let world = World::new();
    let groups = [4_000_002, DOCKER];
    let mode = |path: &str, bits| {
        std::fs::set_permissions(world.path(path), std::fs::Permissions::from_mode(bits)).unwrap();
    };
    mode("", 0o755);
    assert_eq!(check_groups(&world.path("other"), CALLER, &groups), Ok(()));
    if !rustix::process::geteuid().is_root() {
        // Only root can give a file to a group that it is not in.
        return;
    }
    std::fs::write(world.path("other/docker.sock"), "").unwrap();
    chown(world.path("other/docker.sock"), None, Some(DOCKER)).unwrap();
    mode("other/docker.sock", 0o660);
    let refused = Err(Refusal::Group { path: world.path("other/docker.sock"), gid: DOCKER });
    assert_eq!(check_groups(&world.path("other"), CALLER, &groups), refused);
    // Not with a block of ids, where the groups are left behind, nor without the group.
    let block = Identity::Block { start: 0x7000_0000 };
    assert_eq!(check_groups(&world.path("other"), block, &groups), Ok(()));
    assert_eq!(check_groups(&world.path("other"), CALLER, &[]), Ok(()));
    mode("other/docker.sock", 0o664);
    assert_eq!(check_groups(&world.path("other"), CALLER, &groups), Ok(()));
    // A folder on the way counts as well.
    chown(world.path("home"), None, Some(DOCKER)).unwrap();
    mode("home", 0o750);
    let refused = Err(Refusal::Group { path: world.path("home"), gid: DOCKER });
    assert_eq!(check_groups(&world.path("home/project/src"), CALLER, &groups), refused);
}
