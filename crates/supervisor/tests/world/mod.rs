//! A sandbox for tests: the real driver starts the real supervisor, which builds the real jail;
//! only the gateway is the test's own, and it speaks real gRPC over the real socket.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use openshell_driver::launch::{Upstream, file};
use openshell_driver::{Driver, Observed, Placement};
use openshell_driver_native::{Native, NativeConfig};
use openshell_types::{Identity, Redacted, SandboxId, SandboxName, SandboxSpec, WorkspaceName};
use openshell_wire::session::gateway_frame::Payload as Told;
use openshell_wire::session::session_server::{Session, SessionServer};
use openshell_wire::session::supervisor_frame::Payload;
use openshell_wire::session::{self as wire, GatewayFrame, SupervisorFrame, open::Target};
use tokio::net::UnixListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_stream::wrappers::{ReceiverStream, UnixListenerStream};
use tonic::codegen::BoxStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

pub const TOKEN: &str = "token-of-this-test";
const PATIENCE: Duration = Duration::from_secs(20);

/// The machine of one test.
pub struct World {
    pub folder: tempfile::TempDir,
    pub driver: Native,
    pub id: SandboxId,
    joined: mpsc::Receiver<Link>,
    join: mpsc::Sender<Link>,
    gateway: JoinHandle<()>,
}

/// One session, as the gateway sees it.
pub struct Link {
    out: mpsc::Sender<Result<GatewayFrame, Status>>,
    incoming: Streaming<SupervisorFrame>,
    pub statuses: Vec<wire::Status>,
    pub events: Vec<wire::Event>,
    pub acks: Vec<wire::PolicyAck>,
    next_stream: u64,
    waiting: Vec<Payload>,
    log: PathBuf,
}

struct Gateway {
    join: mpsc::Sender<Link>,
}

#[tonic::async_trait]
impl Session for Gateway {
    async fn join(
        &self,
        request: Request<Streaming<SupervisorFrame>>,
    ) -> Result<Response<BoxStream<GatewayFrame>>, Status> {
        let mut incoming = request.into_inner();
        let Some(SupervisorFrame { payload: Some(Payload::Hello(hello)) }) =
            incoming.message().await?
        else {
            return Err(Status::invalid_argument("hello first"));
        };
        assert_eq!(hello.token, TOKEN);
        let (out, frames) = mpsc::channel(64);
        let welcome = wire::Welcome { version: 1, events_after: 0 };
        let _ = out.send(Ok(GatewayFrame { payload: Some(Told::Welcome(welcome)) })).await;
        let link = Link {
            statuses: hello.status.into_iter().collect(),
            out,
            incoming,
            events: vec![],
            acks: vec![],
            next_stream: 1,
            waiting: vec![],
            log: PathBuf::new(),
        };
        let _ = self.join.send(link).await;
        Ok(Response::new(Box::pin(ReceiverStream::new(frames))))
    }
}

impl World {
    /// A machine with a gateway and without a sandbox.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("temporary folder");
        let session_dir = folder.path().join("session");
        fs::create_dir(&session_dir).expect("folder");
        // A supervisor of another uid walks from a descriptor of this folder.
        fs::set_permissions(&session_dir, Permissions::from_mode(0o711)).expect("mode");
        let driver = Native::new(NativeConfig {
            state_dir: folder.path().join("openshell/sandboxes"),
            session_dir,
            supervisor_binary: supervisor_binary(),
            uid_blocks: folder.path().join("uid-blocks.json"),
            upstream: Upstream::default(),
            // As long as it may be: each start shows that it arrives.
            proxy_auth: Some(Redacted::new(format!("ada:{}", "\"".repeat(4092)))),
        });
        let (join, joined) = mpsc::channel(4);
        let gateway = serve(folder.path(), join.clone());
        let mut bytes = [0; 8];
        rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).expect("random");
        let id = format!("0b6a3b1e-58a7-4b11-9d3c-{:012x}", u64::from_ne_bytes(bytes) >> 16);
        let id = SandboxId::parse(&id).expect("id");
        Self { folder, driver, id, joined, join, gateway }
    }

    /// Ends the gateway, without a word to its sessions.
    pub fn end_gateway(&mut self) {
        self.gateway.abort();
        let _ = fs::remove_file(self.folder.path().join("session").join(file::SESSION_SOCKET));
    }

    /// Starts another one.
    pub fn start_gateway(&mut self) {
        self.gateway = serve(self.folder.path(), self.join.clone());
    }

    /// A sandbox that runs `command` without a terminal.
    pub fn spec(&self, command: &[&str]) -> SandboxSpec {
        SandboxSpec {
            version: SandboxSpec::VERSION,
            id: self.id.clone(),
            name: SandboxName::parse("box").expect("name"),
            workspace: WorkspaceName::default_workspace(),
            command: command.iter().map(ToString::to_string).collect(),
            terminal: None,
            environment: BTreeMap::from([("FROM_SPEC".into(), "yes".into())]),
            mounts: vec![],
            tool_binds: vec![],
            await_attach: false,
            await_credentials: false,
            // The driver puts the right one in its place.
            identity: Identity::Caller { uid: 0, gid: 0 },
        }
    }

    /// Starts the sandbox and waits for its session.
    pub async fn start(&mut self, spec: SandboxSpec) -> Link {
        self.start_with(spec, "").await
    }

    /// The same with a policy.
    pub async fn start_with(&mut self, spec: SandboxSpec, policy: &str) -> Link {
        let placement = Placement {
            spec,
            policy: policy.into(),
            generation: 1,
            token: Redacted::new(TOKEN.into()),
        };
        let observed = self.driver.ensure(&placement).await;
        let observed = observed.unwrap_or_else(|error| panic!("{error}\n{}", self.log()));
        assert!(matches!(observed, Observed::Running { pid: Some(_) }));
        self.session().await
    }

    /// The next session that is made.
    pub async fn session(&mut self) -> Link {
        match timeout(PATIENCE, self.joined.recv()).await {
            Ok(Some(link)) => Link { log: self.path(file::SUPERVISOR_LOG), ..link },
            _ => panic!("no session\n{}", self.log()),
        }
    }

    /// Waits until there is no supervisor.
    pub async fn gone(&self) {
        let gone = async {
            while self.driver.observe(&self.id).await.expect("observe") != Observed::Absent {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, gone).await.unwrap_or_else(|_| panic!("still there\n{}", self.log()));
    }

    /// What the supervisor printed.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path(file::SUPERVISOR_LOG)).unwrap_or_default()
    }

    /// A file of the sandbox's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.driver.folder(&self.id).join(name)
    }
}

fn serve(folder: &Path, join: mpsc::Sender<Link>) -> JoinHandle<()> {
    let socket = folder.join("session").join(file::SESSION_SOCKET);
    let listener = UnixListener::bind(&socket).expect("session socket");
    fs::set_permissions(&socket, Permissions::from_mode(0o666)).expect("mode");
    tokio::spawn(async move {
        let service = SessionServer::new(Gateway { join });
        let incoming = UnixListenerStream::new(listener);
        Server::builder().add_service(service).serve_with_incoming(incoming).await.expect("serve");
    })
}

/// What came of a command.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Ran {
    pub stdout: String,
    pub stderr: String,
    pub code: Option<i32>,
    pub error: String,
    /// Offset behind the last byte.
    pub offset: u64,
}

impl Link {
    pub async fn send(&self, told: Told) {
        let _ = self.out.send(Ok(GatewayFrame { payload: Some(told) })).await;
    }

    /// The next frame of a stream; everything else is put where it belongs.
    pub async fn next(&mut self) -> Option<Payload> {
        if !self.waiting.is_empty() {
            return Some(self.waiting.remove(0));
        }
        self.receive().await
    }

    async fn receive(&mut self) -> Option<Payload> {
        loop {
            let frame = timeout(PATIENCE, self.incoming.message()).await.expect("a frame in time");
            match frame.ok()??.payload? {
                Payload::Status(status) => self.statuses.push(status),
                Payload::Event(event) => {
                    self.send(Told::EventsAck(wire::EventsAck { seq: event.seq })).await;
                    self.events.push(event);
                }
                Payload::PolicyAck(ack) => {
                    self.acks.push(ack.clone());
                    return Some(Payload::PolicyAck(ack));
                }
                payload => return Some(payload),
            }
        }
    }

    /// Reads to the end of the session.
    pub async fn drain(&mut self) {
        while let Some(payload) = self.receive().await {
            self.waiting.push(payload);
        }
    }

    /// Waits for a status of this phase.
    pub async fn phase(&mut self, phase: wire::Phase) -> wire::Status {
        loop {
            if let Some(found) = self.statuses.iter().find(|s| s.phase == i32::from(phase)) {
                return found.clone();
            }
            let frame = timeout(PATIENCE, self.incoming.message()).await.expect("a frame in time");
            let Ok(Some(frame)) = frame else {
                panic!("no {phase:?}: {}", fs::read_to_string(&self.log).unwrap_or_default())
            };
            match frame.payload.expect("payload") {
                Payload::Status(status) => self.statuses.push(status),
                Payload::Event(event) => self.events.push(event),
                payload => self.waiting.push(payload),
            }
        }
    }

    pub async fn open(&mut self, target: Target) -> u64 {
        let stream = self.next_stream;
        self.next_stream += 1;
        self.send(Told::Open(wire::Open { stream, target: Some(target) })).await;
        stream
    }

    pub async fn data(&self, stream: u64, data: &[u8]) {
        let data = wire::Data { stream, channel: 0, data: data.to_vec(), offset: 0 };
        self.send(Told::Data(data)).await;
    }

    /// Runs a command without input.
    pub async fn exec(&mut self, argv: &[&str]) -> Ran {
        let stream = self.open(Target::Exec(exec(argv))).await;
        self.send(Told::HalfClose(wire::HalfClose { stream })).await;
        self.finish(stream).await
    }

    /// Reads a stream to its end.
    pub async fn finish(&mut self, stream: u64) -> Ran {
        let mut ran = Ran::default();
        loop {
            match self.next().await {
                Some(Payload::Data(data)) if data.stream == stream => {
                    let text = String::from_utf8_lossy(&data.data);
                    match data.channel {
                        1 => ran.stdout.push_str(&text),
                        2 => ran.stderr.push_str(&text),
                        other => panic!("channel {other}"),
                    }
                    ran.offset = data.offset + data.data.len() as u64;
                }
                Some(Payload::Exit(exit)) if exit.stream == stream => {
                    return Ran { code: Some(exit.exit_code), error: exit.error, ..ran };
                }
                Some(Payload::Done(done)) if done.stream == stream => {
                    return Ran { error: done.error, ..ran };
                }
                Some(_) => {}
                None => panic!(
                    "the session ended: {ran:?} {}",
                    fs::read_to_string(&self.log).unwrap_or_default()
                ),
            }
        }
    }
}

/// An exec without a terminal.
pub fn exec(argv: &[&str]) -> wire::Exec {
    wire::Exec { argv: argv.iter().map(ToString::to_string).collect(), ..wire::Exec::default() }
}

/// Names a copy of the supervisor, for a run as a user who may not enter the target folder.
pub const SUPERVISOR: &str = "OPENSHELL_TEST_SUPERVISOR";

/// The program under test.
pub fn supervisor_binary() -> PathBuf {
    let built = || env!("CARGO_BIN_EXE_openshell-supervisor").into();
    std::env::var_os(SUPERVISOR).unwrap_or_else(built).into()
}
