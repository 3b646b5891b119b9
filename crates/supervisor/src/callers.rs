//! Which program opened a connection: the identifier's records, taken by socket cookie.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use openshell_egress::{Identified, Identify, Unidentified};
use openshell_isolation::identity::sock_diag::peer_of;
use openshell_isolation::identity::{Exe, Record, RecordReader, Table};
use openshell_policy::{Caller, Program};
use openshell_types::FileId;

use crate::ready::register;

/// Records that wait for their connection; beyond it the oldest goes, and its connection is denied.
const WAITING: usize = 16 * 1024;
/// How long a record waits: longer than the accept queue of a busy egress.
const KEPT: Duration = Duration::from_secs(30);

/// Bytes of what is known about the programs of marked UDP sockets: some 16,000 ordinary ones.
const SENDERS: usize = 8 * 1024 * 1024;

/// Tells callers.
pub(crate) struct Callers {
    records: Mutex<Records>,
    /// One question at a time, so behind a lock of its own.
    diag: Mutex<OwnedFd>,
}

struct Records {
    reader: RecordReader,
    table: Table,
    /// Who connected the UDP socket with a mark.
    senders: Senders,
}

impl Callers {
    /// Over the identifier's records and a `sock_diag` socket of the jail's network.
    pub(crate) fn new(reader: RecordReader, diag: OwnedFd) -> Self {
        let (table, senders) = (Table::new(WAITING, KEPT), Senders::default());
        let records = Records { reader, table, senders };
        Self { records: Mutex::new(records), diag: Mutex::new(diag) }
    }

    /// Takes records in as they come; returns when the identifier is gone, which has to be the end
    /// of the jail.
    pub(crate) async fn follow(&self) -> io::Result<()> {
        let socket = self.records().reader.as_fd().try_clone_to_owned()?;
        let socket = register(socket)?;
        loop {
            let mut ready = socket.readable().await?;
            if !self.records().drain()? {
                return Ok(());
            }
            ready.clear_ready();
            // What came between the last read and the clearing must not wait for the next one.
            if !self.records().drain()? {
                return Ok(());
            }
        }
    }

    fn peer(&self, socket: BorrowedFd<'_>) -> io::Result<Option<u64>> {
        let diag = self.diag.lock().unwrap_or_else(PoisonError::into_inner);
        peer_of(diag.as_fd(), socket)
    }

    fn records(&self) -> std::sync::MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Records {
    /// Takes in all that is there; `false` at the end.
    fn drain(&mut self) -> io::Result<bool> {
        loop {
            match self.reader.try_read() {
                Ok(Some(record)) => match record.mark {
                    Some(mark) => self.senders.insert(mark, identified(record)),
                    None => self.table.insert(record, Instant::now()),
                },
                Ok(None) => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    // Its connection will find no record and be denied.
                    tracing::warn!("A record of the identifier cannot be read");
                }
                Err(error) => return Err(error),
            }
        }
    }
}

#[async_trait]
impl Identify for Callers {
    async fn caller(
        &self,
        socket: BorrowedFd<'_>,
        _client: SocketAddr,
        _dialled: SocketAddr,
    ) -> Result<Identified, Unidentified> {
        let host = |error: io::Error| Unidentified::Host(error.to_string());
        let cookie = self.peer(socket).map_err(host)?.ok_or(Unidentified::Changed)?;
        let mut records = self.records();
        // The record was sent before the connection was made, so it is here or in the socket.
        records.drain().map_err(host)?;
        let record = records.table.take(cookie, Instant::now()).ok_or(Unidentified::NoRecord)?;
        drop(records);
        Ok(identified(record))
    }

    fn sender(&self, mark: u32) -> Result<Identified, Unidentified> {
        if mark == 0 {
            return Err(Unidentified::NotConnected);
        }
        let mut records = self.records();
        // The record was sent before the socket was marked, so it is here or on its way.
        records.drain().map_err(|error| Unidentified::Host(error.to_string()))?;
        records.senders.get(mark).ok_or(Unidentified::NoRecord)
    }
}

/// The latest senders of datagrams. One that came before them has to connect again once its flow
/// has ended.
#[derive(Default)]
struct Senders {
    all: HashMap<u32, Identified>,
    /// Which marks each executable has, and how many bytes they take.
    of: HashMap<FileId, (BTreeSet<u32>, usize)>,
    size: usize,
}

impl Senders {
    /// SECURITY: N1; a program says itself how long its arguments are, and connects as often as it
    /// likes. So it is bytes that are bounded, and room is made by whoever takes most of it.
    fn insert(&mut self, mark: u32, sender: Identified) {
        let (exe, size) = (sender.caller.exe.file, size(&sender));
        let (marks, total) = self.of.entry(exe).or_default();
        if !marks.insert(mark) {
            return;
        }
        *total = total.saturating_add(size);
        self.size = self.size.saturating_add(size);
        self.all.insert(mark, sender);
        while self.size > SENDERS && self.forget_one() {}
    }

    /// Forgets the oldest of the executable that takes most. Marks are given in their order, so the
    /// lowest is the oldest.
    fn forget_one(&mut self) -> bool {
        let largest = self.of.iter_mut().max_by_key(|(_, (_, total))| *total);
        let Some((&exe, (marks, total))) = largest else { return false };
        if let Some(forgotten) = marks.pop_first().and_then(|mark| self.all.remove(&mark)) {
            let size = size(&forgotten);
            *total = total.saturating_sub(size);
            self.size = self.size.saturating_sub(size);
        }
        if marks.is_empty() {
            self.of.remove(&exe);
        }
        true
    }

    fn get(&self, mark: u32) -> Option<Identified> {
        self.all.get(&mark).cloned()
    }
}

/// How many bytes a sender takes, about.
fn size(sender: &Identified) -> usize {
    let Caller { exe, ancestors } = &*sender.caller;
    let paths = std::iter::once(exe).chain(ancestors).map(|program| {
        size_of::<Program>().saturating_add(program.path.as_ref().map_or(0, |path| path.len()))
    });
    let arguments =
        sender.argv.iter().map(|argument| size_of::<String>().saturating_add(argument.len()));
    paths.chain(arguments).fold(size_of::<Identified>() + PLACES, usize::saturating_add)
}

/// Bytes of a sender's places in the tables, about.
const PLACES: usize = 64;

fn identified(record: Record) -> Identified {
    let Record { pid, exe, argv, ancestors, .. } = record;
    let caller =
        Caller { exe: program(exe), ancestors: ancestors.into_iter().map(program).collect() };
    Identified { caller: Arc::new(caller), pid, argv }
}

fn program(exe: Exe) -> Program {
    Program { file: exe.file, path: exe.path.map(Into::into), sha256: exe.sha256 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sender(inode: u64, argv: &str) -> Identified {
        let exe = Program { file: FileId { device: 1, inode }, path: None, sha256: None };
        let caller = Arc::new(Caller { exe, ancestors: Vec::new() });
        Identified { caller, pid: 7, argv: vec![argv.to_owned()] }
    }

    #[test]
    fn n01_one_program_takes_no_more_than_there_is_and_displaces_no_other() {
        let mut senders = Senders::default();
        senders.insert(1, sender(1, "quiet"));
        let long = "x".repeat(24 * 1024);
        for mark in 2..2000 {
            senders.insert(mark, sender(2, &long));
        }
        let held: usize = senders.all.values().map(|known| known.argv[0].len()).sum();
        assert!(held <= SENDERS, "{held}");
        assert!(senders.get(1).is_some(), "another's went");
        assert!(senders.get(2).is_none() && senders.get(1999).is_some());
        let sum: usize = senders.all.values().map(size).sum();
        assert_eq!((senders.size, senders.of.len()), (sum, 2));
    }

    #[test]
    fn an_ordinary_program_may_have_many_sockets() {
        let mut senders = Senders::default();
        for mark in 1..=16_000 {
            senders.insert(mark, sender(1, "--an-argument=of-ordinary-length"));
        }
        assert!(senders.get(1).is_some());
    }
}
