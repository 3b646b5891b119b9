//! `cargo xtask mutants`: takes one protection at a time out of a copy of the sources and expects a
//! test to notice. A protection that nobody misses is not tested, or not there.

/// Mutants of one change each, which the tests of a crate's own library notice by their name.
macro_rules! units {
    ($($name:literal: $file:ident $from:literal => $to:literal, $package:literal $test:literal;)*) => {
        /// Every one.
        pub(super) const MUTANTS: &[Mutant] = &[$(Mutant {
            name: $name,
            edits: &[Edit { file: $file, from: $from, to: $to }],
            test: Test::Unit($package, $test),
            says: $test,
        }),*];
    };
}

mod calls;
mod credentials;
mod egress;
mod policy;
mod table;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use clap::Args;

use crate::run::{Outcome, cargo, command, output, root};

/// Options of `mutants`.
#[derive(Args)]
pub struct Options {
    /// Try only mutants whose name or test contains this.
    filter: Option<String>,
    /// Only look whether every line of the table is still found in the sources.
    #[arg(long)]
    check: bool,
}

/// A protection taken out.
pub(crate) struct Mutant {
    /// What is taken out.
    pub(crate) name: &'static str,
    /// Where.
    pub(crate) edits: &'static [Edit],
    /// Who has to notice.
    pub(crate) test: Test,
    /// What that test has to say: for a layer, that no agent starts and which layer is missing.
    pub(crate) says: &'static str,
}

/// One change of a source file.
pub(crate) struct Edit {
    /// The file, from the repository's root.
    pub(crate) file: &'static str,
    /// The source that goes; it stands there exactly once.
    pub(crate) from: &'static str,
    /// What comes in its place.
    pub(crate) to: &'static str,
}

/// A test, or a few that share a part of their name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Test {
    /// Of a crate's own library: package and filter.
    Unit(&'static str, &'static str),
    /// Of a test target: package, target and filter.
    Target(&'static str, &'static str, &'static str),
    /// With the built programs: target and filter.
    Programs(&'static str, &'static str),
}

/// What came of a mutant.
enum Fate {
    /// A test is red, as it should be.
    Noticed,
    /// All is green.
    Survived,
    /// It could not be tried, or the test says something else.
    Broken(String),
}

/// Seconds that a test may take.
const PATIENCE: &str = "100";

const SUPERVISOR: &str = "openshell-supervisor";
const PROGRAMS: [&str; 2] = ["openshell-cli", SUPERVISOR];

/// Those of every table.
fn all() -> impl Iterator<Item = &'static Mutant> {
    let tables =
        [table::MUTANTS, egress::MUTANTS, credentials::MUTANTS, calls::MUTANTS, policy::MUTANTS];
    tables.into_iter().flatten()
}

/// Tries every mutant of the table.
pub fn mutants(options: &Options) -> Outcome {
    let wanted = |mutant: &&Mutant| {
        let fits = |filter: &String| {
            mutant.name.contains(filter.as_str())
                || mutant.test.to_string().contains(filter.as_str())
        };
        options.filter.as_ref().is_none_or(fits)
    };
    let chosen: Vec<&Mutant> = all().filter(wanted).collect();
    check(&root(), &chosen)?;
    if options.check {
        println!("{} mutants have their places", chosen.len());
        return Ok(());
    }
    let copy = Copy::new()?;
    // A test that is red anyway shows nothing.
    for test in chosen.iter().map(|mutant| mutant.test).collect::<BTreeSet<_>>() {
        println!("green   {test}");
        let run = copy.run(test, &PROGRAMS)?;
        if !run.status.success() {
            return Err(format!("{test} fails without any mutant:\n{}", said(&run)));
        }
    }
    let mut bad = Vec::new();
    for mutant in chosen {
        let started = Instant::now();
        let fate = copy.try_mutant(mutant)?;
        let (word, more) = match fate {
            Fate::Noticed => ("noticed", String::new()),
            Fate::Survived => ("SURVIVED", String::new()),
            Fate::Broken(why) => ("BROKEN", format!("\n{why}")),
        };
        let seconds = started.elapsed().as_secs();
        println!("{word:<8} {:<64} {} ({seconds} s){more}", mutant.name, mutant.test);
        if word != "noticed" {
            bad.push(mutant.name);
        }
    }
    if bad.is_empty() { Ok(()) } else { Err(format!("nobody noticed: {}", bad.join(", "))) }
}

/// Whether each place is found exactly once beneath `root`.
fn check(root: &Path, mutants: &[&Mutant]) -> Outcome {
    let mut missing = Vec::new();
    for mutant in mutants {
        for edit in mutant.edits {
            let text = fs::read_to_string(root.join(edit.file)).unwrap_or_default();
            let count = text.matches(edit.from).count();
            if count != 1 {
                missing.push(format!("{}: {count} times in {}", mutant.name, edit.file));
            }
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    Err(format!("places that are not there once:\n{}", missing.join("\n")))
}

/// A copy of the tree that can be changed, and its own folder for what is built.
struct Copy {
    tree: PathBuf,
    target: PathBuf,
}

impl Copy {
    /// Copies every file that is in the repository, or would be, and changed since the last time.
    fn new() -> Outcome<Self> {
        let base = root().join("target/mutants");
        let copy = Self { tree: base.join("tree"), target: base.join("build") };
        let listing = ["ls-files", "--cached", "--others", "--exclude-standard", "-z"];
        let files = output(command("git").args(listing))?;
        let files: BTreeSet<&str> = files.split('\0').filter(|file| !file.is_empty()).collect();
        for file in &files {
            copy.take(file).map_err(|error| format!("cannot copy {file}: {error}"))?;
        }
        copy.forget_others(&copy.tree, &files)
            .map_err(|error| format!("cannot clean {}: {error}", copy.tree.display()))?;
        Ok(copy)
    }

    /// Removes what an earlier copy had and the repository has no more.
    fn forget_others(&self, folder: &Path, files: &BTreeSet<&str>) -> std::io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let path = entry.path();
            let name = path.strip_prefix(&self.tree).ok().and_then(Path::to_str);
            if entry.file_type()?.is_dir() {
                self.forget_others(&path, files)?;
            } else if name.is_none_or(|name| !files.contains(name)) {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    /// Files that are as they were keep their time, so that cargo builds little.
    fn take(&self, file: &str) -> std::io::Result<()> {
        let (from, to) = (root().join(file), self.tree.join(file));
        if !from.is_file() {
            // Deleted, and not committed yet.
            return if to.is_file() { fs::remove_file(to) } else { Ok(()) };
        }
        let content = fs::read(&from)?;
        if fs::read(&to).is_ok_and(|old| old == content) {
            return Ok(());
        }
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&to, content)?;
        fs::set_permissions(&to, fs::metadata(&from)?.permissions())
    }

    fn try_mutant(&self, mutant: &Mutant) -> Outcome<Fate> {
        let mut originals = Vec::new();
        for edit in mutant.edits {
            let path = self.tree.join(edit.file);
            let text = fs::read_to_string(&path).map_err(|error| error.to_string())?;
            let changed = text.replacen(edit.from, edit.to, 1);
            originals.push((path.clone(), text));
            fs::write(&path, changed).map_err(|error| error.to_string())?;
        }
        let run = self.run(mutant.test, mutant.programs());
        // The last edit of a file is undone first.
        for (path, text) in originals.into_iter().rev() {
            fs::write(path, text).map_err(|error| error.to_string())?;
        }
        Ok(match run {
            Err(error) => Fate::Broken(error),
            Ok(run) if run.status.success() => Fate::Survived,
            Ok(run) if said(&run).contains(mutant.says) => Fate::Noticed,
            Ok(run) => Fate::Broken(format!("it does not say `{}`:\n{}", mutant.says, said(&run))),
        })
    }

    /// Builds what a test needs and the `programs` that changed: what cannot be built has noticed
    /// nothing.
    fn build(&self, test: Test, programs: &[&str]) -> Outcome {
        if let Test::Programs(..) = test {
            let packages = programs.iter().flat_map(|program| ["--package", program]);
            output(self.cargo("build").args(packages))?;
        }
        // Captured, for a mutant leaves code behind that nobody uses, and warnings about it.
        output(self.cargo("test").args(test.selection()).arg("--no-run")).map(drop)
    }

    fn run(&self, test: Test, programs: &[&str]) -> Outcome<Output> {
        self.build(test, programs)?;
        // A program that waits for ever is as red as one that fails.
        let mut run = command("timeout");
        run.current_dir(&self.tree).env("CARGO_TARGET_DIR", &self.target);
        run.args(["--kill-after=5", PATIENCE]).arg(cargo().get_program()).args(["test", "--quiet"]);
        run.args(test.selection()).args(["--", test.filter()]).env("RUST_BACKTRACE", "0");
        run.stdin(Stdio::null()).output().map_err(|error| format!("cannot run {test}: {error}"))
    }

    fn cargo(&self, verb: &str) -> Command {
        let mut cargo = cargo();
        cargo.current_dir(&self.tree).env("CARGO_TARGET_DIR", &self.target).args([verb, "--quiet"]);
        cargo
    }
}

impl Mutant {
    /// The programs that a change reaches. The crates below the supervisor protect there; in
    /// `openshell` they only look.
    fn programs(&self) -> &'static [&'static str] {
        const BELOW: [&str; 6] =
            ["isolation/", "egress/", "policy/", "codec/", "audit/", "supervisor/"];
        let is_below = |edit: &Edit| {
            let path = edit.file.strip_prefix("crates/");
            path.is_some_and(|path| BELOW.iter().any(|name| path.starts_with(name)))
        };
        if self.edits.iter().all(is_below) { &[SUPERVISOR] } else { &PROGRAMS }
    }
}

impl Test {
    fn selection(self) -> Vec<&'static str> {
        match self {
            Self::Unit(package, _) => vec!["--package", package, "--lib"],
            Self::Target(package, target, _) => vec!["--package", package, "--test", target],
            Self::Programs(target, _) => vec!["--package", "openshell-e2e", "--test", target],
        }
    }

    const fn filter(self) -> &'static str {
        match self {
            Self::Unit(_, filter) | Self::Target(_, _, filter) | Self::Programs(_, filter) => {
                filter
            }
        }
    }
}

impl std::fmt::Display for Test {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unit(package, filter) => write!(f, "{package} {filter}"),
            Self::Target(package, target, filter) => write!(f, "{package} {target}::{filter}"),
            Self::Programs(target, filter) => write!(f, "e2e {target}::{filter}"),
        }
    }
}

fn said(run: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mutant_has_its_place_and_its_own_name() {
        let all: Vec<&Mutant> = all().collect();
        check(&root(), &all).unwrap();
        let names: BTreeSet<&str> = all.iter().map(|mutant| mutant.name).collect();
        assert_eq!(names.len(), all.len());
    }

    #[test]
    fn every_test_that_the_security_page_names_is_there() {
        let page = fs::read_to_string(root().join("SECURITY.md")).unwrap();
        let rows = page.lines().filter(|line| line.starts_with("| "));
        let named = rows.flat_map(|row| row.split('`')).filter_map(|word| word.split_once("::"));
        let mut count = 0;
        for (file, test) in named {
            let text = fs::read_to_string(root().join(file)).unwrap_or_default();
            let function = format!("fn {test}(");
            assert!(
                text.contains(&function) || text.contains(&format!("\"{test}\"")),
                "{file}::{test}"
            );
            count += 1;
        }
        assert!(count > 100, "{count}");
    }
}
