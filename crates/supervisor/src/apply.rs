//! Putting a policy in force: compile, tie to files, swap, tell.

use std::mem::take;
use std::sync::{Arc, Mutex, PoisonError};

use openshell_audit::{Config, Event};
use openshell_credential::Credentials;
use openshell_egress::{PolicyInForce, Report, Sending, State};
use openshell_inference::Routes;
use openshell_policy::{BinaryTable, Diagnostic, Policy, Severity};
use openshell_types::{CredentialSet, Digest, Generation, Route};
use thiserror::Error;
use tokio::sync::watch;

use crate::binaries::Binaries;

/// The policy in force and how it changes.
pub(crate) struct Policies {
    binaries: Binaries,
    /// The policy that the jail was built from: its static sections are in the mounts.
    built: Policy,
    current: Mutex<Current>,
    in_force: watch::Sender<Arc<PolicyInForce>>,
}

struct Current {
    policy: Policy,
    table: BinaryTable,
    generation: Generation,
    credentials: Arc<Credentials>,
    routes: Arc<Routes>,
    /// What the requests are counted by that are still being sent under states before.
    older: Vec<Sending>,
}

/// What shall come into force.
pub(crate) struct Pushed<'a> {
    pub(crate) generation: Generation,
    /// The digest that the text must have.
    pub(crate) announced: Option<Digest>,
    pub(crate) text: &'a str,
    pub(crate) credentials: CredentialSet,
    /// Where model calls go. Their changes are counted in the epoch of the credentials.
    pub(crate) routes: Vec<Route>,
}

/// Why a policy was not put in force; the one before still is.
#[derive(Debug, PartialEq, Eq, Error)]
pub(crate) enum Refused {
    /// An older state than the one in force.
    #[error("generation {} with credentials {} is in force already", .0.generation, .0.epoch)]
    Stale(State),
    /// It is not the document that was announced.
    #[error("the policy's digest is not the announced one")]
    Digest,
    /// It has errors.
    #[error("{0}")]
    Errors(String),
    /// It changes what the jail was built from.
    #[error(
        "the {0} section takes effect when a sandbox starts and cannot be changed while it runs"
    )]
    Static(&'static str),
}

impl Policies {
    /// Puts the first policy in force.
    pub(crate) fn new(policy: Policy, generation: Generation, binaries: Binaries) -> Self {
        let table = binaries.table(&policy);
        let credentials: Arc<Credentials> = Arc::default();
        let bound = PolicyInForce::new(policy.bind(&table), generation, Arc::clone(&credentials));
        Self {
            binaries,
            built: policy.clone(),
            current: Mutex::new(Current {
                policy,
                table,
                generation,
                credentials,
                routes: Arc::default(),
                older: Vec::new(),
            }),
            in_force: watch::Sender::new(Arc::new(bound)),
        }
    }

    /// Tells the policy in force.
    pub(crate) fn watch(&self) -> watch::Receiver<Arc<PolicyInForce>> {
        self.in_force.subscribe()
    }

    /// What is in force.
    pub(crate) fn state(&self) -> State {
        self.in_force.borrow().state()
    }

    /// Puts a policy, credentials and routes in force, in one step.
    pub(crate) fn apply(
        &self,
        pushed: Pushed<'_>,
        report: &dyn Report,
    ) -> Result<Applied, Refused> {
        let Pushed { generation, announced, text, .. } = pushed;
        let result = self.swap(pushed);
        match &result {
            Ok(Applied { digest, before: Some(before), .. }) => {
                let activity =
                    if before.generation == generation { "credentials" } else { "enforced" };
                report.record(config(activity, generation, *digest, None));
            }
            Ok(_) => {}
            Err(refused) => {
                let digest = announced.unwrap_or(Digest::of(text.as_bytes()));
                report.record(config("refused", generation, digest, Some(refused.to_string())));
            }
        }
        result
    }

    fn swap(&self, pushed: Pushed<'_>) -> Result<Applied, Refused> {
        let Pushed { generation, announced, text, credentials, routes } = pushed;
        let policy = compile(text).map_err(Refused::Errors)?;
        let digest = policy.digest();
        if announced.is_some_and(|announced| announced != digest) {
            return Err(Refused::Digest);
        }
        self.check_static(&policy)?;
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let state = current.state();
        if (generation, credentials.epoch) < (state.generation, state.epoch) {
            return Err(Refused::Stale(state));
        }
        let is_known = generation == state.generation && credentials.epoch == state.epoch;
        if is_known && digest == current.policy.digest() {
            let older = current.older.clone();
            return Ok(Applied { digest, before: None, older });
        }
        let table = self.binaries.table(&policy);
        let credentials = Credentials::new(credentials).after(&current.credentials);
        let credentials = Arc::new(credentials);
        let routes = Arc::new(Routes::new(routes));
        let bound = PolicyInForce::new(policy.bind(&table), generation, Arc::clone(&credentials))
            .with_routes(Arc::clone(&routes));
        let before = self.in_force.send_replace(Arc::new(bound));
        let mut older = take(&mut current.older);
        older.push(before.sending.clone());
        older.retain(|sending| !sending.is_over());
        let state = before.state();
        *current = Current { policy, table, generation, credentials, routes, older: older.clone() };
        Ok(Applied { digest, before: Some(state), older })
    }

    /// Ties the policy to its files again if one of its paths stands for another file now.
    pub(crate) fn rebind(&self) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let table = self.binaries.table(&current.policy);
        if table == current.table {
            return;
        }
        tracing::info!("Binaries of the policy are other files now");
        let policy = current.policy.bind(&table);
        current.table = table;
        let sending = self.in_force.borrow().sending.clone();
        let credentials = Arc::clone(&current.credentials);
        let bound = PolicyInForce::new(policy, current.generation, credentials)
            .with_routes(Arc::clone(&current.routes));
        self.in_force.send_replace(Arc::new(PolicyInForce { sending, ..bound }));
    }

    /// Paths may be added for the next start; everything else that mounts are made from stays. What
    /// every jail has is there with or without a policy that names it.
    fn check_static(&self, policy: &Policy) -> Result<(), Refused> {
        let default = Policy::deny_all();
        let (built, new) = (self.built.filesystem(), policy.filesystem());
        let default = default.filesystem();
        let keeps = |old: &[String], new: &[String]| {
            old.iter().all(|path| {
                new.contains(path)
                    || default.read_only.contains(path)
                    || default.read_write.contains(path)
            })
        };
        if !keeps(&built.read_only, &new.read_only) || !keeps(&built.read_write, &new.read_write) {
            return Err(Refused::Static("filesystem_policy"));
        }
        if self.built.process() != policy.process() {
            return Err(Refused::Static("process"));
        }
        if self.built.landlock() != policy.landlock() {
            return Err(Refused::Static("landlock"));
        }
        Ok(())
    }
}

/// A policy that is in force.
pub(crate) struct Applied {
    pub(crate) digest: Digest,
    /// What it replaced; `None`: it was in force already.
    before: Option<State>,
    older: Vec<Sending>,
}

impl Applied {
    /// Waits until nothing more is sent with the credentials of the policy before. The egress bounds
    /// how long one request is being sent.
    pub(crate) async fn settled(self) -> Digest {
        for sending in &self.older {
            sending.over().await;
        }
        self.digest
    }
}

impl Current {
    fn state(&self) -> State {
        State { generation: self.generation, epoch: self.credentials.epoch() }
    }
}

fn config(activity: &str, generation: Generation, digest: Digest, detail: Option<String>) -> Event {
    Event::Config(Config { activity: activity.into(), generation, digest, detail })
}

/// A policy that this build can enforce; else its errors, in one line.
pub(crate) fn compile(text: &str) -> Result<Policy, String> {
    let (policy, _warnings) = Policy::compile(text).map_err(|all| errors(&all))?;
    // SECURITY: the egress would let through what rules for requests are to stop.
    match policy.unenforced() {
        Some(finding) => Err(errors(std::slice::from_ref(finding))),
        None => Ok(policy),
    }
}

/// The errors among the diagnostics, in one line.
fn errors(diagnostics: &[Diagnostic]) -> String {
    let errors: Vec<String> = diagnostics
        .iter()
        .filter(|diagnostic| diagnostic.severity == Severity::Error)
        .map(|diagnostic| {
            format!("line {}: {} ({})", diagnostic.line, diagnostic.message, diagnostic.code)
        })
        .collect();
    errors.join("; ")
}
