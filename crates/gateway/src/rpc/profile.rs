//! Provider profiles: as published clients send them, and as text.

use openshell_credential::profile::Checked;
use openshell_policy::{Diagnostic, Severity};
use openshell_wire::profile::{from_text, to_text};
use openshell_wire::{native, v1};

use super::Rpc;
use super::convert::{diagnostics, scope};
use crate::app::AppError;
use crate::app::profile::{Imported, Known, Updated};

type Answer<T> = Result<T, AppError>;

impl Rpc {
    pub(super) async fn list_profiles(
        &self,
        request: v1::ListProviderProfilesRequest,
    ) -> Answer<v1::ListProviderProfilesResponse> {
        let page = (request.page_size, request.page_token.as_str());
        let (found, next) = self.app.profiles(&scope(request.workspace_scope)?, page).await?;
        Ok(v1::ListProviderProfilesResponse {
            profiles: found.iter().map(profile).collect(),
            next_page_token: next,
        })
    }

    pub(super) async fn get_profile(
        &self,
        request: v1::GetProviderProfileRequest,
    ) -> Answer<v1::ProviderProfileResponse> {
        let found = self.app.profile(&scope(request.workspace_scope)?, &request.id).await?;
        Ok(v1::ProviderProfileResponse { profile: Some(profile(&found)) })
    }

    pub(super) async fn lint_profiles(
        &self,
        request: v1::LintProviderProfilesRequest,
    ) -> Answer<v1::LintProviderProfilesResponse> {
        let within = scope(request.workspace_scope)?;
        let (sources, texts) = items(request.profiles)?;
        let checked = self.app.lint_profiles(&within, &texts).await?;
        Ok(v1::LintProviderProfilesResponse {
            valid: checked.iter().all(|one| one.profile.is_some()),
            diagnostics: told(&sources, &texts, &checked),
            // A placeholder stays when its value changes, whether or not a profile asks for that.
            supports_stable_placeholder: true,
        })
    }

    pub(super) async fn import_profiles(
        &self,
        request: v1::ImportProviderProfilesRequest,
    ) -> Answer<v1::ImportProviderProfilesResponse> {
        let within = scope(request.workspace_scope)?;
        let (sources, texts) = items(request.profiles)?;
        let Imported { checked, stored } = self.app.import_profiles(&within, &texts).await?;
        Ok(v1::ImportProviderProfilesResponse {
            diagnostics: told(&sources, &texts, &checked),
            imported: !stored.is_empty(),
            profiles: stored.iter().map(profile).collect(),
        })
    }

    pub(super) async fn update_profiles(
        &self,
        request: v1::UpdateProviderProfilesRequest,
    ) -> Answer<v1::UpdateProviderProfilesResponse> {
        let within = scope(request.workspace_scope)?;
        let (sources, texts) = items(request.profile.into_iter().collect())?;
        let text = texts.first().cloned().unwrap_or_default();
        let asked = (request.id.as_str(), request.expected_resource_version);
        let (updated, findings) = match self.app.update_profile(&within, asked, &text).await? {
            Updated::Done { known, findings } => (Some(profile(&known)), findings),
            Updated::Refused(findings) => (None, findings),
        };
        let checked = [Checked { profile: None, findings }];
        Ok(v1::UpdateProviderProfilesResponse {
            diagnostics: told(&sources, &texts, &checked),
            updated: updated.is_some(),
            profile: updated,
        })
    }

    pub(super) async fn delete_profile(
        &self,
        request: v1::DeleteProviderProfileRequest,
    ) -> Answer<v1::DeleteProviderProfileResponse> {
        let within = scope(request.workspace_scope)?;
        let outcome = match self.app.delete_profile(&within, &request.id).await? {
            true => v1::DeletionOutcome::Completed,
            false if request.allow_missing => v1::DeletionOutcome::AlreadyAbsent,
            false => {
                return Err(AppError::NotFound { kind: "provider profile", name: request.id });
            }
        };
        Ok(v1::DeleteProviderProfileResponse { outcome: outcome.into() })
    }

    pub(super) async fn import_texts(
        &self,
        request: native::ImportProfilesRequest,
    ) -> Answer<native::ImportProfilesResponse> {
        let within = scope(request.workspace_scope)?;
        let (files, texts): (Vec<_>, Vec<_>) =
            request.profiles.into_iter().map(|one| (one.file, one.text)).unzip();
        let Imported { checked, stored } = self.app.import_profiles(&within, &texts).await?;
        let findings = files.into_iter().zip(checked).map(|(file, one)| native::ProfileFindings {
            file,
            diagnostics: diagnostics(one.findings),
        });
        Ok(native::ImportProfilesResponse {
            findings: findings.collect(),
            ids: stored.iter().map(|known| known.profile.id().to_owned()).collect(),
        })
    }

    pub(super) async fn update_text(
        &self,
        request: native::UpdateProfileRequest,
    ) -> Answer<native::UpdateProfileResponse> {
        let within = scope(request.workspace_scope)?;
        let text = request.profile.unwrap_or_default().text;
        Ok(match self.app.update_profile(&within, (&request.id, 0), &text).await? {
            Updated::Done { known, findings } => native::UpdateProfileResponse {
                diagnostics: diagnostics(findings),
                resource_version: known.profile.resource_version().unwrap_or_default(),
            },
            Updated::Refused(findings) => native::UpdateProfileResponse {
                diagnostics: diagnostics(findings),
                resource_version: 0,
            },
        })
    }

    pub(super) async fn profile_text(
        &self,
        request: native::GetProfileRequest,
    ) -> Answer<native::GetProfileResponse> {
        let found = self.app.profile(&scope(request.workspace_scope)?, &request.id).await?;
        Ok(native::GetProfileResponse { text: found.profile.to_yaml() })
    }
}

/// Where each is from, and its text.
fn items(items: Vec<v1::ProviderProfileImportItem>) -> Answer<(Vec<String>, Vec<String>)> {
    let all = items.into_iter().map(|item| {
        let missing = || AppError::invalid("profile", "it is missing");
        Ok((item.source, to_text(&item.profile.ok_or_else(missing)?)))
    });
    Ok(all.collect::<Answer<Vec<_>>>()?.into_iter().unzip())
}

/// What is worth telling to somebody who did not write the text: errors and warnings.
fn told(
    sources: &[String],
    texts: &[String],
    checked: &[Checked],
) -> Vec<v1::ProviderProfileDiagnostic> {
    let mut all = Vec::new();
    for ((source, text), Checked { findings, .. }) in sources.iter().zip(texts).zip(checked) {
        let id = text.lines().find_map(|line| line.strip_prefix("id: ")).unwrap_or_default();
        for found in findings.iter().filter(|found| found.severity > Severity::Note) {
            all.push(v1::ProviderProfileDiagnostic {
                source: source.clone(),
                profile_id: id.trim_matches('"').to_owned(),
                field: field(text, found),
                message: match &found.help {
                    Some(help) => format!("{}; {help}", found.message),
                    None => found.message.clone(),
                },
                severity: found.severity.to_string(),
            });
        }
    }
    all
}

/// The field of the profile in which a finding stands: the last line at the margin before it.
fn field(text: &str, found: &Diagnostic) -> String {
    let lines = usize::try_from(found.line).unwrap_or(usize::MAX);
    let before = text.lines().take(lines).filter(|line| !line.starts_with([' ', '-']));
    let key = before.last().and_then(|line| line.split_once(':'));
    key.map(|(key, _)| key.to_owned()).unwrap_or_default()
}

/// A profile as clients see it.
fn profile(known: &Known) -> v1::ProviderProfile {
    // The text was written by this program; one that cannot be read is left out.
    let mut message = from_text(&known.profile.to_yaml()).unwrap_or_default();
    message.resource_version = known.profile.resource_version().unwrap_or_default();
    let is_own = known.text.is_some();
    message.source = if is_own { "user" } else { "built-in" }.to_owned();
    message.scope = if is_own { "workspace" } else { "global" }.to_owned();
    message
}
