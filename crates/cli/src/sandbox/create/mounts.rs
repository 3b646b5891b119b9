//! `--mount SRC[:DST][:ro|rw]`.

use std::fs;
use std::path::{Component, Path, PathBuf};

use openshell_types::Mount;

use crate::error::{CliError, describe};
use crate::output::escape;

/// The folder in which mounts without a destination appear: the agent's home.
const HOME: &str = "/sandbox";

/// Reads mounts; relative sources are beneath `folder`, `~` is not ours but the shell's.
pub(crate) fn parse(texts: &[String], folder: Option<&Path>) -> Result<Vec<Mount>, CliError> {
    let mounts: Vec<Mount> =
        texts.iter().map(|text| one(text, folder)).collect::<Result<_, _>>()?;
    for (at, mount) in mounts.iter().enumerate() {
        if mounts.iter().take(at).any(|earlier| earlier.target == mount.target) {
            let target = mount.target.display();
            return Err(CliError::usage(format!("two mounts have the destination `{target}`"))
                .help("give one of them another: `--mount SRC:DST`"));
        }
    }
    Ok(mounts)
}

fn one(text: &str, folder: Option<&Path>) -> Result<Mount, CliError> {
    let shown = escape(text);
    let (rest, writable) = match text.rsplit_once(':') {
        Some((rest, "ro")) => (rest, false),
        Some((rest, "rw")) => (rest, true),
        _ => (text, true),
    };
    let (source, target) = match rest.split_once(':') {
        Some((source, target)) => (source, Some(target)),
        None => (rest, None),
    };
    if source.is_empty() {
        return Err(CliError::usage(format!("`--mount {shown}` has no source")).help(FORM));
    }
    let named = match folder {
        Some(folder) => folder.join(source),
        None => PathBuf::from(source),
    };
    let source = fs::canonicalize(&named).map_err(|error| {
        let error = CliError::usage(format!(
            "the source of `--mount {shown}` cannot be used: {}",
            describe(&error)
        ));
        error.help(format!("`{}` must exist on this machine", escape(&named.to_string_lossy())))
    })?;
    if source.to_str().is_none() {
        return Err(CliError::usage(format!("the source of `--mount {shown}` is not UTF-8")));
    }
    let target = match target {
        Some(target) => destination(target, &shown)?,
        None => {
            let name = source.file_name().ok_or_else(|| {
                CliError::usage(format!("`--mount {shown}` needs a destination"))
                    .help(format!("write `--mount {shown}:{HOME}/NAME`"))
            })?;
            Path::new(HOME).join(name)
        }
    };
    Ok(Mount { source, target, writable })
}

const FORM: &str = "the form is `--mount SRC[:DST][:ro|rw]`";

fn destination(text: &str, shown: &str) -> Result<PathBuf, CliError> {
    let target = Path::new(text);
    let plain =
        target.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    if !target.is_absolute() || !plain || target == Path::new("/") || text.contains(':') {
        let error = CliError::usage(format!(
            "the destination of `--mount {shown}` is not an absolute path in the sandbox"
        ));
        return Err(error.help(FORM));
    }
    // Without double or trailing slashes.
    Ok(target.components().collect())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn mount(text: &str, folder: &Path) -> Result<Mount, CliError> {
        parse(&[text.to_owned()], Some(folder)).map(|mut all| all.remove(0))
    }

    #[test]
    fn sources_are_resolved_and_destinations_default_to_the_home() {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().canonicalize().unwrap();
        let work = root.join("work");
        fs::create_dir(&work).unwrap();
        symlink(&work, root.join("link")).unwrap();
        let expect = |text: &str, target: &str, writable: bool| {
            assert_eq!(
                mount(text, &work).unwrap(),
                Mount { source: work.clone(), target: target.into(), writable },
                "{text}"
            );
        };
        expect(".", "/sandbox/work", true);
        expect(".:ro", "/sandbox/work", false);
        expect("../work", "/sandbox/work", true);
        expect("../link:/data", "/data", true);
        expect(".:/data//x/:ro", "/data/x", false);
        expect(&format!("{}:rw", work.display()), "/sandbox/work", true);
    }

    #[test]
    fn bad_mounts_are_explained() {
        let folder = Path::new("/usr");
        let errors: String =
            ["", ":/x", "absent", ".:x", ".:/a/../b", ".:/", "/", ".:/a:/b", ".:/x:no"]
                .iter()
                .map(|text| format!("{}\n", mount(text, folder).unwrap_err()))
                .collect();
        insta::assert_snapshot!(errors);
    }

    #[test]
    fn two_mounts_cannot_have_one_destination() {
        let both = ["/usr:/x".to_owned(), "/bin:/x:ro".to_owned()];
        assert!(parse(&both, None).is_err());
    }
}
