//! Identity against the real kernel, as root and as an ordinary user.

mod connecting;
mod hostile;
mod named_sockets;
mod world;

use std::io::Read;
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use openshell_types::{Digest, FileId};

use world::{Who, case};

const BASH: &str = "/usr/bin/bash";

fn file_id(path: impl AsRef<Path>) -> FileId {
    let stat = std::fs::metadata(path).expect("a file");
    FileId { device: stat.dev(), inode: stat.ino() }
}

#[test]
fn a_connection_is_tied_to_the_program_that_opened_it() {
    for &who in Who::all() {
        case(
            who,
            |agent| assert!(agent.shell(BASH, &agent.dial())),
            |supervisor, _| {
                let (_stream, record) = supervisor.accept();
                let record = record.expect("a record");
                assert_eq!(record.exe.file, file_id(BASH));
                assert_eq!(record.exe.path.as_deref(), Some(BASH));
                let content = std::fs::read(BASH).expect("read");
                assert_eq!(record.exe.sha256, Some(Digest::of(&content)));
                assert_eq!(record.exe.size, content.len() as u64);
                assert_eq!(record.argv.first().map(String::as_str), Some(BASH));
                assert_eq!(record.argv.len(), 3);
                // Init is 1, the agent 2.
                assert_eq!(record.pid, 3);
                let own = "/proc/self/exe";
                let files = record.ancestors.iter().map(|exe| exe.file).collect::<Vec<_>>();
                assert_eq!(files, [file_id(own)]);
            },
        );
    }
}

#[test]
fn the_identifier_is_sealed_and_ends_with_its_supervisor() {
    for &who in Who::all() {
        case(
            who,
            |agent| agent.wait(),
            |supervisor, link| {
                let pid = supervisor.identifier.pid();
                for thread in std::fs::read_dir(format!("/proc/{pid}/task")).expect("threads") {
                    let status = thread.expect("a thread").path().join("status");
                    let status = std::fs::read_to_string(status).expect("a status");
                    let has = |line: &str| status.lines().any(|found| found == line);
                    assert!(has("Seccomp:\t2") && has("NoNewPrivs:\t1"), "{status}");
                    let capabilities = if who == Who::Root { "82000" } else { "0" };
                    for set in ["CapPrm", "CapEff"] {
                        assert!(has(&format!("{set}:\t{capabilities:0>16}")), "{status}");
                    }
                    for set in ["CapInh", "CapAmb"] {
                        assert!(has(&format!("{set}:\t{:0>16}", 0)), "{status}");
                    }
                }
                let (identifier, _) = (supervisor.replace_identifier(), pid);
                drop(identifier);
                assert!(!Path::new(&format!("/proc/{pid}")).exists());
                world::tell(link);
            },
        );
    }
}

#[test]
fn a_thousand_connections() {
    for &who in Who::all() {
        case(
            who,
            |agent| {
                let mut times = Vec::new();
                for _ in 0..1000 {
                    let begun = Instant::now();
                    let mut stream = TcpStream::connect(agent.server).expect("connected");
                    times.push(begun.elapsed());
                    let _closed = stream.read(&mut [0]);
                }
                times.sort_unstable();
                println!("connect p10 {:?} p50 {:?} p99 {:?}", times[100], times[500], times[990]);
            },
            |supervisor, _| {
                let mut spent = Duration::ZERO;
                for _ in 0..1000 {
                    supervisor.expect_connection();
                    let begun = Instant::now();
                    let (stream, record) = supervisor.accept();
                    spent += begun.elapsed();
                    assert!(record.is_some());
                    drop(stream);
                }
                println!("{:?}: accept and look-up {:?} each", supervisor.who, spent / 1000);
            },
        );
    }
}
