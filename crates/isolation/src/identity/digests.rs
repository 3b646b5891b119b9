//! Digests of executables, each computed once per content.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};

use openshell_types::Digest;
use rustix::fs::{CWD, FileType, Mode, OFlags, Stat, fstat, openat};
use rustix::io::read;
use sha2::{Digest as _, Sha256};

use super::spawn::Hashing;
use super::sys;

/// Larger files have no digest.
const MAX_FILE: u64 = 512 * 1024 * 1024;
/// How many digests are remembered; then all are forgotten.
const MAX_KNOWN: usize = 1024;
/// How many files wait to be read in the background; further ones are asked for again.
const MAX_WAITING: usize = 32;
/// How much is read at once.
const PIECE: usize = 64 * 1024;

/// What a content is known by: a write changes the last of it, which no program can set.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    device: u64,
    inode: u64,
    size: i64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// The known digests, shared by the workers.
pub(super) struct Digests {
    known: Mutex<HashMap<Key, Option<Digest>>>,
    hashing: Hashing,
    waiting: SyncSender<(OwnedFd, Key)>,
}

impl Digests {
    /// An empty memory, and what [`Digests::compute`] works through.
    pub(super) fn new(hashing: Hashing) -> (Self, Waiting) {
        let (waiting, work) = sync_channel(MAX_WAITING);
        (Self { known: Mutex::default(), hashing, waiting }, Waiting(work))
    }

    /// The digest of the file behind an O_PATH descriptor, if it is known or may be computed now.
    pub(super) fn of(&self, file: &OwnedFd, stat: &Stat) -> Option<Digest> {
        let key = Key::of(stat);
        if let Some(known) = self.known(&key) {
            return known;
        }
        if !FileType::from_raw_mode(stat.st_mode).is_file() {
            return None;
        }
        let file = readable(file).ok()?;
        match self.hashing {
            Hashing::BeforeRecord => self.learn(&file, key),
            Hashing::Background => {
                let _full = self.waiting.try_send((file, key));
                None
            }
        }
    }

    /// Computes in the background, for ever.
    pub(super) fn compute(&self, work: &Waiting) {
        while let Ok((file, key)) = work.0.recv() {
            if self.known(&key).is_none() {
                self.learn(&file, key);
            }
        }
    }

    fn known(&self, key: &Key) -> Option<Option<Digest>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(key).copied()
    }

    fn learn(&self, file: &OwnedFd, key: Key) -> Option<Digest> {
        let digest = hash(file, key).ok().flatten();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(key, digest);
        digest
    }
}

/// Files that wait for their digest.
pub(super) struct Waiting(Receiver<(OwnedFd, Key)>);

impl Key {
    fn of(stat: &Stat) -> Self {
        Self {
            device: stat.st_dev,
            inode: stat.st_ino,
            size: stat.st_size,
            modified: (stat.st_mtime, nanoseconds(stat.st_mtime_nsec)),
            changed: (stat.st_ctime, nanoseconds(stat.st_ctime_nsec)),
        }
    }
}

fn nanoseconds(value: impl TryInto<i64>) -> i64 {
    value.try_into().unwrap_or(0)
}

/// The same file for reading. A lease that the jail holds on it must not make us wait.
fn readable(file: &OwnedFd) -> io::Result<OwnedFd> {
    let path = format!("/proc/self/fd/{}", sys::number(file.as_fd()));
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(openat(CWD, path, flags, Mode::empty())?)
}

/// The digest, unless the file is too large or changed meanwhile.
fn hash(file: &OwnedFd, key: Key) -> io::Result<Option<Digest>> {
    let mut left = u64::try_from(key.size).unwrap_or(u64::MAX);
    if left > MAX_FILE {
        return Ok(None);
    }
    let mut state = Sha256::new();
    let mut piece = vec![0; PIECE];
    loop {
        let count = read(file, piece.as_mut_slice())?;
        let Some(bytes) = piece.get(..count).filter(|bytes| !bytes.is_empty()) else { break };
        left = match left.checked_sub(count as u64) {
            Some(left) => left,
            None => return Ok(None),
        };
        state.update(bytes);
    }
    let unchanged = Key::of(&fstat(file)?) == key;
    Ok(unchanged.then(|| Digest::from_bytes(state.finalize().into())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(path: &std::path::Path) -> (OwnedFd, Stat) {
        let file = openat(CWD, path, OFlags::PATH, Mode::empty()).expect("opened");
        let stat = fstat(&file).expect("stat");
        (file, stat)
    }

    #[test]
    fn a_digest_is_that_of_the_content_now() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tool");
        let (digests, _work) = Digests::new(Hashing::BeforeRecord);
        for content in ["one", "two"] {
            std::fs::write(&path, content).expect("written");
            let (file, stat) = opened(&path);
            assert_eq!(digests.of(&file, &stat), Some(Digest::of(content.as_bytes())));
        }
    }

    #[test]
    fn in_the_background_it_is_known_the_next_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tool");
        std::fs::write(&path, "tool").expect("written");
        let (digests, work) = Digests::new(Hashing::Background);
        let (file, stat) = opened(&path);
        assert_eq!(digests.of(&file, &stat), None);
        let (file, key) = work.0.recv().expect("queued");
        digests.learn(&file, key);
        assert_eq!(digests.of(&opened(&path).0, &stat), Some(Digest::of(b"tool")));
    }
}
