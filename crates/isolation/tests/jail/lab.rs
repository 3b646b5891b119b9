//! What a case works with: folders, a jail, and commands in it.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use openshell_isolation::control::{Event, Inbox, Outbox, Received, Request};
use openshell_isolation::{
    Access, Bind, BuildError, Jail, JailSpec, LandlockMode, Origin, Report, View, default_binds,
};
use openshell_types::{Identity, TerminalSize};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::Timespec;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Where this program stands in the jail.
pub const PROGRAM: &str = "/attempt/jail";

/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Lets this process hold as many descriptors as it may, as the supervisor does: of one user's
/// descriptors in sockets the kernel refuses more to each process at that process's own limit.
pub fn hold_all_descriptors() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).expect("a limit");
}

/// A case's folders.
pub struct Lab {
    name: &'static str,
    folder: tempfile::TempDir,
}

impl Lab {
    pub fn new(name: &'static str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("home")).expect("the home folder");
        Self { name, folder }
    }

    pub fn is_root(&self) -> bool {
        rustix::process::geteuid().is_root()
    }

    pub fn identity(&self) -> Identity {
        if self.is_root() {
            // One of the first thousand blocks, by process, so that cases do not meet.
            let block = std::process::id() % 1000;
            Identity::Block { start: 0x7000_0000 + block * Identity::BLOCK }
        } else {
            Identity::Caller {
                uid: rustix::process::geteuid().as_raw(),
                gid: rustix::process::getegid().as_raw(),
            }
        }
    }

    /// A folder on the host with a file `inner` in it.
    pub fn host_folder(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(&path).expect("a host folder");
        std::fs::write(path.join("inner"), "from the host\n").expect("a host file");
        path
    }

    pub fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// The default view and this program.
    pub fn spec(&self) -> JailSpec {
        let (mut binds, _) = default_binds(&View::default());
        binds.push(Bind {
            source: std::env::current_exe().expect("this program"),
            target: PROGRAM.into(),
            access: Access::ReadOnly,
            origin: Origin::Tool,
        });
        JailSpec {
            hostname: "brave-otter".to_owned(),
            identity: self.identity(),
            binds,
            home: self.home(),
            landlock: LandlockMode::Required,
        }
    }

    pub fn build(&self, change: impl FnOnce(&mut JailSpec)) -> Result<Session, BuildError> {
        let mut spec = self.spec();
        change(&mut spec);
        openshell_isolation::build(&spec).map(|(jail, report)| Session::new(jail, report))
    }

    pub fn jail(&self) -> Session {
        self.build(|_| {}).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Runs the case's `inside` in `session`, and fails with what it says.
    pub fn attempt_in(&self, session: &Session) {
        let output = session.run(&[PROGRAM, "--inside", self.name]);
        assert_eq!(output.code, 0, "inside: {}{}", output.stdout, output.stderr);
    }

    /// Starts the case's `inside`, and gives its id.
    pub fn spawn_attempt(&self, session: &Session) -> u64 {
        session.spawn(&[PROGRAM, "--inside", self.name], None, Vec::new())
    }

    /// The same in a jail with the default view.
    pub fn attempt(&self) {
        self.attempt_in(&self.jail());
    }
}

/// A jail and the conversation with its init.
pub struct Session {
    pub jail: Jail,
    pub report: Report,
    next: Cell<u64>,
    inbox: std::cell::RefCell<Inbox<Event>>,
}

/// What a command said, and how it ended.
#[derive(Debug)]
pub struct Output {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Session {
    pub fn new(mut jail: Jail, report: Report) -> Self {
        // Nobody answers the filter's questions here; without a listener connect answers ENOSYS.
        jail.seccomp_listener = None;
        Self { jail, report, next: Cell::new(1), inbox: Default::default() }
    }

    pub fn send(&self, request: &Request, descriptors: Vec<OwnedFd>) {
        let mut outbox = Outbox::default();
        outbox.push(request, descriptors).expect("a frame");
        while let Err(error) = outbox.flush(self.jail.control.as_fd()) {
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
            wait(&self.jail.control, PollFlags::OUT);
        }
    }

    pub fn event(&self) -> Option<Received<Event>> {
        loop {
            match self.inbox.borrow_mut().receive(self.jail.control.as_fd()) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    wait(&self.jail.control, PollFlags::IN);
                }
                result => return result.expect("a frame"),
            }
        }
    }

    /// Asks for a command with the usual environment, and gives its id.
    pub fn spawn(&self, argv: &[&str], tty: Option<TerminalSize>, streams: Vec<OwnedFd>) -> u64 {
        let id = self.next.replace(self.next.get() + 1);
        let env = [("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin"), ("HOME", "/sandbox")];
        self.send(
            &Request::Spawn {
                id,
                argv: argv.iter().map(|word| (*word).to_owned()).collect(),
                env: env
                    .iter()
                    .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                    .collect::<BTreeMap<_, _>>(),
                cwd: "/sandbox".to_owned(),
                tty,
            },
            streams,
        );
        id
    }

    /// Runs a command to its end.
    pub fn run(&self, argv: &[&str]) -> Output {
        let null = File::open("/dev/null").expect("/dev/null");
        let (out, out_inner) = pipe_with(PipeFlags::CLOEXEC).expect("a pipe");
        let (err, err_inner) = pipe_with(PipeFlags::CLOEXEC).expect("a pipe");
        let id = self.spawn(argv, None, vec![null.into(), out_inner, err_inner]);
        let code = self.end_of(id);
        Output { code, stdout: read(out), stderr: read(err) }
    }

    pub fn sh(&self, script: &str) -> Output {
        self.run(&["sh", "-c", script])
    }

    /// The exit code of a command, be it ours for one that was not loaded.
    pub fn end_of(&self, id: u64) -> i32 {
        loop {
            match self.event().expect("the jail lives").message {
                Event::Spawned { id: of, .. } => assert_eq!(of, id),
                Event::SpawnFailed { id: of, failure } => {
                    assert_eq!(of, id);
                    return failure.exit_code();
                }
                Event::Exited { id: of, code } => {
                    assert_eq!(of, id);
                    return code;
                }
            }
        }
    }
}

fn read(fd: OwnedFd) -> String {
    let mut text = Vec::new();
    File::from(fd).read_to_end(&mut text).expect("what it said");
    String::from_utf8_lossy(&text).into_owned()
}

/// Waits until `fd` is ready, at most [`PATIENCE`].
pub fn wait(fd: impl AsFd, wanted: PollFlags) {
    assert!(is_ready_within(fd, wanted, PATIENCE), "nothing happened in {PATIENCE:?}");
}

/// Whether `fd` becomes ready in time.
pub fn is_ready_within(fd: impl AsFd, wanted: PollFlags, patience: Duration) -> bool {
    let end = Instant::now() + patience;
    let left = Timespec::try_from(end.saturating_duration_since(Instant::now())).expect("a time");
    poll(&mut [PollFd::new(&fd, wanted)], Some(&left)).expect("poll") > 0
}

/// Fails unless `result` is the error `errno`.
#[track_caller]
pub fn assert_errno<T: std::fmt::Debug>(result: std::io::Result<T>, errno: &[i32]) {
    match result {
        Err(error) if error.raw_os_error().is_some_and(|code| errno.contains(&code)) => {}
        other => panic!("expected one of {errno:?}, not {other:?}"),
    }
}
