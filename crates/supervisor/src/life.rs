//! The sandbox's life, from the seal to its end.
//!
//! The jail ends when its main command does, when the gateway or a signal asks for it, or when a
//! part that it cannot be without fails. The supervisor ends after it, when the gateway has heard.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use openshell_audit::{Config, Event, Lifecycle};
use openshell_driver::launch::Upstream;
use openshell_egress::tls::{Authority, Outward, Tls};
use openshell_egress::{
    Credentials, Egress, Report, ResolverConfig, Seams, Settings, UpstreamProxy,
};
use openshell_isolation::identity::Identifier;
use openshell_isolation::net::udp_socket::UdpSockets;
use openshell_types::{Redacted, SandboxId};
use openshell_wire::session::Hello;
use rustix::process::{Resource, getrlimit};
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::apply::Policies;
use crate::binaries::Binaries;
use crate::boot::Booted;
use crate::callers::Callers;
use crate::capture::{self, Datagrams, Questions};
use crate::environment;
use crate::limits;
use crate::main_command::{MainCommand, MainState};
use crate::output::Output;
use crate::processes::Processes;
use crate::raise::Standing;
use crate::sandbox::Sandbox;
use crate::session::{self, Dial, Joining, Place};
use crate::status::{Phase, Status};
use crate::trust::Trust;

const SIGHUP: i32 = 1;
const SIGTERM: i32 = 15;

/// Runs the sandbox to its end.
pub(crate) fn run(booted: Booted) -> Result<(), String> {
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| format!("the runtime did not start: {error}"))?;
    let result = runtime.block_on(live(booted));
    runtime.shutdown_background();
    result
}

/// Why the jail ends.
enum End {
    /// The main command ended.
    Completed,
    /// Somebody asked for it.
    Stopped,
    /// It cannot go on.
    Broken(&'static str),
}

async fn live(booted: Booted) -> Result<(), String> {
    let door = Door::of(&booted);
    // Before the jail stands: the gateway looks us up while init is at work.
    let hello = door.hello(&Status::starting(String::new()));
    let joining = tokio::spawn(session::join(door.dial.clone(), hello));
    match prepare(booted).await {
        Ok(prepared) => prepared.run(joining, door.token).await,
        Err(error) => {
            let status = Status::failed(error.clone());
            let hello = door.hello(&status);
            session::tell_failure_over(joining, &door.dial, hello, &status).await;
            Err(error)
        }
    }
}

/// How the sandbox says hello.
struct Door {
    dial: Dial,
    sandbox: SandboxId,
    boot_id: String,
    token: Redacted<String>,
    place: Place,
}

impl Door {
    fn of(booted: &Booted) -> Self {
        Self {
            dial: booted.dial.clone(),
            sandbox: booted.spec.id.clone(),
            boot_id: booted.boot_id.clone(),
            token: booted.token.clone(),
            place: Place {
                generation: booted.generation.number(),
                epoch: 0,
                last_sequence: booted.journal.last_sequence(),
            },
        }
    }

    fn hello(&self, status: &Status) -> Hello {
        session::hello(self.sandbox.as_str(), &self.boot_id, &self.token, self.place, status)
    }
}

/// A sandbox whose jail has passed its trial, and in which nothing runs yet.
struct Prepared {
    sandbox: Arc<Sandbox>,
    jail_end: CancellationToken,
    control: JoinHandle<()>,
    callers: Arc<Callers>,
    identifier: Identifier,
    serving: Vec<JoinHandle<()>>,
    shutdown: CancellationToken,
    children: Option<File>,
}

/// Waits for the jail, sets the egress up while it is on trial, and hears that it passed.
async fn prepare(booted: Booted) -> Result<Prepared, String> {
    let text = |what: &'static str| move |error: io::Error| format!("{what}: {error}");
    let raising = booted.raising;
    let trust = booted.trust;
    let tls = tokio::spawn(blocking(move || establish(trust)));
    let standing = blocking(move || raising.stand().map_err(|error| error.to_string())).await?;
    let Standing { jail, trial, notes, binds, identifier, records } = standing;
    let trial = blocking(move || trial.passed().map_err(|error| error.to_string()));
    let trial = tokio::spawn(trial);
    let journal = Arc::new(booted.journal);
    let jail_end = CancellationToken::new();

    let environment = environment::compose(&booted.spec, &capture::proxy_url(), &booted.timezone);
    let output = Output::new(Some(booted.main_log));
    let main = MainCommand::new(&booted.spec, environment.clone(), output);
    let (processes, control) =
        Processes::start(jail.control, jail_end.clone()).map_err(text("the control socket"))?;
    let digest = booted.policy.digest();
    let binaries = Binaries::new(jail.root, binds);
    let sandbox = Arc::new(Sandbox {
        spec: booted.spec,
        boot_id: booted.boot_id,
        environment,
        processes,
        main: Arc::new(main),
        journal: Arc::clone(&journal),
        policies: Policies::new(booted.policy, booted.generation, binaries),
        status: watch::Sender::new(Status::starting(String::new())),
        acknowledged: watch::Sender::new(0),
        connected: watch::Sender::new(false),
        attached: watch::Sender::new(0),
        stop: CancellationToken::new(),
        leaving: CancellationToken::new(),
        dial: booted.dial,
    });
    journal.record(Event::Config(Config {
        activity: "enforced".into(),
        generation: booted.generation,
        digest,
        detail: None,
    }));

    let callers = Arc::new(Callers::new(records, jail.capture.diag));
    let capture = Capture {
        tcp: [Some(jail.capture.tcp4), jail.capture.tcp6],
        dns: [Some(jail.capture.dns4), jail.capture.dns6],
        udp: [Some(jail.capture.udp4), jail.capture.udp6],
        nflog: jail.capture.nflog,
    };
    let seams = Seams {
        identify: Arc::clone(&callers) as _,
        report: Arc::clone(&journal) as _,
        host: Arc::new(booted.interfaces) as _,
        tls: Arc::new(tls.await.map_err(|error| error.to_string())??),
    };
    let shutdown = CancellationToken::new();
    let settings = settings(booted.upstream, booted.proxy_auth.as_ref());
    let serving = serve(&sandbox, capture, (settings, seams), &shutdown)
        .map_err(text("the captured sockets"))?;
    let mut report = trial.await.map_err(|error| error.to_string())??;
    report.notes.extend(notes);
    let report = serde_json::to_string(&report).unwrap_or_default();
    sandbox.status.send_replace(Status::starting(report));
    let (control, children) = (tokio::spawn(control), booted.children);
    Ok(Prepared { sandbox, jail_end, control, callers, identifier, serving, shutdown, children })
}

/// Makes the sandbox's authority, and has the jail's programs trust it.
fn establish(trust: Trust) -> Result<Tls, String> {
    let authority = Authority::new().map_err(|error| error.to_string())?;
    let outward = Outward::new(trust.of_operator()).map_err(|error| format!("ca_file: {error}"))?;
    trust
        .fill(authority.pem())
        .map_err(|error| format!("writing the lists of authorities: {error}"))?;
    Tls::new(Arc::new(authority), outward).map_err(|error| error.to_string())
}

/// Runs what waits in the kernel beside the runtime.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    spawn_blocking(work).await.map_err(|error| error.to_string())?
}

impl Prepared {
    /// From the first command to the gateway's goodbye.
    async fn run(self, joining: Joining, token: Redacted<String>) -> Result<(), String> {
        let Self { sandbox, jail_end, control, callers, .. } = self;
        let mut terminate = signal(SignalKind::terminate())
            .map_err(|error| format!("signals cannot be received: {error}"))?;
        let stop = sandbox.stop.clone();
        tokio::spawn(async move {
            // A driver's word is as good as the gateway's.
            terminate.recv().await;
            stop.cancel();
        });
        let session = tokio::spawn(session::keep(Arc::clone(&sandbox), token, joining));
        let journal = Arc::clone(&sandbox.journal);
        let running =
            tokio::spawn(Arc::clone(&sandbox.main).run(sandbox.processes.clone(), journal as _));
        sandbox.journal.record(lifecycle("ready", "the jail is built and its layers were tested"));
        // On a worker: each connection has a record, and this thread would be woken for it.
        let following = tokio::spawn(async move { callers.follow().await });
        let following = AbortOnDropHandle::new(following);
        let following = async { following.await.unwrap_or_else(|error| Err(error.into())) };
        let end = until_end(&sandbox, self.children, control, following).await;
        tracing::info!("The jail ends");
        finish(&sandbox, &end, &jail_end).await;
        // Every process of the jail is gone once init's socket is closed; the main command's task
        // sees that and tells its last state.
        if timeout(limits::DRAIN_PATIENCE, running).await.is_err() {
            tracing::warn!("The main command's end was not seen");
        }
        drop(self.identifier);
        conclude(&sandbox, &end);
        farewell(&sandbox, &end).await;
        self.shutdown.cancel();
        for task in self.serving {
            task.abort();
        }
        sandbox.leaving.cancel();
        if timeout(limits::GOODBYE, session).await.is_err() {
            tracing::debug!("The gateway did not close the session");
        }
        match end {
            End::Completed | End::Stopped => Ok(()),
            End::Broken(why) => Err(why.into()),
        }
    }
}

/// The captured sockets.
struct Capture {
    tcp: [Option<OwnedFd>; 2],
    dns: [Option<OwnedFd>; 2],
    udp: [Option<UdpSockets>; 2],
    nflog: OwnedFd,
}

/// What the operator decided about the egress, and where it stands.
fn settings(upstream: Upstream, proxy_auth: Option<&Redacted<String>>) -> Settings {
    let proxy = upstream.proxy.map(|proxy| UpstreamProxy {
        url: proxy.url,
        exceptions: proxy.no_proxy,
        connect_by: proxy.connect_by,
        plain: proxy.plain,
        credentials: proxy_auth.map(Credentials::basic),
    });
    Settings {
        resolver: match upstream.resolver {
            Some(server) => ResolverConfig::Servers(vec![server]),
            None => ResolverConfig::System,
        },
        proxy,
        own_addresses: capture::OWN,
        max_connections: limits::connections(getrlimit(Resource::Nofile).current),
        ..Settings::default()
    }
}

fn serve(
    sandbox: &Arc<Sandbox>,
    capture: Capture,
    (settings, seams): (Settings, Seams),
    shutdown: &CancellationToken,
) -> io::Result<Vec<JoinHandle<()>>> {
    let egress = Egress::new(settings, sandbox.policies.watch(), seams);
    let mut tasks = Vec::new();
    for socket in capture.tcp.into_iter().flatten() {
        let (egress, listener) = (egress.clone(), capture::listener(socket)?);
        let shutdown = shutdown.clone();
        tasks.push(tokio::spawn(async move { egress.serve_tcp(listener, shutdown).await }));
    }
    for socket in capture.dns.into_iter().flatten() {
        let (egress, questions) = (egress.clone(), Questions::new(socket)?);
        let shutdown = shutdown.clone();
        tasks.push(tokio::spawn(async move { egress.serve_dns(questions, shutdown).await }));
    }
    for sockets in capture.udp.into_iter().flatten() {
        let (egress, datagrams) = (egress.clone(), Arc::new(Datagrams::new(sockets)?));
        let shutdown = shutdown.clone();
        tasks.push(tokio::spawn(async move { egress.serve_udp(datagrams, shutdown).await }));
    }
    let refused = capture::watch_refused(capture.nflog, Arc::clone(&sandbox.journal));
    tasks.push(tokio::spawn(async move {
        if let Err(error) = refused.await {
            tracing::warn!(%error, "Refused packets are no longer told");
        }
    }));
    let rebinding = Arc::clone(sandbox);
    tasks.push(tokio::spawn(async move {
        let mut tick = interval(limits::REBIND);
        loop {
            tick.tick().await;
            rebinding.policies.rebind();
        }
    }));
    Ok(tasks)
}

/// Waits for whatever ends the jail, and keeps the status meanwhile.
async fn until_end(
    sandbox: &Arc<Sandbox>,
    mut children: Option<File>,
    control: JoinHandle<()>,
    following: impl Future<Output = io::Result<()>>,
) -> End {
    let mut main = sandbox.main.watch();
    tokio::pin!(control, following);
    loop {
        let state = main.borrow_and_update().clone();
        match state {
            MainState::Waiting => {}
            MainState::Running { .. } => {
                sandbox.status.send_modify(|status| {
                    status.phase = Phase::Ready;
                    status.main_pid = children.as_mut().and_then(newest_child).unwrap_or(0);
                });
            }
            MainState::Ended { .. } => return End::Completed,
        }
        tokio::select! {
            changed = main.changed() => {
                if changed.is_err() {
                    return End::Broken("the main command was lost");
                }
            }
            () = sandbox.stop.cancelled() => return End::Stopped,
            _ = &mut control => return End::Broken("the jail's init ended"),
            result = &mut following => {
                if let Err(error) = result {
                    tracing::error!(%error, "Callers cannot be identified");
                }
                // SECURITY: J7: without the identifier no connection has a caller.
                return End::Broken("the identifier ended");
            }
        }
    }
}

/// The last child in the kernel's list of init's children.
fn newest_child(list: &mut File) -> Option<u32> {
    let mut text = String::new();
    list.seek(SeekFrom::Start(0)).ok()?;
    list.read_to_string(&mut text).ok()?;
    text.split_whitespace().next_back()?.parse().ok()
}

/// Ends the jail; a main command that still runs is asked first.
async fn finish(sandbox: &Sandbox, end: &End, jail_end: &CancellationToken) {
    let mut main = sandbox.main.watch();
    let runs = matches!(*main.borrow(), MainState::Running { .. });
    if matches!(end, End::Stopped) && runs {
        sandbox.main.signal(&sandbox.processes, SIGTERM).await;
        if sandbox.main.has_terminal() {
            // A shell at a terminal ignores the one, and ends when its terminal goes away.
            sandbox.main.signal(&sandbox.processes, SIGHUP).await;
        }
        let ended = main.wait_for(|state| matches!(state, MainState::Ended { .. }));
        if timeout(limits::STOP_GRACE, ended).await.is_err() {
            tracing::info!("The main command did not end in time");
        }
    }
    jail_end.cancel();
}

/// Sets the last status, then writes the last event: whoever has the event has the status.
fn conclude(sandbox: &Sandbox, end: &End) {
    let (activity, detail) = match (end, &*sandbox.main.watch().borrow()) {
        (End::Broken(why), _) => {
            sandbox.status.send_modify(|status| {
                status.phase = Phase::Error;
                status.error = (*why).to_owned();
            });
            ("failed", (*why).to_owned())
        }
        (_, MainState::Ended { code, error }) => {
            sandbox.status.send_modify(|status| {
                status.phase = Phase::Completed;
                status.exit_code = Some(*code);
                status.error.clone_from(error);
            });
            ("completed", format!("the main command exited with {code}"))
        }
        (_, MainState::Waiting | MainState::Running { .. }) => {
            ("completed", "stopped before the main command ended".to_owned())
        }
    };
    sandbox.journal.record(lifecycle(activity, &detail));
}

/// Waits until the gateway keeps the last event and every client has heard of the end. A gateway
/// that is away is waited for, or it would never know the exit code; a stop does not wait long.
async fn farewell(sandbox: &Sandbox, end: &End) {
    let last = sandbox.journal.last_sequence();
    let mut acknowledged = sandbox.acknowledged.subscribe();
    let mut attached = sandbox.attached.subscribe();
    let heard = async {
        // The senders live in `sandbox`, so neither wait can fail.
        let _ = acknowledged.wait_for(|seq| *seq >= last).await;
        let _ = timeout(limits::FAREWELL_CLIENTS, attached.wait_for(|count| *count == 0)).await;
    };
    let mut connected = sandbox.connected.subscribe();
    let patience = async {
        if matches!(end, End::Stopped) {
            sleep(limits::FAREWELL_STOPPED).await;
            return;
        }
        loop {
            let back = connected.wait_for(|connected| *connected);
            if timeout(limits::FAREWELL_AWAY, back).await.is_err() {
                return;
            }
            if timeout(limits::FAREWELL, connected.wait_for(|connected| !*connected)).await.is_err()
            {
                return;
            }
        }
    };
    let stopped = async {
        if matches!(end, End::Stopped) {
            std::future::pending::<()>().await;
        }
        sandbox.stop.cancelled().await;
        sleep(limits::FAREWELL_STOPPED).await;
    };
    tokio::select! {
        () = heard => {}
        () = patience => tracing::info!("The gateway did not acknowledge the end"),
        () = stopped => {}
        () = folder_gone(sandbox) => {}
    }
}

/// Waits until the gateway's folder was removed: then no gateway will ever come back there.
async fn folder_gone(sandbox: &Sandbox) {
    let mut tick = interval(limits::REBIND);
    while !sandbox.dial.is_gone() {
        tick.tick().await;
    }
}

fn lifecycle(activity: &str, detail: &str) -> Event {
    Event::Lifecycle(Lifecycle { activity: activity.into(), detail: detail.into() })
}
