//! The verbs that work on policy files, as a process: what they print where, and how they end. No
//! gateway runs, and none is started.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const GOOD: &str = "\
version: 1
network_policies:
  api:
    endpoints:
      - { host: api.example.com, port: 443 }
    binaries:
      - path: /usr/bin/curl
";

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write("good.yaml", GOOD);
        folder.write("wider.yaml", &GOOD.replace("443", "8443"));
        folder.write("open.yaml", &GOOD.replace("/usr/bin/curl", "/sandbox/**"));
        folder.write("wrong.yaml", &GOOD.replace("endpoints", "endpoint"));
        let denials: Vec<String> = (0..15).map(|n| format!("{{ query: {{ q{n}: a }} }}")).collect();
        let rest = |more: &str| GOOD.replace("443 }", &format!("443, protocol: rest, {more} }}"));
        folder.write("read.yaml", &rest("access: read-only"));
        let hard = format!("access: full, deny_rules: [{}]", denials.join(", "));
        folder.write("hard.yaml", &rest(&hard));
        let tested = |want: &str| {
            let to = "to: 'api.example.com:443', by: /usr/bin/curl";
            format!("{GOOD}tests:\n  - {{ {to}, want: {want} }}\n")
        };
        folder.write("tested.yaml", &tested("allow"));
        folder.write("failing.yaml", &tested("deny"));
        folder.write("commented.yaml", &GOOD.replace("version", "# ours\nversion"));
        folder
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.path().join(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.path().join(name)).unwrap()
    }

    fn run(&self, arguments: &str, input: &str) -> Said {
        let mut child = Command::new(env!("CARGO_BIN_EXE_openshell"))
            .arg("policy")
            .args(arguments.split_whitespace())
            .current_dir(self.0.path())
            .env_clear()
            .env("HOME", self.0.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // It may end without reading.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        Said::of(child.wait_with_output().unwrap())
    }
}

#[derive(Debug)]
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Said {
    fn of(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

#[test]
fn every_verb_ends_as_its_help_says() {
    let folder = Folder::new();
    let ask = "--to api.example.com:443 --by";
    for (arguments, code) in [
        ("lint good.yaml".to_owned(), 0),
        ("lint open.yaml".to_owned(), 0),
        ("lint open.yaml --strict".to_owned(), 2),
        ("lint good.yaml wrong.yaml".to_owned(), 2),
        ("lint wrong.yaml -o json".to_owned(), 2),
        ("lint absent.yaml".to_owned(), 2),
        ("lint".to_owned(), 2),
        ("lint --explain P0501".to_owned(), 0),
        ("lint --explain P9999".to_owned(), 2),
        ("fmt wrong.yaml".to_owned(), 2),
        ("fmt --write -".to_owned(), 2),
        ("fmt --check --write good.yaml".to_owned(), 2),
        (format!("explain good.yaml {ask} /usr/bin/curl"), 0),
        (format!("explain good.yaml {ask} /usr/bin/wget"), 3),
        (format!("explain good.yaml {ask} /usr/bin/wget -o yaml"), 3),
        (format!("explain good.yaml {ask} /usr/bin/curl --udp"), 3),
        (format!("explain good.yaml {ask} curl"), 2),
        (format!("explain good.yaml {ask} /usr/bin/curl --path /../x"), 2),
        ("explain good.yaml --to api.example.com --by /usr/bin/curl".to_owned(), 2),
        ("test tested.yaml good.yaml".to_owned(), 0),
        ("test tested.yaml failing.yaml".to_owned(), 1),
        ("test failing.yaml wrong.yaml -o json".to_owned(), 2),
        ("test".to_owned(), 2),
        ("lint failing.yaml".to_owned(), 2),
        ("diff good.yaml commented.yaml".to_owned(), 0),
        ("diff good.yaml wider.yaml".to_owned(), 1),
        ("diff good.yaml wrong.yaml".to_owned(), 2),
        ("diff - -".to_owned(), 2),
        ("prove good.yaml commented.yaml".to_owned(), 0),
        ("prove good.yaml wider.yaml".to_owned(), 1),
        ("prove read.yaml hard.yaml".to_owned(), 4),
        ("prove good.yaml --reach other.example.com".to_owned(), 0),
        ("prove good.yaml --reach api.example.com:443/x".to_owned(), 1),
        ("prove good.yaml --reach *.com".to_owned(), 2),
        ("prove good.yaml".to_owned(), 2),
        ("prove good.yaml wider.yaml --reach api.example.com".to_owned(), 2),
        ("prove good.yaml wider.yaml --credential git".to_owned(), 2),
        ("schema".to_owned(), 0),
    ] {
        let said = folder.run(&arguments, "");
        assert_eq!(said.code, Some(code), "{arguments}: {said:?}");
        if code == 2 {
            assert!(!said.out.is_empty() || !said.err.is_empty(), "{arguments}: {said:?}");
        } else {
            assert_eq!(said.err, "", "{arguments}: {said:?}");
        }
    }
}

#[test]
fn formatting_is_checked_printed_and_written() {
    let folder = Folder::new();
    let formatted = folder.run("fmt good.yaml", "").out;
    assert_ne!(formatted, GOOD);
    assert_eq!(folder.run("fmt -", GOOD).out, formatted);
    let said = folder.run("fmt --check good.yaml open.yaml", "");
    assert_eq!((said.code, said.out.as_str()), (Some(1), "good.yaml\nopen.yaml\n"));
    let said = folder.run("fmt --write good.yaml", "");
    assert_eq!((said.code, said.out.as_str()), (Some(0), "good.yaml\n"));
    assert_eq!(folder.read("good.yaml"), formatted);
    let said = folder.run("fmt --check good.yaml", "");
    assert_eq!((said.code, said.out.as_str()), (Some(0), ""));
    assert_eq!(folder.run("fmt --write good.yaml", "").out, "", "nothing is left to do");

    let before = folder.read("commented.yaml");
    let said = folder.run("fmt --write commented.yaml", "");
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("line 1") && said.err.contains("--drop-comments"), "{said:?}");
    assert_eq!(folder.read("commented.yaml"), before);
    folder.run("fmt --write --drop-comments commented.yaml", "");
    assert_eq!(folder.read("commented.yaml"), formatted);
    folder.write("good.yaml", &format!("# ours\n\n{formatted}"));
    assert_eq!(folder.run("fmt --check good.yaml", "").code, Some(0), "comments may stand there");

    let before = folder.read("open.yaml");
    assert_eq!(folder.run("fmt --write open.yaml wrong.yaml", "").code, Some(2));
    assert_eq!(folder.read("open.yaml"), before, "one with errors: nothing is written");
}

#[test]
fn a_name_that_is_no_file_is_a_sandbox_and_starts_no_gateway() {
    let folder = Folder::new();
    for arguments in ["lint brave-otter", "diff good.yaml brave-otter", "fmt brave-otter"] {
        let said = folder.run(arguments, "");
        assert_eq!(said.code, Some(4), "{arguments}: {said:?}");
        let help = "there is no file `brave-otter`, so it was taken for a sandbox";
        assert!(said.err.contains(help), "{arguments}: {said:?}");
    }
    let started: Vec<_> = fs::read_dir(folder.0.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .filter(|name| Path::new(name).extension().is_none())
        .collect();
    assert!(started.is_empty(), "{started:?}");
}

#[test]
fn what_is_read_by_programs_is_data() {
    let folder = Folder::new();
    for arguments in [
        "lint wrong.yaml open.yaml -o json",
        "explain - --to other.example.com:443 --by /usr/bin/curl -o json",
        "diff - wider.yaml -o json",
        "prove - wider.yaml -o json",
        "schema",
    ] {
        let said = folder.run(arguments, GOOD);
        let read: Result<serde_json::Value, _> = serde_json::from_str(&said.out);
        assert!(read.is_ok(), "{arguments}: {said:?}");
    }
}
