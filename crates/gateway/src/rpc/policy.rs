//! Policies: as text for native clients, as messages for published ones.

use std::collections::HashMap;
use std::time::Duration;

use openshell_wire::{native, sandbox as sb, v1};

use super::Rpc;
use super::convert::{diagnostics, refused, scope, timestamp};
use crate::app::AppError;
use crate::app::page::{cut, size};
use crate::app::policy::Outcome;
use crate::store::rows::policy::{Revision, Status};
use crate::store::rows::sandbox::Sandbox;

type Answer<T> = Result<T, AppError>;

impl Rpc {
    pub(super) async fn set_policy(
        &self,
        request: native::SetPolicyRequest,
    ) -> Answer<native::SetPolicyResponse> {
        let sandbox = self.app.sandbox(&scope(request.workspace_scope)?, &request.sandbox).await?;
        let wait = request.wait.then(|| Duration::from_millis(request.timeout_ms.into()));
        Ok(match self.app.set_policy(&sandbox, &request.policy_text, wait).await? {
            Outcome::Stored { revision, findings } => native::SetPolicyResponse {
                revision: revision.number,
                digest: revision.digest,
                state: state(revision.status).into(),
                diagnostics: diagnostics(findings),
                error: revision.error,
            },
            Outcome::Refused(findings) => native::SetPolicyResponse {
                state: native::PolicyState::Refused.into(),
                diagnostics: diagnostics(findings),
                ..Default::default()
            },
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
        let Some(policy) = policy_of(&request)? else {
            return Err(AppError::invalid("policy", "it is missing"));
        };
        let sandbox = self.app.sandbox(&scope(request.workspace_scope)?, &request.sandbox).await?;
        let expected = request.expected_resource_version;
        if expected != 0 && expected != sandbox.resource_version {
            return Err(AppError::Conflict { current: sandbox.resource_version });
        }
        match self.app.set_policy(&sandbox, &policy, None).await? {
            Outcome::Stored { revision, .. } => Ok(v1::UpdateConfigResponse {
                version: revision.number,
                policy_hash: revision.digest,
                ..Default::default()
            }),
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

/// The text of the policy to set. Settings and merge operations are not served.
fn policy_of(request: &v1::UpdateConfigRequest) -> Answer<Option<String>> {
    not_global(request.global)?;
    let settings = !request.setting_key.is_empty()
        || request.setting_value.is_some()
        || request.delete_setting;
    if settings || !request.merge_operations.is_empty() {
        let what = if settings { "settings" } else { "merge operations" };
        return Err(AppError::Unsupported(format!("{what} are not served by this gateway")));
    }
    Ok(request.policy.as_ref().map(openshell_wire::policy::to_text))
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
