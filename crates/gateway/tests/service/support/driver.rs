//! A driver whose supervisors are tasks. They live on when the gateway ends.

use std::collections::HashMap;
use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use openshell_driver::{Driver, DriverError, Observed, Placement};
use openshell_gateway::Paths;
use openshell_types::{SandboxId, SandboxSpec};
use openshell_wire::session::Policy;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::supervisor;

/// What was pushed last to each sandbox.
pub type Pushed = watch::Sender<HashMap<SandboxId, Policy>>;

pub struct FakeDriver {
    paths: Paths,
    running: Mutex<HashMap<SandboxId, JoinHandle<()>>>,
    placed: Mutex<HashMap<SandboxId, SandboxSpec>>,
    token: Mutex<String>,
    pub ensured: AtomicUsize,
    /// What was pushed last to each sandbox.
    pub pushed: Pushed,
}

impl FakeDriver {
    pub fn new(paths: &Paths) -> Self {
        Self {
            paths: paths.clone(),
            running: Mutex::default(),
            placed: Mutex::default(),
            token: Mutex::default(),
            ensured: AtomicUsize::new(0),
            pushed: watch::Sender::default(),
        }
    }

    /// What was placed under this id.
    pub fn spec(&self, id: &str) -> SandboxSpec {
        let id = SandboxId::parse(id).expect("an id");
        self.placed.lock().expect("lock").get(&id).expect("placed").clone()
    }

    /// What the supervisor of this sandbox was pushed last.
    pub fn pushed(&self, id: &str) -> Option<Policy> {
        let id = SandboxId::parse(id).expect("an id");
        self.pushed.borrow().get(&id).cloned()
    }

    /// The token that was given out last.
    pub fn token(&self) -> String {
        self.token.lock().expect("lock").clone()
    }

    /// Ends a supervisor as a crash would.
    pub fn kill(&self, id: &str) {
        let id = SandboxId::parse(id).expect("an id");
        if let Some(task) = self.running.lock().expect("lock").remove(&id) {
            task.abort();
        }
    }
}

#[async_trait]
impl Driver for FakeDriver {
    fn name(&self) -> &'static str {
        "fake"
    }

    async fn ensure(&self, placement: &Placement) -> Result<Observed, DriverError> {
        self.ensured.fetch_add(1, Ordering::Relaxed);
        if placement.spec.command[0] == "impossible" {
            return Err(DriverError::Host("this host refuses user namespaces".into()));
        }
        *self.token.lock().expect("lock") = placement.token.expose().clone();
        let id = placement.spec.id.clone();
        fs::create_dir_all(self.paths.sandbox(&id)).expect("a folder");
        let task = tokio::spawn(supervisor::run(
            self.paths.clone(),
            placement.clone(),
            self.pushed.clone(),
        ));
        self.running.lock().expect("lock").insert(id.clone(), task);
        self.placed.lock().expect("lock").insert(id, placement.spec.clone());
        Ok(Observed::Running { pid: None })
    }

    async fn stop(&self, id: &SandboxId) -> Result<(), DriverError> {
        self.kill(id.as_str());
        Ok(())
    }

    async fn delete(&self, id: &SandboxId) -> Result<(), DriverError> {
        self.kill(id.as_str());
        let _ = fs::remove_dir_all(self.paths.sandbox(id));
        Ok(())
    }

    async fn observe(&self, id: &SandboxId) -> Result<Observed, DriverError> {
        let running = self.running.lock().expect("lock");
        Ok(match running.get(id) {
            Some(task) if !task.is_finished() => Observed::Running { pid: None },
            _ => Observed::Absent,
        })
    }
}
