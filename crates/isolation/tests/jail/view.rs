//! What is seen in a jail, and what of it can be changed.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use libc::{EACCES, EROFS};
use openshell_isolation::{Access, Bind, Origin, TRUST, View, default_binds};

use crate::Case;
use crate::lab::{Lab, assert_errno};

pub const CASES: &[Case] = &[
    Case { name: "shows_the_default_view", outside: Lab::attempt, inside: default_view },
    Case { name: "keeps_the_home_folder", outside: home, inside: home_inside },
    Case {
        name: "mounts_a_folder_writable_under_its_owners_name",
        outside: writable,
        inside: writable_inside,
    },
    Case {
        name: "k20_refuses_a_mount_that_cannot_be_id_mapped",
        outside: no_id_map,
        inside: || {},
    },
    Case { name: "mounts_a_folder_read_only", outside: read_only, inside: read_only_inside },
    Case { name: "mounts_within_mounts_outermost_first", outside: nested, inside: nested_inside },
    Case { name: "mounts_a_single_file", outside: file, inside: file_inside },
    Case {
        name: "d08_our_list_of_authorities_lies_over_the_hosts_and_cannot_be_changed",
        outside: trust,
        inside: || {},
    },
    Case {
        name: "k09_a_shown_path_that_became_a_link_since_it_was_checked_is_refused",
        outside: became_a_link,
        inside: || {},
    },
    Case {
        name: "a_policy_adds_a_host_path_and_no_secret",
        outside: policy,
        inside: policy_inside,
    },
];

fn default_view() {
    let names = |path: &str| -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(path)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    let known =
        ["attempt", "bin", "dev", "etc", "nix", "opt", "proc", "sandbox", "sbin", "tmp", "usr"];
    for name in names("/") {
        assert!(
            known.contains(&name.as_str()) || name.starts_with("lib") || name == ".openshell",
            "{name}"
        );
    }
    assert!(names("/sandbox").is_empty() && names("/tmp").is_empty());
    assert_eq!(
        names("/dev"),
        [
            "fd", "full", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout",
            "tty", "urandom", "zero"
        ]
    );
    assert_eq!(fs::read_to_string("/etc/hostname").unwrap(), "brave-otter\n");
    assert_eq!(rustix::system::uname().nodename().to_str().unwrap(), "brave-otter");
    assert!(fs::read_to_string("/etc/resolv.conf").unwrap().starts_with("nameserver 198.18.0.1\n"));
    assert!(fs::read_to_string("/etc/nsswitch.conf").unwrap().contains("hosts: files dns\n"));
    assert!(fs::read_to_string("/etc/hosts").unwrap().contains("127.0.0.1 localhost"));
    for path in ["/usr/x", "/etc/x", "/dev/x", "/proc/x", "/x", "/opt/x"] {
        assert!(File::create(path).is_err(), "{path}");
    }
    for path in ["/tmp/x", "/sandbox/x", "/dev/shm/x", "/dev/null"] {
        fs::write(path, "x").unwrap_or_else(|error| panic!("{path}: {error}"));
    }
    assert_eq!(fs::metadata("/sandbox/x").unwrap().uid(), 1000);
    fs::create_dir("/tmp/d").unwrap();
    fs::rename("/tmp/x", "/tmp/d/x").unwrap();
    fs::remove_dir_all("/tmp/d").unwrap();
    std::os::unix::net::UnixListener::bind("/tmp/socket").unwrap();
    File::open("/dev/urandom").unwrap();
    assert!(std::process::Command::new("ls").arg("/usr/bin").output().unwrap().status.success());
}

fn home(lab: &Lab) {
    lab.attempt();
    let kept = lab.home().join("kept");
    assert_eq!(fs::read_to_string(&kept).unwrap(), "by the agent");
    let owner = fs::metadata(&kept).unwrap().uid();
    assert_eq!(owner, agent_outside(lab));
    // A second jail finds it, and may change it.
    let output = lab.jail().sh("cat kept && rm kept");
    assert_eq!((output.code, output.stdout.as_str()), (0, "by the agent"));
}

fn home_inside() {
    fs::write("/sandbox/kept", "by the agent").unwrap();
}

fn agent_outside(lab: &Lab) -> u32 {
    match lab.identity() {
        openshell_types::Identity::Caller { uid, .. } => uid,
        openshell_types::Identity::Block { start } => start + 1000,
    }
}

fn mount(source: PathBuf, target: &str, access: Access) -> Bind {
    Bind { source, target: target.into(), access, origin: Origin::Mount }
}

fn with(lab: &Lab, binds: Vec<Bind>) {
    let session =
        lab.build(|spec| spec.binds.extend(binds)).unwrap_or_else(|error| panic!("{error}"));
    lab.attempt_in(&session);
}

fn writable(lab: &Lab) {
    let source = lab.host_folder("project");
    with(lab, vec![mount(source.clone(), "/sandbox/project", Access::ReadWrite)]);
    let owner = rustix::process::geteuid().as_raw();
    for name in ["inner", "new"] {
        let found = fs::metadata(source.join(name)).unwrap();
        assert_eq!(found.uid(), owner, "{name}");
    }
    assert_eq!(fs::read_to_string(source.join("inner")).unwrap(), "from the jail\n");
}

fn writable_inside() {
    let found = fs::metadata("/sandbox/project/inner").unwrap();
    assert_eq!((found.uid(), found.gid()), (1000, 1000));
    fs::write("/sandbox/project/inner", "from the jail\n").unwrap();
    fs::write("/sandbox/project/new", "also\n").unwrap();
}

fn no_id_map(lab: &Lab) {
    if !lab.is_root() {
        return;
    }
    use rustix::mount::{MountFlags, MountPropagationFlags, mount_change};
    crate::probes::unshare_mounts();
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
    let source = lab.host_folder("other-file-system");
    rustix::mount::mount("none", &source, "ramfs", MountFlags::empty(), None).unwrap();
    let error = lab
        .build(|spec| spec.binds.push(mount(source.clone(), "/sandbox/x", Access::ReadWrite)))
        .err()
        .unwrap();
    assert_eq!(error.path, Some(source));
    assert!(error.fix.as_deref().unwrap_or_default().contains("id-mapped"), "{error}");
}

fn read_only(lab: &Lab) {
    let source = lab.host_folder("project");
    // Its owner alone may read it: the jail's user is that owner, inside.
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(&source, fs::Permissions::from_mode(0o700)).unwrap();
    with(lab, vec![mount(source, "/sandbox/project", Access::ReadOnly)]);
}

fn read_only_inside() {
    assert_eq!(fs::read_to_string("/sandbox/project/inner").unwrap(), "from the host\n");
    let refused = &[EACCES, EROFS];
    assert_errno(fs::write("/sandbox/project/inner", "x"), refused);
    assert_errno(fs::write("/sandbox/project/new", "x"), refused);
    assert_errno(fs::remove_file("/sandbox/project/inner"), refused);
    assert_errno(OpenOptions::new().append(true).open("/sandbox/project/inner"), refused);
}

fn became_a_link(lab: &Lab) {
    let secret = lab.host_folder("secret");
    let parent = lab.host_folder("parent");
    std::os::unix::fs::symlink(&secret, parent.join("data")).unwrap();
    for origin in [Origin::Policy, Origin::Tool, Origin::Mount] {
        for source in [parent.join("data"), parent.join("data/inner")] {
            let bind = Bind { origin, ..mount(source.clone(), "/work", Access::ReadOnly) };
            let error = lab.build(|spec| spec.binds.push(bind)).err().unwrap();
            assert_eq!((error.path, error.errno), (Some(source), Some(libc::ELOOP)), "{origin:?}");
        }
    }
}

fn nested(lab: &Lab) {
    let outer = lab.host_folder("outer");
    fs::create_dir(outer.join("deep")).unwrap();
    let inner = lab.host_folder("inner-folder");
    with(
        lab,
        vec![
            mount(inner, "/work/outer/deep", Access::ReadOnly),
            mount(outer, "/work/outer", Access::ReadWrite),
        ],
    );
}

fn nested_inside() {
    assert_eq!(fs::read_to_string("/work/outer/deep/inner").unwrap(), "from the host\n");
    fs::write("/work/outer/new", "x").unwrap();
    assert_errno(fs::write("/work/outer/deep/new", "x"), &[EACCES, EROFS]);
}

fn file(lab: &Lab) {
    let source = lab.host_folder("folder").join("inner");
    with(lab, vec![mount(source, "/sandbox/config/file", Access::ReadOnly)]);
}

fn file_inside() {
    assert_eq!(fs::read_to_string("/sandbox/config/file").unwrap(), "from the host\n");
    assert_errno(fs::write("/sandbox/config/file", "x"), &[EACCES, EROFS]);
}

fn trust(lab: &Lab) {
    let bundle = Path::new("/etc/ssl/certs/ca-certificates.crt");
    let folder = lab.host_folder("trust");
    let source = folder.join("inner");
    let bind = |source: &Path, target: &Path| Bind {
        source: source.to_owned(),
        target: target.to_owned(),
        access: Access::ReadOnly,
        origin: Origin::Trust,
    };
    let session = lab
        .build(|spec| {
            spec.binds.push(bind(&folder, Path::new(TRUST)));
            spec.binds.push(bind(&source, bundle));
            spec.binds.push(bind(&source, Path::new("/etc/not-here/list.pem")));
            spec.binds.push(bind(&source, Path::new("/usr/not-here.pem")));
        })
        .unwrap_or_else(|error| panic!("{error}"));
    let ours = format!("{TRUST}/inner");
    assert_eq!(session.run(&["cat", &ours]).stdout, "from the host\n");
    assert_eq!(session.sh("ls /etc/not-here /usr/not-here.pem 2>/dev/null").stdout, "");
    let is_there = bundle.exists();
    if is_there {
        assert_eq!(session.run(&["cat", bundle.to_str().unwrap()]).stdout, "from the host\n");
        let seen = "ls /etc/ssl/certs | wc -l; ls -A /etc/ssl/private 2>/dev/null | wc -l";
        let seen = session.sh(seen).stdout;
        let count: Vec<u32> = seen.lines().map(|n| n.trim().parse().unwrap()).collect();
        assert!(count[0] > 10 && count[1] == 0, "{count:?}");
    }
    // The same file, written after the jail was built.
    fs::write(&source, "written later\n").unwrap();
    for path in [ours.as_str(), bundle.to_str().unwrap()] {
        if path == ours || is_there {
            assert_eq!(session.run(&["cat", path]).stdout, "written later\n");
            let tried = session.sh(&format!("echo mine > {path} || chmod 777 {path} || rm {path}"));
            assert_ne!(tried.code, 0, "{path}");
        }
    }
    assert_eq!(fs::read_to_string(&source).unwrap(), "written later\n");
}

fn policy(lab: &Lab) {
    use std::os::unix::fs::{PermissionsExt, symlink};
    // Not in /tmp, which means the jail's own.
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let [secret, shared, link] = ["secret", "shared", "link"].map(|name| folder.path().join(name));
    fs::create_dir(&secret).unwrap();
    fs::create_dir(&shared).unwrap();
    fs::write(shared.join("inner"), "from the host\n").unwrap();
    symlink(&secret, &link).unwrap();
    let read_only: Vec<PathBuf> = ["/usr/bin", "/etc", "/etc/passwd", "/proc", "/no/such/path"]
        .map(PathBuf::from)
        .into_iter()
        .chain([shared.clone(), secret.clone(), link, folder.path().to_owned(), "/".into()])
        .collect();
    let view = View {
        read_only: &read_only,
        read_write: &["/tmp".into(), "/sandbox/x".into(), "/var/lib".into()],
        forbidden: std::slice::from_ref(&secret),
        ..View::default()
    };
    let (binds, notes) = default_binds(&view);
    let added: Vec<&Bind> = binds.iter().filter(|bind| bind.origin == Origin::Policy).collect();
    let targets: Vec<&Path> = added.iter().map(|bind| bind.target.as_path()).collect();
    assert_eq!(targets, [&shared]);
    let left_out =
        ["/no/such/path", "secret", "link", folder.path().to_str().unwrap(), "/", "/var/lib"];
    assert_eq!(notes.len(), left_out.len(), "{notes:?}");
    for (note, path) in notes.iter().zip(left_out) {
        assert!(note.contains(path), "{note}");
    }
    let bind = Bind { target: "/shared".into(), ..added[0].clone() };
    with(lab, vec![bind]);
}

fn policy_inside() {
    assert_eq!(fs::read_to_string("/shared/inner").unwrap(), "from the host\n");
    assert_errno(fs::write("/shared/inner", "x"), &[EACCES, EROFS]);
}
