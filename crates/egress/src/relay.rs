//! Moving bytes between a client and its upstream.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::time::sleep;

use crate::ledger::Meter;
use crate::limits;
use crate::pipe::{Pause, Pipe};
use crate::refusal::Refusal;

/// Why a tunnel ended before both sides ended it: the caller resets both, so that neither takes it
/// for a regular end (E12).
pub(crate) enum Stop {
    /// One side broke off.
    Broken,
    /// A budget has no room for more.
    UsedUp(Refusal),
}

impl From<io::Error> for Stop {
    fn from(_: io::Error) -> Self {
        Self::Broken
    }
}

/// Relays both ways until both ended; an end of one way is passed on and the other goes on. Each way
/// is counted by a meter like this one.
pub(crate) async fn tunnel(
    client: &mut TcpStream,
    server: &mut TcpStream,
    held: &[u8],
    mut meter: Meter,
) -> Result<(), Stop> {
    let (from_client, mut to_client) = client.split();
    let (from_server, mut to_server) = server.split();
    let moved = AtomicU64::new(0);
    let down = pump(&from_server, &mut to_client, &moved, meter.clone());
    let up = async {
        meter.charge(held.len()).map_err(Stop::UsedUp)?;
        to_server.write_all(held).await?;
        pump(&from_client, &mut to_server, &moved, meter).await
    };
    tokio::pin!(up, down);
    tokio::select! {
        end = &mut up => { end?; half_closed(down, &moved).await }
        end = &mut down => { end?; half_closed(up, &moved).await }
    }
}

/// Lets the other way go on, unless it is silent for too long: its peer may be gone for good.
pub(crate) async fn half_closed(
    way: impl Future<Output = Result<(), Stop>>,
    moved: &AtomicU64,
) -> Result<(), Stop> {
    tokio::pin!(way);
    loop {
        let before = moved.load(Ordering::Relaxed);
        tokio::select! {
            end = &mut way => return end,
            () = sleep(limits::HALF_CLOSED_IDLE) => {
                if moved.load(Ordering::Relaxed) == before {
                    return Err(Stop::Broken);
                }
            }
        }
    }
}

/// Moves bytes one way until its end, and passes the end on. A buffer is held only while there is
/// something to move, so idle tunnels cost no memory. Much at a time is not copied any more.
async fn pump(
    from: &ReadHalf<'_>,
    to: &mut WriteHalf<'_>,
    moved: &AtomicU64,
    mut meter: Meter,
) -> Result<(), Stop> {
    let mut streak = 0;
    loop {
        from.readable().await?;
        let mut buffer = Vec::with_capacity(limits::RELAY_BUFFER);
        loop {
            buffer.clear();
            match from.try_read_buf(&mut buffer) {
                Ok(0) => return Ok(to.shutdown().await?),
                Ok(read) => {
                    buffer.truncate(meter.take(read));
                    to.write_all(&buffer).await?;
                    unspent(&meter)?;
                    let read = u64::try_from(read).unwrap_or(1);
                    moved.fetch_add(read, Ordering::Relaxed);
                    streak += read;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        drop(buffer);
        if streak >= limits::BULK {
            streak = 0;
            // Out of descriptors: copying goes on.
            let Ok(pipe) = Pipe::new() else { continue };
            match pipe.carry(from.as_ref(), to.as_ref(), (moved, &mut meter)).await? {
                Pause::Idle => {}
                Pause::End => return Ok(to.shutdown().await?),
                Pause::UsedUp => unspent(&meter)?,
            }
        }
    }
}

/// Stops where less was granted than there was.
pub(crate) fn unspent(meter: &Meter) -> Result<(), Stop> {
    meter.spent().map_or(Ok(()), |refusal| Err(Stop::UsedUp(refusal.clone())))
}
