//! `openshell policy fmt`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{PolicyFile, source};
use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{self, escape, note};

/// Write policies in one form
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Rules stand by key, lists in order and without repetitions, ports are merged. The meaning stays. Comments cannot be kept where lines move: --write leaves a file with comments alone
unless it is formatted already. Comments and empty lines alone make no difference.

Exit code 1 when --check finds a file that differs, or --write one that it leaves alone; 2 when a
policy has errors.

Examples:
  openshell policy fmt policy.yaml
  openshell policy fmt --check policies/*.yaml
  openshell policy fmt --write policy.yaml
  openshell policy fmt brave-otter             the policy in force in a sandbox")]
pub(crate) struct Args {
    /// Policies; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Print only the names of files that are not formatted
    #[arg(long)]
    check: bool,

    /// Write the files, and print the names of those that were not formatted
    #[arg(long, conflicts_with = "check")]
    write: bool,

    /// Write files with comments, too, without their comments
    #[arg(long, requires = "write")]
    drop_comments: bool,
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> Result<Exit, CliError> {
    // Nothing is written when one of the files has errors.
    let mut all = Vec::new();
    for path in &args.files {
        let file = if args.write { on_disk(path)? } else { source::read(path, context).await? };
        let formatted = source::document(&file)?.formatted();
        all.push((path, file, formatted));
    }
    let several = all.len() > 1;
    let mut exit = Exit::OK;
    for (path, file, formatted) in all {
        let name = escape(&file.name);
        let comment = commented(&file.text);
        if !args.check && !args.write {
            if let Some(line) = comment {
                note(&format!("the comments of `{name}` are left out, from line {line} on"));
            }
            let head = if several { format!("# {name}\n") } else { String::new() };
            output::print(&format!("{head}{formatted}"))?;
        } else if !is_formatted(&file.text, &formatted) {
            if args.check {
                exit = Exit::FAILED;
            } else if let (Some(line), false) = (comment, args.drop_comments) {
                kept(&name, line).print(context.config);
                exit = Exit::FAILED;
                continue;
            } else {
                replace(path, &formatted).map_err(|error| {
                    CliError::system(&format!("`{name}` cannot be written"), error)
                })?;
            }
            output::print(&format!("{name}\n"))?;
        }
    }
    Ok(exit)
}

fn on_disk(path: &Path) -> Result<PolicyFile, CliError> {
    if path == Path::new("-") {
        return Err(CliError::usage("standard input cannot be written to")
            .help("leave out `--write` to print what it comes to"));
    }
    PolicyFile::read(path)
}

fn kept(name: &str, line: usize) -> CliError {
    CliError::new(
        Exit::FAILED,
        format!("`{name}` has comments (line {line}), which would be lost; it stays as it is"),
    )
    .help("`--drop-comments` writes it without them")
}

/// Whether a text is the formatted one, comments and empty lines apart.
fn is_formatted(text: &str, formatted: &str) -> bool {
    let lines = |text| str::lines(text).map(without_comment).filter(|line| !line.is_empty());
    !text.contains('\r') && lines(text).eq(lines(formatted))
}

/// The line of the first comment. What only looks like one counts, too: better to keep a file as it
/// is than to lose words.
fn commented(text: &str) -> Option<usize> {
    let has = |line: &str| line.starts_with('#') || line.contains(" #") || line.contains("\t#");
    text.lines().position(has).map(|index| index.saturating_add(1))
}

/// A line without the comment at its end, and without blanks before that.
fn without_comment(line: &str) -> &str {
    let mut quote = None;
    let mut before = ' ';
    let mut escaped = false;
    for (at, c) in line.char_indices() {
        match quote {
            Some('"') if escaped => escaped = false,
            Some('"') if c == '\\' => escaped = true,
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if c == '#' && before.is_whitespace() => {
                return line.get(..at).unwrap_or(line).trim_end();
            }
            // Inside of a word a quote is a letter; two together stand for one.
            None if c == '\'' && before == '\'' => quote = Some(c),
            None if matches!(c, '"' | '\'')
                && (before.is_whitespace() || "[{,".contains(before)) =>
            {
                quote = Some(c);
            }
            None => {}
        }
        before = c;
    }
    line.trim_end()
}

/// Writes aside and renames, so that the file is the old or the new one at any time. The file that
/// a link leads to is meant, and keeps its permissions.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let path = fs::canonicalize(path)?;
    let mut name = path.clone().into_os_string();
    name.push(format!(".{}.new", std::process::id()));
    let aside = PathBuf::from(name);
    let written = fs::write(&aside, text)
        .and_then(|()| fs::set_permissions(&aside, fs::metadata(&path)?.permissions()))
        .and_then(|()| fs::rename(&aside, &path));
    if written.is_err() {
        let _ = fs::remove_file(&aside);
    }
    written
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn comments_and_empty_lines_make_no_difference_and_order_does() {
        let formatted = "version: 1\nnetwork_policies:\n  a:\n    name: \"a # b\"\n";
        for same in [
            formatted.to_owned(),
            format!("# head\n\n{formatted}# tail\n"),
            formatted.replace("version: 1", "version: 1   # the only one"),
            formatted.replace("b\"", "b\"  # not the first"),
        ] {
            assert!(is_formatted(&same, formatted), "{same}");
        }
        for other in [
            formatted.replace("# b", ""),
            formatted.replace("  a:", "   a:"),
            formatted.replace('\n', "\r\n"),
            String::new(),
        ] {
            assert!(!is_formatted(&other, formatted), "{other}");
        }
        assert_eq!(without_comment("it's: 'a'' # b' # c"), "it's: 'a'' # b'");
        assert_eq!(without_comment(r#"a: "\" # b" # c"#), r#"a: "\" # b""#);
        assert_eq!(without_comment("a#b: c#d"), "a#b: c#d");
    }

    #[test]
    fn no_comment_is_overlooked() {
        assert_eq!(commented("version: 1\na: b#c\n"), None);
        assert_eq!(commented("version: 1\n# a\n"), Some(2));
        assert_eq!(commented("version: 1\t# a\n"), Some(1));
        assert_eq!(commented("a: 'it is # in quotes'\n"), Some(1));
    }

    #[test]
    fn a_file_is_replaced_behind_its_link_with_its_permissions() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "before").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        symlink(&file, &link).unwrap();
        replace(&link, "after").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "after");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
        assert!(replace(&folder.path().join("absent"), "x").is_err());
    }
}
