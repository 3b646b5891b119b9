//! Programs that only pick another program.

use std::path::{Path, PathBuf};

use crate::output::escape;

/// How to get past a shim; `None` when `path`, or what it links to, is not one.
pub(crate) fn fix(path: &Path, links: &[PathBuf]) -> Option<String> {
    let name = escape(&path.file_name()?.to_string_lossy());
    let hops: Vec<&Path> =
        std::iter::once(path).chain(links.iter().map(PathBuf::as_path)).collect();
    let ask = SHIMS
        .iter()
        .find(|shim| hops.iter().any(|hop| within(hop, shim.folder)))
        .map(|shim| shim.ask.replace("NAME", &name));
    if let Some(ask) = ask {
        return Some(format!("give the program behind it: `openshell sandbox create -- $({ask})`"));
    }
    if hops.iter().any(|hop| hop.starts_with("/snap") || hop.ends_with("usr/bin/snap")) {
        return Some(format!("a snap cannot run in a sandbox; install `{name}` in another way"));
    }
    let target = hops.last()?.file_name()?;
    let proxy = target == "rustup" && name != "rustup" && name != "rustup-init";
    proxy.then(|| {
        format!("give the program behind it: `openshell sandbox create -- $(rustup which {name})`")
    })
}

struct Shim {
    /// Two folder names in a row by which it is known.
    folder: [&'static str; 2],
    /// The command that tells the real program.
    ask: &'static str,
}

const SHIMS: [Shim; 9] = [
    Shim { folder: [".asdf", "shims"], ask: "asdf which NAME" },
    Shim { folder: [".pyenv", "shims"], ask: "pyenv which NAME" },
    Shim { folder: [".rbenv", "shims"], ask: "rbenv which NAME" },
    Shim { folder: [".nodenv", "shims"], ask: "nodenv which NAME" },
    Shim { folder: [".goenv", "shims"], ask: "goenv which NAME" },
    Shim { folder: [".jenv", "shims"], ask: "jenv which NAME" },
    Shim { folder: ["mise", "shims"], ask: "mise which NAME" },
    Shim { folder: [".volta", "bin"], ask: "volta which NAME" },
    Shim { folder: [".proto", "shims"], ask: "proto bin NAME" },
];

fn within(path: &Path, folder: [&str; 2]) -> bool {
    let parts: Vec<_> = path.components().map(|part| part.as_os_str()).collect();
    parts.windows(2).any(|pair| matches!(pair, [a, b] if *a == folder[0] && *b == folder[1]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shims_are_known_by_where_they_are_or_lead() {
        let fix = |path: &str, link: &str| fix(Path::new(path), &[PathBuf::from(link)]);
        let python = fix("/home/a/.pyenv/shims/python", "/x").unwrap();
        assert!(python.contains("$(pyenv which python)"), "{python}");
        assert!(fix("/home/a/bin/node", "/home/a/.volta/bin/volta-shim").is_some());
        assert!(fix("/home/a/.cargo/bin/cargo", "/home/a/.cargo/bin/rustup").is_some());
        assert!(fix("/home/a/.cargo/bin/rustup", "/usr/lib/rustup").is_none());
        assert!(fix("/snap/bin/node", "/usr/bin/snap").unwrap().contains("another way"));
        assert!(fix("/home/a/.nvm/versions/node/v20/bin/node", "/y").is_none());
    }
}
