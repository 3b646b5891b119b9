//! Profiles: the types of providers.

use openshell_wire::{native, v1};

use crate::connect::Client;
use crate::error::{ClientError, Diagnostic, diagnostics};
use crate::limits;
use crate::sandbox::Deletion;

/// A kind of provider.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProviderProfile {
    /// The type of its providers.
    pub id: String,
    /// Its name for people.
    pub display_name: String,
    /// What it is for.
    pub description: String,
    /// Its credentials.
    pub credentials: Vec<ProfileCredential>,
    /// `built-in`, or `user`.
    pub source: String,
    /// Counts its changes; 0 for one that has none.
    pub resource_version: u64,
}

/// One credential of a kind of provider.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProfileCredential {
    /// The variables in which programs look for it.
    pub variables: Vec<String>,
    /// Whether the provider is of no use without it.
    pub required: bool,
    /// Whether it is looked for on the user's own machine.
    pub discovered: bool,
}

/// The text of a profile, and the name of its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileFile {
    /// The name, for diagnostics.
    pub name: String,
    /// The text.
    pub text: String,
}

/// What came of profiles that were to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileImport {
    /// The ids of those that were: all or none.
    pub ids: Vec<String>,
    /// What was found in each text.
    pub findings: Vec<Vec<Diagnostic>>,
}

impl ProviderProfile {
    /// The variables of each credential that is looked for on the user's machine.
    pub fn discovered(&self) -> impl Iterator<Item = &[String]> {
        self.credentials.iter().filter(|own| own.discovered).map(|own| own.variables.as_slice())
    }
}

impl Client {
    /// The kinds of providers.
    pub async fn provider_profiles(&self) -> Result<Vec<ProviderProfile>, ClientError> {
        let mut found = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = v1::ListProviderProfilesRequest {
                page_size: limits::PAGE,
                page_token,
                workspace_scope: self.scope(),
            };
            let page = self.v1.clone().list_provider_profiles(request).await?.into_inner();
            let is_empty = page.profiles.is_empty();
            found.extend(page.profiles.into_iter().map(profile));
            page_token = page.next_page_token;
            if page_token.is_empty() || is_empty {
                return Ok(found);
            }
        }
    }

    /// A profile as text.
    pub async fn profile_text(&self, id: &str) -> Result<String, ClientError> {
        let request =
            native::GetProfileRequest { id: id.to_owned(), workspace_scope: self.scope() };
        Ok(self.native.clone().get_profile(request).await?.into_inner().text)
    }

    /// Stores profiles, all of them or none.
    pub async fn import_profiles(
        &self,
        files: &[ProfileFile],
    ) -> Result<ProfileImport, ClientError> {
        let request = native::ImportProfilesRequest {
            profiles: files.iter().map(message).collect(),
            workspace_scope: self.scope(),
        };
        let answer = self.native.clone().import_profiles(request).await?.into_inner();
        let findings = answer.findings.into_iter().map(|of| diagnostics(of.diagnostics));
        Ok(ProfileImport { ids: answer.ids, findings: findings.collect() })
    }

    /// Puts another text in the place of a profile's. The new version, `None` when the text was
    /// refused, and what was found in it.
    pub async fn update_profile(
        &self,
        id: &str,
        file: &ProfileFile,
    ) -> Result<(Option<u64>, Vec<Diagnostic>), ClientError> {
        let request = native::UpdateProfileRequest {
            id: id.to_owned(),
            profile: Some(message(file)),
            workspace_scope: self.scope(),
        };
        let answer = self.native.clone().update_profile(request).await?.into_inner();
        let version = answer.resource_version;
        Ok(((version > 0).then_some(version), diagnostics(answer.diagnostics)))
    }

    /// Deletes a profile that no provider uses.
    pub async fn delete_profile(&self, id: &str) -> Result<Deletion, ClientError> {
        let request = v1::DeleteProviderProfileRequest {
            id: id.to_owned(),
            workspace_scope: self.scope(),
            ..Default::default()
        };
        let answer = self.v1.clone().delete_provider_profile(request).await?.into_inner();
        match answer.outcome() {
            v1::DeletionOutcome::Completed => Ok(Deletion::Completed),
            v1::DeletionOutcome::Accepted => Ok(Deletion::Accepted),
            v1::DeletionOutcome::AlreadyAbsent => Ok(Deletion::AlreadyAbsent),
            v1::DeletionOutcome::Unspecified => Err(ClientError::malformed("outcome")),
        }
    }
}

fn message(file: &ProfileFile) -> native::ProfileText {
    native::ProfileText { text: file.text.clone(), file: file.name.clone() }
}

fn profile(message: v1::ProviderProfile) -> ProviderProfile {
    let discovery = message.discovery.map(|found| found.credentials);
    let credentials = message.credentials.into_iter().map(|one| ProfileCredential {
        // A profile that says nothing of it is looked for as a whole.
        discovered: discovery.as_ref().is_none_or(|names| names.contains(&one.name)),
        variables: one.env_vars,
        required: one.required,
    });
    ProviderProfile {
        credentials: credentials.collect(),
        id: message.id,
        display_name: message.display_name,
        description: message.description,
        source: message.source,
        resource_version: message.resource_version,
    }
}
