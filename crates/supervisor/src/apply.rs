//! Putting a policy in force: compile, tie to files, swap, tell.

use std::sync::{Arc, Mutex, PoisonError};

use openshell_audit::{Config, Event};
use openshell_egress::{PolicyInForce, Report};
use openshell_policy::{BinaryTable, Diagnostic, Policy, Severity};
use openshell_types::{Digest, Generation};
use thiserror::Error;
use tokio::sync::watch;

use crate::binaries::Binaries;

/// The policy in force and how it changes.
pub(crate) struct Policies {
    binaries: Binaries,
    /// The policy that the jail was built from: its static sections are in the mounts.
    built: Policy,
    state: Mutex<State>,
    in_force: watch::Sender<Arc<PolicyInForce>>,
}

struct State {
    policy: Policy,
    table: BinaryTable,
    generation: Generation,
}

/// Why a policy was not put in force; the one before still is.
#[derive(Debug, PartialEq, Eq, Error)]
pub(crate) enum Refused {
    /// An older generation than the one in force.
    #[error("generation {0} is in force already")]
    Stale(Generation),
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
        let bound = PolicyInForce { policy: policy.bind(&table), generation };
        Self {
            binaries,
            built: policy.clone(),
            state: Mutex::new(State { policy, table, generation }),
            in_force: watch::Sender::new(Arc::new(bound)),
        }
    }

    /// Tells the policy in force.
    pub(crate) fn watch(&self) -> watch::Receiver<Arc<PolicyInForce>> {
        self.in_force.subscribe()
    }

    /// The generation in force.
    pub(crate) fn generation(&self) -> Generation {
        self.in_force.borrow().generation
    }

    /// Puts `text` in force as `generation`. `announced` is the digest that it must have.
    pub(crate) fn apply(
        &self,
        generation: Generation,
        announced: Option<Digest>,
        text: &str,
        report: &dyn Report,
    ) -> Result<Digest, Refused> {
        let result = self.swap(generation, announced, text);
        match &result {
            Ok(Swapped { digest, changed: true }) => {
                report.record(config("enforced", generation, *digest, None));
            }
            Ok(_) => {}
            Err(refused) => {
                let digest = announced.unwrap_or(Digest::of(text.as_bytes()));
                report.record(config("refused", generation, digest, Some(refused.to_string())));
            }
        }
        result.map(|swapped| swapped.digest)
    }

    fn swap(
        &self,
        generation: Generation,
        announced: Option<Digest>,
        text: &str,
    ) -> Result<Swapped, Refused> {
        let policy = compile(text).map_err(Refused::Errors)?;
        let digest = policy.digest();
        if announced.is_some_and(|announced| announced != digest) {
            return Err(Refused::Digest);
        }
        self.check_static(&policy)?;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if generation < state.generation {
            return Err(Refused::Stale(state.generation));
        }
        if generation == state.generation && digest == state.policy.digest() {
            return Ok(Swapped { digest, changed: false });
        }
        let table = self.binaries.table(&policy);
        let bound = PolicyInForce { policy: policy.bind(&table), generation };
        *state = State { policy, table, generation };
        self.in_force.send_replace(Arc::new(bound));
        Ok(Swapped { digest, changed: true })
    }

    /// Ties the policy to its files again if one of its paths stands for another file now.
    pub(crate) fn rebind(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let table = self.binaries.table(&state.policy);
        if table == state.table {
            return;
        }
        tracing::info!("Binaries of the policy are other files now");
        let policy = state.policy.bind(&table);
        state.table = table;
        self.in_force
            .send_replace(Arc::new(PolicyInForce { policy, generation: state.generation }));
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

struct Swapped {
    digest: Digest,
    changed: bool,
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
