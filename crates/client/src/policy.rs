//! The policy of a sandbox: set from text, edited, and read back.

use std::time::{Duration, SystemTime};

use openshell_wire::{native, v1};

use crate::connect::Client;
use crate::error::{ClientError, Diagnostic, Severity, diagnostics};
use crate::limits;

/// A policy to put in force.
#[derive(Clone, Debug)]
pub struct SetPolicy {
    /// The sandbox.
    pub sandbox: String,
    /// The document.
    pub text: String,
    /// The name of its file, for diagnostics.
    pub file: String,
    /// What shall be done with it when it is good.
    pub commit: Commit,
}

/// What shall be done with a policy that is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Commit {
    /// Nothing: it was to be checked.
    Check,
    /// Store it, and push it to the sandbox.
    Store,
    /// And wait this long for it to be enforced.
    Wait(Duration),
}

/// Edits of the newest policy of a sandbox: all or none.
#[derive(Clone, Debug)]
pub struct UpdatePolicy {
    /// The sandbox.
    pub sandbox: String,
    /// The edits, in their order.
    pub edits: Vec<PolicyEdit>,
    /// What shall be done with what comes out.
    pub commit: Commit,
}

/// One edit, in the words of `openshell policy update`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyEdit {
    /// Allows an endpoint to programs.
    AddEndpoint {
        /// `host:port[:access[:protocol[:enforcement[:options]]]]`.
        endpoint: String,
        /// Paths or globs; none: those of the rule, if it has one.
        binaries: Vec<String>,
        /// The key of the rule; none: one that is made of host and port.
        rule: Option<String>,
    },
    /// `host:port`.
    RemoveEndpoint(String),
    /// `host:port:METHOD:path`.
    AddAllow(String),
    /// `host:port:METHOD:path`.
    AddDeny(String),
    /// The key of a rule.
    RemoveRule(String),
}

/// What came of edits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyUpdate {
    /// As if the text had been set.
    pub change: PolicyChange,
    /// What was not done as it was asked, one sentence each.
    pub warnings: Vec<String>,
    /// The text that came out; the places of the diagnostics are in it.
    pub text: String,
    /// The policy says that already: nothing was stored, and the revision is the one that says it.
    pub unchanged: bool,
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
    /// What it says other than the revision before, one line for each change.
    pub difference: Vec<String>,
    /// That revision; none when there is none that can be read.
    pub compared_with: Option<u32>,
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
    /// It was only checked, and has no errors.
    Checked,
    /// The gateway did not say.
    Unknown,
}

/// One revision of a policy in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyListed {
    /// Its number.
    pub revision: u32,
    /// Its digest.
    pub digest: String,
    /// How far it got.
    pub state: PolicyState,
    /// Why the sandbox could not put it in force, when it could not.
    pub error: Option<String>,
    /// When it was stored.
    pub created_at: Option<SystemTime>,
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
        let (wait, timeout_ms) = waiting(change.commit);
        let request = native::SetPolicyRequest {
            sandbox: change.sandbox,
            workspace_scope: self.scope(),
            policy_text: change.text,
            policy_file: change.file,
            wait,
            timeout_ms,
            dry_run: change.commit == Commit::Check,
        };
        changed(self.native.clone().set_policy(request).await?.into_inner())
    }

    /// Edits the newest policy of a sandbox. A policy that would have errors is
    /// [`ClientError::BadInput`], an edit that cannot be done [`ClientError::Precondition`].
    pub async fn update_policy(&self, update: UpdatePolicy) -> Result<PolicyUpdate, ClientError> {
        let (wait, timeout_ms) = waiting(update.commit);
        let request = native::UpdatePolicyRequest {
            sandbox: update.sandbox,
            workspace_scope: self.scope(),
            edits: update.edits.into_iter().map(edit).collect(),
            wait,
            timeout_ms,
            dry_run: update.commit == Commit::Check,
        };
        let answer = self.native.clone().update_policy(request).await?.into_inner();
        let change = answer.change.ok_or_else(|| ClientError::malformed("change"))?;
        let change = match changed(change) {
            // Places and remarks are about a text that the caller did not write.
            Err(ClientError::BadInput { message, diagnostics }) => {
                let errors = diagnostics.into_iter().filter(|d| d.severity == Severity::Error);
                let placeless = |found| Diagnostic { line: None, column: None, ..found };
                let diagnostics = errors.map(placeless).collect();
                return Err(ClientError::BadInput { message, diagnostics });
            }
            change => change?,
        };
        Ok(PolicyUpdate {
            change,
            warnings: answer.warnings,
            text: answer.policy_text,
            unchanged: answer.unchanged,
        })
    }

    /// The newest revisions of a sandbox's policy, the newest first.
    pub async fn policies(
        &self,
        sandbox: &str,
        limit: usize,
    ) -> Result<Vec<PolicyListed>, ClientError> {
        let mut found = Vec::new();
        let mut page_token = String::new();
        while found.len() < limit {
            let rest = limit.saturating_sub(found.len()).min(limits::POLICY_PAGE);
            let request = v1::ListSandboxPoliciesRequest {
                sandbox: sandbox.to_owned(),
                workspace_scope: self.scope(),
                page_size: i32::try_from(rest).unwrap_or(i32::MAX),
                page_token,
                global: false,
            };
            let answer = self.v1.clone().list_sandbox_policies(request).await?.into_inner();
            found.extend(answer.revisions.into_iter().map(listed));
            page_token = answer.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        found.truncate(limit);
        Ok(found)
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

fn waiting(commit: Commit) -> (bool, u32) {
    match commit {
        Commit::Check | Commit::Store => (false, 0),
        Commit::Wait(patience) => (true, u32::try_from(patience.as_millis()).unwrap_or(u32::MAX)),
    }
}

fn edit(edit: PolicyEdit) -> native::PolicyEdit {
    use native::policy_edit::Edit;
    let edit = match edit {
        PolicyEdit::AddEndpoint { endpoint, binaries, rule } => {
            let rule_name = rule.unwrap_or_default();
            Edit::AddEndpoint(native::AddEndpoint { endpoint, binaries, rule_name })
        }
        PolicyEdit::RemoveEndpoint(text) => Edit::RemoveEndpoint(text),
        PolicyEdit::AddAllow(text) => Edit::AddAllow(text),
        PolicyEdit::AddDeny(text) => Edit::AddDeny(text),
        PolicyEdit::RemoveRule(key) => Edit::RemoveRule(key),
    };
    native::PolicyEdit { edit: Some(edit) }
}

fn changed(answer: native::SetPolicyResponse) -> Result<PolicyChange, ClientError> {
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
        difference: answer.difference,
        compared_with: (answer.compared_with > 0).then_some(answer.compared_with),
    })
}

fn listed(wire: v1::SandboxPolicyRevision) -> PolicyListed {
    PolicyListed {
        revision: wire.version,
        state: match wire.status() {
            v1::PolicyStatus::Unspecified => PolicyState::Unknown,
            v1::PolicyStatus::Pending => PolicyState::Pending,
            v1::PolicyStatus::Loaded => PolicyState::Enforced,
            v1::PolicyStatus::Failed => PolicyState::Failed,
            v1::PolicyStatus::Superseded => PolicyState::Superseded,
        },
        digest: wire.policy_hash,
        error: (!wire.load_error.is_empty()).then_some(wire.load_error),
        created_at: wire.created_time.and_then(|time| SystemTime::try_from(time).ok()),
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
        native::PolicyState::Checked => PolicyState::Checked,
    }
}
