//! A program that asks without a pause, and a server that knows when each request came.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use openshell_e2e::Sandbox;
use openshell_testkit::{Finished, World};

use crate::server::Server;

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
    /// What came, and word of each.
    answers: Arc<(Mutex<Vec<Answer>>, Condvar)>,
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
        let answers = Arc::<(Mutex<Vec<Answer>>, Condvar)>::default();
        let (noted, said) = (Arc::clone(&answers), child.stdout.take().expect("it is piped"));
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(said).lines() {
                let line = line.expect("it is a text");
                let mut words = line.split(' ').map(|word| word.parse::<u128>().expect("a number"));
                let mut next = || words.next().expect("three numbers");
                let status = u16::try_from(next()).expect("a status");
                let answer = Answer { status, asked: next(), there: next() };
                noted.0.lock().expect("nobody panics").push(answer);
                noted.1.notify_all();
            }
        });
        Self { child, answers, reader: Some(reader) }
    }

    /// Waits for so many more answers.
    #[track_caller]
    pub fn goes_on_for(&self, count: usize) {
        let (answers, more) = &*self.answers;
        let mut answers = answers.lock().expect("nobody panics");
        let wanted = answers.len() + count;
        while answers.len() < wanted {
            let had = answers.len();
            let result = more.wait_timeout_while(answers, PATIENCE, |all| all.len() == had);
            answers = result.expect("nobody panics").0;
            assert!(answers.len() > had, "{had} of {wanted}, and then nothing");
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
        std::mem::take(&mut self.answers.0.lock().expect("nobody panics"))
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
pub struct Recorder(Server);

impl Recorder {
    /// One for a name of the world.
    pub fn start(w: &World, host: &str) -> Self {
        Self(Server::start(w, host, include_str!("recorder.py"), &[]))
    }

    /// All requests so far, in the order in which they were answered.
    #[track_caller]
    pub fn arrivals(&self) -> Vec<Arrival> {
        self.0.out().lines().map(arrival).collect()
    }
}

#[track_caller]
fn arrival(line: &str) -> Arrival {
    let words: Vec<&str> = line.split(' ').collect();
    let [method, key, model, at] = words[..] else { panic!("{line}") };
    let at = at.parse().unwrap_or_else(|_| panic!("the kernel did not say when it came: {line}"));
    Arrival { method: method.to_owned(), key: key.to_owned(), model: model.to_owned(), at }
}
