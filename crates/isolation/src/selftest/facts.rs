//! What the kernel tells a process about itself.

use std::fs;
use std::io;
use std::path::PathBuf;

/// `/proc/self/status`.
pub(super) struct Status(String);

impl Status {
    pub(super) fn read() -> io::Result<Self> {
        fs::read_to_string("/proc/self/status").map(Self)
    }

    /// The value of a line, or nothing where the kernel does not print it.
    pub(super) fn text(&self, key: &str) -> String {
        self.0
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))
            .map(|value| value.trim().to_owned())
            .unwrap_or_default()
    }

    pub(super) fn number(&self, key: &str) -> u32 {
        self.text(key).parse().unwrap_or(0)
    }
}

/// `uid_map` or `gid_map`: inside, outside, count. Outside is as the reader's own namespace's
/// parent sees it.
pub(super) fn id_map(name: &str) -> io::Result<Vec<[u32; 3]>> {
    let text = fs::read_to_string(format!("/proc/self/{name}"))?;
    let line = |line: &str| -> Option<[u32; 3]> {
        let mut numbers = line.split_whitespace().map(|word| word.parse().ok());
        Some([numbers.next()??, numbers.next()??, numbers.next()??])
    };
    text.lines()
        .map(|l| line(l).ok_or_else(|| io::Error::other("an id map with odd lines")))
        .collect()
}

/// The namespaces of this process, by name and number.
pub(super) fn namespaces() -> Vec<String> {
    ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup"]
        .into_iter()
        .filter_map(|name| fs::read_link(format!("/proc/self/ns/{name}")).ok())
        .map(|link| link.to_string_lossy().into_owned())
        .collect()
}

/// The network interfaces of this process's namespace.
pub(super) fn interfaces() -> io::Result<Vec<String>> {
    let text = fs::read_to_string("/proc/self/net/dev")?;
    const HEADINGS: usize = 2;
    Ok(text
        .lines()
        .skip(HEADINGS)
        .filter_map(|line| line.split(':').next())
        .map(|name| name.trim().to_owned())
        .collect())
}

/// A mount as `/proc/self/mountinfo` lists it.
#[derive(Debug)]
pub(super) struct Mount {
    pub(super) place: PathBuf,
    options: String,
}

impl Mount {
    pub(super) fn has(&self, option: &str) -> bool {
        self.options.split(',').any(|set| set == option)
    }
}

/// Every mount that this process sees.
pub(super) fn mounts() -> io::Result<Vec<Mount>> {
    const PLACE: usize = 4;
    let text = fs::read_to_string("/proc/self/mountinfo")?;
    let mount = |line: &str| {
        let mut words = line.split(' ').skip(PLACE);
        let place = PathBuf::from(unescape(words.next()?));
        Some(Mount { place, options: words.next()?.to_owned() })
    };
    text.lines().map(|l| mount(l).ok_or_else(|| io::Error::other("an odd mount table"))).collect()
}

/// Undoes the `\040` notation for blanks and the like.
fn unescape(text: &str) -> String {
    let mut parts = text.split('\\');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code {
            Some(code) => {
                plain.push(char::from(code));
                plain.push_str(part.get(3..).unwrap_or_default());
            }
            None => plain.push_str(part),
        }
    }
    plain
}
