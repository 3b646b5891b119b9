//! A server of the test world that is a Python program of ours, in TLS.

use std::fs::{self, File};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

use openshell_e2e::eventually;
use openshell_testkit::{Flaw, World};
use tempfile::TempDir;

/// A program that is given an address, and the files of its certificate and key.
pub struct Server {
    files: TempDir,
    child: Child,
}

impl Server {
    /// Starts the program `text` for a name of the world.
    #[track_caller]
    pub fn start(w: &World, host: &str, text: &str, environment: &[(&str, &str)]) -> Self {
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
            .arg(file("server.py", text))
            .arg(at.to_string())
            .args([file("certificate", &certificate), file("key", &key)])
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(said("out"))
            .stderr(said("errors"));
        let server = Self { child: w.spawn(&mut command), files };
        eventually("the server listens", || TcpStream::connect(SocketAddr::new(at, 443)).ok());
        server
    }

    /// All that it printed so far.
    pub fn out(&self) -> String {
        fs::read_to_string(self.files.path().join("out")).expect("our own folder")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let errors = fs::read_to_string(self.files.path().join("errors"));
            eprintln!("{}\n{}", self.out(), errors.unwrap_or_default());
        }
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a child can be waited for");
    }
}
