//! Blocks of host uids and gids, one for each sandbox that root starts.
//!
//! All gateways of a machine share one file, locked while it is read and written, so that two
//! sandboxes never stand behind the same host ids. A block is released when its sandbox is deleted.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use openshell_driver::DriverError;
use openshell_types::{Identity, SandboxId};
use rustix::fs::{CWD, FlockOperation, Mode, OFlags, flock, mkdirat, openat};
use serde::{Deserialize, Serialize};

use crate::error::io_error;

/// Where the host's one file of blocks lies, when root starts sandboxes.
pub const DEFAULT_UID_BLOCKS: &str = "/var/lib/openshell/uid-blocks.json";

/// The first block. systemd's and most distributions' ranges end below it.
const FIRST: u32 = 0x7000_0000;
/// No block starts at or above this: ids from 2^31 on are negative to some programs.
const END: u32 = 0x8000_0000;

/// The host-wide file of blocks.
#[derive(Clone, Debug)]
pub(crate) struct Blocks {
    file: PathBuf,
    /// `/etc`, but for tests.
    etc: PathBuf,
}

/// What the file holds.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    version: u32,
    /// First id of the block → the sandbox that has it.
    blocks: BTreeMap<u32, SandboxId>,
}

impl Blocks {
    /// The blocks that are kept in `file`.
    pub(crate) fn new(file: PathBuf) -> Self {
        Self { file, etc: PathBuf::from("/etc") }
    }

    /// The block of `id`: the one it has, or a free one. Nobody else gets it from here on; the disk
    /// has it once [`Unsynced::sync`] returned.
    pub(crate) fn allocate(&self, id: &SandboxId) -> Result<(Identity, Unsynced), DriverError> {
        self.change(|table| {
            if let Some((&start, _)) = table.blocks.iter().find(|(_, owner)| *owner == id) {
                return Ok(Identity::Block { start });
            }
            let taken = self.taken_by_others()?;
            let start = (FIRST..END)
                .step_by(Identity::BLOCK as usize)
                .find(|start| {
                    !table.blocks.contains_key(start)
                        && !taken.iter().any(|range| range.overlaps(*start))
                })
                .ok_or_else(|| {
                    DriverError::Host(
                        "every block of host ids is taken; delete sandboxes to free some".into(),
                    )
                })?;
            table.blocks.insert(start, id.clone());
            Ok(Identity::Block { start })
        })
    }

    /// Gives the block of `id` back, if it has one.
    pub(crate) fn release(&self, id: &SandboxId) -> Result<(), DriverError> {
        if !self.file.exists() {
            return Ok(());
        }
        let ((), unsynced) = self.change(|table| {
            table.blocks.retain(|_, owner| owner != id);
            Ok(())
        })?;
        unsynced.sync()
    }

    /// Reads the table under its lock, lets `edit` change it, and puts the changed one in place.
    fn change<T>(
        &self,
        edit: impl FnOnce(&mut Table) -> Result<T, DriverError>,
    ) -> Result<(T, Unsynced), DriverError> {
        let folder = self.file.parent().unwrap_or(Path::new("/"));
        make_private_folder(folder)?;
        let lock_path = self.file.with_extension("lock");
        let lock = openat(
            CWD,
            &lock_path,
            OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW,
            Mode::RUSR | Mode::WUSR,
        )
        .map_err(io_error(format!("opening {}", lock_path.display())))?;
        flock(&lock, FlockOperation::LockExclusive)
            .map_err(io_error(format!("locking {}", lock_path.display())))?;

        let mut table = self.read()?;
        let result = edit(&mut table)?;
        let file =
            self.replace(&table).map_err(io_error(format!("writing {}", self.file.display())))?;
        Ok((result, Unsynced { file, _lock: lock }))
    }

    /// Puts a table in place of the one before, for every process to see.
    fn replace(&self, table: &Table) -> io::Result<fs::File> {
        let fresh = self.file.with_extension("new");
        let mut file = fs::File::create(&fresh)?;
        file.write_all(&serde_json::to_vec(table)?)?;
        fs::rename(&fresh, &self.file)?;
        Ok(file)
    }

    fn read(&self) -> Result<Table, DriverError> {
        let text = match fs::read(&self.file) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Ok(Table { version: 1, blocks: BTreeMap::new() });
            }
            Err(error) => return Err(io_error(format!("reading {}", self.file.display()))(error)),
        };
        // SECURITY: a file that cannot be read is never taken for an empty one, or two sandboxes
        // could come to share host ids.
        match serde_json::from_slice::<Table>(&text) {
            Ok(table) if table.version == 1 => Ok(table),
            _ => Err(DriverError::Host(format!(
                "`{}` is not a table of uid blocks of this version",
                self.file.display()
            ))),
        }
    }

    /// Id ranges that accounts and sub-id grants of this host use.
    fn taken_by_others(&self) -> Result<Vec<Range>, DriverError> {
        let mut ranges = Vec::new();
        for (name, field) in [("passwd", 2), ("group", 2)] {
            for line in self.lines(name)?.lines() {
                if let Some(id) = line.split(':').nth(field).and_then(|id| id.parse().ok()) {
                    ranges.push(Range { first: id, count: 1 });
                }
            }
        }
        for name in ["subuid", "subgid"] {
            for line in self.lines(name)?.lines() {
                let mut numbers = line.split(':').skip(1).map_while(|n| n.trim().parse().ok());
                if let (Some(first), Some(count)) = (numbers.next(), numbers.next()) {
                    ranges.push(Range { first, count });
                }
            }
        }
        Ok(ranges)
    }

    fn lines(&self, name: &str) -> Result<String, DriverError> {
        let path = self.etc.join(name);
        match fs::read(&path) {
            Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
            Err(error) => Err(io_error(format!("reading {}", path.display()))(error)),
        }
    }
}

/// A changed table that is in place, but perhaps not on the disk yet. Its lock is held until then.
#[must_use]
pub(crate) struct Unsynced {
    file: fs::File,
    _lock: OwnedFd,
}

impl Unsynced {
    /// Waits until the disk has the table. A loss of power before ends every jail as well; only the
    /// folder of the newest sandbox could then belong to ids that are given out again.
    pub(crate) fn sync(self) -> Result<(), DriverError> {
        self.file.sync_all().map_err(io_error("syncing the table of uid blocks"))
    }
}

/// Ids `first` to `first + count - 1`.
struct Range {
    first: u32,
    count: u32,
}

impl Range {
    fn overlaps(&self, block: u32) -> bool {
        let (first, count) = (u64::from(self.first), u64::from(self.count));
        first < u64::from(block) + u64::from(Identity::BLOCK) && u64::from(block) < first + count
    }
}

/// Makes `folder`, for its owner only, unless it is there.
pub(crate) fn make_private_folder(folder: &Path) -> Result<(), DriverError> {
    if let Some(parent) = folder.parent().filter(|parent| !parent.exists()) {
        make_private_folder(parent)?;
    }
    match mkdirat(CWD, folder, Mode::RWXU) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => Ok(()),
        Err(error) => Err(io_error(format!("making {}", folder.display()))(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(last: char) -> SandboxId {
        SandboxId::parse(&format!("0b6a3b1e-58a7-4b11-9d3c-0f54d1f0a00{last}")).expect("an id")
    }

    fn world(files: &[(&str, &str)]) -> (tempfile::TempDir, Blocks) {
        let folder = tempfile::tempdir().expect("temporary folder");
        let etc = folder.path().join("etc");
        fs::create_dir(&etc).expect("etc");
        for (name, text) in files {
            fs::write(etc.join(name), text).expect("file");
        }
        let blocks = Blocks { file: folder.path().join("lib/uid-blocks.json"), etc };
        (folder, blocks)
    }

    fn allocate(blocks: &Blocks, id: &SandboxId) -> Identity {
        let (identity, unsynced) = blocks.allocate(id).expect("block");
        unsynced.sync().expect("synced");
        identity
    }

    #[test]
    fn every_sandbox_keeps_its_own_block_until_it_is_released() {
        let (_folder, blocks) = world(&[]);
        let first = allocate(&blocks, &id('1'));
        let second = allocate(&blocks, &id('2'));
        assert_eq!(first, Identity::Block { start: FIRST });
        assert_eq!(second, Identity::Block { start: FIRST + Identity::BLOCK });
        assert_eq!(allocate(&blocks, &id('1')), first);
        blocks.release(&id('1')).expect("release");
        assert_eq!(allocate(&blocks, &id('3')), first);
    }

    #[test]
    fn a_block_never_overlaps_accounts_or_sub_ids_of_the_host() {
        let (_folder, blocks) = world(&[
            ("passwd", "root:x:0:0::/root:/bin/sh\nodd:x:1879048200:1::/:/bin/false\n"),
            ("subuid", "builder:1879113000:65536\n"),
        ]);
        // The account lies in the first block, the sub-ids touch the second and the third.
        assert_eq!(
            allocate(&blocks, &id('1')),
            Identity::Block { start: FIRST + 2 * Identity::BLOCK }
        );
    }

    #[test]
    fn a_table_that_cannot_be_read_is_an_error_and_not_an_empty_one() {
        let (folder, blocks) = world(&[]);
        fs::create_dir(folder.path().join("lib")).expect("folder");
        fs::write(folder.path().join("lib/uid-blocks.json"), "{").expect("file");
        assert!(matches!(blocks.allocate(&id('1')), Err(DriverError::Host(_))));
    }
}
