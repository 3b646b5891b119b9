//! One step of one sandbox.
//!
//! ```text
//!  desired   driver sees   phase            step
//!  absent    anything      any              delete, then forget
//!  present   nothing       never placed     place
//!  present   nothing       not the last     it ended: ERROR, and not started again
//!  present   running       no session       wait; after a minute ERROR
//!  present   anything      COMPLETED        delete, when it is ephemeral
//! ```

use jiff::Timestamp;
use openshell_driver::{DriverError, Observed as Seen, Placement};
use openshell_types::{Digest, Redacted, SandboxId};
use thiserror::Error;

use super::Reconciler;
use crate::compose::{ComposeError, compose};
use crate::limits::{DIAL_IN, EXIT_FETCH};
use crate::store::StoreError;
use crate::store::rows::sandbox::{Desired, Observed, Phase, Sandbox};

/// Why a step did not reach its end. The next one tries again.
#[derive(Debug, Error)]
pub(super) enum StepError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the driver failed: {0}")]
    Driver(#[from] DriverError),
    #[error("no random numbers: {0}")]
    Random(#[from] getrandom::Error),
}

impl Reconciler {
    pub(super) async fn sandbox(&self, id: &SandboxId) -> Result<(), StepError> {
        let Some(sandbox) = self.store.sandbox(id).await? else {
            // A folder without a record: a crash came between removing the one and the other.
            return Ok(self.driver.delete(id).await?);
        };
        if sandbox.desired == Desired::Absent {
            return self.delete(&sandbox).await;
        }
        match sandbox.observed.phase {
            Phase::Completed if sandbox.ephemeral => self.delete_when_fetched(&sandbox).await,
            Phase::Completed | Phase::Error => Ok(()),
            Phase::Provisioning | Phase::Ready => match self.driver.observe(id).await? {
                Seen::Absent if sandbox.placed_ms.is_none() => self.place(&sandbox).await,
                Seen::Absent => self.ended(&sandbox).await,
                Seen::Running { .. } => self.wait_for_session(&sandbox).await,
            },
        }
    }

    async fn delete(&self, sandbox: &Sandbox) -> Result<(), StepError> {
        if let Some(session) = self.registry.session(&sandbox.id) {
            session.stop().await;
        }
        self.driver.delete(&sandbox.id).await?;
        self.store.remove_sandbox(&sandbox.id).await?;
        self.registry.forget(&sandbox.id);
        tracing::info!(sandbox = %sandbox.name, id = %sandbox.id, "Sandbox deleted");
        Ok(())
    }

    /// An ephemeral sandbox stays until somebody has its exit code, or nobody comes for it.
    async fn delete_when_fetched(&self, sandbox: &Sandbox) -> Result<(), StepError> {
        let (attached, fetched) = self.registry.attachments(&sandbox.id);
        let waited_ms =
            Timestamp::now().as_millisecond().saturating_sub(sandbox.ended_ms.unwrap_or(i64::MIN));
        let patience_ms = i64::try_from(EXIT_FETCH.as_millis()).unwrap_or(i64::MAX);
        if attached || (!fetched && waited_ms < patience_ms) {
            return Ok(());
        }
        self.store.want_sandbox_gone(&sandbox.id).await?;
        self.delete(sandbox).await
    }

    async fn place(&self, sandbox: &Sandbox) -> Result<(), StepError> {
        let composed = match compose(&self.store, &sandbox.id).await {
            Ok(composed) => composed,
            Err(ComposeError::Store(error)) => return Err(error.into()),
            Err(error) => return self.failed(sandbox, "PolicyMissing", &error.to_string()).await,
        };
        // Values and routes come over the session; the command does not start before.
        let mut spec = sandbox.spec.clone();
        spec.await_credentials = !(composed.attached.is_empty() && composed.routes.is_empty());
        let mut environment = composed.environment();
        environment.append(&mut spec.environment);
        spec.environment = environment;
        let token = random_token()?;
        // Before the supervisor can dial in. The token itself is kept nowhere.
        self.store.set_token(&sandbox.id, Digest::of(token.expose().as_bytes()).as_bytes()).await?;
        let placement = Placement {
            spec,
            policy: composed.text,
            generation: composed.revision.number.into(),
            token,
        };
        match self.driver.ensure(&placement).await {
            Ok(_) => {
                let now_ms = Timestamp::now().as_millisecond();
                Ok(self.store.set_placed(&sandbox.id, now_ms).await?)
            }
            Err(error) => self.failed(sandbox, "PlacementFailed", &with_sources(&error)).await,
        }
    }

    /// The supervisor is gone without having said how its main command ended.
    async fn ended(&self, sandbox: &Sandbox) -> Result<(), StepError> {
        if self.registry.session(&sandbox.id).is_some() {
            // Its last words are still being read; the session's end looks here again.
            return Ok(());
        }
        self.failed(sandbox, "SupervisorEnded", "supervisor ended").await
    }

    async fn wait_for_session(&self, sandbox: &Sandbox) -> Result<(), StepError> {
        let now_ms = Timestamp::now().as_millisecond();
        let Some(placed_ms) = sandbox.placed_ms else {
            // A crash came between the start and the note of it.
            return Ok(self.store.set_placed(&sandbox.id, now_ms).await?);
        };
        let patience_ms = i64::try_from(DIAL_IN.as_millis()).unwrap_or(i64::MAX);
        let never_came = sandbox.observed.boot_id.is_empty()
            && self.registry.session(&sandbox.id).is_none()
            && now_ms.saturating_sub(placed_ms) > patience_ms;
        if never_came {
            self.driver.stop(&sandbox.id).await?;
            self.failed(sandbox, "SupervisorSilent", "the supervisor did not connect").await?;
        }
        Ok(())
    }

    async fn failed(
        &self,
        sandbox: &Sandbox,
        reason: &str,
        message: &str,
    ) -> Result<(), StepError> {
        tracing::warn!(sandbox = %sandbox.name, id = %sandbox.id, reason, message, "Sandbox failed");
        let observed = Observed {
            phase: Phase::Error,
            reason: reason.to_owned(),
            message: message.to_owned(),
            ..sandbox.observed.clone()
        };
        let now_ms = Timestamp::now().as_millisecond();
        self.store.set_observed(&sandbox.id, &observed, now_ms).await?;
        self.registry.changed(&sandbox.id);
        Ok(())
    }
}

fn random_token() -> Result<Redacted<String>, getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    let bytes = Redacted::new(bytes);
    Ok(Redacted::new(hex::encode(bytes.expose())))
}

/// An error with all that caused it, on one line.
fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
