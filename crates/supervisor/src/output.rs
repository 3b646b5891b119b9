//! The output of the main command: kept for whoever attaches, and written to main.log.
//!
//! Both channels share one sequence of bytes, and every byte has an absolute offset. A reader goes
//! at its own pace; one that is too slow finds the oldest bytes gone and goes on at what is kept.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

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
}

impl Output {
    /// Keeps output in memory, and in `log` when there is one.
    pub(crate) fn new(log: Option<MainLog>) -> Self {
        Self {
            kept: Mutex::new(Kept { ring: Ring::default(), log }),
            progress: watch::Sender::new(Progress::default()),
        }
    }

    /// Adds output.
    pub(crate) fn append(&self, channel: Channel, data: &[u8]) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
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

    /// Output from `offset` on, of one channel and at most `most` bytes; `None` when there is none
    /// yet. It starts later than `offset` when older output is gone.
    pub(crate) fn read(&self, offset: u64, most: usize) -> Option<Piece> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).ring.read(offset, most)
    }

    /// Offset of the oldest byte that is kept.
    pub(crate) fn start(&self) -> u64 {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).ring.start
    }

    /// Tells about progress.
    pub(crate) fn watch(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
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
