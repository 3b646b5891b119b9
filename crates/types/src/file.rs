//! Which file, as the kernel tells files apart.

use serde::{Deserialize, Serialize};

/// A file by device and inode number (stat(2)): two names of one file have one `FileId`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileId {
    /// The device that holds the file system, `st_dev`.
    pub device: u64,
    /// The inode number on it, `st_ino`.
    pub inode: u64,
}
