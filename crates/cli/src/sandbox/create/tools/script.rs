//! The first line of a script.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// The longest first line that Linux reads (BINPRM_BUF_SIZE).
const LONGEST: u64 = 256;

/// What a script is run by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Interpreter {
    /// A program with this path.
    Path(PathBuf),
    /// The program with this name on the PATH: `#!/usr/bin/env NAME`.
    OnPath(String),
}

/// The interpreter of a script; `None` when it is not one, or cannot be read.
pub(crate) fn interpreter(program: &Path) -> Option<Interpreter> {
    let mut head = Vec::new();
    File::open(program).ok()?.take(LONGEST).read_to_end(&mut head).ok()?;
    parse(&head)
}

fn parse(head: &[u8]) -> Option<Interpreter> {
    let line = head.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let line = std::str::from_utf8(line).ok()?;
    let mut words = line.split([' ', '\t']).filter(|word| !word.is_empty());
    let path = PathBuf::from(words.next()?);
    if path.file_name().is_none_or(|name| name != "env") {
        return Some(Interpreter::Path(path));
    }
    // `env -S NAME …` and `env VAR=x NAME …` lead to a name as well.
    let name = words.find(|word| !word.starts_with('-') && !word.contains('='))?;
    Some(match name.contains('/') {
        true => Interpreter::Path(name.into()),
        false => Interpreter::OnPath(name.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_lines_name_a_path_or_a_program_on_the_path() {
        let path = |text: &str| Some(Interpreter::Path(text.into()));
        let name = |text: &str| Some(Interpreter::OnPath(text.into()));
        assert_eq!(parse(b"#!/bin/sh\nexit"), path("/bin/sh"));
        assert_eq!(parse(b"#! /opt/py/bin/python -I\n"), path("/opt/py/bin/python"));
        assert_eq!(parse(b"#!/usr/bin/env node\n"), name("node"));
        assert_eq!(parse(b"#!/usr/bin/env -S A=1 node --x\n"), name("node"));
        assert_eq!(parse(b"#!/usr/bin/env /a/b\n"), path("/a/b"));
        assert_eq!(parse(b"\x7fELF"), None);
        assert_eq!(parse(b"#!\n"), None);
        assert_eq!(parse(b"#!/usr/bin/env"), None);
    }
}
