//! Policies: checked here with the crate that the supervisor enforces them with.

use std::time::Duration;

use jiff::Timestamp;
use openshell_policy::{Diagnostic, Policy};
use openshell_wire::session;
use tokio::time::{Instant, timeout_at};

use super::{App, AppError};
use crate::limits::{POLICY_TEXT, POLICY_WAIT};
use crate::store::rows::policy::{NewRevision, Revision, Status};
use crate::store::rows::sandbox::Sandbox;

/// The policy of a sandbox that was given none: the default view, and no network.
pub(crate) const DEFAULT: &str = "version: 1\n";

/// A policy text after its check.
#[derive(Debug)]
pub(crate) enum Checked {
    /// It can be put in force.
    Good(NewRevision, Vec<Diagnostic>),
    /// It cannot: all that was found.
    Refused(Vec<Diagnostic>),
}

/// Checks a policy text.
pub(crate) fn check(text: &str) -> Result<Checked, AppError> {
    if text.len() > POLICY_TEXT {
        return Err(AppError::invalid("policy", format!("more than {POLICY_TEXT} bytes")));
    }
    Ok(match Policy::compile(text) {
        // SECURITY: the egress would let through what such rules are to stop.
        Ok((policy, mut findings)) if policy.beyond_connections().is_some() => {
            findings.extend(policy.beyond_connections().cloned());
            Checked::Refused(findings)
        }
        Ok((policy, findings)) => {
            let revision = NewRevision {
                digest: policy.digest().to_string(),
                text: text.to_owned(),
                created_ms: Timestamp::now().as_millisecond(),
            };
            Checked::Good(revision, findings)
        }
        Err(findings) => Checked::Refused(findings),
    })
}

/// What became of a policy that was set.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It was stored, and is or is not in force yet.
    Stored { revision: Revision, findings: Vec<Diagnostic> },
    /// It has errors; nothing was changed.
    Refused(Vec<Diagnostic>),
}

impl App {
    /// Sets the policy of a sandbox and pushes it to its supervisor; with `wait`, returns when it
    /// is enforced or refused there, or the time is over.
    pub(crate) async fn set_policy(
        &self,
        sandbox: &Sandbox,
        text: &str,
        wait: Option<Duration>,
    ) -> Result<Outcome, AppError> {
        let (new, findings) = match check(text)? {
            Checked::Good(new, findings) => (new, findings),
            Checked::Refused(findings) => return Ok(Outcome::Refused(findings)),
        };
        if sandbox.observed.phase.is_last() {
            return Err(AppError::Precondition(format!(
                "the sandbox is {}: no policy can come into force",
                if sandbox.observed.exit_code.is_some() { "completed" } else { "not running" }
            )));
        }
        let mut changes = self.registry.state(&sandbox.id);
        let number = self.store.add_revision(&sandbox.id, &new).await?;
        tracing::info!(sandbox = %sandbox.name, revision = number, "Policy set");
        if let Some(session) = self.registry.session(&sandbox.id) {
            let NewRevision { digest, text, .. } = new;
            let policy = session::Policy { generation: number.into(), digest, text };
            session.push(policy).await;
        }
        self.registry.changed(&sandbox.id);
        let patience = wait.unwrap_or(Duration::ZERO).min(POLICY_WAIT);
        let deadline = Instant::now().checked_add(patience).unwrap_or_else(Instant::now);
        loop {
            let revision = self.revision(sandbox, Some(number)).await?;
            let waits = wait.is_some() && revision.status == Status::Pending;
            if !waits || !matches!(timeout_at(deadline, changes.changed()).await, Ok(Ok(()))) {
                return Ok(Outcome::Stored { revision, findings });
            }
        }
    }

    /// One revision of a sandbox's policy, or the newest.
    pub(crate) async fn revision(
        &self,
        sandbox: &Sandbox,
        number: Option<u32>,
    ) -> Result<Revision, AppError> {
        self.store.revision(&sandbox.id, number).await?.ok_or_else(|| AppError::NotFound {
            kind: "policy revision",
            name: number.map_or_else(|| "newest".to_owned(), |number| number.to_string()),
        })
    }
}
