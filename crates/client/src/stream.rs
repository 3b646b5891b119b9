//! Input and output of a command in a sandbox: one shape for the main command and for exec.

use openshell_types::TerminalSize;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::error::ClientError;
use crate::limits;

/// What goes to the command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Bytes for its standard input.
    Stdin(Vec<u8>),
    /// Its standard input ends.
    HalfClose,
    /// Its terminal has another size.
    Resize(TerminalSize),
    /// A signal for its process group; the main command's only.
    Signal(u8),
}

/// What comes from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// First, and again after each re-connection.
    Started {
        /// Whether it has a terminal.
        tty: bool,
        /// Whether this client holds its standard input; one client at a time does.
        stdin_held: bool,
    },
    /// Bytes that it wrote.
    Output(Channel, Vec<u8>),
    /// Last: it ended.
    Exit {
        /// Its code as a shell gives it; 125 when it could not be started by our fault.
        code: i32,
        /// Why it could not be started, when it could not.
        error: Option<String>,
    },
}

/// Where a command wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// Standard output; everything, when it has a terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A live command: dropping both halves ends the connection (which detaches from a main command,
/// and ends an exec).
#[derive(Debug)]
pub struct Stream {
    sender: Sender,
    output: Output,
}

impl Stream {
    /// Starts `pump`, which moves input and output between the two halves and a connection.
    pub(crate) fn start<F>(
        pump: impl FnOnce(mpsc::Receiver<Input>, mpsc::Sender<Result<Event, ClientError>>) -> F,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (to_pump, input) = mpsc::channel(limits::STREAM_DEPTH);
        let (from_pump, events) = mpsc::channel(limits::STREAM_DEPTH);
        let task = tokio::spawn(pump(input, from_pump));
        Self { sender: Sender { to_pump }, output: Output { events, task } }
    }

    /// The two halves, to be driven side by side: input must flow while output waits.
    pub fn split(self) -> (Sender, Output) {
        (self.sender, self.output)
    }
}

/// The half that sends input.
#[derive(Clone, Debug)]
pub struct Sender {
    to_pump: mpsc::Sender<Input>,
}

impl Sender {
    /// Sends, waiting while the command does not read. `false`: the connection is over.
    pub async fn send(&self, input: Input) -> bool {
        self.to_pump.send(input).await.is_ok()
    }
}

/// The half that receives output.
#[derive(Debug)]
pub struct Output {
    events: mpsc::Receiver<Result<Event, ClientError>>,
    task: JoinHandle<()>,
}

impl Output {
    /// The next event; `None` after the last one. Cancel-safe.
    pub async fn next(&mut self) -> Option<Result<Event, ClientError>> {
        self.events.recv().await
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.task.abort();
    }
}
