//! What is read of a person's configuration.

use std::fs;

use tempfile::TempDir;

use super::*;

/// A home with these files, and these variables.
fn found(files: &[(&str, &str)], variables: &[(&str, &str)]) -> Result<Found, CliError> {
    let home = tempfile::tempdir().unwrap();
    write(&home, files);
    let path = home.path().to_string_lossy().into_owned();
    // The machine's own files are not asked.
    let none = home.path().join("none").to_string_lossy().into_owned();
    let mut all = vec![("HOME", path.as_str())];
    if !files.iter().any(|(name, _)| name.contains("pip")) {
        all.push(("PIP_CONFIG_FILE", none.as_str()));
    }
    all.extend_from_slice(variables);
    existing(&Config::for_test(&all))
}

fn write(home: &TempDir, files: &[(&str, &str)]) {
    for (name, text) in files {
        let path = home.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

fn settings(found: &Found) -> Vec<String> {
    let mut all: Vec<String> =
        found.config.iter().map(|(key, value)| format!("{key}={value}")).collect();
    all.sort();
    all
}

fn secrets(found: &Found) -> Vec<String> {
    found.credentials.iter().map(|(key, value)| format!("{key}={}", value.expose())).collect()
}

#[test]
fn pip_is_read_from_its_variables_and_files() {
    let file = "[global]\nindex-url = https://build:p%40ss@pip.example.com/simple/\n\
                extra_index_url =\n    https://one.example.com/simple\n    https://tok@two.example.com/x\n\
                [list]\nindex-url = https://no.example.com\n";
    let all = found(&[(".config/pip/pip.conf", file)], &[]).unwrap();
    assert_eq!(
        settings(&all),
        [
            "PIP_INDEX_URL=https://build@pip.example.com/simple",
            "PIP_INDEX_URL_2=https://one.example.com/simple",
            "PIP_INDEX_URL_3=https://two.example.com/x",
        ]
    );
    assert_eq!(secrets(&all), ["PIP_PASSWORD=p@ss", "PIP_PASSWORD_3=tok"]);
    let variables = [("PIP_INDEX_URL", "https://env.example.com/simple")];
    let all = found(&[(".config/pip/pip.conf", file)], &variables).unwrap();
    assert_eq!(all.config["PIP_INDEX_URL"], "https://env.example.com/simple");
}

#[test]
fn npm_is_read_with_the_credential_that_belongs_to_each() {
    let file = "; a note\nregistry=https://npm.example.com/repo/\n@ours:registry = https://own.example.com\n\
                //npm.example.com/repo/:_authToken=${TOKEN}\n//own.example.com/:username=build\n\
                //own.example.com/:_password=aHVudGVyMg==\n//other.example.com/:_authToken=elsewhere\n";
    let all = found(&[(".npmrc", file)], &[("TOKEN", "npm_secret")]).unwrap();
    assert_eq!(
        settings(&all),
        [
            "NPM_REGISTRY=https://npm.example.com/repo",
            "NPM_REGISTRY_2=https://build@own.example.com"
        ]
    );
    assert_eq!(secrets(&all), ["NPM_TOKEN=npm_secret", "NPM_TOKEN_2=hunter2"]);
    // A credential of the whole host is also one of its parts, and none of another host.
    let file =
        "registry=https://npm.example.com/repo\n//npm.example.com/:_auth=YnVpbGQ6aHVudGVyMg==\n";
    let all = found(&[(".npmrc", file)], &[]).unwrap();
    assert_eq!(settings(&all), ["NPM_REGISTRY=https://build@npm.example.com/repo"]);
    assert_eq!(secrets(&all), ["NPM_TOKEN=hunter2"]);
}

#[test]
fn cargo_is_read_with_its_tokens() {
    let config = "[source.crates-io]\nreplace-with = \"mirror\"\n[source.mirror]\n\
                  registry = \"sparse+https://mirror.example.com/index/\"\n[source.here]\n\
                  directory = \"vendor\"\n[registries.my-own]\nindex = \"https://own.example.com/git\"\n";
    let tokens = "[registries.my-own]\ntoken = \"Bearer secret\"\n";
    let files = [(".cargo/config.toml", config), (".cargo/credentials.toml", tokens)];
    let all = found(&files, &[("CARGO_REGISTRIES_MIRROR_TOKEN", "from here")]).unwrap();
    assert_eq!(
        settings(&all),
        [
            "CARGO_REGISTRIES_MIRROR_INDEX=sparse+https://mirror.example.com/index/",
            "CARGO_REGISTRIES_MY_OWN_INDEX=https://own.example.com/git",
        ]
    );
    assert_eq!(
        secrets(&all),
        ["CARGO_REGISTRIES_MIRROR_TOKEN=from here", "CARGO_REGISTRIES_MY_OWN_TOKEN=Bearer secret",]
    );
    let bad = found(&[(".cargo/credentials.toml", "a = 1\ntoken = \"hunter2\n")], &[]).unwrap_err();
    assert!(bad.to_string().contains("at line 2") && !bad.to_string().contains("hunter2"), "{bad}");
}

#[test]
fn i15_a_credential_for_an_open_line_is_left_out() {
    let all =
        found(&[], &[("PIP_INDEX_URL", "http://build:hunter2@pip.example.com/simple")]).unwrap();
    assert_eq!(settings(&all), ["PIP_INDEX_URL=http://build@pip.example.com/simple"]);
    assert!(all.credentials.is_empty() && all.notes.len() == 1, "{all:?}");
    assert!(!format!("{all:?}").contains("hunter2"));
}

#[test]
fn without_any_it_says_where_it_looked() {
    let error = found(&[], &[]).unwrap_err().to_string();
    for place in ["`PIP_INDEX_URL`", "/none`", ".npmrc`", ".cargo/config.toml`"] {
        assert!(error.contains(place), "{place}: {error}");
    }
    // A project's own files are not the user's.
    assert!(found(&[("project/.npmrc", "registry=https://evil.example.com")], &[]).is_err());
}
