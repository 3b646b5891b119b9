//! Policies: as text for native clients, as messages for published ones.

use std::collections::HashMap;
use std::time::Duration;

use openshell_wire::{native, sandbox as sb, v1};

use super::convert::{diagnostics, refused, scope, timestamp};
use super::{Rpc, merge};
use crate::app::AppError;
use crate::app::page::{cut, size};
use crate::app::policy::{Commit, Compared, EditOutcome, Outcome};
use crate::store::rows::policy::{Revision, Status, Unchanged};
use crate::store::rows::sandbox::Sandbox;

type Answer<T> = Result<T, AppError>;

impl Rpc {
    pub(super) async fn set_policy(
        &self,
        request: native::SetPolicyRequest,
    ) -> Answer<native::SetPolicyResponse> {
        let sandbox = self.app.sandbox(&scope(request.workspace_scope)?, &request.sandbox).await?;
        let commit = commit(request.dry_run, request.wait, request.timeout_ms);
        let text = &request.policy_text;
        let outcome = self.app.set_policy(&sandbox, text, commit, Unchanged::default()).await?;
        Ok(change(outcome))
    }

    pub(super) async fn update_policy(
        &self,
        request: native::UpdatePolicyRequest,
    ) -> Answer<native::UpdatePolicyResponse> {
        let sandbox = self.app.sandbox(&scope(request.workspace_scope)?, &request.sandbox).await?;
        let commit = commit(request.dry_run, request.wait, request.timeout_ms);
        let operations = merge::edits(&request.edits)?;
        let of_any = |_: &Revision| Ok(operations.clone());
        let edited = self.app.edit_policy(&sandbox, of_any, commit, None).await?;
        let (change, unchanged) = match edited.outcome {
            EditOutcome::Made(outcome) => (change(outcome), false),
            EditOutcome::Unchanged(revision) => (stored(revision), true),
        };
        Ok(native::UpdatePolicyResponse {
            change: Some(change),
            warnings: edited.warnings,
            policy_text: edited.text,
            unchanged,
        })
    }

    pub(super) async fn get_policy(
        &self,
        request: native::GetPolicyRequest,
    ) -> Answer<native::GetPolicyResponse> {
        let sandbox = self.app.sandbox(&scope(request.workspace_scope)?, &request.sandbox).await?;
        let number = (request.revision > 0).then_some(request.revision);
        let revision = self.app.revision(&sandbox, number).await?;
        Ok(native::GetPolicyResponse {
            revision: revision.number,
            digest: revision.digest,
            state: state(revision.status).into(),
            policy_text: revision.text,
            error: revision.error,
            created_ms: revision.created_ms,
        })
    }

    pub(super) async fn update_config(
        &self,
        request: v1::UpdateConfigRequest,
    ) -> Answer<v1::UpdateConfigResponse> {
        let update = update_of(&request)?;
        let sandbox = self.app.sandbox(&scope(request.workspace_scope)?, &request.sandbox).await?;
        let expected = request.expected_resource_version;
        if expected != 0 && expected != sandbox.resource_version {
            return Err(AppError::Conflict { current: sandbox.resource_version });
        }
        let resource_version = (expected != 0).then_some(expected);
        let outcome = match update {
            Update::Policy(text) => {
                let unchanged = Unchanged { resource_version, newest: None };
                self.app.set_policy(&sandbox, &text, Commit::Store, unchanged).await?
            }
            Update::Merge(list) => {
                let operations = |base: &Revision| merge::operations(&list, base);
                let edited = self
                    .app
                    .edit_policy(&sandbox, operations, Commit::Store, resource_version)
                    .await?;
                match edited.outcome {
                    EditOutcome::Made(outcome) => outcome,
                    EditOutcome::Unchanged(revision) => {
                        return Ok(v1::UpdateConfigResponse {
                            version: revision.number,
                            policy_hash: revision.digest,
                            ..Default::default()
                        });
                    }
                }
            }
        };
        match outcome {
            Outcome::Stored { revision, .. } => Ok(v1::UpdateConfigResponse {
                version: revision.number,
                policy_hash: revision.digest,
                ..Default::default()
            }),
            // Nothing that is only checked is asked for here.
            Outcome::Checked { .. } => Ok(v1::UpdateConfigResponse::default()),
            Outcome::Refused(findings) => Err(refused(&findings)),
        }
    }

    pub(super) async fn get_config(
        &self,
        request: sb::GetSandboxConfigRequest,
    ) -> Answer<sb::GetSandboxConfigResponse> {
        let sandbox = self.app.sandbox(&scope(request.workspace_scope)?, &request.name).await?;
        let revision = self.app.revision(&sandbox, None).await?;
        Ok(sb::GetSandboxConfigResponse {
            policy: Some(message(&revision)?),
            version: revision.number,
            policy_hash: revision.digest,
            config_revision: revision.number.into(),
            policy_source: sb::PolicySource::Sandbox.into(),
            workspace: sandbox.workspace.to_string(),
            configuration_admitted: revision.status == Status::Enforced,
            configuration_instance_id: sandbox.id.to_string(),
            configuration_error: revision.error,
            ..Default::default()
        })
    }

    pub(super) async fn policy_status(
        &self,
        request: v1::GetSandboxPolicyStatusRequest,
    ) -> Answer<v1::GetSandboxPolicyStatusResponse> {
        not_global(request.global)?;
        let sandbox = self.app.sandbox(&scope(request.workspace_scope)?, &request.sandbox).await?;
        let number = (request.version > 0).then_some(request.version);
        let revision = self.app.revision(&sandbox, number).await?;
        Ok(v1::GetSandboxPolicyStatusResponse {
            revision: Some(revision_message(&sandbox, revision)?),
            active_version: sandbox.enforced_revision,
        })
    }

    pub(super) async fn list_policies(
        &self,
        request: v1::ListSandboxPoliciesRequest,
    ) -> Answer<v1::ListSandboxPoliciesResponse> {
        not_global(request.global)?;
        let sandbox = self.app.sandbox(&scope(request.workspace_scope)?, &request.sandbox).await?;
        let size = size(request.page_size)?;
        let before = match request.page_token.as_str() {
            "" => None,
            token => Some(
                token
                    .parse()
                    .map_err(|_| AppError::invalid("page_token", "not a token of this list"))?,
            ),
        };
        let limit = u32::try_from(size).unwrap_or(u32::MAX).saturating_add(1);
        let found = self.app.store.revisions(&sandbox.id, before, limit).await?;
        let (page, more) = cut(found, size);
        let next = page.last().filter(|_| more).map(|last| last.number.to_string());
        Ok(v1::ListSandboxPoliciesResponse {
            revisions: page
                .into_iter()
                .map(|revision| revision_message(&sandbox, revision))
                .collect::<Answer<_>>()?,
            next_page_token: next.unwrap_or_default(),
        })
    }
}

fn not_global(global: bool) -> Answer<()> {
    if global {
        return Err(AppError::Unsupported("this gateway has no global policy".into()));
    }
    Ok(())
}

/// What a published client asks for: one kind of change at a time.
enum Update {
    /// The text of a policy.
    Policy(String),
    /// Edits.
    Merge(Vec<v1::PolicyMergeOperation>),
}

fn update_of(request: &v1::UpdateConfigRequest) -> Answer<Update> {
    not_global(request.global)?;
    if !request.setting_key.is_empty() || request.setting_value.is_some() || request.delete_setting
    {
        return Err(AppError::Unsupported("settings are not served by this gateway".into()));
    }
    match (&request.policy, request.merge_operations.as_slice()) {
        (Some(_), [_, ..]) => {
            let message = "a policy and edits of one exclude each other";
            Err(AppError::invalid("merge_operations", message))
        }
        (Some(policy), []) => {
            policy.network_policies.values().try_for_each(merge::refuse_tls)?;
            Ok(Update::Policy(openshell_wire::policy::to_text(policy)))
        }
        (None, []) => Err(AppError::invalid("policy", "it is missing")),
        (None, list) => Ok(Update::Merge(list.to_vec())),
    }
}

fn commit(dry_run: bool, wait: bool, timeout_ms: u32) -> Commit {
    match (dry_run, wait) {
        (true, _) => Commit::Check,
        (false, true) => Commit::Wait(Duration::from_millis(timeout_ms.into())),
        (false, false) => Commit::Store,
    }
}

fn change(outcome: Outcome) -> native::SetPolicyResponse {
    match outcome {
        Outcome::Stored { revision, findings, difference } => native::SetPolicyResponse {
            diagnostics: diagnostics(findings),
            ..compared(stored(revision), difference)
        },
        Outcome::Checked { findings, difference } => native::SetPolicyResponse {
            state: native::PolicyState::Checked.into(),
            diagnostics: diagnostics(findings),
            ..compared(native::SetPolicyResponse::default(), difference)
        },
        Outcome::Refused(findings) => native::SetPolicyResponse {
            state: native::PolicyState::Refused.into(),
            diagnostics: diagnostics(findings),
            ..Default::default()
        },
    }
}

fn stored(revision: Revision) -> native::SetPolicyResponse {
    native::SetPolicyResponse {
        revision: revision.number,
        digest: revision.digest,
        state: state(revision.status).into(),
        error: revision.error,
        ..Default::default()
    }
}

fn compared(
    response: native::SetPolicyResponse,
    compared: Option<Compared>,
) -> native::SetPolicyResponse {
    let Some(compared) = compared else { return response };
    native::SetPolicyResponse {
        difference: compared.difference.changes.iter().map(ToString::to_string).collect(),
        compared_with: compared.revision,
        ..response
    }
}

fn message(revision: &Revision) -> Answer<sb::SandboxPolicy> {
    // The text was checked when it was stored.
    openshell_wire::policy::from_text(&revision.text)
        .map_err(|error| AppError::Precondition(error.to_string()))
}

fn revision_message(sandbox: &Sandbox, revision: Revision) -> Answer<v1::SandboxPolicyRevision> {
    let status = match revision.status {
        Status::Pending => v1::PolicyStatus::Pending,
        Status::Enforced => v1::PolicyStatus::Loaded,
        Status::Failed => v1::PolicyStatus::Failed,
        Status::Superseded => v1::PolicyStatus::Superseded,
    };
    Ok(v1::SandboxPolicyRevision {
        version: revision.number,
        status: status.into(),
        policy: Some(message(&revision)?),
        policy_hash: revision.digest,
        load_error: revision.error,
        provenance: HashMap::from([("sandbox".to_owned(), sandbox.name.to_string())]),
        created_time: Some(timestamp(revision.created_ms)),
        loaded_time: revision.enforced_ms.map(timestamp),
    })
}

const fn state(status: Status) -> native::PolicyState {
    match status {
        Status::Pending => native::PolicyState::Pending,
        Status::Enforced => native::PolicyState::Enforced,
        Status::Failed => native::PolicyState::Failed,
        Status::Superseded => native::PolicyState::Superseded,
    }
}
