//! A home of its own for the product, and nothing of it afterwards.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::run::{Outcome, output};

/// Where the probe is in a sandbox.
pub const PROBE_INSIDE: &str = "/probe/xtask";

/// The name of a rule's host that is this machine.
pub const HOST: &str = "host.openshell.internal";

/// The product's folder and its programs.
pub struct Place {
    programs: PathBuf,
    home: TempDir,
    in_use: bool,
}

impl Place {
    /// Makes a home, with a copy of this very program as the probe.
    pub fn new(programs: &Path) -> Outcome<Self> {
        let programs = fs::canonicalize(programs)
            .map_err(|error| format!("`{}`: {error}", programs.display()))?;
        for name in ["openshell", "openshell-supervisor"] {
            if !programs.join(name).is_file() {
                return Err(format!("`{}` has no `{name}`", programs.display()));
            }
        }
        let failed = |error| format!("a temporary home cannot be made: {error}");
        let home = tempfile::Builder::new().prefix("os-bench").tempdir().map_err(failed)?;
        let place = Self { programs, home, in_use: true };
        fs::create_dir(place.probe_folder()).map_err(failed)?;
        let own = std::env::current_exe().map_err(failed)?;
        fs::copy(own, place.probe()).map_err(failed)?;
        Ok(place)
    }

    fn probe_folder(&self) -> PathBuf {
        self.home.path().join("probe")
    }

    /// The probe outside of a sandbox.
    pub fn probe(&self) -> PathBuf {
        self.probe_folder().join("xtask")
    }

    /// The argument of `--mount` that shows the probe inside.
    pub fn probe_mount(&self) -> String {
        format!("{}:/probe:ro", self.probe_folder().display())
    }

    /// The folder of the sandboxes' folders.
    pub fn sandboxes(&self) -> PathBuf {
        self.home.path().join("state/openshell/sandboxes")
    }

    /// The folder of the gateway's.
    pub fn gateway(&self) -> PathBuf {
        self.home.path().join("state/openshell/gateway")
    }

    /// `openshell`, in an environment of its own.
    pub fn openshell(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.programs.join("openshell"));
        let home = self.home.path();
        command
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", home)
            .env("XDG_CONFIG_HOME", home.join("config"))
            .env("XDG_STATE_HOME", home.join("state"))
            .current_dir(home)
            .stdin(Stdio::null());
        command
    }

    /// Runs `openshell` to its end and expects success. What it prints is dropped, unless it
    /// fails.
    pub fn run(&self, arguments: &[&str]) -> Outcome {
        output(&mut self.openshell(arguments)).map(drop)
    }

    /// Writes a policy and tells its path.
    pub fn policy(&self, name: &str, text: &str) -> Outcome<String> {
        let path = self.home.path().join(name);
        fs::write(&path, text).map_err(|error| format!("`{}`: {error}", path.display()))?;
        Ok(path.display().to_string())
    }

    /// A folder of its own beneath the home, which every user can read.
    pub fn folder(&self, name: &str) -> Outcome<PathBuf> {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.home.path().join(name);
        let failed = |error| format!("`{}`: {error}", path.display());
        // Another part of the same run may have had one.
        fs::create_dir_all(&path).map_err(failed)?;
        for path in [self.home.path(), &path] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).map_err(failed)?;
        }
        Ok(path)
    }

    /// Writes the gateway's configuration, which holds from its next start on.
    pub fn configure(&self, text: &str) -> Outcome {
        let folder = self.home.path().join("config/openshell");
        let failed = |error| format!("`{}`: {error}", folder.display());
        fs::create_dir_all(&folder).map_err(failed)?;
        fs::write(folder.join("gateway.toml"), text).map_err(failed)
    }

    /// A sandbox that waits, with the probe in it.
    pub fn sandbox(&self, name: &str, policy: &str) -> Outcome {
        let mount = self.probe_mount();
        self.run(&[
            "sandbox", "create", "--detach", "--name", name, "--policy", policy, "--mount", &mount,
            "--", "sleep", "infinity",
        ])
    }

    /// The probe in a sandbox.
    pub fn probe_in(&self, name: &str, arguments: &[&str]) -> Command {
        let mut all = vec!["sandbox", "exec", "-n", name, "--", PROBE_INSIDE, "bench", "probe"];
        all.extend_from_slice(arguments);
        self.openshell(&all)
    }

    /// The same, of a probe that opens as many connections as the jail lets it.
    pub fn wide_probe_in(&self, name: &str, arguments: &[&str]) -> Command {
        let widen = "ulimit -n $(ulimit -H -n); exec \"$0\" \"$@\"";
        let mut all = vec!["sandbox", "exec", "-n", name, "--", "sh", "-c", widen, PROBE_INSIDE];
        all.extend(["bench", "probe"]);
        all.extend_from_slice(arguments);
        self.openshell(&all)
    }

    /// The probe beside a sandbox.
    pub fn probe_outside(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.probe());
        command.args(["bench", "probe"]).args(arguments).stdin(Stdio::null());
        command
    }

    /// Ends everything.
    pub fn close(mut self) -> Outcome {
        self.end()
    }

    fn end(&mut self) -> Outcome {
        if !std::mem::take(&mut self.in_use) {
            return Ok(());
        }
        self.run(&["sandbox", "delete", "--all"])?;
        self.run(&["gateway", "stop"])?;
        // A gateway that does not answer any more still puts its database away.
        let deadline = Instant::now() + Duration::from_secs(10);
        while let Err(error) = fs::remove_dir_all(self.home.path()) {
            if Instant::now() >= deadline {
                return Err(format!("`{}` cannot be removed: {error}", self.home.path().display()));
            }
            sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

/// After a measurement that broke off nothing is left either.
impl Drop for Place {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!("warning: {error}");
        }
    }
}

/// A policy with rules for several hosts, the last of them the port of this machine that the
/// probe may reach.
pub fn policy_text(port: Option<u16>) -> String {
    let mut text = String::from("version: 1\nnetwork_policies:\n");
    for number in 1..=8 {
        text.push_str(&format!(
            "  service{number}:\n    endpoints:\n      - {{host: api{number}.example.com, port: \
             443}}\n    binaries:\n      - {{path: /usr/bin/curl}}\n"
        ));
    }
    if let Some(port) = port {
        text.push_str(&format!(
            "  probe:\n    endpoints:\n      - {{host: {HOST}, port: {port}}}\n    binaries:\n      \
             - {{path: {PROBE_INSIDE}}}\n"
        ));
    }
    text
}

/// Starts a command and waits for its first byte of output.
pub fn first_output(command: &mut Command) -> Outcome<(Duration, Duration)> {
    let started = Instant::now();
    let mut child = spawn(command)?;
    let mut byte = [0];
    let read = stdout(&mut child)?.read_exact(&mut byte);
    let first = started.elapsed();
    let status = child.wait().map_err(|error| format!("waiting: {error}"))?;
    let whole = started.elapsed();
    if read.is_err() || !status.success() {
        return Err(format!("`{:?}` ended with {status}", command.get_program()));
    }
    Ok((first, whole))
}

/// Starts a command whose output is read.
pub fn spawn(command: &mut Command) -> Outcome<Child> {
    command
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot run `{:?}`: {error}", command.get_program()))
}

/// The output of a child that was started so.
pub fn stdout(child: &mut Child) -> Outcome<ChildStdout> {
    child.stdout.take().ok_or_else(|| "the output was taken already".to_owned())
}

/// The process id of the one sandbox's supervisor.
pub fn supervisor_pid(place: &Place) -> Outcome<String> {
    supervisor_pids(place)?.into_iter().next().ok_or_else(|| "there is no sandbox".to_owned())
}

/// The process ids of all sandboxes' supervisors.
pub fn supervisor_pids(place: &Place) -> Outcome<Vec<String>> {
    let sandboxes = fs::read_dir(place.sandboxes()).map_err(|error| error.to_string())?;
    let pid = |folder: fs::DirEntry| {
        let path = folder.path().join("supervisor.lock");
        let lock = fs::read_to_string(path).unwrap_or_default();
        let pid = lock.split(|c: char| !c.is_ascii_digit()).find(|word| !word.is_empty());
        pid.map(str::to_owned).ok_or_else(|| "the supervisor's lock names no process".to_owned())
    };
    sandboxes.flatten().map(pid).collect()
}
