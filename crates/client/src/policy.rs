//! The policy of a sandbox: set from text, and read back.

use std::time::{Duration, SystemTime};

use openshell_wire::native;

use crate::connect::Client;
use crate::error::{ClientError, Diagnostic, diagnostics};

/// A policy to put in force.
#[derive(Clone, Debug)]
pub struct SetPolicy {
    /// The sandbox.
    pub sandbox: String,
    /// The document.
    pub text: String,
    /// The name of its file, for diagnostics.
    pub file: String,
    /// Wait this long for it to be enforced; none: do not wait.
    pub wait: Option<Duration>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyChange {
    /// The number of the revision.
    pub revision: u32,
    /// Its digest.
    pub digest: String,
    /// How far it got.
    pub state: PolicyState,
    /// Warnings; of a refused policy: errors.
    pub diagnostics: Vec<Diagnostic>,
    /// Why the sandbox could not put it in force, when it could not.
    pub error: Option<String>,
}

/// How far a policy got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyState {
    /// Stored, but not acknowledged by the sandbox.
    Pending,
    /// In force.
    Enforced,
    /// The sandbox could not put it in force; the one before still is.
    Failed,
    /// Another came after it.
    Superseded,
    /// It has errors and was not stored.
    Refused,
    /// The gateway did not say.
    Unknown,
}

/// One revision of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyRevision {
    /// Its number.
    pub revision: u32,
    /// Its digest.
    pub digest: String,
    /// How far it got.
    pub state: PolicyState,
    /// The document.
    pub text: String,
    /// Why the sandbox could not put it in force, when it could not.
    pub error: Option<String>,
    /// When it was stored.
    pub created_at: Option<SystemTime>,
}

impl Client {
    /// Sets the policy of a sandbox. A policy with errors is [`ClientError::BadInput`].
    pub async fn set_policy(&self, change: SetPolicy) -> Result<PolicyChange, ClientError> {
        let timeout = change.wait.unwrap_or_default().as_millis();
        let request = native::SetPolicyRequest {
            sandbox: change.sandbox,
            workspace_scope: self.scope(),
            policy_text: change.text,
            policy_file: change.file,
            wait: change.wait.is_some(),
            timeout_ms: u32::try_from(timeout).unwrap_or(u32::MAX),
        };
        let answer = self.native.clone().set_policy(request).await?.into_inner();
        let state = state(answer.state());
        let diagnostics = diagnostics(answer.diagnostics);
        if state == PolicyState::Refused {
            let message = match answer.error.as_str() {
                "" => "the policy has errors".to_owned(),
                said => said.to_owned(),
            };
            return Err(ClientError::BadInput { message, diagnostics });
        }
        Ok(PolicyChange {
            revision: answer.revision,
            digest: answer.digest,
            state,
            diagnostics,
            error: (!answer.error.is_empty()).then_some(answer.error),
        })
    }

    /// A revision of a sandbox's policy; none given: the newest.
    pub async fn policy(
        &self,
        sandbox: &str,
        revision: Option<u32>,
    ) -> Result<PolicyRevision, ClientError> {
        let request = native::GetPolicyRequest {
            sandbox: sandbox.to_owned(),
            workspace_scope: self.scope(),
            revision: revision.unwrap_or(0),
        };
        let answer = self.native.clone().get_policy(request).await?.into_inner();
        let created = u64::try_from(answer.created_ms).ok().filter(|ms| *ms > 0);
        Ok(PolicyRevision {
            revision: answer.revision,
            state: state(answer.state()),
            digest: answer.digest,
            text: answer.policy_text,
            error: (!answer.error.is_empty()).then_some(answer.error),
            created_at: created
                .and_then(|ms| SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(ms))),
        })
    }
}

const fn state(wire: native::PolicyState) -> PolicyState {
    match wire {
        native::PolicyState::Unspecified => PolicyState::Unknown,
        native::PolicyState::Pending => PolicyState::Pending,
        native::PolicyState::Enforced => PolicyState::Enforced,
        native::PolicyState::Failed => PolicyState::Failed,
        native::PolicyState::Superseded => PolicyState::Superseded,
        native::PolicyState::Refused => PolicyState::Refused,
    }
}
