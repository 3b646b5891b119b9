//! `openshell provider profile lint` as a process: it asks no gateway, and starts none.

use std::fs;
use std::process::{Command, Output};

fn lint(folder: &std::path::Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_openshell"))
        .args(["provider", "profile", "lint"])
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("HOME", folder)
        .output()
        .unwrap()
}

#[test]
fn a_profile_is_checked_without_a_gateway() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("profiles")).unwrap();
    fs::write(folder.path().join("profiles/good.yaml"), "id: good\n").unwrap();
    let good = lint(folder.path(), &["--from", "profiles"]);
    assert!(good.status.success(), "{good:?}");
    fs::write(folder.path().join("profiles/wrong.yaml"), "id: wrong\ncredential: []\n").unwrap();
    let wrong = lint(folder.path(), &["--from", "profiles"]);
    let said = String::from_utf8(wrong.stdout).unwrap();
    assert_eq!(wrong.status.code(), Some(2));
    assert!(said.contains("--> profiles/wrong.yaml:2:1"), "{said}");
    assert!(said.contains("did you mean `credentials`?"), "{said}");
    let one = lint(folder.path(), &["-f", "profiles/good.yaml", "-o", "json"]);
    assert!(String::from_utf8(one.stdout).unwrap().contains("\"findings\": []"));
    assert_eq!(lint(folder.path(), &[]).status.code(), Some(2));
    assert!(!folder.path().join(".local").exists(), "nothing was started");
}
