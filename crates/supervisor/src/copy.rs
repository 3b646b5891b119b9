//! Moving bytes between a command and whoever watches it.

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use crate::limits;
use crate::output::Channel;
use crate::stdio::{Sink, Source};

/// Input on its way to a command.
#[derive(Debug)]
pub(crate) enum Input {
    /// Some bytes.
    Data(Vec<u8>),
    /// The end of input.
    End,
}

/// Where a command's exit code appears once it ended.
pub(crate) type Ended = watch::Receiver<Option<i32>>;

/// Waits for a command in the background. A command whose jail ended before telling was killed
/// with it.
pub(crate) fn watch_exit(exited: oneshot::Receiver<i32>) -> Ended {
    const KILLED: i32 = 128 + 9;
    let (tell, ended) = watch::channel(None);
    tokio::spawn(async move {
        tell.send_replace(Some(exited.await.unwrap_or(KILLED)));
    });
    ended
}

/// The exit code, once there is one.
pub(crate) async fn exit_code(mut ended: Ended) -> i32 {
    const LOST: i32 = 125;
    match ended.wait_for(Option::is_some).await {
        Ok(code) => code.unwrap_or(LOST),
        Err(_) => LOST,
    }
}

/// Reads all sources of a command. The receiver ends when they have, or when the command `ended`
/// and what it had written is read.
pub(crate) fn outputs(
    sources: Vec<(Channel, Source)>,
    ended: &Ended,
) -> mpsc::Receiver<(Channel, Vec<u8>)> {
    let (chunks, received) = mpsc::channel(8);
    for (channel, source) in sources {
        tokio::spawn(pump(source, channel, ended.clone(), chunks.clone()));
    }
    received
}

async fn pump(
    mut source: Source,
    channel: Channel,
    mut ended: Ended,
    chunks: mpsc::Sender<(Channel, Vec<u8>)>,
) {
    let mut buffer = vec![0; limits::CHUNK];
    let mut left = limits::DRAIN_BYTES;
    while left > 0 {
        let has_ended = ended.borrow_and_update().is_some();
        let read = if has_ended {
            // A child that was left behind may hold the pipe open for ever.
            match timeout(limits::DRAIN_IDLE, source.read(&mut buffer)).await {
                Ok(read) => read,
                Err(_) => return,
            }
        } else {
            tokio::select! {
                read = source.read(&mut buffer) => read,
                changed = ended.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return,
                },
                () = chunks.closed() => return,
            }
        };
        let length = match read {
            Ok(0) | Err(_) => return,
            Ok(length) => length,
        };
        if has_ended {
            left = left.saturating_sub(length);
        }
        let data = buffer.get(..length).unwrap_or_default().to_vec();
        if chunks.send((channel, data)).await.is_err() {
            return;
        }
    }
}

/// Writes input to a command until its end; what comes for one that no longer reads is dropped.
pub(crate) async fn feed(mut sink: Sink, received: &mut mpsc::Receiver<Input>) {
    while let Some(input) = received.recv().await {
        match input {
            Input::Data(data) => {
                if sink.write_all(&data).await.is_err() {
                    break;
                }
            }
            Input::End => {
                sink.finish().await;
                break;
            }
        }
    }
}
