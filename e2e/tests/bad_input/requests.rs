//! Commands, mounts and names.

use openshell_e2e::Sandbox;
use openshell_testkit::{Product, RunAs, world};

use crate::left;

pub fn a_command_that_does_not_exist_creates_nothing(run_as: RunAs) {
    world(|_| {
        let product = Product::new(run_as);
        let said = product.run(&["sandbox", "create", "--", "no-such-command"]).exited(127);
        assert!(said.stderr.contains("there is no command `no-such-command`"), "{said}");
        assert!(said.stderr.contains("help: "), "{said}");
        left::nothing(&product);
    });
}

pub fn a_mount_that_does_not_exist_creates_nothing(run_as: RunAs) {
    world(|_| {
        let product = Product::new(run_as);
        let create = ["sandbox", "create", "--mount"];
        let said = product.run(&[&create[..], &["./absent", "--", "true"]].concat()).exited(2);
        assert!(said.stderr.contains("`--mount ./absent` cannot be used"), "{said}");
        assert!(said.stderr.contains("must exist on this machine"), "{said}");
        for bad in ["", ":/x", ".:relative", ".:/", ".:/proc", ".:/dev/x", ".:/etc/passwd"] {
            let said = product.run(&[&create[..], &[bad, "--", "true"]].concat()).exited(2);
            assert!(said.stderr.contains("error: "), "{bad}: {said}");
        }
        left::nothing(&product);
    });
}

pub fn folders_with_secrets_are_not_mounted_unless_they_are_named(run_as: RunAs) {
    world(|_| {
        let product = Product::new(run_as);
        for secret in [".ssh/id", ".aws/credentials", ".config/gcloud/x", ".docker/config.json"] {
            product.write(&product.home().join(secret), "a secret\n");
        }
        product.write(&product.home().join("work/file"), "content\n");
        let create = |mount: &str, command: &[&str]| {
            let head = ["sandbox", "create", "--no-keep", "--mount", mount, "--"];
            product.run(&[&head[..], command].concat())
        };
        // The home is above them; the others lie in them or hold the product's own files.
        let state = product.state().display().to_string();
        let refused = [".", ".ssh/id", ".config", ".local", &format!("{state}/gateway"), "bin"];
        for mount in refused {
            let said = create(mount, &["true"]).exited(2);
            assert!(
                said.stderr.contains("holds secrets or OpenShell's own files"),
                "{mount}: {said}"
            );
            assert!(said.stderr.contains("name exactly that path"), "{mount}: {said}");
        }
        left::nothing(&product);
        // By way of a link it is what the link leads to.
        let link = std::os::unix::fs::symlink(".ssh", product.home().join("innocent"));
        link.expect("our own folder is writable");
        create("innocent/id", &["true"]).exited(2);
        // A person who names exactly that folder means it.
        let said = create(".ssh", &["cat", "/sandbox/.ssh/id"]).succeeded();
        assert_eq!(said.stdout, "a secret\n");
        let said = create("work", &["cat", "/sandbox/work/file"]).succeeded();
        assert_eq!(said.stdout, "content\n");
    });
}

pub fn a_name_that_is_taken_is_refused(run_as: RunAs) {
    world(|_| {
        let product = Product::new(run_as);
        let sandbox = Sandbox::start(&product, "taken", "version: 1\n");
        let folder = sandbox.folder();
        let create = ["sandbox", "create", "--name", "taken", "--", "echo", "no"];
        let said = product.run(&create).exited(125);
        assert!(said.stderr.contains("'taken' already exists"), "{said}");
        assert!(said.stderr.contains("choose another name"), "{said}");
        assert_eq!((said.stdout.as_str(), sandbox.phase().as_str()), ("", "Ready"));
        assert_eq!((sandbox.folder(), !left::supervisors(&product).is_empty()), (folder, true));
        let list = product.run(&["sandbox", "list", "--names"]).succeeded().stdout;
        assert_eq!(list, "taken\n");
    });
}

pub fn m11_names_are_plain(run_as: RunAs) {
    world(|_| {
        let product = Product::new(run_as);
        let long = "x".repeat(1024);
        for name in ["../x", "a/b", "$(id)", "a b", "\u{1b}[31m", "-x", "x-", "Upper", "", &long] {
            let named = format!("--name={name}");
            let said = product.run(&["sandbox", "create", &named, "--", "true"]).exited(2);
            assert!(said.stderr.contains("error: ") && !said.stderr.contains('\u{1b}'), "{said}");
        }
        assert!(product.processes().is_empty(), "not even a gateway was started");
    });
}
