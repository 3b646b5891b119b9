//! A process outside, of the same user as the product.

use std::fs;
use std::path::PathBuf;
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use crate::lab::Lab;

/// It has to be up after this.
const PATIENCE: Duration = Duration::from_secs(10);

/// It notes each SIGUSR1.
pub struct Neighbour {
    process: Child,
    log: PathBuf,
}

impl Neighbour {
    /// Starts it.
    pub fn new(lab: &Lab<'_>) -> Self {
        let log = lab.product.home().join("neighbour");
        lab.product.write(&log, "");
        let script =
            "trap 'echo hit >> \"$0\"' USR1; echo up >> \"$0\"; while :; do sleep 0.05; done";
        let mut command = lab.product.program("sh", &["-c", script, log.to_str().unwrap()]);
        let neighbour = Self { process: command.spawn().unwrap(), log };
        neighbour.await_count("up", 1);
        neighbour
    }

    /// Its process id in the world.
    pub fn pid(&self) -> String {
        self.process.id().to_string()
    }

    /// How often it was hit.
    pub fn hits(&self) -> usize {
        self.count("hit")
    }

    /// Waits until it was hit so often.
    pub fn await_hits(&self, count: usize) {
        self.await_count("hit", count);
    }

    fn count(&self, word: &str) -> usize {
        fs::read_to_string(&self.log).unwrap().lines().filter(|line| *line == word).count()
    }

    fn await_count(&self, word: &str, count: usize) {
        let started = Instant::now();
        while self.count(word) < count {
            assert!(started.elapsed() < PATIENCE, "it does not say {word}");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        // It may have been killed by what it was for.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
