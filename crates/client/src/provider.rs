//! Providers: named bundles of credentials, and the sandboxes that may use them.

use std::collections::{BTreeMap, HashMap};
use std::time::SystemTime;

use openshell_types::Redacted;
use openshell_wire::datamodel::{self, ObjectMeta};
use openshell_wire::v1;

use crate::connect::Client;
use crate::error::ClientError;
use crate::limits;
use crate::sandbox::{Deletion, Selection, time};

/// What is set of a provider. What is not named stays.
#[derive(Debug, Default)]
pub struct ProviderValues {
    /// Values by variable.
    pub credentials: BTreeMap<String, Redacted<String>>,
    /// Settings.
    pub config: HashMap<String, String>,
    /// When values end to be good; `None`: they do not.
    pub expiries: BTreeMap<String, Option<SystemTime>>,
}

/// A provider, without its values: no gateway returns them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its workspace.
    pub workspace: String,
    /// Its type: the id of a profile.
    pub kind: String,
    /// The variables that it has values for.
    pub credentials: Vec<String>,
    /// Its settings.
    pub config: BTreeMap<String, String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Counts its changes.
    pub resource_version: u64,
    /// When it was created.
    pub created_at: Option<SystemTime>,
    /// When values end to be good, by variable.
    pub expiries: BTreeMap<String, SystemTime>,
}

impl Client {
    /// Stores a provider.
    pub async fn create_provider(
        &self,
        (name, kind): (&str, &str),
        values: ProviderValues,
    ) -> Result<Provider, ClientError> {
        let request = v1::CreateProviderRequest {
            provider: Some(self.provider_message((name, kind), values).0),
            workspace_scope: self.scope(),
            ..Default::default()
        };
        let answer = self.v1.clone().create_provider(request).await?.into_inner();
        provider(answer.provider)
    }

    /// Changes a provider. Returns when all sandboxes that have it use the new values.
    pub async fn update_provider(
        &self,
        name: &str,
        values: ProviderValues,
    ) -> Result<Provider, ClientError> {
        let (message, cleared) = self.provider_message((name, ""), values);
        let request = v1::UpdateProviderRequest {
            provider: Some(message),
            workspace_scope: self.scope(),
            clear_credential_expiration_keys: cleared,
            ..Default::default()
        };
        let answer = self.v1.clone().update_provider(request).await?.into_inner();
        provider(answer.provider)
    }

    fn provider_message(
        &self,
        (name, kind): (&str, &str),
        values: ProviderValues,
    ) -> (datamodel::Provider, Vec<String>) {
        let ProviderValues { credentials, config, expiries } = values;
        let credentials = credentials.into_iter();
        let cleared = expiries.iter().filter(|(_, end)| end.is_none());
        let cleared = cleared.map(|(variable, _)| variable.clone()).collect();
        let ends = expiries.into_iter().filter_map(|(variable, end)| Some((variable, end?)));
        let metadata = ObjectMeta {
            name: name.to_owned(),
            workspace: self.workspace.to_string(),
            ..Default::default()
        };
        let message = datamodel::Provider {
            metadata: Some(metadata),
            r#type: kind.to_owned(),
            credentials: credentials
                .map(|(variable, value)| (variable, value.expose().clone()))
                .collect(),
            config,
            credential_expiration_times: ends
                .map(|(variable, end)| (variable, end.into()))
                .collect(),
            ..Default::default()
        };
        (message, cleared)
    }

    /// A provider by its name.
    pub async fn provider(&self, name: &str) -> Result<Provider, ClientError> {
        let request =
            v1::GetProviderRequest { name: name.to_owned(), workspace_scope: self.scope() };
        provider(self.v1.clone().get_provider(request).await?.into_inner().provider)
    }

    /// Providers, by name.
    pub async fn providers(&self, within: Selection) -> Result<Vec<Provider>, ClientError> {
        let mut found = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = v1::ListProvidersRequest {
                page_size: limits::PAGE,
                page_token,
                workspace_scope: self.scope_of(within),
                ..Default::default()
            };
            let page = self.v1.clone().list_providers(request).await?.into_inner();
            let is_empty = page.providers.is_empty();
            for message in page.providers {
                found.push(provider(Some(message))?);
            }
            page_token = page.next_page_token;
            if page_token.is_empty() || is_empty {
                return Ok(found);
            }
        }
    }

    /// Deletes a provider that no sandbox has.
    pub async fn delete_provider(&self, name: &str) -> Result<Deletion, ClientError> {
        let request = v1::DeleteProviderRequest {
            name: name.to_owned(),
            workspace_scope: self.scope(),
            ..Default::default()
        };
        let answer = self.v1.clone().delete_provider(request).await?.into_inner();
        match answer.outcome() {
            v1::DeletionOutcome::Completed => Ok(Deletion::Completed),
            v1::DeletionOutcome::Accepted => Ok(Deletion::Accepted),
            v1::DeletionOutcome::AlreadyAbsent => Ok(Deletion::AlreadyAbsent),
            v1::DeletionOutcome::Unspecified => Err(ClientError::malformed("outcome")),
        }
    }

    /// Attaches a provider to a sandbox; `false` when it was already.
    pub async fn attach_provider(
        &self,
        sandbox: &str,
        provider: &str,
    ) -> Result<bool, ClientError> {
        let request = v1::AttachSandboxProviderRequest {
            sandbox: sandbox.to_owned(),
            provider: provider.to_owned(),
            workspace_scope: self.scope(),
            ..Default::default()
        };
        Ok(self.v1.clone().attach_sandbox_provider(request).await?.into_inner().attached)
    }

    /// Detaches a provider from a sandbox; `false` when it was not attached. Returns when nothing
    /// is sent with its values any more.
    pub async fn detach_provider(
        &self,
        sandbox: &str,
        provider: &str,
    ) -> Result<bool, ClientError> {
        let request = v1::DetachSandboxProviderRequest {
            sandbox: sandbox.to_owned(),
            provider: provider.to_owned(),
            workspace_scope: self.scope(),
            ..Default::default()
        };
        Ok(self.v1.clone().detach_sandbox_provider(request).await?.into_inner().detached)
    }

    /// The providers of a sandbox, in the order in which they were attached.
    pub async fn attached_providers(&self, sandbox: &str) -> Result<Vec<Provider>, ClientError> {
        let request = v1::ListSandboxProvidersRequest {
            sandbox: sandbox.to_owned(),
            workspace_scope: self.scope(),
            ..Default::default()
        };
        let answer = self.v1.clone().list_sandbox_providers(request).await?.into_inner();
        answer.providers.into_iter().map(|message| provider(Some(message))).collect()
    }
}

fn provider(message: Option<datamodel::Provider>) -> Result<Provider, ClientError> {
    let message = message.ok_or_else(|| ClientError::malformed("provider"))?;
    let meta = message.metadata.ok_or_else(|| ClientError::malformed("metadata"))?;
    let mut credentials: Vec<String> = message.credentials.into_keys().collect();
    credentials.sort_unstable();
    let expiries = message.credential_expiration_times.into_iter();
    Ok(Provider {
        id: meta.id,
        name: meta.name,
        workspace: meta.workspace,
        kind: message.r#type,
        credentials,
        config: message.config.into_iter().collect(),
        labels: meta.labels.into_iter().collect(),
        resource_version: meta.resource_version,
        created_at: meta.created_time.and_then(time),
        expiries: expiries.filter_map(|(variable, end)| Some((variable, time(end)?))).collect(),
    })
}
