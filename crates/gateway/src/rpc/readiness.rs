//! How far a provider has got in a sandbox.

use jiff::Timestamp;
use openshell_wire::v1;

use super::Rpc;
use super::convert::{scope, timestamp};
use crate::app::AppError;
use crate::app::readiness::{Readiness, State};
use crate::store::rows::sandbox::Sandbox;

impl Rpc {
    pub(super) async fn provider_status(
        &self,
        request: v1::GetSandboxProviderStatusRequest,
    ) -> Result<v1::GetSandboxProviderStatusResponse, AppError> {
        let v1::GetSandboxProviderStatusRequest { sandbox, provider, receipt_id, workspace_scope } =
            request;
        if !receipt_id.is_empty() {
            // Attaching and detaching return when they are in force: there is nothing to redeem.
            return Err(AppError::NotFound { kind: "receipt", name: receipt_id });
        }
        let found = self.app.sandbox(&scope(workspace_scope)?, &sandbox).await?;
        let readiness = self.app.readiness(&found, &provider).await?;
        Ok(v1::GetSandboxProviderStatusResponse { status: Some(status(&found, readiness)) })
    }
}

fn status(sandbox: &Sandbox, readiness: Readiness) -> v1::ProviderReadinessStatus {
    use v1::{ProviderReadinessReason as Reason, ProviderReadinessState as Said};
    let Readiness { state, provider, desired, digest, observed } = readiness;
    let (said, reason) = match state {
        State::Ready => (Said::Ready, Reason::Unspecified),
        State::Pending { is_connected: true } => (Said::Pending, Reason::WaitingForCredentials),
        State::Pending { is_connected: false } => (Said::Pending, Reason::WaitingForSupervisor),
        State::Failed => (Said::Failed, Reason::PolicyActivationFailed),
        State::Expired => (Said::Withheld, Reason::CredentialExpired),
        State::Revoked => (Said::Revoked, Reason::Unspecified),
    };
    let receipt = v1::ProviderMutationReceipt {
        provider: provider.name,
        workspace: provider.workspace.to_string(),
        kind: v1::ProviderMutationKind::Observe.into(),
        desired: Some(v1::ProviderDesiredIdentity {
            sandbox_id: sandbox.id.to_string(),
            sandbox: sandbox.name.to_string(),
            attachment_epoch: desired.1.to_string(),
            provider_id: provider.id,
            provider_resource_version: provider.resource_version,
            provider_env_revision: desired.1,
            config_revision: desired.0,
            policy_hash: digest.clone(),
        }),
        ..v1::ProviderMutationReceipt::default()
    };
    let is_current = observed.is_some_and(|state| state >= desired);
    let observed = observed.map(|(generation, epoch)| v1::ProviderReadinessObservation {
        attachment_epoch: epoch.to_string(),
        provider_env_revision: epoch,
        config_revision: generation,
        policy_hash: if is_current { digest } else { String::new() },
        credentials_installed: is_current && state != State::Failed,
        policy_active: is_current && state != State::Failed,
        launch_environment_installed: is_current,
        process_instance_id: sandbox.id.to_string(),
        reason: reason.into(),
        ..v1::ProviderReadinessObservation::default()
    });
    v1::ProviderReadinessStatus {
        receipt: Some(receipt),
        state: said.into(),
        reason: reason.into(),
        observed,
        evaluated_time: Some(timestamp(Timestamp::now().as_millisecond())),
        ..v1::ProviderReadinessStatus::default()
    }
}
