//! Providers.

use std::collections::{BTreeMap, HashMap};
use std::mem::take;

use openshell_types::Redacted;
use openshell_wire::datamodel::{ObjectMeta, Provider};
use openshell_wire::v1;
use prost_types::Timestamp;

use super::Rpc;
use super::convert::{milliseconds, sandbox, scope, timestamp};
use crate::app::provider::{NewProvider, Values};
use crate::app::{AppError, check};
use crate::store::rows::provider as rows;

type Answer<T> = Result<T, AppError>;

/// What stands in the place of a value: none is ever returned.
const REDACTED: &str = "REDACTED";

impl Rpc {
    pub(super) async fn create_provider(
        &self,
        request: v1::CreateProviderRequest,
    ) -> Answer<v1::ProviderResponse> {
        let within = scope(request.workspace_scope)?;
        let mut provider = named(request.provider)?;
        let metadata = provider.metadata.take().unwrap_or_default();
        let expirations = take(&mut provider.credential_expiration_times);
        let new = NewProvider {
            name: metadata.name,
            kind: take(&mut provider.r#type),
            labels: check::labels(metadata.labels)?,
            annotations: check::annotations(metadata.annotations)?,
            values: values(&mut provider, expirations, Vec::new()),
        };
        let made = self.app.create_provider(&within, new).await?;
        Ok(response(made))
    }

    pub(super) async fn update_provider(
        &self,
        request: v1::UpdateProviderRequest,
    ) -> Answer<v1::ProviderResponse> {
        let v1::UpdateProviderRequest {
            provider,
            workspace_scope,
            mut credential_expiration_times,
            clear_credential_expiration_keys: cleared,
            ..
        } = request;
        let within = scope(workspace_scope)?;
        let mut provider = named(provider)?;
        let name = provider.metadata.take().unwrap_or_default().name;
        let kind = take(&mut provider.r#type);
        credential_expiration_times.extend(take(&mut provider.credential_expiration_times));
        let values = values(&mut provider, credential_expiration_times, cleared);
        let changed = self.app.update_provider(&within, (&name, &kind), values).await?;
        Ok(response(changed))
    }

    pub(super) async fn get_provider(
        &self,
        request: v1::GetProviderRequest,
    ) -> Answer<v1::ProviderResponse> {
        let within = scope(request.workspace_scope)?;
        Ok(response(self.app.provider(&within, &request.name).await?))
    }

    pub(super) async fn list_providers(
        &self,
        request: v1::ListProvidersRequest,
    ) -> Answer<v1::ListProvidersResponse> {
        let within = scope(request.workspace_scope)?;
        let page = (request.page_size, request.page_token.as_str());
        let (found, next) = self.app.providers(&within, page, &request.label_selector).await?;
        Ok(v1::ListProvidersResponse {
            providers: found.into_iter().map(provider).collect(),
            next_page_token: next,
        })
    }

    pub(super) async fn delete_provider(
        &self,
        request: v1::DeleteProviderRequest,
    ) -> Answer<v1::DeleteProviderResponse> {
        let within = scope(request.workspace_scope)?;
        let outcome = match self.app.delete_provider(&within, &request.name).await? {
            true => v1::DeletionOutcome::Completed,
            false if request.allow_missing => v1::DeletionOutcome::AlreadyAbsent,
            false => {
                return Err(AppError::NotFound { kind: "provider", name: request.name });
            }
        };
        Ok(v1::DeleteProviderResponse { outcome: outcome.into() })
    }

    pub(super) async fn attach_provider(
        &self,
        request: v1::AttachSandboxProviderRequest,
    ) -> Answer<v1::AttachSandboxProviderResponse> {
        let v1::AttachSandboxProviderRequest { sandbox: name, provider, workspace_scope, .. } =
            &request;
        let found = self.app.sandbox(&scope(workspace_scope.clone())?, name).await?;
        let expected = request.expected_resource_version;
        let attached = self.app.attach_provider(&found, provider, expected).await?;
        let found = self.app.sandbox_by_id(&found.id).await?;
        let sandbox = Some(sandbox(&found));
        Ok(v1::AttachSandboxProviderResponse { sandbox, attached, receipt: None })
    }

    pub(super) async fn detach_provider(
        &self,
        request: v1::DetachSandboxProviderRequest,
    ) -> Answer<v1::DetachSandboxProviderResponse> {
        let v1::DetachSandboxProviderRequest { sandbox: name, provider, workspace_scope, .. } =
            &request;
        let found = self.app.sandbox(&scope(workspace_scope.clone())?, name).await?;
        let expected = request.expected_resource_version;
        let detached = self.app.detach_provider(&found, provider, expected).await?;
        let found = self.app.sandbox_by_id(&found.id).await?;
        let sandbox = Some(sandbox(&found));
        Ok(v1::DetachSandboxProviderResponse { sandbox, detached, receipt: None })
    }

    pub(super) async fn list_attached(
        &self,
        request: v1::ListSandboxProvidersRequest,
    ) -> Answer<v1::ListSandboxProvidersResponse> {
        let found = self.app.sandbox(&scope(request.workspace_scope)?, &request.sandbox).await?;
        let attached = self.app.attached(&found).await?;
        // There are never more of them than one page.
        Ok(v1::ListSandboxProvidersResponse {
            providers: attached.into_iter().map(|one| provider(one.provider)).collect(),
            next_page_token: String::new(),
        })
    }
}

fn named(provider: Option<Provider>) -> Answer<Provider> {
    provider.ok_or_else(|| AppError::invalid("provider", "it is missing"))
}

/// What a message sets. An empty map keeps what is there.
fn values(
    provider: &mut Provider,
    expirations: HashMap<String, Timestamp>,
    cleared: Vec<String>,
) -> Values {
    let credentials = take(&mut provider.credentials).into_iter();
    let expirations = expirations.into_iter().map(|(key, time)| {
        let ms = milliseconds(time);
        (key, (ms != 0).then_some(ms))
    });
    Values {
        credentials: credentials.map(|(key, value)| (key, Redacted::new(value))).collect(),
        config: take(&mut provider.config).into_iter().collect(),
        expiries: expirations.chain(cleared.into_iter().map(|key| (key, None))).collect(),
    }
}

fn response(row: rows::Provider) -> v1::ProviderResponse {
    v1::ProviderResponse { provider: Some(provider(row)), ..v1::ProviderResponse::default() }
}

/// A provider as clients see it: without its values.
fn provider(row: rows::Provider) -> Provider {
    let expirations: BTreeMap<String, i64> = row
        .credentials
        .iter()
        .filter_map(|(key, sealed)| Some((key.clone(), sealed.expires_ms?)))
        .collect();
    Provider {
        metadata: Some(ObjectMeta {
            id: row.id,
            name: row.name,
            labels: row.labels.into_iter().collect(),
            annotations: row.annotations.into_iter().collect(),
            resource_version: row.resource_version,
            workspace: row.workspace.to_string(),
            created_time: Some(timestamp(row.created_ms)),
            ..ObjectMeta::default()
        }),
        r#type: row.kind,
        credentials: row.credentials.into_keys().map(|key| (key, REDACTED.to_owned())).collect(),
        config: row.config.into_iter().collect(),
        profile_workspace: row.workspace.to_string(),
        credential_expiration_times: expirations
            .into_iter()
            .map(|(key, ms)| (key, timestamp(ms)))
            .collect(),
        ..Provider::default()
    }
}
