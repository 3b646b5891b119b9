//! How credentials of providers are renewed.

use std::collections::BTreeMap;
use std::time::SystemTime;

use openshell_types::Redacted;
use openshell_wire::v1;
use openshell_wire::v1::ProviderCredentialRefreshRecoveryAction as Action;
use openshell_wire::v1::ProviderCredentialRefreshStrategy as Word;

use crate::connect::Client;
use crate::error::ClientError;
use crate::sandbox::{Deletion, time};

/// A way to renew a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshStrategy {
    /// By a refresh token.
    Oauth2RefreshToken,
    /// By the client's own secret.
    Oauth2ClientCredentials,
}

/// How a credential shall be renewed.
#[derive(Debug)]
pub struct NewRefresh {
    /// In which way.
    pub strategy: RefreshStrategy,
    /// What is asked with, by name.
    pub material: BTreeMap<String, Redacted<String>>,
    /// Which of it is secret.
    pub secret: Vec<String>,
    /// When the value that is there ends to be good; without it, it is renewed at once.
    pub expires_at: Option<SystemTime>,
}

/// How the renewal of a credential stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshStatus {
    /// The provider's name.
    pub provider: String,
    /// The provider's id.
    pub provider_id: String,
    /// The variable.
    pub credential_key: String,
    /// In which way it is renewed.
    pub strategy: String,
    /// One word.
    pub status: String,
    /// Why it failed last; empty when it did not.
    pub last_error: String,
    /// One word for that.
    pub failure_code: String,
    /// What helps; empty when nothing is needed.
    pub recovery_action: String,
    /// When the value ends to be good.
    pub expires_at: Option<SystemTime>,
    /// When it is renewed.
    pub next_refresh_at: Option<SystemTime>,
    /// When it was renewed.
    pub last_refresh_at: Option<SystemTime>,
    /// When it failed last.
    pub last_error_at: Option<SystemTime>,
}

impl Client {
    /// Sets how a credential is renewed.
    pub async fn configure_refresh(
        &self,
        (provider, variable): (&str, &str),
        new: NewRefresh,
    ) -> Result<RefreshStatus, ClientError> {
        let strategy = match new.strategy {
            RefreshStrategy::Oauth2RefreshToken => Word::Oauth2RefreshToken,
            RefreshStrategy::Oauth2ClientCredentials => Word::Oauth2ClientCredentials,
        };
        let material = new.material.into_iter();
        let request = v1::ConfigureProviderRefreshRequest {
            provider: provider.to_owned(),
            credential_key: variable.to_owned(),
            strategy: strategy.into(),
            material: material.map(|(name, value)| (name, value.expose().clone())).collect(),
            secret_material_keys: new.secret,
            workspace_scope: self.scope(),
            expiration_time: new.expires_at.map(Into::into),
            ..Default::default()
        };
        status(self.v1.clone().configure_provider_refresh(request).await?.into_inner().status)
    }

    /// How the credentials of a provider are renewed: all, or one.
    pub async fn refreshes(
        &self,
        provider: &str,
        variable: Option<&str>,
    ) -> Result<Vec<RefreshStatus>, ClientError> {
        let request = v1::GetProviderRefreshStatusRequest {
            provider: provider.to_owned(),
            credential_key: variable.unwrap_or_default().to_owned(),
            workspace_scope: self.scope(),
        };
        let answer = self.v1.clone().get_provider_refresh_status(request).await?.into_inner();
        answer.credentials.into_iter().map(|one| status(Some(one))).collect()
    }

    /// Renews a credential now. Returns when all sandboxes that have it use the new value.
    pub async fn rotate_credential(
        &self,
        provider: &str,
        variable: &str,
    ) -> Result<RefreshStatus, ClientError> {
        let request = v1::RotateProviderCredentialRequest {
            provider: provider.to_owned(),
            credential_key: variable.to_owned(),
            workspace_scope: self.scope(),
            ..Default::default()
        };
        status(self.v1.clone().rotate_provider_credential(request).await?.into_inner().status)
    }

    /// Ends the renewal of a credential, which keeps its value.
    pub async fn delete_refresh(
        &self,
        provider: &str,
        variable: &str,
    ) -> Result<Deletion, ClientError> {
        let request = v1::DeleteProviderRefreshRequest {
            provider: provider.to_owned(),
            credential_key: variable.to_owned(),
            workspace_scope: self.scope(),
            ..Default::default()
        };
        let answer = self.v1.clone().delete_provider_refresh(request).await?.into_inner();
        match answer.outcome() {
            v1::DeletionOutcome::Completed => Ok(Deletion::Completed),
            v1::DeletionOutcome::Accepted => Ok(Deletion::Accepted),
            v1::DeletionOutcome::AlreadyAbsent => Ok(Deletion::AlreadyAbsent),
            v1::DeletionOutcome::Unspecified => Err(ClientError::malformed("outcome")),
        }
    }
}

fn status(
    message: Option<v1::ProviderCredentialRefreshStatus>,
) -> Result<RefreshStatus, ClientError> {
    let message = message.ok_or_else(|| ClientError::malformed("status"))?;
    let strategy = match message.strategy() {
        Word::Unspecified => "",
        Word::Static => "static",
        Word::External => "external",
        Word::Oauth2RefreshToken => "oauth2_refresh_token",
        Word::Oauth2ClientCredentials => "oauth2_client_credentials",
        Word::GoogleServiceAccountJwt => "google_service_account_jwt",
        Word::AwsStsAssumeRole => "aws_sts_assume_role",
    };
    let recovery_action = match message.recovery_action() {
        Action::Unspecified => "",
        Action::Retry => "retry",
        Action::Reauthorize => "reauthorize",
        Action::FixConfiguration => "fix_configuration",
        Action::Investigate => "investigate",
    };
    Ok(RefreshStatus {
        strategy: strategy.to_owned(),
        recovery_action: recovery_action.to_owned(),
        provider: message.provider,
        provider_id: message.provider_id,
        credential_key: message.credential_key,
        status: message.status,
        last_error: message.last_error,
        failure_code: message.failure_code,
        expires_at: message.expiration_time.and_then(time),
        next_refresh_at: message.next_refresh_time.and_then(time),
        last_refresh_at: message.last_refresh_time.and_then(time),
        last_error_at: message.last_error_time.and_then(time),
    })
}
