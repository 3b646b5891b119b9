//! A sandbox's security events, from its own log.
//!
//! The log file is the truth, and what a session reports is only the news that it has grown. So a
//! reader that goes on reading where it stopped has no gap and no repetition, whatever happens to
//! sessions and gateways meanwhile.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;

use openshell_audit::Record;
use openshell_audit::limits::LINE_BYTES;
use openshell_driver::launch::file::AUDIT;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::{App, AppError};
use crate::limits::{FOLLOW_POLL, LOG_BATCH, LOG_TAIL};
use crate::store::rows::sandbox::Sandbox;

/// One line of the log.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) record: Record,
    /// The line as it is in the file.
    pub(crate) line: String,
}

/// Reads a sandbox's log and goes on where it stopped.
#[derive(Debug)]
pub(crate) struct Reader {
    path: PathBuf,
    /// Where the next line starts.
    offset: u64,
    /// The number of the last line that was returned, or that the caller has.
    last: u64,
    news: watch::Receiver<u64>,
}

impl App {
    /// A reader of a sandbox's log that returns what follows event `after`.
    pub(crate) fn log_reader(&self, sandbox: &Sandbox, after: u64) -> Reader {
        Reader {
            path: self.paths.sandbox(&sandbox.id).join(AUDIT),
            offset: 0,
            last: after,
            news: self.registry.events(&sandbox.id),
        }
    }
}

impl Reader {
    /// The last `count` of all events that are there.
    pub(crate) async fn tail(&mut self, count: u32) -> Result<Vec<Entry>, AppError> {
        let count = usize::try_from(count.min(LOG_TAIL)).unwrap_or(usize::MAX);
        let mut last = VecDeque::new();
        loop {
            let batch = self.batch().await?;
            if batch.is_empty() {
                return Ok(last.into());
            }
            last.extend(batch);
            last.drain(..last.len().saturating_sub(count));
        }
    }

    /// The next events, as soon as there are some; `None` once the sandbox is gone.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<Entry>>, AppError> {
        loop {
            self.news.mark_unchanged();
            let batch = self.batch().await?;
            if !batch.is_empty() {
                return Ok(Some(batch));
            }
            // Without a session nobody brings news, but the supervisor goes on writing.
            if let Ok(Err(_)) = timeout(FOLLOW_POLL, self.news.changed()).await {
                return Ok(None);
            }
        }
    }

    /// Some of the events that were not read yet; none at the end of the file.
    pub(crate) async fn batch(&mut self) -> Result<Vec<Entry>, AppError> {
        let (path, offset, last) = (self.path.clone(), self.offset, self.last);
        let (entries, offset) = spawn_blocking(move || read_batch(path, offset, last))
            .await
            .map_err(|error| AppError::Unavailable(error.to_string()))??;
        self.offset = offset;
        self.last = entries.last().map_or(self.last, |entry| entry.record.seq);
        Ok(entries)
    }
}

fn read_batch(
    path: PathBuf,
    mut offset: u64,
    mut last: u64,
) -> Result<(Vec<Entry>, u64), std::io::Error> {
    let mut entries = Vec::new();
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok((entries, offset)),
        Err(error) => return Err(error),
    };
    file.seek(SeekFrom::Start(offset))?;
    let mut lines = BufReader::new(file);
    let mut line = Vec::new();
    let longest = u64::try_from(LINE_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    while entries.len() < LOG_BATCH {
        line.clear();
        let length = lines.by_ref().take(longest).read_until(b'\n', &mut line)?;
        // A line without its end is still being written, unless it is longer than any line is:
        // then it is passed over in pieces.
        if line.last() != Some(&b'\n') && line.len() <= LINE_BYTES {
            break;
        }
        offset = offset.saturating_add(u64::try_from(length).unwrap_or(u64::MAX));
        let text = String::from_utf8_lossy(line.trim_ascii_end());
        // A line that is no record was cut short by a crash; the chain shows the place.
        let Ok(record) = Record::parse(&text) else { continue };
        if record.seq > last {
            last = record.seq;
            entries.push(Entry { record, line: text.into_owned() });
        }
    }
    Ok((entries, offset))
}

/// A point in time before which events are not wanted, and so on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    pub(crate) since_ms: Option<i64>,
    /// Sources that are wanted; empty for all.
    pub(crate) sources: Vec<String>,
    pub(crate) least: Level,
}

/// How much a line matters, the least first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    #[default]
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

impl Level {
    /// Reads a level's name; empty is the lowest.
    pub(crate) fn parse(text: &str) -> Result<Self, AppError> {
        match text.to_ascii_uppercase().as_str() {
            "" | "TRACE" => Ok(Self::Trace),
            "DEBUG" => Ok(Self::Debug),
            "INFO" | "OCSF" => Ok(Self::Info),
            "WARN" | "WARNING" => Ok(Self::Warn),
            "ERROR" => Ok(Self::Error),
            _ => Err(AppError::invalid("min_level", "one of ERROR, WARN, INFO, DEBUG and TRACE")),
        }
    }
}

/// Where events come from, for filters.
pub(crate) const SOURCE: &str = "sandbox";

impl Filter {
    /// Whether a line is wanted. Events have the level INFO.
    pub(crate) fn wants(&self, entry: &Entry) -> bool {
        self.least <= Level::Info
            && (self.sources.is_empty() || self.sources.iter().any(|source| source == SOURCE))
            && self.since_ms.is_none_or(|since| entry.record.time.as_millisecond() >= since)
    }
}
