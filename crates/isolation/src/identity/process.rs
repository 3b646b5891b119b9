//! What the kernel says of a process of the jail, read through the outer /proc.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use openshell_types::FileId;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, fstat, openat, openat2, readlinkat};
use rustix::io::read;

use super::digests::Digests;
use super::record::{Exe, MAX_ARGUMENT, MAX_ARGUMENTS, MAX_PATH};

/// Most bytes of `status` and `cmdline` that are looked at.
const MAX_TEXT: usize = 8 * 1024;
/// To name a file, and not to read it.
const PATH_ONLY: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);

/// A process or thread, pinned: when it ends its files read as errors, and never as another's.
#[derive(Debug)]
pub(super) struct Process(OwnedFd);

/// Of `status`, what is used.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Status {
    /// The process, outside.
    pub(super) process: i32,
    /// Its parent, outside.
    pub(super) parent: i32,
    /// The process in each pid namespace, the jail's last.
    pub(super) within: Vec<u32>,
    /// File system uid and gid, and further groups, outside.
    pub(super) uid: u32,
    /// See `uid`.
    pub(super) gid: u32,
    /// See `uid`.
    pub(super) groups: Vec<u32>,
}

/// Where executables are looked up, and what is known of their content.
pub(super) struct Lookup<'a> {
    /// The jail's root.
    pub(super) root: BorrowedFd<'a>,
    /// Digests of files.
    pub(super) digests: &'a Digests,
}

impl Process {
    /// Opens /proc/`id`.
    pub(super) fn open(id: i32) -> io::Result<Self> {
        let flags = PATH_ONLY | OFlags::DIRECTORY;
        Ok(Self(openat(CWD, format!("/proc/{id}"), flags, Mode::empty())?))
    }

    /// Whether it has not ended.
    pub(super) fn is_alive(&self) -> bool {
        readlinkat(&self.0, "exe", Vec::with_capacity(256)).is_ok()
    }

    pub(super) fn status(&self) -> io::Result<Status> {
        Status::parse(&String::from_utf8_lossy(&self.text("status")?)).ok_or_else(malformed)
    }

    /// The arguments, bounded.
    pub(super) fn argv(&self) -> io::Result<Vec<String>> {
        let text = self.text("cmdline")?;
        let text = text.strip_suffix(&[0]).unwrap_or(&text);
        let argument = |bytes: &[u8]| {
            String::from_utf8_lossy(bytes.get(..MAX_ARGUMENT).unwrap_or(bytes)).into_owned()
        };
        Ok(text.split(|byte| *byte == 0).take(MAX_ARGUMENTS).map(argument).collect())
    }

    /// The folder that relative names start from, as the jail names it.
    pub(super) fn folder(&self) -> io::Result<Vec<u8>> {
        Ok(readlinkat(&self.0, "cwd", Vec::with_capacity(256))?.into_bytes())
    }

    /// The executable: the inode that is mapped, whatever its name is now.
    pub(super) fn exe(&self, lookup: &Lookup<'_>) -> io::Result<Exe> {
        let running = openat(&self.0, "exe", PATH_ONLY, Mode::empty())?;
        let stat = fstat(&running)?;
        let file = FileId { device: stat.st_dev, inode: stat.st_ino };
        let path = readlinkat(&self.0, "exe", Vec::with_capacity(256))?.into_string().ok();
        Ok(Exe {
            file,
            // A deleted file and a memfd have a name too; it leads nowhere, or to another file.
            path: path.filter(|path| leads_to(lookup.root, path, file)),
            sha256: lookup.digests.of(&running, &stat),
            size: u64::try_from(stat.st_size).unwrap_or(0),
        })
    }

    fn text(&self, name: &str) -> io::Result<Vec<u8>> {
        let file = openat(&self.0, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        let mut text = vec![0; MAX_TEXT];
        let mut filled = 0;
        while let Some(room) = text.get_mut(filled..).filter(|room| !room.is_empty()) {
            match read(&file, room)? {
                0 => break,
                count => filled += count,
            }
        }
        text.truncate(filled);
        Ok(text)
    }
}

impl Status {
    fn parse(text: &str) -> Option<Self> {
        let mut status = Self::default();
        let mut seen = 0;
        for (key, value) in text.lines().filter_map(|line| line.split_once(':')) {
            let mut numbers = value.split_ascii_whitespace();
            match key {
                "Tgid" => status.process = numbers.next()?.parse().ok()?,
                "PPid" => status.parent = numbers.next()?.parse().ok()?,
                // Real, effective, saved, file system.
                "Uid" => status.uid = numbers.nth(3)?.parse().ok()?,
                "Gid" => status.gid = numbers.nth(3)?.parse().ok()?,
                "Groups" => {
                    status.groups = numbers.filter_map(|group| group.parse().ok()).collect()
                }
                "NStgid" => status.within = numbers.filter_map(|pid| pid.parse().ok()).collect(),
                _ => continue,
            }
            seen += 1;
        }
        (seen == 6 && !status.within.is_empty()).then_some(status)
    }
}

/// Whether `path` beneath `root` is `file`.
fn leads_to(root: BorrowedFd<'_>, path: &str, file: FileId) -> bool {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    path.len() <= MAX_PATH
        && openat2(root, path, PATH_ONLY, Mode::empty(), resolve)
            .and_then(|found| fstat(found.as_fd()))
            .is_ok_and(|stat| (stat.st_dev, stat.st_ino) == (file.device, file.inode))
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "malformed process status")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_fields_of_a_status_whatever_the_name_says() {
        let text = "Name:\tTgid: 1\nTgid:\t40\nPid:\t41\nPPid:\t7\nUid:\t1\t2\t3\t4\n\
                    Gid:\t5\t6\t7\t8\nGroups:\t9 10 \nNStgid:\t40\t3\n";
        let status = Status::parse(text).expect("a status");
        assert_eq!((status.process, status.parent), (40, 7));
        assert_eq!((status.uid, status.gid), (4, 8));
        assert_eq!((status.groups, status.within), (vec![9, 10], vec![40, 3]));
        assert_eq!(Status::parse("Tgid:\t40\n"), None);
    }

    #[test]
    fn a_file_has_its_path_only_while_the_path_leads_to_it() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("tool"), "tool").expect("written");
        let root = openat(CWD, folder.path(), PATH_ONLY, Mode::empty()).expect("opened");
        let stat = rustix::fs::stat(folder.path().join("tool")).expect("stat");
        let file = FileId { device: stat.st_dev, inode: stat.st_ino };
        assert!(leads_to(root.as_fd(), "/tool", file));
        assert!(!leads_to(root.as_fd(), "/tool (deleted)", file));
        std::fs::rename(folder.path().join("tool"), folder.path().join("moved")).expect("moved");
        assert!(!leads_to(root.as_fd(), "/tool", file));
    }
}
