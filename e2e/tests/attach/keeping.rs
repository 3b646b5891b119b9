//! What is kept of a sandbox, and what is not.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use openshell_e2e::{Sandbox, eventually};
use openshell_testkit::{Product, RunAs, world};
use serde_json::Value;

const NO_NETWORK: &str = "version: 1\n";

fn names(product: &Product) -> Vec<String> {
    let said = product.run(&["sandbox", "list", "--names"]).succeeded();
    said.stdout.lines().map(str::to_owned).collect()
}

pub fn detached_output_is_kept_for_who_connects(run_as: RunAs) {
    world(|_| {
        let product = Product::new(run_as);
        let script = "echo one; echo two >&2; while [ ! -e go ]; do sleep 0.05; done; exit 5";
        let sandbox = Sandbox::start_with(&product, "detached", NO_NETWORK, &["sh", "-c", script]);
        // Somebody who watches and is killed changes nothing.
        let mut first = product
            .command(&["sandbox", "connect", "detached"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("openshell runs");
        let mut line = String::new();
        let mut lines = BufReader::new(first.stdout.take().expect("it was piped"));
        lines.read_line(&mut line).expect("it writes text");
        assert_eq!(line, "one\n");
        first.kill().expect("it runs");
        first.wait().expect("it ends");
        assert_eq!(sandbox.phase(), "Ready");

        let second = std::thread::scope(|scope| {
            let second = scope.spawn(|| product.run(&["sandbox", "connect", "detached"]));
            // The sandbox may end before this has told its own end.
            sandbox.sh("sleep 1; touch go");
            second.join().expect("it does not panic")
        });
        let second = second.exited(5);
        assert_eq!(second.stdout, "one\n");
        assert!(
            second.stderr.ends_with(
                "only watches: the command takes no input, or another \
                                         program holds it\ntwo\n"
            ),
            "{second}"
        );
        // And when it has ended.
        eventually("it is over", || (sandbox.phase() == "Completed").then_some(()));
        assert_eq!(sandbox.detail()["exit_code"], 5);
        let third = product.run(&["sandbox", "connect", "detached"]);
        assert_eq!(third.code, Some(5), "{third}");
        assert!(third.stdout.contains("one\n"), "{third}");
    });
}

pub fn no_keep_removes_the_sandbox(run_as: RunAs) {
    world(|_| {
        let product = Product::new(run_as);
        let create = ["sandbox", "create", "--no-keep", "--name", "gone", "--"];
        let said = product.run(&[&create[..], &["sh", "-c", "echo here; exit 3"]].concat());
        assert_eq!(said.exited(3).stdout, "here\n");
        eventually("it is removed", || names(&product).is_empty().then_some(()));
        let folders = std::fs::read_dir(product.state().join("sandboxes"));
        assert_eq!(folders.map(Iterator::count).unwrap_or_default(), 0);
        // Its name is free again. Without the flag it is kept.
        product.run(&["sandbox", "create", "--name", "gone", "--", "true"]).succeeded();
        assert_eq!(names(&product), ["gone"]);
    });
}

pub fn a_sandbox_is_listed_shown_and_deleted(run_as: RunAs) {
    const FIELDS: [&str; 9] = [
        "id",
        "name",
        "workspace",
        "labels",
        "annotations",
        "resource_version",
        "created_at",
        "phase",
        "current_policy_version",
    ];
    world(|_| {
        let product = Product::new(run_as);
        product.run(&["sandbox", "list"]).succeeded();
        let sandbox = Sandbox::start(&product, "shown", NO_NETWORK);
        let create = ["sandbox", "create", "--name", "other", "--label", "team=red", "--"];
        product.run(&[&create[..], &["true"]].concat()).succeeded();

        let list = product.run(&["sandbox", "list", "-o", "json"]).succeeded().stdout;
        let list: Value = serde_json::from_str(&list).expect(&list);
        assert_eq!(list.as_array().map(Vec::len), Some(2), "{list}");
        let detail = sandbox.detail();
        for field in FIELDS {
            for shown in [&list[0], &list[1], &detail] {
                assert!(shown.get(field).is_some(), "no `{field}` in {shown}");
            }
        }
        for field in ["policy_source", "revision", "policy"] {
            assert!(detail.get(field).is_some(), "no `{field}` in {detail}");
        }
        assert_eq!((&detail["phase"], &detail["name"]), (&"Ready".into(), &"shown".into()));
        let selected = product.run(&["sandbox", "list", "--selector", "team=red", "--names"]);
        assert_eq!(selected.succeeded().stdout, "other\n");
        let table = product.run(&["sandbox", "list"]).succeeded().stdout;
        assert!(table.contains("shown") && table.contains("Ready"), "{table}");
        product.run(&["sandbox", "list", "-o", "yaml"]).succeeded();

        let folder = sandbox.folder();
        assert!(folder.is_dir());
        let script = "mkdir -p a/b && echo x > a/b/c && chmod 0 a/b && ln -s /etc/passwd link";
        sandbox.sh(script).succeeded();
        let said = product.run(&["sandbox", "delete", "shown", "other"]).succeeded();
        assert_eq!(said.stdout, "deleted `shown`\ndeleted `other`\n");
        assert!(!folder.exists(), "its files are gone");
        assert_eq!(names(&product), Vec::<String>::new());
        let said = product.run(&["sandbox", "get", "shown"]).exited(1);
        assert!(said.stderr.contains("not found"), "{said}");
        product.run(&["sandbox", "delete", "--all"]).succeeded();
    });
}

pub fn a_name_is_made_of_two_words(run_as: RunAs) {
    world(|_| {
        let product = Product::new(run_as);
        let said = product.run(&["sandbox", "create", "--detach", "--", "sleep", "1000"]);
        let name = said.succeeded().stdout.trim().to_owned();
        let words: Vec<&str> = name.split('-').collect();
        let is_word = |word: &&str| word.len() > 1 && word.bytes().all(|b| b.is_ascii_lowercase());
        assert!(words.len() == 2 && words.iter().all(is_word), "{name}");
        assert_eq!(names(&product), [name.as_str()]);
        // The one used last is meant when none is named.
        let said = product.run(&["sandbox", "exec", "--", "hostname"]).succeeded();
        assert!(!said.stdout.trim().is_empty(), "{said}");
        product.run(&["sandbox", "delete", &name]).succeeded();
    });
}

pub fn one_client_holds_the_input_and_others_watch(run_as: RunAs) {
    world(|_| {
        let product = Product::new(run_as);
        let mut holder = product
            .command(&["sandbox", "create", "--name", "held", "--", "cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("openshell runs");
        let mut say = |text: &str| {
            use std::io::Write;
            let stdin = holder.stdin.as_mut().expect("it was piped");
            stdin.write_all(text.as_bytes()).expect("it reads");
        };
        say("one\n");
        let mut lines = BufReader::new(holder.stdout.take().expect("it was piped"));
        let mut line = String::new();
        lines.read_line(&mut line).expect("it writes text");
        assert_eq!(line, "one\n");
        let mut watcher = product
            .command(&["sandbox", "connect", "held"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("openshell runs");
        let mut notes = BufReader::new(watcher.stderr.take().expect("it was piped"));
        let mut note = String::new();
        notes.read_line(&mut note).expect("it writes text");
        assert!(note.contains("only watches"), "{note}");
        say("two\n");
        drop(holder.stdin.take());
        assert_eq!(holder.wait().expect("it ends").code(), Some(0));
        let watched = watcher.wait_with_output().expect("it ends");
        assert_eq!(String::from_utf8_lossy(&watched.stdout), "one\ntwo\n");
        assert_eq!(watched.status.code(), Some(0));
    });
}
