//! main.log: what the main command printed, bounded.
//!
//! Both files are opened before the supervisor gives its rights up, and never by name afterwards.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};

use openshell_driver::launch::file;
use rustix::fs::{CWD, Mode, OFlags, openat};

use crate::limits::MAIN_LOG_BYTES;

/// The log and the one before it.
#[derive(Debug)]
pub(crate) struct MainLog {
    current: File,
    previous: File,
    size: u64,
    limit: u64,
}

impl MainLog {
    /// Opens main.log and main.log.1 in the working directory.
    pub(crate) fn open() -> io::Result<Self> {
        let open = |name: &str| {
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
            openat(CWD, name, flags, Mode::RUSR | Mode::WUSR).map(File::from)
        };
        let current = open(file::MAIN_LOG)?;
        let previous = open(&format!("{}.1", file::MAIN_LOG))?;
        Self::over(current, previous, MAIN_LOG_BYTES)
    }

    fn over(mut current: File, previous: File, limit: u64) -> io::Result<Self> {
        let size = current.seek(SeekFrom::End(0))?;
        Ok(Self { current, previous, size, limit })
    }

    /// Adds output; a full log becomes the previous one first.
    pub(crate) fn append(&mut self, data: &[u8]) -> io::Result<()> {
        if self.size >= self.limit {
            self.rotate()?;
        }
        self.current.write_all(data)?;
        self.size = self.size.saturating_add(u64::try_from(data.len()).unwrap_or(u64::MAX));
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.previous.set_len(0)?;
        self.previous.seek(SeekFrom::Start(0))?;
        self.current.seek(SeekFrom::Start(0))?;
        io::copy(&mut self.current, &mut self.previous)?;
        self.current.set_len(0)?;
        self.current.seek(SeekFrom::Start(0))?;
        self.size = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_full_log_becomes_the_previous_one() {
        let mut files = [tempfile::tempfile().expect("file"), tempfile::tempfile().expect("file")];
        let [current, previous] =
            [files[0].try_clone().expect("file"), files[1].try_clone().expect("file")];
        let mut log = MainLog::over(current, previous, 8).expect("log");
        for data in ["aaaaaaaa", "bbbb", "bbbbb", "c"] {
            log.append(data.as_bytes()).expect("append");
        }
        let texts = files.each_mut().map(|file| {
            let mut text = String::new();
            file.seek(SeekFrom::Start(0)).expect("seek");
            file.read_to_string(&mut text).expect("read");
            text
        });
        assert_eq!(texts, ["c", "bbbbbbbbb"]);
    }
}
