use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::*;

/// A small host in a folder: `usr/bin`, a home, and a PATH that begins in the home.
struct World {
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let world = Self { folder: tempfile::tempdir().unwrap() };
        world.program("usr/bin/env", "\x7fELF");
        world.program("usr/bin/python3", "\x7fELF");
        fs::create_dir_all(world.at("home/ada/.local/bin")).unwrap();
        symlink("usr/bin", world.at("bin")).unwrap();
        world
    }

    fn at(&self, path: &str) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join(path)
    }

    fn program(&self, path: &str, content: &str) {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn folder(&self, path: &str) {
        fs::create_dir_all(self.at(path)).unwrap();
    }

    fn link(&self, at: &str, to: &str) {
        fs::create_dir_all(self.at(at).parent().unwrap()).unwrap();
        symlink(to, self.at(at)).unwrap();
    }

    fn host(&self, path: &[&str]) -> Host {
        let mut folders: Vec<PathBuf> = path.iter().map(|folder| self.at(folder)).collect();
        folders.extend([self.at("home/ada/.local/bin"), self.at("bin")]);
        Host::beneath(&self.at(""), Some(&self.at("home/ada")), folders, &[])
    }

    fn find(&self, program: &str, path: &[&str]) -> Result<Found, CliError> {
        find(program, &self.host(path))
    }

    /// What was found, with paths relative to this world.
    fn show(&self, found: &Found) -> String {
        let root = format!("{}/", self.at("").display());
        let root = root.replace("//", "/");
        let list = |paths: Vec<PathBuf>| {
            let texts: Vec<String> =
                paths.iter().map(|path| path.display().to_string().replace(&root, "")).collect();
            texts.join(" ")
        };
        format!(
            "{} | {} | {}",
            found.program.replace(&root, ""),
            list(found.binds.iter().cloned().collect()),
            list(found.path.clone())
        )
    }

    fn expect(&self, program: &str, path: &[&str], expected: &str) {
        let found = self.find(program, path).unwrap();
        assert_eq!(self.show(&found), expected, "{program}");
    }
}

#[test]
fn the_jails_own_command_comes_first() {
    let world = World::new();
    world.program("home/ada/bin/python3", "\x7fELF");
    world.expect("python3", &["home/ada/bin"], "python3 |  | ");
}

#[test]
fn a_single_program_is_bound_alone() {
    let world = World::new();
    world.program("home/ada/.local/bin/tool", "\x7fELF");
    world.folder("home/ada/.local/lib");
    world.expect(
        "tool",
        &[],
        "home/ada/.local/bin/tool | home/ada/.local/bin/tool | home/ada/.local/bin",
    );
}

#[test]
fn a_tool_in_the_shared_data_folder_is_bound_whole() {
    let world = World::new();
    world.program("home/ada/.local/share/claude/versions/2.0.1", "\x7fELF");
    world.link("home/ada/.local/bin/claude", "../share/claude/versions/2.0.1");
    world.expect(
        "claude",
        &[],
        "home/ada/.local/share/claude/versions/2.0.1 | home/ada/.local/share/claude | ",
    );
}

#[test]
fn an_npm_package_brings_its_package_and_its_node() {
    let world = World::new();
    let node = "home/ada/.nvm/versions/node/v20";
    world.program(&format!("{node}/bin/node"), "\x7fELF");
    world.folder(&format!("{node}/include"));
    world.program(&format!("{node}/lib/node_modules/@acme/agent/cli.js"), "#!/usr/bin/env node\n");
    world.link(&format!("{node}/bin/agent"), "../lib/node_modules/@acme/agent/cli.js");
    let bin = format!("{node}/bin");
    // The version folder holds the package as well, so one bind is enough.
    world.expect(
        "agent",
        &[&bin],
        &format!("{node}/lib/node_modules/@acme/agent/cli.js | {node} | {node}/bin"),
    );
}

#[test]
fn a_python_environment_is_started_through_its_link() {
    let world = World::new();
    let tool = "home/ada/.local/share/uv/tools/ruff";
    let python = "home/ada/.local/share/uv/python/cpython-3.12";
    world.program(&format!("{python}/bin/python3.12"), "\x7fELF");
    world.folder(&format!("{python}/lib"));
    world.folder(tool);
    fs::write(world.at(&format!("{tool}/pyvenv.cfg")), "").unwrap();
    world.link(&format!("{tool}/bin/python"), "../../../python/cpython-3.12/bin/python3.12");
    let shebang = format!("#!{}\n", world.at(&format!("{tool}/bin/python")).display());
    world.program(&format!("{tool}/bin/ruff"), &shebang);
    world.link("home/ada/.local/bin/ruff", "../share/uv/tools/ruff/bin/ruff");
    world.expect("ruff", &[], &format!("{tool}/bin/ruff | {python} {tool} | {tool}/bin"));
    let bin = format!("{tool}/bin");
    world.expect("python", &[&bin], &format!("{tool}/bin/python | {python} {tool} | {tool}/bin"));
}

#[test]
fn a_link_from_the_system_to_a_home_is_followed() {
    let world = World::new();
    world.program("home/ada/app/run", "\x7fELF");
    world.link("usr/bin/app", "../../home/ada/app/run");
    world.expect("app", &[], "home/ada/app/run | home/ada/app/run | ");
}

#[test]
fn a_home_is_never_bound_whole() {
    let world = World::new();
    world.program("home/ada/bin/tool", "\x7fELF");
    world.folder("home/ada/lib");
    world.expect("tool", &["home/ada/bin"], "home/ada/bin/tool | home/ada/bin/tool | home/ada/bin");
}

#[test]
fn a_path_is_taken_as_it_is_or_found_on_the_host() {
    let world = World::new();
    world.program("srv/app/run", "\x7fELF");
    let path = world.at("srv/app/run").display().to_string();
    assert_eq!(world.show(&world.find(&path, &[]).unwrap()), "srv/app/run | srv/app/run | srv/app");
    world.expect("./run", &[], "./run |  | ");
    world.expect("/no/such/file", &[], "/no/such/file |  | ");
}

#[test]
fn what_cannot_be_used_is_explained() {
    let world = World::new();
    world.program("home/ada/.asdf/shims/node", "#!/bin/sh\n");
    world.program("home/ada/.local/bin/script", "#!/usr/bin/env node\n");
    world.program("home/ada/.local/bin/orphan", "#!/usr/bin/env no-such-thing\n");
    let shims = ["home/ada/.asdf/shims"];
    let root = world.at("");
    let root = root.display().to_string();
    let mut text = String::new();
    for (program, path) in
        [("absent", &[][..]), ("node", &shims[..]), ("script", &shims[..]), ("orphan", &[][..])]
    {
        let error = world.find(program, path).unwrap_err();
        text.push_str(&format!("{error}[exit {}]\n\n", error.exit().code()));
    }
    insta::assert_snapshot!(text.replace(root.trim_end_matches('/'), ""));
}
