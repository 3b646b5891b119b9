//! What the identifier tells the supervisor about one connection.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use openshell_types::{Digest, FileId};
use rustix::buffer::spare_capacity;
use rustix::net::{RecvFlags, recv};
use serde::{Deserialize, Serialize};

/// Longest argv that is reported; longer ones are cut.
pub(super) const MAX_ARGUMENTS: usize = 32;
/// Most bytes of one argument.
pub(super) const MAX_ARGUMENT: usize = 256;
/// Most ancestors that are reported; the walk ends there.
pub(super) const MAX_ANCESTORS: usize = 16;
/// Longest path, in bytes: the kernel's own limit.
pub(super) const MAX_PATH: usize = 4096;
/// Longest packet. Seventeen longest paths, escaped, are longer; such a connection is refused.
pub(super) const MAX_PACKET: usize = 64 * 1024;

/// One connection that is about to be made, and the program that makes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The socket's cookie: never used again on this machine until it restarts.
    pub cookie: u64,
    /// What marks the datagrams of a UDP socket, never 0; `None` for TCP.
    pub mark: Option<u32>,
    /// The process id within the jail.
    pub pid: u32,
    /// The running executable.
    pub exe: Exe,
    /// The arguments, bounded and lossy: what the program says of itself.
    pub argv: Vec<String>,
    /// The executables of its ancestors within the jail, the parent first, without its init.
    pub ancestors: Vec<Exe>,
}

/// One executable file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exe {
    /// The inode that is running.
    pub file: FileId,
    /// Its path beneath the jail's root, when that path still leads to it. A memfd, a deleted file
    /// and a name that is not UTF-8 have none.
    pub path: Option<String>,
    /// Digest of the content, when it is known.
    pub sha256: Option<Digest>,
    /// Size in bytes.
    pub size: u64,
}

impl Record {
    /// How many bytes it takes, about.
    pub(super) fn size(&self) -> usize {
        let exe = |exe: &Exe| size_of::<Exe>() + exe.path.as_ref().map_or(0, String::len);
        let argument = |argument: &String| size_of::<String>() + argument.len();
        let parts = self.ancestors.iter().map(exe).chain(self.argv.iter().map(argument));
        size_of::<Self>() + exe(&self.exe) + parts.sum::<usize>()
    }

    pub(super) fn encode(&self) -> Option<Vec<u8>> {
        serde_json::to_vec(self).ok().filter(|packet| packet.len() <= MAX_PACKET)
    }

    /// Reads a packet, and believes no length in it.
    fn decode(packet: &[u8]) -> Option<Self> {
        let record: Self = serde_json::from_slice(packet).ok()?;
        let path_fits = |exe: &Exe| exe.path.as_ref().is_none_or(|path| path.len() <= MAX_PATH);
        let fits = record.ancestors.len() <= MAX_ANCESTORS
            && record.argv.len() <= MAX_ARGUMENTS
            // A byte that is not UTF-8 becomes a character of three.
            && record.argv.iter().all(|argument| argument.len() <= 3 * MAX_ARGUMENT)
            && path_fits(&record.exe)
            && record.ancestors.iter().all(path_fits);
        fits.then_some(record)
    }
}

/// The supervisor's end of the records. It never blocks: wait for readability first.
#[derive(Debug)]
pub struct RecordReader(OwnedFd);

impl RecordReader {
    pub(super) const fn new(socket: OwnedFd) -> Self {
        Self(socket)
    }

    /// The next record, `None` at the end of the identifier, which has to be the end of the jail.
    ///
    /// `WouldBlock` says that there is none yet, `InvalidData` that a packet was not a record.
    pub fn try_read(&self) -> io::Result<Option<Record>> {
        // Each connection costs several of these reads, most of them in vain: nothing is zeroed.
        let mut packet = Vec::with_capacity(MAX_PACKET);
        recv(&self.0, spare_capacity(&mut packet), RecvFlags::DONTWAIT)?;
        if packet.is_empty() {
            return Ok(None);
        }
        Record::decode(&packet).map(Some).ok_or_else(invalid)
    }
}

impl AsFd for RecordReader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for RecordReader {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

fn invalid() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "not a record of a connection")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::identity) fn record(cookie: u64) -> Record {
        let exe = Exe {
            file: FileId { device: 1, inode: 2 },
            path: Some("/usr/bin/curl".into()),
            sha256: Some(Digest::of(b"curl")),
            size: 4,
        };
        Record { cookie, mark: None, pid: 7, exe, argv: vec!["curl".into()], ancestors: Vec::new() }
    }

    #[test]
    fn decodes_what_it_encodes_and_nothing_longer() {
        let mut long = record(5);
        let packet = long.encode().expect("fits");
        assert_eq!(Record::decode(&packet), Some(long.clone()));
        assert_eq!(Record::decode(&packet[1..]), None);
        long.argv = vec!["x".into(); MAX_ARGUMENTS + 1];
        assert_eq!(Record::decode(&long.encode().expect("fits")), None);
        long.argv = vec!["x".repeat(MAX_PACKET)];
        assert_eq!(long.encode(), None);
    }
}
