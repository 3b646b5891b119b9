//! What is there, and what a policy's paths change.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::lab::{as_each_user, open_to_all};

pub fn k05_no_socket_of_the_hosts_is_there() {
    as_each_user(|lab| {
        lab.sandbox("box", &[]);
        let find = "find / -type s -not -path '/proc/*' 2>/dev/null";
        let script = format!("{find} | grep -q /openshell/");
        let mut outside = lab.product.program("sh", &["-c", &script]);
        let patience = std::time::Duration::from_secs(60);
        openshell_testkit::finish(&mut outside, patience).succeeded();
        assert_eq!(lab.exec("box", &["sh", "-c", find]).stdout, "");
        for path in ["/run", "/var/run", "/run/docker.sock", "/tmp/.X11-unix", "/sys"] {
            assert_ne!(lab.exec("box", &["ls", path]).code, Some(0), "{path}");
        }
        let told = lab.exec("box", &["env"]).succeeded().stdout;
        for name in ["SSH_AUTH_SOCK", "DBUS_", "XDG_RUNTIME_DIR", "DISPLAY", "DOCKER_HOST"] {
            assert!(!told.contains(name), "{told}");
        }
    });
}

pub fn k12_a_missing_path_changes_only_its_own_rule() {
    as_each_user(|lab| {
        // The world has its own mounts: nothing of this is left on the machine.
        let mounted = Command::new("mount").args(["-t", "tmpfs", "none", "/srv"]).status();
        assert!(mounted.unwrap().success());
        let folder = PathBuf::from("/srv/shown");
        std::fs::create_dir(&folder).unwrap();
        let file = folder.join("file");
        std::fs::write(&file, "shown\n").unwrap();
        std::fs::write(folder.join("other"), "not shown\n").unwrap();
        open_to_all(&folder, 0o755);
        let policy = format!(
            "version: 1\nfilesystem_policy:\n  read_only: [/no/such/path, {}]\n  read_write: \
             [/tmp, /no/such/either]\nlandlock:\n  compatibility: best_effort\n",
            file.display()
        );
        lab.sandbox_under("box", &policy, &[]);
        let cat = |path: &Path| lab.exec("box", &["cat", path.to_str().unwrap()]);
        assert_eq!(cat(&file).succeeded().stdout, "shown\n");
        assert_ne!(cat(&folder.join("other")).code, Some(0));
        // The rest is in force as before.
        assert_ne!(cat(Path::new("/.openshell/landlock-probe")).code, Some(0));
        let write = format!("echo x > {}", file.display());
        assert_ne!(lab.exec("box", &["sh", "-c", &write]).code, Some(0));
        lab.exec("box", &["sh", "-c", "echo x > /tmp/mine"]).succeeded();
        // The same with the hard requirement is refused, and says which.
        let hard = policy.replace("best_effort", "hard_requirement");
        let yaml = lab.product.home().join("hard.yaml");
        lab.product.write(&yaml, &hard);
        let words = ["sandbox", "create", "--no-keep", "--policy", yaml.to_str().unwrap(), "--"];
        let refused = lab.product.run(&[&words[..], &["true"]].concat());
        assert_ne!(refused.code, Some(0), "{refused}");
        assert!(refused.stderr.contains("/no/such/path"), "{refused}");
    });
}
