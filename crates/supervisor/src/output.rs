//! The output of the main command: kept for whoever attaches, and written to main.log.
//!
//! Both channels share one sequence of bytes, and every byte has an absolute offset. While somebody
//! is attached the command waits for the slowest, as it would for a terminal; while nobody is, the
//! oldest bytes go.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

use crate::limits::{OUTPUT_KEPT, OUTPUT_SEGMENTS};
use crate::main_log::MainLog;

/// Which output of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Channel {
    /// Standard output, and all output of a terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Some output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Offset of its first byte.
    pub(crate) offset: u64,
    /// Where it was written to.
    pub(crate) channel: Channel,
    /// Never empty.
    pub(crate) data: Vec<u8>,
}

/// The output of the main command.
pub(crate) struct Output {
    kept: Mutex<Kept>,
    progress: watch::Sender<Progress>,
    /// A reader went on, or away.
    moved: Notify,
}

/// How far the output has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Offset of the next byte.
    pub(crate) end: u64,
    /// No more will come.
    pub(crate) closed: bool,
}

struct Kept {
    ring: Ring,
    log: Option<MainLog>,
    /// How far each attached reader is.
    readers: BTreeMap<u64, u64>,
    next_reader: u64,
}

/// Somebody who is attached; until this is dropped, nothing that it has not read is forgotten.
pub(crate) struct Reader<'a> {
    output: &'a Output,
    id: u64,
    offset: u64,
}

impl Output {
    /// Keeps output in memory, and in `log` when there is one.
    pub(crate) fn new(log: Option<MainLog>) -> Self {
        Self {
            kept: Mutex::new(Kept {
                ring: Ring::default(),
                log,
                readers: BTreeMap::new(),
                next_reader: 0,
            }),
            progress: watch::Sender::new(Progress::default()),
            moved: Notify::new(),
        }
    }

    /// Waits until `length` more bytes push out none that an attached reader has yet to read.
    pub(crate) async fn room(&self, length: usize) {
        loop {
            let moved = self.moved.notified();
            tokio::pin!(moved);
            // From here on no notification is missed.
            moved.as_mut().enable();
            if self.kept().has_room(length) {
                return;
            }
            moved.await;
        }
    }

    /// Adds output.
    pub(crate) fn append(&self, channel: Channel, data: &[u8]) {
        let mut kept = self.kept();
        if let Some(log) = &mut kept.log
            && let Err(error) = log.append(data)
        {
            tracing::warn!(%error, "Output of the main command is no longer logged");
            kept.log = None;
        }
        kept.ring.append(channel, data);
        let end = kept.ring.end;
        self.progress.send_modify(|progress| progress.end = end);
    }

    /// Says that no more will come.
    pub(crate) fn close(&self) {
        self.progress.send_modify(|progress| progress.closed = true);
    }

    /// Attaches a reader, at `resume` as far as that is kept, or at the oldest byte.
    pub(crate) fn reader(&self, resume: Option<u64>) -> Reader<'_> {
        let mut kept = self.kept();
        let offset = resume.unwrap_or(kept.ring.start).clamp(kept.ring.start, kept.ring.end);
        let id = kept.next_reader;
        kept.next_reader = id.saturating_add(1);
        kept.readers.insert(id, offset);
        Reader { output: self, id, offset }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells about progress.
    pub(crate) fn watch(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }
}

impl Kept {
    fn has_room(&self, length: usize) -> bool {
        let oldest = self.ring.oldest_after(length);
        self.readers.values().all(|offset| *offset >= oldest)
    }
}

impl Reader<'_> {
    /// Offset of the next byte that it reads.
    pub(crate) const fn offset(&self) -> u64 {
        self.offset
    }

    /// The next output, of one channel and at most `most` bytes; `None` when there is none yet.
    pub(crate) fn next(&self, most: usize) -> Option<Piece> {
        self.output.kept().ring.read(self.offset, most)
    }

    /// Says that a piece has been sent on.
    pub(crate) fn has_read(&mut self, piece: &Piece) {
        let length = u64::try_from(piece.data.len()).unwrap_or(u64::MAX);
        self.offset = piece.offset.saturating_add(length);
        self.output.kept().readers.insert(self.id, self.offset);
        self.output.moved.notify_waiters();
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        self.output.kept().readers.remove(&self.id);
        self.output.moved.notify_waiters();
    }
}

/// The last bytes, and which channel they came from.
#[derive(Debug, Default)]
struct Ring {
    start: u64,
    end: u64,
    bytes: VecDeque<u8>,
    /// Offset at which a channel begins; the first is at or before `start`.
    segments: VecDeque<(u64, Channel)>,
}

impl Ring {
    fn append(&mut self, channel: Channel, data: &[u8]) {
        if data.is_empty() {
            return;
        }
        if self.segments.back().is_none_or(|(_, last)| *last != channel) {
            self.segments.push_back((self.end, channel));
        }
        let length = u64::try_from(data.len()).unwrap_or(u64::MAX);
        self.end = self.end.saturating_add(length);
        let tail = data.len().saturating_sub(OUTPUT_KEPT);
        if tail > 0 {
            self.bytes.clear();
        }
        self.bytes.extend(data.iter().skip(tail));
        let excess = self.bytes.len().saturating_sub(OUTPUT_KEPT);
        self.bytes.drain(..excess);
        while self.segments.len() > OUTPUT_SEGMENTS {
            self.segments.pop_front();
            let begin = self.segments.front().map_or(self.end, |(begin, _)| *begin);
            let gone = self.index(begin);
            self.bytes.drain(..gone);
        }
        self.start = self.end.saturating_sub(u64::try_from(self.bytes.len()).unwrap_or(0));
        while self.segments.get(1).is_some_and(|(begin, _)| *begin <= self.start) {
            self.segments.pop_front();
        }
    }

    /// Offset of the oldest byte that is still kept when `length` more bytes have come.
    fn oldest_after(&self, length: usize) -> u64 {
        let kept = u64::try_from(OUTPUT_KEPT.saturating_sub(length)).unwrap_or(0);
        let by_size = self.end.saturating_sub(kept);
        let is_full = self.segments.len() >= OUTPUT_SEGMENTS;
        let by_segments = self.segments.get(1).filter(|_| is_full).map_or(0, |(begin, _)| *begin);
        by_size.max(by_segments)
    }

    /// Where the byte at `offset` stands in `bytes`.
    fn index(&self, offset: u64) -> usize {
        let kept = u64::try_from(self.bytes.len()).unwrap_or(0);
        let behind = self.end.saturating_sub(offset).min(kept);
        usize::try_from(kept.saturating_sub(behind)).unwrap_or(0)
    }

    fn read(&self, offset: u64, most: usize) -> Option<Piece> {
        let offset = offset.max(self.start);
        if offset >= self.end {
            return None;
        }
        let next = self.segments.partition_point(|(begin, _)| *begin <= offset);
        let (_, channel) = *self.segments.get(next.checked_sub(1)?)?;
        let segment_end = self.segments.get(next).map_or(self.end, |(begin, _)| *begin);
        let from = self.index(offset);
        let to = self.index(segment_end).min(from.saturating_add(most));
        let data: Vec<u8> = self.bytes.range(from..to).copied().collect();
        (!data.is_empty()).then_some(Piece { offset, channel, data })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(ring: &Ring, mut offset: u64, most: usize) -> Vec<(u64, Channel, Vec<u8>)> {
        let mut pieces = Vec::new();
        while let Some(piece) = ring.read(offset, most) {
            offset = piece.offset + piece.data.len() as u64;
            pieces.push((piece.offset, piece.channel, piece.data));
        }
        pieces
    }

    #[test]
    fn output_is_read_in_order_with_its_channel_and_offset() {
        let mut ring = Ring::default();
        ring.append(Channel::Stdout, b"one ");
        ring.append(Channel::Stdout, b"two ");
        ring.append(Channel::Stderr, b"oops");
        ring.append(Channel::Stdout, b"three");
        assert_eq!(
            drain(&ring, 0, 6),
            [
                (0, Channel::Stdout, b"one tw".to_vec()),
                (6, Channel::Stdout, b"o ".to_vec()),
                (8, Channel::Stderr, b"oops".to_vec()),
                (12, Channel::Stdout, b"three".to_vec()),
            ]
        );
        assert_eq!(drain(&ring, 10, 64).first().map(|p| p.0), Some(10));
        assert_eq!(ring.read(17, 1), None);
        assert_eq!(ring.read(400, 1), None);
    }

    #[test]
    fn a_slow_reader_goes_on_at_what_is_kept() {
        let mut ring = Ring::default();
        ring.append(Channel::Stderr, b"gone");
        let piece = vec![b'x'; OUTPUT_KEPT / 4];
        for _ in 0..4 {
            ring.append(Channel::Stdout, &piece);
        }
        let first = ring.read(0, 8).expect("kept output");
        assert_eq!((first.offset, first.channel), (4, Channel::Stdout));
        ring.append(Channel::Stdout, &vec![b'y'; 3 * OUTPUT_KEPT]);
        assert_eq!(ring.bytes.len(), OUTPUT_KEPT);
        assert_eq!(ring.end, 4 + 4 * (OUTPUT_KEPT as u64));
        assert_eq!(ring.read(0, 1).expect("kept output").data, b"y");
    }

    #[tokio::test]
    async fn output_waits_for_who_is_attached_and_for_nobody_else() {
        let output = Output::new(None);
        let piece = vec![b'x'; OUTPUT_KEPT / 2];
        for _ in 0..5 {
            output.room(piece.len()).await;
            output.append(Channel::Stdout, &piece);
        }
        let mut reader = output.reader(None);
        assert_eq!(reader.offset(), 3 * (OUTPUT_KEPT as u64) / 2);
        let room = output.room(1);
        tokio::pin!(room);
        let soon = std::time::Duration::from_millis(5);
        assert!(tokio::time::timeout(soon, &mut room).await.is_err());
        let read = reader.next(1).expect("kept output");
        reader.has_read(&read);
        tokio::time::timeout(soon, &mut room).await.expect("one byte was read");
        let room = output.room(OUTPUT_KEPT);
        drop(reader);
        tokio::time::timeout(soon, room).await.expect("nobody is attached");
    }

    #[test]
    fn a_program_that_alternates_channels_cannot_fill_memory() {
        let mut ring = Ring::default();
        for _ in 0..OUTPUT_SEGMENTS {
            ring.append(Channel::Stdout, b"o");
            ring.append(Channel::Stderr, b"e");
        }
        assert!(ring.segments.len() <= OUTPUT_SEGMENTS);
        let last = ring.read(ring.end - 1, 8).expect("kept output");
        assert_eq!((last.channel, last.data), (Channel::Stderr, b"e".to_vec()));
        let first = ring.read(0, 8).expect("kept output");
        assert_eq!(first.offset, ring.start);
        assert_eq!(ring.end - ring.start, ring.bytes.len() as u64);
    }
}
