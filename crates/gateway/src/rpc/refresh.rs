//! How credentials are renewed.

use jiff::Timestamp;
use openshell_credential::profile::Strategy;
use openshell_types::Redacted;
use openshell_wire::v1;
use openshell_wire::v1::ProviderCredentialRefreshRecoveryAction as Action;
use openshell_wire::v1::ProviderCredentialRefreshStrategy as Word;

use super::Rpc;
use super::convert::{milliseconds, scope, timestamp};
use crate::app::AppError;
use crate::app::refresh::AskedRefresh;
use crate::refresh::Recovery;
use crate::store::rows::refresh::Refresh;

type Answer<T> = Result<T, AppError>;

impl Rpc {
    pub(super) async fn configure_refresh(
        &self,
        request: v1::ConfigureProviderRefreshRequest,
    ) -> Answer<v1::ConfigureProviderRefreshResponse> {
        let strategy = strategy(request.strategy)?;
        let within = scope(request.workspace_scope)?;
        let asked = AskedRefresh {
            strategy,
            material: request.material.into_iter().map(|(k, v)| (k, Redacted::new(v))).collect(),
            secret: request.secret_material_keys,
            expires_ms: request.expiration_time.map(milliseconds).filter(|ms| *ms != 0),
        };
        let of = (request.provider.as_str(), request.credential_key.as_str());
        let set = self.app.configure_refresh(&within, of, asked).await?;
        Ok(v1::ConfigureProviderRefreshResponse { status: Some(status(set)) })
    }

    pub(super) async fn refresh_status(
        &self,
        request: v1::GetProviderRefreshStatusRequest,
    ) -> Answer<v1::GetProviderRefreshStatusResponse> {
        let within = scope(request.workspace_scope)?;
        let of = (request.provider.as_str(), request.credential_key.as_str());
        let found = self.app.refreshes_of(&within, of).await?;
        let credentials = found.into_iter().map(status).collect();
        Ok(v1::GetProviderRefreshStatusResponse { credentials })
    }

    pub(super) async fn rotate_credential(
        &self,
        request: v1::RotateProviderCredentialRequest,
    ) -> Answer<v1::RotateProviderCredentialResponse> {
        let within = scope(request.workspace_scope)?;
        let of = (request.provider.as_str(), request.credential_key.as_str());
        let renewed = self.app.renew_now(&within, of).await?;
        Ok(v1::RotateProviderCredentialResponse { status: Some(status(renewed)) })
    }

    pub(super) async fn delete_refresh(
        &self,
        request: v1::DeleteProviderRefreshRequest,
    ) -> Answer<v1::DeleteProviderRefreshResponse> {
        let within = scope(request.workspace_scope)?;
        let of = (request.provider.as_str(), request.credential_key.as_str());
        let outcome = match self.app.delete_refresh(&within, of).await? {
            true => v1::DeletionOutcome::Completed,
            false if request.allow_missing => v1::DeletionOutcome::AlreadyAbsent,
            false => {
                let name = request.credential_key;
                return Err(AppError::NotFound { kind: "renewal of credential", name });
            }
        };
        Ok(v1::DeleteProviderRefreshResponse { outcome: outcome.into() })
    }
}

fn strategy(number: i32) -> Answer<Option<Strategy>> {
    let word = Word::try_from(number)
        .map_err(|_| AppError::invalid("strategy", format!("there is none of number {number}")))?;
    Ok(match word {
        Word::Unspecified => None,
        Word::Static => Some(Strategy::Static),
        Word::External => Some(Strategy::External),
        Word::Oauth2RefreshToken => Some(Strategy::Oauth2RefreshToken),
        Word::Oauth2ClientCredentials => Some(Strategy::Oauth2ClientCredentials),
        Word::GoogleServiceAccountJwt => Some(Strategy::GoogleServiceAccountJwt),
        Word::AwsStsAssumeRole => Some(Strategy::AwsStsAssumeRole),
    })
}

/// How a renewal stands, as clients see it: without what it is asked with.
fn status(row: Refresh) -> v1::ProviderCredentialRefreshStatus {
    let strategy = match Strategy::parse(&row.strategy) {
        Some(Strategy::Oauth2RefreshToken) => Word::Oauth2RefreshToken,
        Some(Strategy::Oauth2ClientCredentials) => Word::Oauth2ClientCredentials,
        _ => Word::Unspecified,
    };
    let now_ms = Timestamp::now().as_millisecond();
    let is_taken = row.claimed_until_ms.is_some_and(|until| until > now_ms);
    let word = match (&row.failure, row.last_ms) {
        _ if is_taken => "refreshing",
        (Some(_), _) => "error",
        (None, Some(_)) => "refreshed",
        (None, None) => "pending",
    };
    let (failure, failed_ms) = row.failure.unzip();
    let recovery = failure.as_ref().map_or(Action::Unspecified, |failure| match failure.recovery {
        Recovery::Retry => Action::Retry,
        Recovery::Reauthorize => Action::Reauthorize,
        Recovery::FixConfiguration => Action::FixConfiguration,
        Recovery::Investigate => Action::Investigate,
    });
    let (failure_code, last_error) =
        failure.map(|failure| (failure.code, failure.message)).unwrap_or_default();
    v1::ProviderCredentialRefreshStatus {
        provider: row.provider,
        provider_id: row.provider_id,
        credential_key: row.variable,
        strategy: strategy.into(),
        status: word.to_owned(),
        last_error,
        recovery_action: recovery.into(),
        failure_code,
        provider_error_subtype: String::new(),
        expiration_time: row.expires_ms.map(timestamp),
        next_refresh_time: Some(timestamp(row.next_ms)),
        last_refresh_time: row.last_ms.map(timestamp),
        last_error_time: failed_ms.map(timestamp),
    }
}
