//! audit.jsonl: every security event, before anybody else hears of it.
//!
//! An event is in the file when [`Journal::record`] returns; the session reads it from there. The
//! hash chain goes on where the supervisor before this one ended.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use openshell_audit::{Chain, Event, Lifecycle, Record, limits::LINE_BYTES};
use openshell_driver::launch::file;
use openshell_egress::Report;
use openshell_types::{Digest, SandboxId, SandboxName};
use rustix::fs::{CWD, Mode, OFlags, openat};
use serde::Deserialize;
use tokio::sync::watch;

/// The log of one sandbox, and its only writer.
pub(crate) struct Journal {
    name: SandboxName,
    id: SandboxId,
    file: File,
    state: Mutex<State>,
    written: watch::Sender<u64>,
}

struct State {
    chain: Chain,
    /// Octets in the file, which nobody else writes.
    length: u64,
    /// Events that could not be written since the last one that was.
    lost: u64,
}

impl Journal {
    /// Opens audit.jsonl in the working directory and finds its end.
    pub(crate) fn open(name: SandboxName, id: SandboxId) -> io::Result<Self> {
        let flags =
            OFlags::RDWR | OFlags::APPEND | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = openat(CWD, file::AUDIT, flags, Mode::RUSR | Mode::WUSR)?;
        Self::over(File::from(file), name, id)
    }

    fn over(file: File, name: SandboxName, id: SandboxId) -> io::Result<Self> {
        let (chain, torn) = resume(&file)?;
        let written = watch::Sender::new(chain.last_seq());
        let length = file.metadata()?.len();
        let state = Mutex::new(State { chain, length, lost: 0 });
        let journal = Self { name, id, file, state, written };
        if torn > 0 {
            journal.record(Event::Lifecycle(Lifecycle {
                activity: "failed".into(),
                detail: format!(
                    "the last {torn} bytes of the audit log were not a record and were removed"
                ),
            }));
        }
        Ok(journal)
    }

    /// Number of the last event.
    pub(crate) fn last_sequence(&self) -> u64 {
        *self.written.borrow()
    }

    /// Tells the number of the last event.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.written.subscribe()
    }

    /// The gateway has events up to `seq`. If that is more than this log has, then the log lost its
    /// end (a power cut): numbers are not used twice, and the gap stays visible in the chain.
    pub(crate) fn reach(&self, seq: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let chain = &mut state.chain;
        if seq > chain.last_seq() {
            tracing::warn!(seq, last = chain.last_seq(), "Audit log lost its end");
            *chain = Chain::resume(seq, chain.last_digest());
            self.written.send_replace(seq);
        }
    }

    /// A reader of the events that follow number `after`.
    pub(crate) fn reader(&self, after: u64) -> io::Result<Reader> {
        Ok(Reader { file: self.file.try_clone()?, offset: 0, after, buffer: Vec::new() })
    }

    /// Writes an event, and before it how many could not be written.
    fn write(&self, event: Event) -> io::Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let lost = state.lost;
        let result = if lost > 0 {
            let detail = format!("{lost} security events could not be written");
            let told = Event::Lifecycle(Lifecycle { activity: "failed".into(), detail });
            self.append(&mut state, told).and_then(|()| {
                state.lost = 0;
                self.append(&mut state, event)
            })
        } else {
            self.append(&mut state, event)
        };
        if result.is_err() {
            state.lost = state.lost.saturating_add(1);
        }
        result
    }

    fn append(&self, state: &mut State, event: Event) -> io::Result<()> {
        let mut next = state.chain.clone();
        let line = next.append(Timestamp::now(), &self.name, &self.id, event);
        let mut bytes = line.text.into_bytes();
        bytes.push(b'\n');
        if let Err(error) = (&self.file).write_all(&bytes) {
            // A full disk may have taken half a line; the next one must not be glued to it.
            self.file.set_len(state.length)?;
            return Err(error);
        }
        state.length = state.length.saturating_add(u64::try_from(bytes.len()).unwrap_or(0));
        state.chain = next;
        self.written.send_replace(line.seq);
        Ok(())
    }
}

impl Report for Journal {
    fn record(&self, event: Event) -> bool {
        let written = self.write(event);
        if let Err(error) = &written {
            tracing::error!(%error, "Security event could not be written");
        }
        written.is_ok()
    }
}

/// Reads events back in order.
pub(crate) struct Reader {
    file: File,
    offset: u64,
    after: u64,
    buffer: Vec<u8>,
}

/// The part of a record that tells its place.
#[derive(Deserialize)]
struct Numbered {
    seq: u64,
}

impl Reader {
    /// The next event's number and line, without its newline; `None` at the end of the log.
    pub(crate) fn next(&mut self) -> io::Result<Option<(u64, String)>> {
        loop {
            let Some(line) = self.line()? else { return Ok(None) };
            let Ok(Numbered { seq }) = serde_json::from_slice(&line) else {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a line is not a record"));
            };
            if seq > self.after {
                self.after = seq;
                let text = String::from_utf8(line)
                    .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
                return Ok(Some((seq, text)));
            }
        }
    }

    /// The next whole line, without its newline.
    fn line(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let mut line: Vec<u8> = self.buffer.drain(..=end).collect();
                line.pop();
                return Ok(Some(line));
            }
            if self.buffer.len() > LINE_BYTES {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a line is too long"));
            }
            let mut chunk = [0; 16 * 1024];
            let got = self.file.read_at(&mut chunk, self.offset)?;
            if got == 0 {
                return Ok(None);
            }
            self.offset = self.offset.saturating_add(u64::try_from(got).unwrap_or(0));
            self.buffer.extend_from_slice(chunk.get(..got).unwrap_or_default());
        }
    }
}

/// Finds the last record, removes what is behind it, and tells how many bytes that were.
fn resume(file: &File) -> io::Result<(Chain, u64)> {
    let length = file.metadata()?.len();
    let mut end = length;
    while end > 0 {
        let (start, line) = last_line(file, end)?;
        let text = line.strip_suffix(b"\n").and_then(|line| std::str::from_utf8(line).ok());
        if let Some(record) = text.and_then(|text| Record::parse(text).ok()) {
            let digest = Digest::of(text.unwrap_or_default().as_bytes());
            if end < length {
                file.set_len(end)?;
            }
            return Ok((Chain::resume(record.seq, digest), length.saturating_sub(end)));
        }
        end = start;
    }
    if length > 0 {
        file.set_len(0)?;
    }
    Ok((Chain::new(), length))
}

/// Where the last line before `end` starts, and its bytes with the newline that may end it. A line
/// longer than any record is cut into pieces, none of which is a record.
fn last_line(file: &File, end: u64) -> io::Result<(u64, Vec<u8>)> {
    const STEP: u64 = 16 * 1024;
    let longest = u64::try_from(LINE_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    let mut start = end;
    let mut line: Vec<u8> = Vec::new();
    loop {
        let step = STEP.min(start);
        start = start.saturating_sub(step);
        let mut bytes = vec![0; usize::try_from(step).unwrap_or(0)];
        file.read_exact_at(&mut bytes, start)?;
        bytes.extend_from_slice(&line);
        line = bytes;
        // The last byte may be the line's own newline.
        let before_last = line.len().saturating_sub(1);
        let newline = line.get(..before_last).unwrap_or_default().iter().rposition(|b| *b == b'\n');
        if let Some(newline) = newline {
            let tail = line.split_off(newline.saturating_add(1));
            let skipped = u64::try_from(line.len()).unwrap_or(0);
            return Ok((start.saturating_add(skipped), tail));
        }
        if start == 0 || end.saturating_sub(start) > longest {
            return Ok((start, line));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek, SeekFrom};

    use openshell_audit::verify;

    use super::*;

    fn event(detail: &str) -> Event {
        Event::Lifecycle(Lifecycle { activity: "ready".into(), detail: detail.into() })
    }

    fn open(file: &File) -> Journal {
        let file = file.try_clone().expect("file");
        let id = SandboxId::parse("0b6a3b1e-58a7-4b11-9d3c-0f54d1f0a001").expect("id");
        Journal::over(file, SandboxName::parse("box").expect("name"), id).expect("journal")
    }

    fn log() -> (tempfile::NamedTempFile, File) {
        let named = tempfile::NamedTempFile::new().expect("file");
        let file = File::options().read(true).append(true).open(named.path()).expect("file");
        (named, file)
    }

    fn text(mut file: &File) -> String {
        let mut text = String::new();
        file.seek(SeekFrom::Start(0)).expect("seek");
        file.read_to_string(&mut text).expect("read");
        text
    }

    #[test]
    fn the_chain_goes_on_in_the_next_supervisor() {
        let (_named, file) = log();
        open(&file).record(event("one"));
        let journal = open(&file);
        journal.record(event("two"));
        assert_eq!(journal.last_sequence(), 2);
        assert_eq!(verify(text(&file).lines()).expect("chain").last_seq, 2);
    }

    #[test]
    fn a_torn_last_line_is_removed_and_said() {
        let (_named, file) = log();
        open(&file).record(event("one"));
        (&file).write_all(b"\0\0\0\0\n{\"v\":1,\"seq\":2").expect("write");
        let journal = open(&file);
        journal.record(event("after"));
        let text = text(&file);
        assert_eq!(verify(text.lines()).expect("chain").last_seq, 3);
        assert!(text.contains("the last 19 bytes"), "{text}");
    }

    #[test]
    fn a_log_of_nothing_but_garbage_starts_anew() {
        let (_named, file) = log();
        (&file).write_all(&vec![b'x'; 3 * LINE_BYTES]).expect("write");
        open(&file).record(event("one"));
        assert_eq!(verify(text(&file).lines()).expect("chain").lines, 2);
    }

    #[test]
    fn m13_events_that_a_full_disk_did_not_take_are_counted_when_there_is_room_again() {
        let (named, file) = log();
        let read_only = File::open(named.path()).expect("file");
        let mut journal = open(&file);
        journal.record(event("one"));
        // What cannot be written to stands for a disk without room.
        let file = std::mem::replace(&mut journal.file, read_only);
        assert!(!journal.record(event("lost")));
        assert!(!journal.record(event("lost, too")));
        journal.file = file.try_clone().expect("file");
        assert!(journal.record(event("after")));
        let text = text(&file);
        assert_eq!(verify(text.lines()).expect("chain").last_seq, 3);
        assert!(text.contains("2 security events could not be written"), "{text}");
    }

    #[test]
    fn readers_get_what_follows_a_number_and_what_is_written_later() {
        let (_named, file) = log();
        let journal = open(&file);
        for detail in ["one", "two", "three"] {
            journal.record(event(detail));
        }
        let mut reader = journal.reader(1).expect("reader");
        let seqs = |reader: &mut Reader| {
            std::iter::from_fn(|| reader.next().expect("record")).map(|r| r.0).collect::<Vec<_>>()
        };
        assert_eq!(seqs(&mut reader), [2, 3]);
        journal.record(event("four"));
        assert_eq!(seqs(&mut reader), [4]);
    }

    #[test]
    fn m13_a_log_that_lost_its_end_never_uses_a_number_twice() {
        let (_named, file) = log();
        let journal = open(&file);
        journal.record(event("one"));
        journal.reach(7);
        journal.record(event("two"));
        assert_eq!(journal.last_sequence(), 8);
        assert!(verify(text(&file).lines()).is_err());
    }
}
