//! Through the kernel, and onto files of the host.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::time::Duration;

use openshell_testkit::{RunAs, finish};

use crate::lab::{Lab, as_each_user, open_to_all};
use crate::root::as_root;

const IO_URING: &str = include_str!("attempts/io_uring.py");
const FILES_OF_ROOT: &str = include_str!("attempts/files_of_root.py");
const SET_ID: &str = include_str!("attempts/set_id.py");

pub fn k01_io_uring() {
    as_each_user(|lab| {
        lab.sandbox("box", &[]);
        lab.outside(IO_URING, &[]).must_succeed();
        lab.inside("box", IO_URING, &[]).must_fail(&["ENOSYS"]);
    });
}

pub fn k20_files_of_roots() {
    as_root(|lab| {
        lab.sandbox("box", &[]);
        for path in ["/proc/sys/kernel/core_pattern", "/etc/shadow"] {
            lab.outside(FILES_OF_ROOT, &[path]).must_succeed();
            let refused = &["EACCES", "EROFS", "ENOENT", "EPERM"];
            lab.inside("box", FILES_OF_ROOT, &[path]).must_fail(refused);
        }
        // Nor is it root's own id that stands behind a file of the jail's.
        lab.exec("box", &["touch", "/sandbox/mine"]).succeeded();
        let homes = lab.product.state().join("sandboxes");
        let home = fs::read_dir(homes).unwrap().flatten().next().unwrap().path();
        assert_ne!(fs::metadata(home.join("home/mine")).unwrap().uid(), 0);
    });
}

pub fn k24_set_id_bits_on_a_mount() {
    const WAYS: [&str; 11] = [
        "chmod",
        "fchmod",
        "fchmodat",
        "fchmodat2",
        "open",
        "openat",
        "creat",
        "openat2",
        "mknod",
        "mknodat",
        "tmpfile",
    ];
    as_each_user(|lab| {
        let (folder, own) = (lab.folder("project"), lab.folder("own"));
        lab.sandbox("box", &["--mount", &format!("{}:/sandbox/project", folder.display())]);
        for way in WAYS {
            lab.outside(SET_ID, &[own.to_str().unwrap(), way]).must_succeed();
            lab.inside("box", SET_ID, &["/sandbox/project", way]).must_fail(&["EPERM", "ENOSYS"]);
        }
        let left: Vec<_> = fs::read_dir(&folder).unwrap().flatten().collect();
        assert!(!left.is_empty(), "it can write there");
        for entry in left {
            assert_eq!(entry.metadata().unwrap().mode() & 0o6000, 0, "{entry:?}");
        }
    });
}

pub fn k23_supplementary_groups() {
    as_root(|lab| {
        // A folder that only a group of the caller's opens.
        const GROUP: u32 = 60_055;
        let folder = tempfile_folder(lab);
        std::os::unix::fs::chown(&folder, Some(0), Some(GROUP)).unwrap();
        open_to_all(&folder, 0o750);
        let product = openshell_testkit::Product::new(RunAs::Ordinary);
        let in_group = |command: Command| {
            let mut with = Command::new(command.get_program());
            with.args(command.get_args().map(|word| {
                if word == "--clear-groups" { "--groups=60055".into() } else { word.to_owned() }
            }));
            with.env_clear();
            with.envs(command.get_envs().filter_map(|(key, value)| Some((key, value?))));
            with.current_dir(product.home());
            finish(&mut with, Duration::from_secs(60))
        };
        let inner = folder.join("inner");
        let outside = in_group(product.program("cat", &[inner.to_str().unwrap()]));
        assert_eq!(outside.succeeded().stdout, "for the group\n");
        for target in ["", ":/sandbox/x", ":/sandbox/x:ro"] {
            let mount = format!("{}{target}", folder.display());
            let words = ["sandbox", "create", "--no-keep", "--mount", &mount, "--", "true"];
            let refused = in_group(product.command(&words));
            assert_ne!(refused.code, Some(0), "{refused}");
            assert!(refused.stderr.contains("60055"), "{refused}");
        }
        // And a path of the policy's own choosing.
        let policy =
            format!("version: 1\nfilesystem_policy:\n  read_only: [{}]\n", folder.display());
        let file = product.home().join("policy.yaml");
        product.write(&file, &policy);
        let words = ["sandbox", "create", "--no-keep", "--policy", file.to_str().unwrap(), "--"];
        let words = [&words[..], &["cat", inner.to_str().unwrap()]].concat();
        let read = in_group(product.command(&words));
        assert!(!read.stdout.contains("for the group"), "{read}");
    });
}

fn tempfile_folder(lab: &Lab<'_>) -> std::path::PathBuf {
    let folder = lab.product.home().join("shared");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("inner"), "for the group\n").unwrap();
    folder
}
