//! Into other processes.

use std::process::Stdio;
use std::time::Duration;

use openshell_testkit::finish;

use crate::lab::{Came, Lab, as_each_user};
use crate::neighbour::Neighbour;

const NAMESPACES: &str = include_str!("attempts/namespaces.py");
const PROCESS: &str = include_str!("attempts/process.py");
const EVERYBODY: &str = include_str!("attempts/everybody.py");
const DESCRIPTORS: &str = include_str!("attempts/descriptors.py");

pub fn k03_nested_namespaces() {
    as_each_user(|lab| {
        lab.sandbox("box", &[]);
        for (way, refused) in [("unshare", "EPERM"), ("clone", "EPERM"), ("clone3", "ENOSYS")] {
            lab.outside(NAMESPACES, &[way]).must_succeed();
            lab.inside("box", NAMESPACES, &[way]).must_fail(&[refused]);
        }
    });
}

/// A process of the same user in the sandbox, and its number there.
fn fellow(lab: &Lab<'_>) -> String {
    let started = lab.audited("box", |event| {
        event["kind"] == "process" && event["role"] == "main" && event["activity"] == "started"
    });
    started["pid"].to_string()
}

pub fn k04_looking_into_a_neighbour() {
    as_each_user(|lab| {
        lab.sandbox("box", &[]);
        let (neighbour, fellow) = (Neighbour::new(lab), fellow(lab));
        for way in ["seize", "attach", "memory", "descriptors"] {
            lab.outside(PROCESS, &[&neighbour.pid(), way]).must_succeed();
            // Not even where there is such a process, and it is of the same user.
            lab.inside("box", PROCESS, &[&fellow, way]).must_fail(&["EPERM"]);
        }
    });
}

pub fn signals_to_a_neighbour() {
    as_each_user(|lab| {
        lab.sandbox("box", &[]);
        lab.sandbox("neighbour", &[]);
        let neighbour = Neighbour::new(lab);
        for (way, hits) in [("signal", 1), ("pidfd", 2)] {
            lab.outside(PROCESS, &[&neighbour.pid(), way]).must_succeed();
            neighbour.await_hits(hits);
        }
        // The number names nobody inside, so everybody is tried instead.
        let pid = neighbour.pid();
        for way in ["signal", "pidfd"] {
            lab.inside("box", PROCESS, &[&pid, way]).must_fail(&["ESRCH"]);
        }
        lab.inside("box", EVERYBODY, &[]).must_succeed();
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(neighbour.hits(), 2);
        lab.exec("neighbour", &["true"]).succeeded();
        lab.exec("box", &["true"]).succeeded();
    });
}

pub fn k21_memory_of_process_1() {
    as_each_user(|lab| {
        lab.sandbox("box", &[]);
        let neighbour = Neighbour::new(lab);
        for way in ["mem", "environ", "fd"] {
            lab.outside(PROCESS, &[&neighbour.pid(), way]).must_succeed();
            let refused = &["EACCES", "EPERM", "ENOENT", "EROFS"];
            lab.inside("box", PROCESS, &["1", way]).must_fail(refused);
        }
    });
}

pub fn k08_root_of_process_1() {
    as_each_user(|lab| {
        lab.sandbox("box", &[]);
        let neighbour = Neighbour::new(lab);
        let seen = lab.outside(PROCESS, &[&neighbour.pid(), "root"]).must_succeed();
        assert!(seen.contains("home"), "{seen}");
        lab.inside("box", PROCESS, &["1", "root"]).must_fail(&["EACCES", "EPERM", "ENOENT"]);
    });
}

pub fn k13_inherited_descriptors() {
    const SECRET: &str = "a secret of the host";
    as_each_user(|lab| {
        let file = lab.product.home().join("secret");
        lab.product.write(&file, SECRET);
        // The careless caller: descriptors that every child of this shell inherits.
        let careless = |words: &[&str]| {
            let script = "exec 7<\"$0\" 9<\"$0\" 33<\"$0\" && exec \"$@\"";
            let mut arguments = vec!["-c", script, file.to_str().unwrap()];
            arguments.extend(words);
            // `sh` knows descriptors of one digit only.
            let mut command = lab.product.program("bash", &arguments);
            finish(command.stdin(Stdio::null()), Duration::from_secs(60))
        };
        let script = format!("{}\n\n{DESCRIPTORS}", include_str!("attempts/prelude.py"));
        let python = ["/usr/bin/python3", "-I", "-c", &script, SECRET];
        Came::of(&careless(&python)).must_succeed();
        let openshell = lab.product.command(&[]);
        let openshell = last_program(&openshell);
        // This one starts the gateway, too, and so the supervisor.
        let create = [&openshell, "sandbox", "create", "--name", "box", "--no-tty", "--"];
        let words = [&create[..], &python].concat();
        Came::of(&careless(&words)).must_have_found_nothing();
        lab.sandbox("further", &[]);
        let exec = [&openshell, "sandbox", "exec", "-n", "further", "--no-tty", "--"];
        let words = [&exec[..], &python].concat();
        Came::of(&careless(&words)).must_have_found_nothing();
    });
}

/// The path of `openshell` itself in a command that may begin with a change of the user.
fn last_program(command: &std::process::Command) -> String {
    let words = [command.get_program()].into_iter().chain(command.get_args());
    words.last().unwrap().to_str().unwrap().to_owned()
}

impl Came {
    /// Shows that there was no descriptor at all.
    fn must_have_found_nothing(self) {
        assert_eq!(self, Self::Failed("nothing".to_owned()));
    }
}
