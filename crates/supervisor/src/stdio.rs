//! The supervisor's ends of a command's standard streams.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use openshell_types::TerminalSize;
use rustix::fs::{Mode, OFlags, fchmod, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::termios::{Winsize, tcsetwinsize};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;

use crate::processes::Stdio;
use crate::ready::register;

/// What is read from a command.
pub(crate) enum Source {
    /// A pipe.
    Pipe(pipe::Receiver),
    /// A terminal.
    Terminal(Arc<Terminal>),
}

/// What is written to a command.
pub(crate) enum Sink {
    /// A pipe; dropping it is the end of input.
    Pipe(pipe::Sender),
    /// A terminal.
    Terminal(Arc<Terminal>),
}

/// The master end of a terminal.
pub(crate) struct Terminal {
    master: AsyncFd<OwnedFd>,
}

/// Our ends of three pipes.
pub(crate) struct Ends {
    pub(crate) stdin: Option<Sink>,
    pub(crate) stdout: Source,
    pub(crate) stderr: Source,
}

/// Makes the pipes of a command; without `with_input` its standard input is /dev/null.
pub(crate) fn pipes(with_input: bool) -> io::Result<(Stdio, Ends)> {
    let make = || {
        let pipe = pipe_with(PipeFlags::CLOEXEC)?;
        // Programs open their streams by name as well (`> /dev/stderr`), which asks for the right
        // to. Where root started the sandbox, the agent's uid is not ours.
        fchmod(&pipe.0, Mode::from_raw_mode(0o666))?;
        io::Result::Ok(pipe)
    };
    let (out_ours, out_theirs) = make()?;
    let (err_ours, err_theirs) = make()?;
    let (in_theirs, stdin) = if with_input {
        let (theirs, ours) = make()?;
        (theirs, Some(Sink::Pipe(pipe::Sender::from_owned_fd(ours)?)))
    } else {
        // An end without a writer reads as empty, like /dev/null, and needs no file.
        (make()?.0, None)
    };
    let ends = Ends {
        stdin,
        stdout: Source::Pipe(pipe::Receiver::from_owned_fd(out_ours)?),
        stderr: Source::Pipe(pipe::Receiver::from_owned_fd(err_ours)?),
    };
    Ok((Stdio::Pipes([in_theirs, out_theirs, err_theirs]), ends))
}

impl Source {
    /// Reads some output; 0 at its end.
    pub(crate) async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Pipe(pipe) => pipe.read(buffer).await,
            Self::Terminal(terminal) => terminal.read(buffer).await,
        }
    }
}

impl Sink {
    /// Writes all of `data`.
    pub(crate) async fn write_all(&mut self, data: &[u8]) -> io::Result<()> {
        match self {
            Self::Pipe(pipe) => pipe.write_all(data).await,
            Self::Terminal(terminal) => terminal.write_all(data).await,
        }
    }

    /// Ends the input: closes a pipe, and types the end-of-file character at a terminal.
    pub(crate) async fn finish(self) {
        const END_OF_TRANSMISSION: &[u8] = &[4];
        if let Self::Terminal(terminal) = self {
            // A terminal that takes no more input has no reader that waits for its end.
            let _ = terminal.write_all(END_OF_TRANSMISSION).await;
        }
    }
}

impl Terminal {
    /// Takes a master end.
    pub(crate) fn new(master: OwnedFd) -> io::Result<Self> {
        fcntl_setfl(&master, fcntl_getfl(&master)? | OFlags::NONBLOCK)?;
        Ok(Self { master: register(master)? })
    }

    /// Changes its size; the programs in it get SIGWINCH.
    pub(crate) fn resize(&self, size: TerminalSize) -> io::Result<()> {
        let size = Winsize { ws_col: size.cols, ws_row: size.rows, ws_xpixel: 0, ws_ypixel: 0 };
        Ok(tcsetwinsize(self.master.get_ref().as_fd(), size)?)
    }

    async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let mut ready = self.master.readable().await?;
            match ready.try_io(|fd| Ok(rustix::io::read(fd.get_ref(), &mut *buffer)?)) {
                // The last program that had the terminal open is gone.
                Ok(Err(error)) if error.raw_os_error() == Some(Errno::IO.raw_os_error()) => {
                    return Ok(0);
                }
                Ok(result) => return result,
                Err(_would_block) => {}
            }
        }
    }

    async fn write_all(&self, mut data: &[u8]) -> io::Result<()> {
        while !data.is_empty() {
            let mut ready = self.master.writable().await?;
            match ready.try_io(|fd| Ok(rustix::io::write(fd.get_ref(), data)?)) {
                Ok(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(Ok(written)) => data = data.get(written..).unwrap_or_default(),
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(Err(error)) => return Err(error),
                Err(_would_block) => {}
            }
        }
        Ok(())
    }
}

/// The size of a terminal as a frame carries it; numbers that no terminal has become 80 by 24.
pub(crate) fn terminal_size(cols: u32, rows: u32) -> TerminalSize {
    let part = |number: u32, usual: u16| match u16::try_from(number) {
        Ok(0) | Err(_) => usual,
        Ok(number) => number,
    };
    TerminalSize { cols: part(cols, 80), rows: part(rows, 24) }
}
