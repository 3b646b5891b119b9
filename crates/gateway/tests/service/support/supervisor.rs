//! A supervisor without a jail: it speaks the session protocol, and its commands are these.
//!
//! Main commands: `serve` runs; `quit TEXT CODE` waits for a client, prints and ends; `broken`
//! fails. Execs: `echo`, `fail CODE`, `cat`, `hang`, `flood BYTES`, `rude` (ignores its credit),
//! `refuse`.

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use openshell_audit::{Chain, Event as AuditEvent, Lifecycle, Record};
use openshell_driver::Placement;
use openshell_gateway::Paths;
use openshell_types::Digest;
use openshell_wire::session::session_client::SessionClient;
use openshell_wire::session::{
    Data, Done, Event, Exit, GatewayFrame, Hello, Opened, Phase, PolicyAck, Status,
    SupervisorFrame, gateway_frame, open::Target, supervisor_frame::Payload,
};
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_stream::wrappers::ReceiverStream;

use super::channel;
use super::driver::Pushed;

const OUTPUT: &[u8] = b"hello from main\n";

pub async fn run(paths: Paths, placement: Placement, pushed: Pushed) {
    let mut supervisor = Supervisor {
        generation: placement.generation,
        ended: None,
        paths,
        placement,
        pushed,
        streams: HashMap::new(),
    };
    supervisor.log("ready");
    loop {
        if supervisor.session().await.is_none() && supervisor.ended.is_some() {
            return;
        }
        sleep(Duration::from_millis(20)).await;
    }
}

struct Supervisor {
    paths: Paths,
    placement: Placement,
    pushed: Pushed,
    generation: u64,
    ended: Option<i32>,
    /// Streams that echo their input, and how much the gateway takes.
    streams: HashMap<u64, (String, u64)>,
}

impl Supervisor {
    fn audit(&self) -> std::path::PathBuf {
        self.paths.sandbox(&self.placement.spec.id).join("audit.jsonl")
    }

    fn log(&self, activity: &str) -> u64 {
        append_event(&self.audit(), &self.placement.spec, activity)
    }

    fn status(&self) -> Status {
        let command = &self.placement.spec.command;
        let waits = self.placement.spec.await_attach;
        Status {
            phase: match (self.ended, command[0].as_str()) {
                (Some(_), _) => Phase::Completed,
                (None, "broken") => Phase::Error,
                (None, _) if waits => Phase::Starting,
                (None, _) => Phase::Ready,
            }
            .into(),
            exit_code: self.ended,
            error: if command[0] == "broken" { "no jail".into() } else { String::new() },
            main_pid: 4242,
            report: "{\"landlock\":\"enforced\"}".into(),
        }
    }

    /// One session to its end; `None` when the gateway is not there.
    async fn session(&mut self) -> Option<()> {
        let mut client = SessionClient::new(channel(self.paths.session_socket()));
        let (out, frames) = mpsc::channel(64);
        let log = fs::read_to_string(self.audit()).unwrap_or_default();
        let hello = Hello {
            epoch: 0,
            version: 1,
            sandbox_id: self.placement.spec.id.to_string(),
            token: self.placement.token.expose().clone(),
            boot_id: "boot".into(),
            generation: self.generation,
            last_sequence: u64::try_from(log.lines().count()).unwrap(),
            status: Some(self.status()),
        };
        send(&out, Payload::Hello(hello)).await;
        let mut inbound = client.join(ReceiverStream::new(frames)).await.ok()?.into_inner();
        let mut known = None;
        loop {
            let frame = tokio::select! {
                frame = inbound.message() => frame.ok().flatten()?,
                // Events that something else wrote to the log.
                () = sleep(Duration::from_millis(10)) => {
                    self.report(&out, known.as_mut()).await;
                    continue;
                }
            };
            if let Some(gateway_frame::Payload::Welcome(welcome)) = &frame.payload {
                known = Some(welcome.events_after);
            }
            self.frame(frame, &out).await?;
        }
    }

    async fn report(&self, out: &mpsc::Sender<SupervisorFrame>, known: Option<&mut u64>) {
        let Some(known) = known else { return };
        for line in fs::read_to_string(self.audit()).unwrap_or_default().lines() {
            let Ok(record) = Record::parse(line) else { continue };
            if record.seq > *known {
                *known = record.seq;
                send(out, Payload::Event(Event { seq: record.seq, record: line.into() })).await;
            }
        }
    }

    async fn frame(
        &mut self,
        frame: GatewayFrame,
        out: &mpsc::Sender<SupervisorFrame>,
    ) -> Option<()> {
        match frame.payload? {
            gateway_frame::Payload::Policy(policy) => {
                let refuses = policy.text.contains("# refuse me")
                    || policy.text.contains("refuse-me.example");
                if !refuses {
                    self.generation = policy.generation;
                }
                let error = if refuses { "the kernel said no".into() } else { String::new() };
                let id = self.placement.spec.id.clone();
                self.pushed.send_modify(|all| drop(all.insert(id, policy.clone())));
                let (generation, epoch, digest) = (policy.generation, policy.epoch, policy.digest);
                send(out, Payload::PolicyAck(PolicyAck { generation, digest, error, epoch })).await;
            }
            gateway_frame::Payload::Open(open) => match open.target? {
                Target::Exec(exec) => self.exec(open.stream, exec.argv, out).await,
                Target::Attach(attach) => {
                    self.attach(open.stream, attach.resume_offset.unwrap_or(0), out).await;
                }
            },
            gateway_frame::Payload::Data(data) => {
                if let Some((kind, _)) = self.streams.get(&data.stream) {
                    let channel = if kind == "rude" { 2 } else { 1 };
                    send(out, Payload::Data(Data { channel, ..data })).await;
                }
            }
            gateway_frame::Payload::HalfClose(end)
                if self.streams.get(&end.stream).is_some_and(|(kind, _)| kind == "cat") =>
            {
                exit(out, end.stream, 0).await;
            }
            gateway_frame::Payload::Resize(size) => {
                let text = format!("{}x{}\n", size.cols, size.rows).into_bytes();
                data(out, size.stream, text).await;
            }
            gateway_frame::Payload::Signal(signal) => {
                let code = i32::try_from(signal.signal).unwrap() + 128;
                exit(out, signal.stream, code).await;
            }
            gateway_frame::Payload::Close(close)
                if self.streams.remove(&close.stream).is_some() =>
            {
                self.log("stream closed");
            }
            gateway_frame::Payload::Credit(credit) => self.credit(credit, out).await,
            gateway_frame::Payload::Stop(_) => return None,
            _ => {}
        }
        Some(())
    }

    async fn exec(&mut self, stream: u64, argv: Vec<String>, out: &mpsc::Sender<SupervisorFrame>) {
        let words: Vec<&str> = argv.iter().map(String::as_str).collect();
        if words[0] == "refuse" {
            let error = "no more processes".into();
            return send(out, Payload::Done(Done { stream, error })).await;
        }
        opened(out, stream, 0).await;
        match words.as_slice() {
            ["echo" | "bash", ..] => {
                data(out, stream, words.join(" ").into_bytes()).await;
                let data = Data { stream, channel: 2, data: b"err".to_vec(), offset: 0 };
                send(out, Payload::Data(data)).await;
                exit(out, stream, 0).await;
            }
            ["fail", code] => exit(out, stream, code.parse().unwrap()).await,
            ["missing"] => {
                let error = "missing: not found".into();
                send(out, Payload::Exit(Exit { stream, exit_code: 127, error })).await;
            }
            ["flood", bytes] => {
                self.streams.insert(stream, ("flood".into(), bytes.parse().unwrap()));
            }
            ["rude"] => {
                for _ in 0..200 {
                    data(out, stream, vec![b'x'; 32 * 1024]).await;
                }
            }
            [kind, ..] => {
                self.streams.insert(stream, ((*kind).to_owned(), 0));
            }
            [] => {}
        }
    }

    /// Sends as much of a flood as the gateway takes.
    async fn credit(
        &mut self,
        credit: openshell_wire::session::Credit,
        out: &mpsc::Sender<SupervisorFrame>,
    ) {
        let Some((kind, left)) = self.streams.get_mut(&credit.stream) else { return };
        if kind != "flood" {
            return;
        }
        let mut bytes = credit.bytes.min(*left);
        *left -= bytes;
        let over = *left == 0;
        while bytes > 0 {
            let part = bytes.min(16 * 1024);
            data(out, credit.stream, vec![b'x'; usize::try_from(part).unwrap()]).await;
            bytes -= part;
        }
        if over {
            self.streams.remove(&credit.stream);
            exit(out, credit.stream, 0).await;
        }
    }

    async fn attach(&mut self, stream: u64, offset: u64, out: &mpsc::Sender<SupervisorFrame>) {
        opened(out, stream, offset).await;
        let output = match &self.placement.spec.command[..] {
            [quit, text, _] if quit == "quit" => text.clone().into_bytes(),
            _ => OUTPUT.to_vec(),
        };
        let rest = output[usize::try_from(offset).unwrap().min(output.len())..].to_vec();
        let frame = Data { stream, channel: 1, data: rest, offset };
        send(out, Payload::Data(frame)).await;
        if let [quit, text, code] = &self.placement.spec.command[..]
            && quit == "quit"
        {
            let log = self.paths.sandbox(&self.placement.spec.id).join("main.log");
            fs::write(log, text).expect("main.log");
            let code = code.parse().unwrap();
            self.ended = Some(code);
            exit(out, stream, code).await;
            send(out, Payload::Status(self.status())).await;
        } else {
            self.streams.insert(stream, ("main".into(), 0));
        }
    }
}

async fn opened(out: &mpsc::Sender<SupervisorFrame>, stream: u64, offset: u64) {
    let opened = Opened { stream, tty: false, stdin_held: true, offset };
    send(out, Payload::Opened(opened)).await;
}

async fn data(out: &mpsc::Sender<SupervisorFrame>, stream: u64, data: Vec<u8>) {
    send(out, Payload::Data(Data { stream, channel: 1, data, offset: 0 })).await;
}

async fn exit(out: &mpsc::Sender<SupervisorFrame>, stream: u64, exit_code: i32) {
    send(out, Payload::Exit(Exit { stream, exit_code, error: String::new() })).await;
}

async fn send(out: &mpsc::Sender<SupervisorFrame>, payload: Payload) {
    let _ = out.send(SupervisorFrame { payload: Some(payload) }).await;
}

/// Appends an event to a sandbox's log, as a supervisor does, and returns its number.
pub fn append_event(log: &Path, spec: &openshell_types::SandboxSpec, activity: &str) -> u64 {
    let text = fs::read_to_string(log).unwrap_or_default();
    let mut chain = match text.lines().last() {
        Some(line) => {
            Chain::resume(Record::parse(line).expect("own line").seq, Digest::of(line.as_bytes()))
        }
        None => Chain::new(),
    };
    let event =
        AuditEvent::Lifecycle(Lifecycle { activity: activity.into(), detail: String::new() });
    let line = chain.append(Timestamp::now(), &spec.name, &spec.id, event);
    let mut file = OpenOptions::new().create(true).append(true).open(log).expect("log");
    file.write_all(format!("{}\n", line.text).as_bytes()).expect("append");
    line.seq
}
