//! Finds the command that a sandbox shall run (contract 3).
//!
//! What the jail sees of the host anyway comes first. Else the caller's PATH: symbolic links are
//! followed, the smallest folder that makes up the tool is bound read-only at its own path, and
//! likewise the interpreter of a script. A shim runs something else than its name says, so it is
//! refused with the way to the real program.

mod roots;
mod script;
mod shims;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Access, access};

use crate::error::CliError;
use crate::exit::Exit;
use crate::output::escape;

pub(crate) use roots::Host;

/// The PATH of a jail.
pub(crate) const JAIL_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How many symbolic links and interpreters are followed: Linux' own limit for links.
const MOST_HOPS: usize = 40;

/// A command that was found, and what it needs in the jail.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// What to run: the word as given, or the absolute path of the real program.
    pub program: String,
    /// Host paths to bind read-only at their own path.
    pub binds: BTreeSet<PathBuf>,
    /// Folders that belong on the jail's PATH, for the tool's own helpers.
    pub path: Vec<PathBuf>,
}

/// Finds `program`, the first word of a command.
pub(crate) fn find(program: &str, host: &Host) -> Result<Found, CliError> {
    let mut finder = Finder { host, found: Found::default() };
    finder.found.program =
        if program.contains('/') { finder.by_path(program)? } else { finder.by_name(program)? };
    Ok(finder.found)
}

struct Finder<'a> {
    host: &'a Host,
    found: Found,
}

impl Finder<'_> {
    fn by_name(&mut self, name: &str) -> Result<String, CliError> {
        let in_jail = self.host.jail_path().iter().map(|folder| folder.join(name));
        if let Some(path) = in_jail.into_iter().find(|path| is_program(path)) {
            let path = self.host.real(&path);
            return Ok(match self.settle(&path)? {
                // The jail's own look-up finds it.
                None => name.to_owned(),
                Some(real) => text(&real)?,
            });
        }
        let Some(path) =
            self.host.path().iter().map(|folder| folder.join(name)).find(|path| is_program(path))
        else {
            let error = CliError::new(
                Exit::NOT_FOUND,
                format!("there is no command `{name}` in the sandbox or on your PATH"),
            );
            return Err(error.help(format!(
                "if `{}` is an alias or a function of your shell, give the path behind it \
                 (`type {}` shows it); or start a shell in the sandbox and install it there",
                escape(name),
                escape(name)
            )));
        };
        let real = self.settle(&path)?.unwrap_or(path);
        text(&real)
    }

    fn by_path(&mut self, word: &str) -> Result<String, CliError> {
        let path = Path::new(word);
        // A relative path, one beneath a mount, and one that is not on the host are the jail's.
        if path.is_relative() || self.host.is_in_jail_only(path) || !is_program(path) {
            return Ok(word.to_owned());
        }
        Ok(match self.settle(path)? {
            None => word.to_owned(),
            Some(real) => text(&real)?,
        })
    }

    /// Makes `path` reachable in the jail. Answers where it really is, or `None` when the jail sees
    /// all of it anyway.
    fn settle(&mut self, path: &Path) -> Result<Option<PathBuf>, CliError> {
        if self.host.is_visible(path) && self.links(path).all(|hop| self.host.is_visible(&hop)) {
            self.interpreter(path)?;
            return Ok(None);
        }
        if let Some(fix) = shims::fix(path, &self.links(path).collect::<Vec<_>>()) {
            let error = CliError::usage(format!(
                "`{}` is a shim: it picks another program when it runs",
                path.display()
            ));
            return Err(error.help(fix));
        }
        let program = self.program_behind(path);
        for hop in std::iter::once(program.clone()).chain(self.links(&program)) {
            self.show(&hop);
        }
        self.interpreter(&program)?;
        // Only where its own name is found: a tool that calls itself finds itself.
        if let Some(folder) = program.parent().filter(|_| program.file_name() == path.file_name()) {
            self.add_to_path(folder);
        }
        Ok(Some(program))
    }

    /// Follows links to the real program, but stops in a Python environment, whose links mean
    /// themselves: the interpreter finds its packages by the path through which it was started.
    fn program_behind(&self, path: &Path) -> PathBuf {
        let hops = std::iter::once(path.to_owned()).chain(self.links(path));
        let mut last = path.to_owned();
        for hop in hops {
            last = hop;
            if roots::is_environment(&last) {
                break;
            }
        }
        last
    }

    /// The paths that a symbolic link leads to, one hop after the other.
    fn links(&self, path: &Path) -> impl Iterator<Item = PathBuf> + use<> {
        let next = |path: &PathBuf| {
            let target = fs::read_link(path).ok()?;
            let folder = fs::canonicalize(path.parent()?).ok()?;
            Some(normal(&folder.join(target)))
        };
        std::iter::successors(next(&path.to_owned()), next).take(MOST_HOPS)
    }

    /// Binds what makes up the tool at `path`, unless the jail sees it.
    fn show(&mut self, path: &Path) {
        let covered = self.found.binds.iter().any(|bind| path.starts_with(bind));
        if covered || self.host.is_visible(path) {
            return;
        }
        let root = roots::of(path, self.host);
        self.found.binds.retain(|bind| !bind.starts_with(&root));
        self.found.binds.insert(root);
    }

    /// Makes the interpreter of a script reachable, and the interpreter's interpreter.
    fn interpreter(&mut self, program: &Path) -> Result<(), CliError> {
        let mut program = program.to_owned();
        for _ in 0..MOST_HOPS {
            let Some(needs) = script::interpreter(&program) else { return Ok(()) };
            let next = match needs {
                script::Interpreter::Path(path) => path,
                script::Interpreter::OnPath(name) => match self.on_path(&name, &program)? {
                    Some(path) => path,
                    None => return Ok(()),
                },
            };
            for hop in std::iter::once(next.clone()).chain(self.links(&next)) {
                self.show(&hop);
            }
            program = fs::canonicalize(&next).unwrap_or(next);
        }
        Ok(())
    }

    /// The program that `env NAME` will find in the jail; `None`: the jail's own.
    fn on_path(&mut self, name: &str, script: &Path) -> Result<Option<PathBuf>, CliError> {
        if self.host.jail_path().iter().any(|folder| is_program(&folder.join(name))) {
            return Ok(None);
        }
        let Some(path) =
            self.host.path().iter().map(|folder| folder.join(name)).find(|path| is_program(path))
        else {
            let error = CliError::new(
                Exit::NOT_FOUND,
                format!(
                    "`{}` needs `{name}`, which is neither in the sandbox nor on your PATH",
                    script.display()
                ),
            );
            return Err(error.help(format!("install `{}`", escape(name))));
        };
        let links: Vec<_> = self.links(&path).collect();
        if let Some(fix) = shims::fix(&path, &links) {
            let error = CliError::usage(format!(
                "`{}` needs `{name}`, and `{}` is a shim: it picks another program when it runs",
                script.display(),
                path.display()
            ));
            return Err(error.help(fix));
        }
        let real = self.program_behind(&path);
        if let Some(folder) = real.parent() {
            self.add_to_path(folder);
        }
        Ok(Some(real))
    }

    fn add_to_path(&mut self, folder: &Path) {
        let folder = folder.to_owned();
        if !self.found.path.contains(&folder) && !self.host.jail_path().contains(&folder) {
            self.found.path.push(folder);
        }
    }
}

/// Whether a path leads to a file that the caller may run.
fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.is_file()) && access(path, Access::EXEC_OK).is_ok()
}

/// The path without `.` and `..`; its folder is resolved already, so a `..` takes one part away.
fn normal(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    plain
}

fn text(path: &Path) -> Result<String, CliError> {
    path.to_str()
        .map(str::to_owned)
        .ok_or_else(|| CliError::usage(format!("the path of `{}` is not UTF-8", path.display())))
}

#[cfg(test)]
mod tests;
