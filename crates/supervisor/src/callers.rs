//! Which program opened a connection: the identifier's records, taken by socket cookie.

use std::collections::BTreeMap;
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

use crate::ready::register;

/// Records that wait for their connection; beyond it the oldest goes, and its connection is denied.
const WAITING: usize = 16 * 1024;
/// How long a record waits: longer than the accept queue of a busy egress.
const KEPT: Duration = Duration::from_secs(30);

/// Marked UDP sockets whose programs are known.
const SENDERS: usize = 16 * 1024;

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
struct Senders(BTreeMap<u32, Identified>);

impl Senders {
    /// Marks are given in their order, so the lowest is the oldest.
    fn insert(&mut self, mark: u32, sender: Identified) {
        while self.0.len() >= SENDERS {
            self.0.pop_first();
        }
        self.0.insert(mark, sender);
    }

    fn get(&self, mark: u32) -> Option<Identified> {
        self.0.get(&mark).cloned()
    }
}

fn identified(record: Record) -> Identified {
    let Record { pid, exe, argv, ancestors, .. } = record;
    let caller =
        Caller { exe: program(exe), ancestors: ancestors.into_iter().map(program).collect() };
    Identified { caller: Arc::new(caller), pid, argv }
}

fn program(exe: Exe) -> Program {
    Program { file: exe.file, path: exe.path.map(Into::into), sha256: exe.sha256 }
}
