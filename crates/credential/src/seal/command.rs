//! A key that the operator's command prints.

use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use openshell_types::Redacted;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use zeroize::Zeroizing;

use super::kek::KekError;
use crate::limits::KEY_TEXT_BYTES;

/// What a command prints, when it ends well and in time. Its standard error is dropped: a key could
/// be in it.
pub(super) fn output(argv: &[String], patience: Duration) -> Result<Redacted<Vec<u8>>, KekError> {
    let (program, arguments) = argv.split_first().ok_or(KekError::NoCommand)?;
    let end = Instant::now().checked_add(patience);
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        // What it starts ends with it.
        .process_group(0)
        .spawn()
        .map_err(KekError::Start)?;
    let printed = printed(&mut child, end);
    if printed.is_err() {
        // It is not reaped yet, so the number is still its own.
        if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
    let status = child.wait().map_err(KekError::Start)?;
    let printed = printed?;
    if status.success() { Ok(printed) } else { Err(KekError::Failed(status)) }
}

/// Reads until the command has ended.
fn printed(child: &mut Child, end: Option<Instant>) -> Result<Redacted<Vec<u8>>, KekError> {
    let process = i32::try_from(child.id())
        .ok()
        .and_then(Pid::from_raw)
        .ok_or(rustix::io::Errno::SRCH)
        .and_then(|process| pidfd_open(process, PidfdFlags::empty()))
        .map_err(|error| KekError::Start(error.into()))?;
    let stdout = child.stdout.take().ok_or(KekError::NoCommand)?;
    // A buffer that never grows, so that no copy of a secret is left behind.
    let mut buffer = Zeroizing::new(vec![0; KEY_TEXT_BYTES.saturating_add(1)]);
    let mut length = 0_usize;
    loop {
        wait(stdout.as_fd(), end)?;
        let room = buffer.get_mut(length..).unwrap_or_default();
        match rustix::io::read(&stdout, room).map_err(|error| KekError::Start(error.into()))? {
            0 => break,
            read => length = length.saturating_add(read),
        }
        if length > KEY_TEXT_BYTES {
            return Err(KekError::TooLong);
        }
    }
    wait(process.as_fd(), end)?;
    buffer.truncate(length);
    Ok(Redacted::new(std::mem::take(&mut *buffer)))
}

/// Waits until there is something to read, or nothing any more.
fn wait(of: BorrowedFd<'_>, end: Option<Instant>) -> Result<(), KekError> {
    loop {
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        let left = left.map(Timespec::try_from).transpose().unwrap_or_default();
        let mut all = [PollFd::from_borrowed_fd(of, PollFlags::IN)];
        match poll(&mut all, left.as_ref()) {
            Ok(0) => return Err(KekError::Timeout),
            Err(rustix::io::Errno::INTR) => {}
            Ok(_) => return Ok(()),
            Err(error) => return Err(KekError::Start(error.into())),
        }
    }
}
