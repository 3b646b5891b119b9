//! A client at the main command: its output from an offset on, and perhaps its input.

use std::sync::Arc;

use openshell_wire::session::Attach;
use tokio::sync::mpsc;

use crate::copy::Input;
use crate::limits;
use crate::main_command::{MainCommand, MainState, Stdin};
use crate::output::Reader;
use crate::sandbox::Sandbox;
use crate::stdio::terminal_size;

use super::stream::{Control, Gone, Out, Stream};

/// Serves one client until the main command ended or the client is gone.
pub(super) async fn serve(sandbox: &Arc<Sandbox>, attach: Attach, stream: Stream) {
    let Stream { mut input, mut control, out } = stream;
    let main = &sandbox.main;
    let _attached = Attached::new(sandbox);
    let stdin = if attach.hold_stdin { main.hold_stdin() } else { None };
    if main.has_terminal() && attach.cols > 0 && attach.rows > 0 {
        main.resize(terminal_size(attach.cols, attach.rows));
    }
    let reader = main.output().reader(attach.resume_offset);
    main.start();
    if out.opened(main.has_terminal(), stdin.is_some(), reader.offset()).await.is_err() {
        return;
    }

    let output = output(main, &out, reader);
    let feeding = feed(stdin, &mut input);
    tokio::pin!(output, feeding);
    let mut fed = false;
    loop {
        tokio::select! {
            _ = &mut output => return,
            () = &mut feeding, if !fed => fed = true,
            asked = control.recv() => match asked {
                Some(Control::Resize(size)) => main.resize(size),
                Some(Control::Signal(signal)) => main.signal(&sandbox.processes, signal).await,
                // A hang-up detaches; the command goes on.
                None => {
                    let _ = out.refuse("detached").await;
                    return;
                }
            },
        }
    }
}

/// Counts a client for as long as it is here.
struct Attached<'a>(&'a Sandbox);

impl<'a> Attached<'a> {
    fn new(sandbox: &'a Sandbox) -> Self {
        sandbox.attached.send_modify(|count| *count = count.saturating_add(1));
        Self(sandbox)
    }
}

impl Drop for Attached<'_> {
    fn drop(&mut self) {
        self.0.attached.send_modify(|count| *count = count.saturating_sub(1));
    }
}

/// Sends output until there is no more, then how the command ended.
async fn output(main: &MainCommand, out: &Out, mut reader: Reader<'_>) -> Result<(), Gone> {
    let mut progress = main.output().watch();
    loop {
        let closed = progress.borrow_and_update().closed;
        while let Some(piece) = reader.next(limits::CHUNK) {
            out.data(piece.channel, &piece.data, piece.offset).await?;
            reader.has_read(&piece);
        }
        if closed {
            break;
        }
        if progress.changed().await.is_err() {
            break;
        }
    }
    let state = main.watch().borrow().clone();
    match state {
        MainState::Ended { code, error } => out.exit(code, error).await,
        MainState::Waiting | MainState::Running { .. } => {
            out.refuse("the main command's output ended before it").await
        }
    }
}

/// Moves input to the command as long as this client holds it; input of others is dropped.
async fn feed(stdin: Option<Stdin>, input: &mut mpsc::Receiver<Input>) {
    while let Some(next) = input.recv().await {
        match (&stdin, next) {
            (Some(stdin), Input::Data(data)) => stdin.write(data).await,
            (Some(stdin), Input::End) => stdin.finish().await,
            (None, _) => {}
        }
    }
}
