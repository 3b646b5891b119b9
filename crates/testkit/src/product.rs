//! The built product, with a home of its own.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, geteuid, getpid, kill_process};
use tempfile::TempDir;

use crate::process::{Finished, SYSTEM_PATH, finish};
use crate::switch_off::{self, Feature};

/// A command that takes longer is killed.
const DEADLINE: Duration = Duration::from_secs(60);

/// The user that [`RunAs::Ordinary`] means where the test is root of the machine.
const ORDINARY: u32 = 60_001;

/// Who runs the product.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RunAs {
    /// The user of the test itself.
    Tester,
    /// A user without privileges, also where the test is root.
    Ordinary,
}

/// `openshell` and `openshell-supervisor` as they were built, and a fresh home for them.
///
/// What still runs is killed when this is dropped, as far as the test's user can see it; inside
/// [`crate::world`] nothing outlives the test in any case.
#[derive(Debug)]
pub struct Product {
    binaries: PathBuf,
    home: TempDir,
    run_as: RunAs,
    off: Vec<Feature>,
    /// Keeps a user namespace, where an ordinary user can only be had in one.
    namespace: Option<Child>,
}

impl Product {
    /// Finds the binaries beside the running test's and makes a home.
    pub fn new(run_as: RunAs) -> Self {
        let home = tempfile::Builder::new().prefix("os").tempdir().expect("/tmp is writable");
        let namespace = (run_as == RunAs::Ordinary && geteuid().is_root() && !is_machine_root())
            .then(hold_namespace);
        let binaries = copy(&built(), home.path());
        let product = Self { binaries, home, run_as, off: Vec::new(), namespace };
        if run_as == RunAs::Ordinary && is_machine_root() {
            chown(product.home(), Some(ORDINARY), Some(ORDINARY)).expect("root may chown");
        }
        product
    }

    /// Takes a kernel feature away from every command from now on, and from what it starts.
    #[must_use]
    pub fn without(mut self, feature: Feature) -> Self {
        self.off.push(feature);
        self
    }

    /// The home folder: the only one that the product knows.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Where `openshell` keeps its configuration.
    pub fn config(&self) -> PathBuf {
        self.home().join(".config/openshell")
    }

    /// Where `openshell` keeps its state.
    pub fn state(&self) -> PathBuf {
        self.home().join(".local/state/openshell")
    }

    /// Writes `gateway.toml`.
    pub fn write_gateway_config(&self, text: &str) {
        self.write(&self.config().join("gateway.toml"), text);
    }

    /// Writes a file beneath the home, and its folders, as the product's own user would.
    pub fn write(&self, path: &Path, text: &str) {
        let beneath = path.strip_prefix(self.home()).expect("a path beneath the home");
        let mut at = self.home().to_owned();
        for part in beneath.parent().into_iter().flat_map(Path::components) {
            at.push(part);
            if !at.exists() {
                fs::create_dir(&at).expect("our own folder is writable");
                self.own(&at);
            }
        }
        fs::write(path, text).expect("our own folder is writable");
        self.own(path);
    }

    /// Runs `openshell` with `arguments` to its end.
    pub fn run(&self, arguments: &[&str]) -> Finished {
        self.run_for(arguments, DEADLINE)
    }

    /// Runs `openshell` with `arguments` to its end or the deadline.
    pub fn run_for(&self, arguments: &[&str], deadline: Duration) -> Finished {
        finish(&mut self.command(arguments), deadline)
    }

    /// `openshell` with `arguments`, ready to be run, with an environment of its own.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let openshell = self.binaries.join("openshell");
        let hint = "build them first: cargo build -p openshell-cli -p openshell-supervisor";
        for binary in [&openshell, &self.binaries.join("openshell-supervisor")] {
            assert!(binary.exists(), "{} is not built; {hint}", binary.display());
        }
        self.program(&openshell, arguments)
    }

    /// Any program, run by the product's user in the product's environment: shows what works
    /// outside of a sandbox.
    pub fn program(&self, program: impl AsRef<OsStr>, arguments: &[&str]) -> Command {
        let mut command = match (self.run_as, &self.namespace) {
            (RunAs::Tester, _) => Command::new(program),
            (RunAs::Ordinary, Some(holder)) => {
                // All commands in the one namespace: a gateway refuses peers of another.
                let mut command = Command::new("nsenter");
                let file = format!("--user=/proc/{}/ns/user", holder.id());
                command.args([&file, "--preserve-credentials", "--"]).arg(program);
                command
            }
            (RunAs::Ordinary, None) if is_machine_root() => {
                let mut command = Command::new("setpriv");
                let (uid, gid) = (format!("--reuid={ORDINARY}"), format!("--regid={ORDINARY}"));
                command.args([&uid, &gid, "--clear-groups", "--"]).arg(program);
                command
            }
            (RunAs::Ordinary, None) => Command::new(program),
        };
        let home = self.home();
        command
            .args(arguments)
            .env_clear()
            .env("PATH", SYSTEM_PATH)
            .env("HOME", home)
            .env("XDG_CONFIG_HOME", home.join(".config"))
            .env("XDG_STATE_HOME", home.join(".local/state"))
            .env("XDG_DATA_HOME", home.join(".local/share"))
            .env("XDG_CACHE_HOME", home.join(".cache"))
            .env("LANG", "C.UTF-8")
            .env("TERM", "dumb")
            .current_dir(home)
            .stdin(Stdio::null());
        if !self.off.is_empty() {
            switch_off::around(&mut command, &self.off);
        }
        command
    }

    /// The processes, other than this one, that run a program of this home, or hold a file of it.
    pub fn processes(&self) -> Vec<Pid> {
        let folders = fs::read_dir("/proc").expect("/proc is mounted").flatten();
        let pids = folders.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter_map(Pid::from_raw)
            .filter(|pid| *pid != getpid() && (self.is_program(*pid) || self.holds_home(*pid)))
            .collect()
    }

    /// A sealed process shows its user neither its files nor its program, but its first argument.
    fn is_program(&self, pid: Pid) -> bool {
        let line = fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).unwrap_or_default();
        let binaries = self.binaries.as_os_str().as_encoded_bytes();
        line.strip_prefix(binaries).is_some_and(|rest| rest.starts_with(b"/"))
    }

    fn holds_home(&self, pid: Pid) -> bool {
        let folder = PathBuf::from(format!("/proc/{}", pid.as_raw_nonzero()));
        let open = fs::read_dir(folder.join("fd")).into_iter().flatten().flatten();
        let mut links = open.map(|entry| entry.path()).chain([folder.join("exe")]);
        links.any(|link| fs::read_link(link).is_ok_and(|path| path.starts_with(self.home())))
    }

    fn own(&self, path: &Path) {
        if self.run_as == RunAs::Ordinary && is_machine_root() {
            chown(path, Some(ORDINARY), Some(ORDINARY)).expect("root may chown");
        }
    }
}

impl Drop for Product {
    fn drop(&mut self) {
        // A process may have started another one while they were listed.
        for _ in 0..20 {
            let processes = self.processes();
            if processes.is_empty() {
                break;
            }
            for pid in processes {
                // It may have ended by itself.
                kill_process(pid, Signal::KILL).ok();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        if let Some(holder) = &mut self.namespace {
            holder.kill().expect("a child can be killed");
            holder.wait().expect("a child can be waited for");
        }
    }
}

/// Starts a process that is an ordinary user of a new user namespace, and does nothing.
fn hold_namespace() -> Child {
    let holder = Command::new("unshare")
        .args(["--user", "--map-user=1000", "--map-group=1000", "--", "sleep", "infinity"])
        .stdin(Stdio::null())
        .spawn()
        .expect("`unshare` of util-linux is installed");
    // The program runs once the namespace is made and its ids are mapped.
    let name = format!("/proc/{}/comm", holder.id());
    let started = Instant::now();
    while !fs::read_to_string(&name).is_ok_and(|name| name == "sleep\n") {
        assert!(started.elapsed() < Duration::from_secs(10), "no user namespace after 10 s");
        std::thread::sleep(Duration::from_millis(1));
    }
    holder
}

/// The folder that this test's binary was built into.
fn built() -> PathBuf {
    let test = env::current_exe().expect("this binary has a path");
    let folder = test.parent().expect("a binary is in a folder");
    let folder =
        if folder.ends_with("deps") { folder.parent().expect("it has two") } else { folder };
    folder.to_owned()
}

/// Puts what is built of both binaries into `home`, where any user can run them.
fn copy(from: &Path, home: &Path) -> PathBuf {
    let to = home.join("bin");
    fs::create_dir(&to).expect("our own folder is writable");
    for name in ["openshell", "openshell-supervisor"] {
        let (from, to) = (from.join(name), to.join(name));
        if from.exists() {
            fs::hard_link(&from, &to)
                .or_else(|_| fs::copy(&from, &to).map(drop))
                .unwrap_or_else(|error| panic!("{}: {error}", from.display()));
        }
    }
    fs::set_permissions(home, fs::Permissions::from_mode(0o755)).expect("it is ours");
    to
}

/// Whether this process is root of the machine, and not just of its own user namespace.
fn is_machine_root() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let mut words = map.split_whitespace();
    geteuid().is_root() && words.next() == Some("0") && words.nth(1) == Some("4294967295")
}
