//! A conversation with a command in a sandbox: input there, output here, and its exit code.

use std::time::Duration;

use openshell_client::{Channel, ClientError, Event, Input, Output, Sender, Stream};
use tokio::io::{AsyncWrite, AsyncWriteExt as _, Stderr, Stdout};
use tokio::time::{sleep, timeout};

use super::keys::{DetachKeys, Typed};
use super::raw::RawMode;
use super::signals::{BROKEN_PIPE, Heard, INTERRUPT, Signals};
use super::size;
use super::stdin::Stdin;
use crate::config::Config;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{escape, note, unwritable};
use crate::progress;

/// How long a lone Ctrl-P is held back.
const HOLD: Duration = Duration::from_millis(400);

/// How long a signal may wait behind input that the command does not read.
const SIGNAL_WAIT: Duration = Duration::from_millis(200);

/// SIGHUP's number.
const HANG_UP: u8 = 1;

/// A person who interrupts this often wants to leave, whatever the command does.
const INTERRUPTS_TO_LEAVE: u32 = 3;

/// What kind of command it is.
#[derive(Clone, Debug)]
pub(crate) struct Conversation {
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    /// The main command of the sandbox with this name: one can leave it, and signals reach it.
    Main(String),
    /// An exec: leaving ends it.
    Exec,
}

impl Conversation {
    /// With a sandbox's main command.
    pub fn main(sandbox: &str) -> Self {
        Self { kind: Kind::Main(sandbox.to_owned()) }
    }

    /// With a further command.
    pub const fn exec() -> Self {
        Self { kind: Kind::Exec }
    }

    const fn is_main(&self) -> bool {
        matches!(self.kind, Kind::Main(_))
    }
}

/// How a conversation ended.
enum Ending {
    /// The command ended, or could not be run.
    Exit(Exit),
    /// The person pressed the keys that detach.
    Keys,
    /// A signal told us to leave.
    Signal(u8),
}

/// Carries on a conversation to its end.
pub(crate) async fn converse(
    stream: Stream,
    conversation: Conversation,
    config: &Config,
) -> Result<Exit, CliError> {
    let (sender, mut output) = stream.split();
    let started = progress::while_waiting(config, "starting", output.next()).await;
    let (tty, stdin_held) = match started {
        Some(Ok(Event::Started { tty, stdin_held })) => (tty, stdin_held),
        Some(Ok(Event::Exit { code, error })) => return Ok(ended(code, error)),
        Some(Ok(Event::Output(..))) | None => return Err(nothing()),
        Some(Err(error)) => return Err(CliError::from(error).before_start()),
    };
    let system = |error| CliError::system("the terminal cannot be used", error);
    let mut signals = Signals::listen().map_err(system)?;
    let raw = match tty && stdin_held && config.terminals.input {
        true => Some(RawMode::enter().map_err(system)?),
        false => None,
    };
    if !stdin_held && conversation.is_main() {
        note("this one only watches: the command takes no input, or another program holds it");
    }
    // The size may have changed between the request and now.
    if let Some(size) = size(config).filter(|_| tty) {
        sender.send(Input::Resize(size)).await;
    }
    let mut stdin = match stdin_held {
        true => Some(Stdin::open().map_err(system)?),
        false => None,
    };
    let keys = (raw.is_some() && conversation.is_main()).then(DetachKeys::default);
    let forward = conversation.is_main() && raw.is_none();
    let ending = tokio::select! {
        exit = receive(&mut output, config) => exit.map(Ending::Exit),
        left = send(&sender, &mut stdin, keys, raw.is_some()) => Ok(left),
        number = heed(&mut signals, &sender, forward, tty.then_some(config)) => {
            Ok(Ending::Signal(number))
        }
    };
    if forward && ending.as_ref().is_err_and(CliError::is_broken_pipe) {
        break_pipe(&sender, &mut output).await;
    }
    drop(stdin);
    if let (Some(raw), Ok(Ending::Keys | Ending::Signal(_))) = (&raw, &ending) {
        raw.forget_program();
    }
    drop(raw);
    conclude(ending?, &conversation)
}

fn conclude(ending: Ending, conversation: &Conversation) -> Result<Exit, CliError> {
    match (ending, &conversation.kind) {
        (Ending::Exit(exit), _) => Ok(exit),
        (Ending::Keys, Kind::Main(name)) => {
            note(&format!("left it running; `openshell sandbox connect {name}` comes back"));
            Ok(Exit::OK)
        }
        (Ending::Keys, Kind::Exec) => Ok(Exit::OK),
        (Ending::Signal(number), _) => Ok(Exit::of_signal(number)),
    }
}

/// Tells the command that nobody reads it, as a pipe would. One that does not care goes on.
async fn break_pipe(sender: &Sender, output: &mut Output) {
    let telling = async {
        sender.send(Input::Signal(BROKEN_PIPE)).await;
        // Its output is read on, or the signal would stay behind it.
        while let Some(Ok(event)) = output.next().await {
            if matches!(event, Event::Exit { .. }) {
                break;
            }
        }
    };
    // Whether it ended by then is its own affair.
    let _ = timeout(SIGNAL_WAIT, telling).await;
}

/// Moves output here until the command ends.
async fn receive(output: &mut Output, config: &Config) -> Result<Exit, CliError> {
    let mut out: Stdout = tokio::io::stdout();
    let mut err: Stderr = tokio::io::stderr();
    loop {
        // Without a patience line when nothing is wrong: a silent command is no failure.
        match output.next().await {
            Some(Ok(Event::Output(Channel::Stdout, data))) => write(&mut out, &data).await?,
            Some(Ok(Event::Output(Channel::Stderr, data))) => write(&mut err, &data).await?,
            Some(Ok(Event::Started { .. })) => {
                if config.terminals.error {
                    note("\r\nthe gateway is back; connected again\r");
                }
            }
            Some(Ok(Event::Exit { code, error })) => return Ok(ended(code, error)),
            Some(Err(error)) => return Err(error.into()),
            None => return Err(nothing()),
        }
    }
}

async fn write(out: &mut (impl AsyncWrite + Unpin), data: &[u8]) -> Result<(), CliError> {
    let written = async {
        out.write_all(data).await?;
        out.flush().await
    };
    written.await.map_err(|error| unwritable(&error))
}

/// The command's exit code; what kept it from starting is said first.
fn ended(code: i32, error: Option<String>) -> Exit {
    if let Some(error) = error {
        note(&format!("\rerror: {}", escape(&error)));
    }
    Exit::of_command(code)
}

fn nothing() -> CliError {
    ClientError::Lost("the stream ended before the command did".to_owned()).into()
}

/// Moves input there. Returns only when the person leaves.
async fn send(
    sender: &Sender,
    stdin: &mut Option<Stdin>,
    mut keys: Option<DetachKeys>,
    is_raw: bool,
) -> Ending {
    while let Some(input) = stdin {
        let holding = keys.as_ref().is_some_and(DetachKeys::is_holding);
        let chunk = tokio::select! {
            chunk = input.next() => chunk,
            () = sleep(HOLD), if holding => {
                if let Some(held) = keys.as_mut().and_then(DetachKeys::release) {
                    sender.send(Input::Stdin(held)).await;
                }
                continue;
            }
        };
        let Some(chunk) = chunk else {
            // A terminal in raw mode has no end of input but its own: its window was closed.
            if is_raw {
                return Ending::Signal(HANG_UP);
            }
            sender.send(Input::HalfClose).await;
            break;
        };
        let typed = match &mut keys {
            Some(keys) => keys.feed(&chunk),
            None => Typed::Pass(chunk),
        };
        let (bytes, leave) = match typed {
            Typed::Pass(bytes) => (bytes, false),
            Typed::Leave(bytes) => (bytes, true),
        };
        if !bytes.is_empty() {
            sender.send(Input::Stdin(bytes)).await;
        }
        if leave {
            return Ending::Keys;
        }
    }
    std::future::pending().await
}

/// Heeds signals. Returns only when one means to leave: all do, except those that are forwarded.
async fn heed(
    signals: &mut Signals,
    sender: &Sender,
    forward: bool,
    terminal: Option<&Config>,
) -> u8 {
    let mut interrupts: u32 = 0;
    loop {
        let input = match signals.next().await {
            Heard::HangUp => return HANG_UP,
            Heard::Stop(number) if !forward => return number,
            Heard::Stop(number) => {
                interrupts = interrupts.saturating_add(u32::from(number == INTERRUPT));
                if interrupts >= INTERRUPTS_TO_LEAVE {
                    return number;
                }
                Input::Signal(number)
            }
            Heard::Resize => match terminal.and_then(size) {
                Some(size) => Input::Resize(size),
                None => continue,
            },
        };
        // Behind input that the command does not read it would wait for ever.
        let _ = timeout(SIGNAL_WAIT, sender.send(input)).await;
    }
}
