//! Moving many bytes from socket to socket through a pipe, so that they are not copied into this
//! process and out again.

use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::halves::Bare;
use crate::ledger::Meter;
use crate::limits;

/// A pipe that is empty between two rounds.
pub(crate) struct Pipe {
    way_in: OwnedFd,
    way_out: OwnedFd,
}

/// Why a pipe stopped carrying.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pause {
    /// Nothing more will come.
    End,
    /// Nothing came for a while.
    Idle,
    /// A budget has no room for more.
    UsedUp,
}

impl Pipe {
    /// A new one.
    pub(crate) fn new() -> io::Result<Self> {
        let (way_out, way_in) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // A user's pipes have a total; beyond it this one stays as small as it is.
        let _size = fcntl_setpipe_size(&way_in, limits::PIPE);
        Ok(Self { way_in, way_out })
    }

    /// Carries all that comes. Whoever drops the future loses what is in the pipe, and has to reset
    /// both ends.
    pub(crate) async fn carry(
        &self,
        from: &TcpStream,
        to: &TcpStream,
        (moved, meter): (&AtomicU64, &mut Meter),
    ) -> io::Result<Pause> {
        loop {
            let Some(taken) = self.fill(from, limits::PIPE).await? else {
                return Ok(Pause::Idle);
            };
            if taken == 0 {
                return Ok(Pause::End);
            }
            let granted = meter.take(taken);
            let passed = |passed| {
                moved.fetch_add(u64::try_from(passed).unwrap_or(1), Ordering::Relaxed);
            };
            self.empty(to, granted, passed).await?;
            if granted < taken {
                return Ok(Pause::UsedUp);
            }
        }
    }

    /// Takes at most so many bytes of what comes into the empty pipe, and says how many: 0 at the
    /// end, `None` when nothing came for a while.
    pub(crate) async fn fill(&self, from: &impl Bare, most: usize) -> io::Result<Option<usize>> {
        // The pipe is empty, so only the socket can make this wait.
        let take = |socket: &TcpStream| {
            Ok(splice(socket, None, &self.way_in, None, most.min(limits::PIPE), FLAGS)?)
        };
        let taken = poll_fn(|context| poll(from, context, Interest::READABLE, take));
        timeout(limits::BULK_IDLE, taken).await.ok().transpose()
    }

    /// Passes on so many bytes, which are there, and says each time how many were passed.
    pub(crate) async fn empty(
        &self,
        to: &impl Bare,
        count: usize,
        mut passed: impl FnMut(usize),
    ) -> io::Result<()> {
        let mut left = count;
        while left > 0 {
            let pass =
                |socket: &TcpStream| Ok(splice(&self.way_out, None, socket, None, left, FLAGS)?);
            let count = poll_fn(|context| poll(to, context, Interest::WRITABLE, pass)).await?;
            if count == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            left = left.saturating_sub(count);
            passed(count);
        }
        Ok(())
    }
}

/// Moves bytes once a socket is ready. Its owner may look at it only from poll to poll.
fn poll(
    end: &impl Bare,
    context: &mut Context<'_>,
    interest: Interest,
    transfer: impl Fn(&TcpStream) -> io::Result<usize>,
) -> Poll<io::Result<usize>> {
    let moved = end.bare(|socket| {
        loop {
            ready!(match interest {
                Interest::READABLE => socket.poll_read_ready(context),
                _ => socket.poll_write_ready(context),
            })?;
            match socket.try_io(interest, || transfer(socket)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                moved => return Poll::Ready(moved),
            }
        }
    });
    moved.unwrap_or_else(|| Poll::Ready(Err(io::ErrorKind::Unsupported.into())))
}

const FLAGS: SpliceFlags = SpliceFlags::NONBLOCK.union(SpliceFlags::MOVE);

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::tests::world::policy;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (near, listener.accept().await.unwrap().0)
    }

    #[tokio::test]
    async fn everything_arrives_in_order_and_the_end_is_told() {
        let ((mut source, from), (to, mut sink)) = (pair().await, pair().await);
        let sent: Vec<u8> =
            (0..3_000_000_u32).map(|at| at.to_le_bytes()[0] ^ (at >> 9) as u8).collect();
        let copy = sent.clone();
        let writing = tokio::spawn(async move {
            source.write_all(&copy).await.unwrap();
            source.shutdown().await.unwrap();
        });
        let reading = tokio::spawn(async move {
            let mut got = Vec::new();
            sink.read_to_end(&mut got).await.unwrap();
            got
        });
        let moved = AtomicU64::new(0);
        let pause =
            Pipe::new().unwrap().carry(&from, &to, (&moved, &mut Meter::free())).await.unwrap();
        drop(to);
        writing.await.unwrap();
        assert_eq!(pause, Pause::End);
        assert_eq!(moved.load(Ordering::Relaxed), 3_000_000);
        assert!(reading.await.unwrap() == sent, "other bytes arrived");
    }

    #[tokio::test]
    async fn a_silent_source_gives_its_pipe_back() {
        let ((_source, from), (to, _sink)) = (pair().await, pair().await);
        let counters = (&AtomicU64::new(0), &mut Meter::free());
        let pause = Pipe::new().unwrap().carry(&from, &to, counters).await.unwrap();
        assert_eq!(pause, Pause::Idle);
    }
    #[tokio::test]
    async fn no_more_passes_than_a_budget_has() {
        let ((mut source, from), (to, mut sink)) = (pair().await, pair().await);
        let writing = tokio::spawn(async move { source.write_all(&vec![1; 900_000]).await });
        let reading = tokio::spawn(async move {
            let mut got = Vec::new();
            sink.read_to_end(&mut got).await.unwrap();
            got.len()
        });
        let mut meter =
            Meter::under(policy("{ host: a.example.com, port: 443, budget: { bytes: 700000 } }"));
        let counters = (&AtomicU64::new(0), &mut meter);
        let pause = Pipe::new().unwrap().carry(&from, &to, counters).await.unwrap();
        drop((from, to));
        assert_eq!((pause, reading.await.unwrap()), (Pause::UsedUp, 700_000));
        assert!(meter.spent().is_some());
        let _gone = writing.await;
    }
}
