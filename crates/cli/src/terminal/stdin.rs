//! Standard input as chunks, read by a thread that can be stopped.
//!
//! Standard input may be a terminal, a pipe or a file, shared with other programs, so it is neither
//! made non-blocking nor left to a thread that hangs in `read` and eats what is typed later.

use std::io;
use std::os::fd::OwnedFd;
use std::thread::{self, JoinHandle};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::stdio;
use tokio::sync::mpsc;

/// The largest chunk.
const CHUNK: usize = 32 << 10;

/// Chunks that wait; beyond it reading stops.
const DEPTH: usize = 4;

/// Standard input. Dropping it stops the reading.
#[derive(Debug)]
pub(crate) struct Stdin {
    chunks: mpsc::Receiver<Vec<u8>>,
    /// Closing it wakes the thread.
    wake: Option<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Stdin {
    /// Begins to read.
    pub fn open() -> io::Result<Self> {
        let (woken, wake) = pipe_with(PipeFlags::CLOEXEC)?;
        let (sender, chunks) = mpsc::channel(DEPTH);
        let thread =
            thread::Builder::new().name("stdin".to_owned()).spawn(move || read(&woken, &sender))?;
        Ok(Self { chunks, wake: Some(wake), thread: Some(thread) })
    }

    /// The next chunk; `None` at the end. Cancel-safe.
    pub async fn next(&mut self) -> Option<Vec<u8>> {
        self.chunks.recv().await
    }
}

impl Drop for Stdin {
    fn drop(&mut self) {
        self.chunks.close();
        self.wake.take();
        if let Some(thread) = self.thread.take() {
            // It ends at once: it waits for nothing but input, the wake and the channel.
            let _ = thread.join();
        }
    }
}

fn read(woken: &OwnedFd, sender: &mpsc::Sender<Vec<u8>>) {
    let mut buffer = vec![0; CHUNK];
    loop {
        let mut waits = [
            PollFd::from_borrowed_fd(stdio::stdin(), PollFlags::IN),
            PollFd::new(woken, PollFlags::IN),
        ];
        match poll(&mut waits, None) {
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(_) => return,
        }
        let [input, wake] = &waits;
        if !wake.revents().is_empty() {
            return;
        }
        if input.revents().is_empty() {
            continue;
        }
        match rustix::io::read(stdio::stdin(), buffer.as_mut_slice()) {
            // A terminal that hangs up reads as an error: the end as well.
            Ok(0) => return,
            Ok(length) => {
                let chunk = buffer.get(..length).unwrap_or_default().to_vec();
                if sender.blocking_send(chunk).is_err() {
                    return;
                }
            }
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(_) => return,
        }
    }
}
