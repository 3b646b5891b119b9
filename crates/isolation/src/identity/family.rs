//! Processes of the jail that connected before, and their ancestors.
//!
//! Reading a process's status costs more than everything else about a connection, and what is used
//! of it never changes: which process it is, and who started it. So it is read once. Each known
//! process is pinned: when it has ended, its files read as errors, and it is forgotten. Its parent
//! is pinned with it, and never looked up by a number that may have become another process's.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::process::{Lookup, Process, Status};
use super::record::{Exe, MAX_ANCESTORS};

/// How many processes are remembered, each with a descriptor; then all are forgotten.
const MAX_KNOWN: usize = 256;

/// A process of the jail.
#[derive(Debug)]
pub(super) struct Member {
    /// Its files.
    pub(super) process: Process,
    /// What never changes of its status.
    pub(super) status: Status,
    /// Who started it; `None` for what the jail's init started.
    parent: Option<Arc<Member>>,
    /// How many ancestors are pinned by this one.
    generations: usize,
}

/// The known processes, by thread or process id outside.
#[derive(Debug, Default)]
pub(super) struct Family(Mutex<HashMap<i32, Arc<Member>>>);

impl Family {
    /// The thread `id`, and its running executable.
    pub(super) fn find(&self, id: i32, lookup: &Lookup<'_>) -> io::Result<(Arc<Member>, Exe)> {
        if let Some(known) = self.known(id)
            && let Ok(exe) = known.process.exe(lookup)
        {
            return Ok((known, exe));
        }
        let member = match self.read(id, MAX_ANCESTORS) {
            // It may be that too many processes are pinned.
            Err(_) => {
                self.lock().clear();
                self.read(id, MAX_ANCESTORS)?
            }
            Ok(member) => member,
        };
        let exe = member.process.exe(lookup)?;
        Ok((member, exe))
    }

    /// The process `id` by its number, and its ancestors up to `depth`.
    fn read(&self, id: i32, depth: usize) -> io::Result<Arc<Member>> {
        let process = Process::open(id)?;
        let status = process.status()?;
        let parent = if depth > 0 { self.parent(&process, &status, depth) } else { None };
        let generations = parent.as_ref().map_or(0, |parent| parent.generations + 1);
        let member = Arc::new(Member { process, status, parent, generations });
        let mut known = self.lock();
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(id, Arc::clone(&member));
        Ok(member)
    }

    fn parent(&self, child: &Process, status: &Status, depth: usize) -> Option<Arc<Member>> {
        let id = status.parent;
        // SECURITY: each generation could connect, fork and end, and have us pin all that went
        // before it; a process that is read anew has its living ancestors only.
        let usable =
            |known: &Arc<Member>| known.generations < MAX_ANCESTORS && known.process.is_alive();
        let parent = match self.known(id).filter(usable) {
            Some(known) => known,
            None => self.read(id, depth - 1).ok()?,
        };
        // SECURITY: had the parent ended before it was pinned, its number could be another's now.
        let still = child.status().is_ok_and(|now| now.parent == id);
        let within = &parent.status.within;
        let is_init = within.last() == Some(&1);
        (still && !is_init && within.len() >= status.within.len()).then_some(parent)
    }

    fn known(&self, id: i32) -> Option<Arc<Member>> {
        self.lock().get(&id).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<i32, Arc<Member>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Member {
    /// The executables of the living ancestors, the parent first, without the jail's init.
    pub(super) fn ancestors(&self, lookup: &Lookup<'_>) -> Vec<Exe> {
        let mut found = Vec::new();
        let mut next = self.parent.as_ref();
        while let Some(member) = next.filter(|_| found.len() < MAX_ANCESTORS) {
            let Ok(exe) = member.process.exe(lookup) else { break };
            found.push(exe);
            next = member.parent.as_ref();
        }
        found
    }
}
