//! A program that asks without a pause, and a server that knows when each request came.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use openshell_e2e::{Sandbox, eventually};
use openshell_testkit::{Finished, Flaw, World};
use tempfile::TempDir;

/// A program from which nothing comes for this long is stuck.
const PATIENCE: Duration = Duration::from_secs(60);

/// Nanoseconds since 1970, as every program of the machine counts them.
pub fn now() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later").as_nanos()
}

/// Between two of these times something was changed.
#[derive(Clone, Copy, Debug)]
pub struct Change {
    pub called: u128,
    pub returned: u128,
}

impl Change {
    /// Does it; the command has to succeed.
    #[track_caller]
    pub fn by(command: impl FnOnce() -> Finished) -> Self {
        let called = now();
        let said = command().succeeded();
        println!("changed after {:?}", said.took);
        Self { called, returned: now() }
    }
}

/// What the program got for one request.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    pub status: u16,
    pub asked: u128,
    pub there: u128,
}

/// A running program of a sandbox.
pub struct Load {
    child: Child,
    answers: Arc<Mutex<Vec<Answer>>>,
    reader: Option<JoinHandle<()>>,
}

impl Load {
    /// Sends one request over and over, on `lanes` connections. Variables in it are those of the sandbox.
    pub fn start(sandbox: &Sandbox<'_>, host: &str, lanes: usize, request: &str) -> Self {
        let lanes = lanes.to_string();
        let program = ["/usr/bin/python3", "-c", include_str!("load.py"), host, &lanes, request];
        let mut command = sandbox.exec_command(&[], &program);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("openshell can be run");
        let answers = Arc::<Mutex<Vec<Answer>>>::default();
        let (noted, said) = (Arc::clone(&answers), child.stdout.take().expect("it is piped"));
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(said).lines() {
                let line = line.expect("it is a text");
                let mut words = line.split(' ').map(|word| word.parse::<u128>().expect("a number"));
                let mut next = || words.next().expect("three numbers");
                let status = u16::try_from(next()).expect("a status");
                let answer = Answer { status, asked: next(), there: next() };
                noted.lock().expect("nobody panics").push(answer);
            }
        });
        Self { child, answers, reader: Some(reader) }
    }

    /// Waits for so many more answers.
    #[track_caller]
    pub fn goes_on_for(&self, count: usize) {
        let so_far = || self.answers.lock().expect("nobody panics").len();
        let (start, mut last, mut since) = (so_far(), 0, Instant::now());
        loop {
            let come = so_far() - start;
            if come >= count {
                return;
            }
            if come != last {
                (last, since) = (come, Instant::now());
            }
            assert!(since.elapsed() < PATIENCE, "{come} of {count}, and then nothing");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Ends it; all that it got.
    #[track_caller]
    pub fn end(mut self) -> Vec<Answer> {
        drop(self.child.stdin.take());
        let status = self.child.wait().expect("a child can be waited for");
        assert!(status.success(), "{status}");
        let reader = self.reader.take().expect("it is read");
        reader.join().expect("each line is three numbers");
        std::mem::take(&mut self.answers.lock().expect("nobody panics"))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A request, as it came.
#[derive(Clone, Debug)]
pub struct Arrival {
    pub method: String,
    pub key: String,
    pub model: String,
    pub at: u128,
}

/// A server that answers everything.
pub struct Recorder {
    files: TempDir,
    child: Child,
}

impl Recorder {
    /// One for a name of the world.
    pub fn start(w: &World, host: &str) -> Self {
        let files = tempfile::tempdir().expect("/tmp is writable");
        let file = |name: &str, text: &str| {
            let path = files.path().join(name);
            fs::write(&path, text).expect("our own folder is writable");
            path
        };
        let said = |name| File::create(files.path().join(name)).expect("our own folder");
        let (certificate, key) = w.identity(host, Flaw::None);
        let at: IpAddr = w.fresh_v4();
        w.add_address(at);
        w.dns().set(host, &[at]);
        let mut command = Command::new("/usr/bin/python3");
        command
            .arg(file("recorder.py", include_str!("recorder.py")))
            .arg(at.to_string())
            .args([file("certificate", &certificate), file("key", &key)])
            .stdin(Stdio::null())
            .stdout(said("out"))
            .stderr(said("errors"));
        let recorder = Self { child: w.spawn(&mut command), files };
        eventually("the recorder listens", || TcpStream::connect(SocketAddr::new(at, 443)).ok());
        recorder
    }

    /// All requests so far, in the order in which they were answered.
    #[track_caller]
    pub fn arrivals(&self) -> Vec<Arrival> {
        let said = fs::read_to_string(self.files.path().join("out")).expect("our own folder");
        said.lines().map(arrival).collect()
    }
}

#[track_caller]
fn arrival(line: &str) -> Arrival {
    let words: Vec<&str> = line.split(' ').collect();
    let [method, key, model, at] = words[..] else { panic!("{line}") };
    let at = at.parse().unwrap_or_else(|_| panic!("the kernel did not say when it came: {line}"));
    Arrival { method: method.to_owned(), key: key.to_owned(), model: model.to_owned(), at }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let errors = fs::read_to_string(self.files.path().join("errors"));
            eprintln!("the recorder: {}", errors.unwrap_or_default());
        }
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a child can be waited for");
    }
}
