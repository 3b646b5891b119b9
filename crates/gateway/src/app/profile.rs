//! The types of providers: those that come with OpenShell, and those of a workspace's own.

use std::borrow::Cow;

use openshell_credential::profile::{Checked, read_all};
use openshell_credential::{Profile, builtin};
use openshell_policy::Diagnostic;
use openshell_types::{SandboxId, WorkspaceName};

use super::page::{cut, size};
use super::workspace::Scope;
use super::{App, AppError};
use crate::compose::{ComposeError, with_rules};
use crate::limits::PROFILES;
use crate::store::rows::profile::{Removed, StoredProfile};
use crate::store::rows::provider::Provider;
use crate::store::rows::route::Held;

/// A type of providers.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) profile: Cow<'static, Profile>,
    /// Its text, when it is the workspace's own.
    pub(crate) text: Option<String>,
}

/// What came of profiles that are to be stored.
#[derive(Debug)]
pub(crate) struct Imported {
    /// Of each text, in their order.
    pub(crate) checked: Vec<Checked>,
    /// What was stored: all, or nothing.
    pub(crate) stored: Vec<Known>,
}

/// What came of a text that is to take the place of a profile's.
#[derive(Debug)]
pub(crate) enum Updated {
    Done { known: Box<Known>, findings: Vec<Diagnostic> },
    Refused(Vec<Diagnostic>),
}

impl Known {
    fn stored(row: StoredProfile) -> Result<Self, AppError> {
        let profile = Profile::parse(&row.text).map_err(|_| {
            let why = format!("the profile '{}' has errors in this version", row.id);
            AppError::Precondition(why)
        })?;
        let profile = profile.with_resource_version(Some(row.resource_version));
        Ok(Self { profile: Cow::Owned(profile), text: Some(row.text) })
    }
}

impl App {
    /// A page of types, by id, and the token of the next one.
    pub(crate) async fn profiles(
        &self,
        scope: &Scope,
        page: (i32, &str),
    ) -> Result<(Vec<Known>, String), AppError> {
        let workspace = self.one_workspace(scope).await?;
        let size = size(page.0)?;
        let mut all: Vec<Known> = builtin::all()
            .iter()
            .map(|one| Known { profile: Cow::Borrowed(&one.profile), text: None })
            .collect();
        for row in self.store.profiles(&workspace).await? {
            // What came with OpenShell later has the id now.
            if builtin::get(&row.id).is_none() {
                all.push(Known::stored(row)?);
            }
        }
        all.sort_by(|a, b| a.profile.id().cmp(b.profile.id()));
        all.retain(|known| page.1.is_empty() || known.profile.id() > page.1);
        let (all, more) = cut(all, size);
        let token = all.last().filter(|_| more).map(|last| last.profile.id().to_owned());
        Ok((all, token.unwrap_or_default()))
    }

    /// A type by its id.
    pub(crate) async fn profile(&self, scope: &Scope, id: &str) -> Result<Known, AppError> {
        let workspace = self.one_workspace(scope).await?;
        self.profile_in(&workspace, id).await?.ok_or_else(|| no_profile(id))
    }

    pub(super) async fn profile_in(
        &self,
        workspace: &WorkspaceName,
        id: &str,
    ) -> Result<Option<Known>, AppError> {
        if let Some(one) = builtin::get(id) {
            return Ok(Some(Known { profile: Cow::Borrowed(&one.profile), text: None }));
        }
        self.store.profile(workspace, id).await?.map(Known::stored).transpose()
    }

    /// What is wrong with texts that would be stored.
    pub(crate) async fn lint_profiles(
        &self,
        scope: &Scope,
        texts: &[String],
    ) -> Result<Vec<Checked>, AppError> {
        self.one_workspace(scope).await?;
        bounded(texts.len())?;
        Ok(read_all(texts.iter().map(String::as_str), |_| false))
    }

    /// Stores profiles, all of them or none.
    pub(crate) async fn import_profiles(
        &self,
        scope: &Scope,
        texts: &[String],
    ) -> Result<Imported, AppError> {
        let workspace = self.one_workspace(scope).await?;
        if texts.is_empty() {
            return Err(AppError::invalid("profiles", "there is none"));
        }
        let known = self.store.profiles(&workspace).await?;
        bounded(known.len().saturating_add(texts.len()))?;
        let is_taken = |id: &str| known.iter().any(|row| row.id == id);
        let checked = read_all(texts.iter().map(String::as_str), is_taken);
        let good: Option<Vec<&Profile>> = checked.iter().map(|one| one.profile.as_ref()).collect();
        let Some(good) = good else { return Ok(Imported { checked, stored: Vec::new() }) };
        let rows: Vec<(String, String)> =
            good.into_iter().map(|profile| (profile.id().to_owned(), to_store(profile))).collect();
        if !self.store.insert_profiles(&workspace, &rows).await? {
            let why = "another import stored one of the ids meanwhile: try again";
            return Err(AppError::Precondition(why.into()));
        }
        let stored = rows.into_iter().map(|(id, text)| {
            tracing::info!(profile = %id, "Provider profile imported");
            Known::stored(StoredProfile { id, text, resource_version: 1 })
        });
        let stored = stored.collect::<Result<_, _>>()?;
        Ok(Imported { checked, stored })
    }

    /// Puts another text in the place of a profile's. Returns when every sandbox that has a provider
    /// of the type goes by it. `expected` is the version that the text was made from; 0: the text
    /// says it.
    pub(crate) async fn update_profile(
        &self,
        scope: &Scope,
        (id, expected): (&str, u64),
        text: &str,
    ) -> Result<Updated, AppError> {
        let workspace = self.one_workspace(scope).await?;
        own(id)?;
        let Some(known) = self.store.profile(&workspace, id).await? else {
            return Err(no_profile(id));
        };
        let (profile, findings) = Profile::read(text);
        let Some(profile) = profile else { return Ok(Updated::Refused(findings)) };
        if profile.id() != id {
            let message = format!("`{}` is another profile's than `{id}`", profile.id());
            return Err(AppError::invalid("id", message));
        }
        let written = profile.resource_version().filter(|version| *version > 0);
        let version = if expected == 0 { written } else { Some(expected) };
        let Some(version) = version else {
            let message = "it is missing: change the text that `openshell provider profile export` \
                           prints";
            return Err(AppError::invalid("resource_version", message));
        };
        let mut row =
            StoredProfile { text: to_store(&profile), resource_version: version, ..known };
        let concerned = self.store.sandboxes_of_type(&workspace, id).await?;
        self.check_change(&concerned, |provider| {
            if provider.kind == id {
                provider.profile = Some(row.text.clone());
            }
        })
        .await?;
        let Some(sandboxes) = self.store.update_profile(&workspace, &row).await? else {
            let current =
                self.store.profile(&workspace, id).await?.ok_or_else(|| no_profile(id))?;
            return Err(AppError::Conflict { current: current.resource_version });
        };
        tracing::info!(profile = %id, "Provider profile changed");
        self.bring_all_into_force(&sandboxes).await?;
        row.resource_version = version.saturating_add(1);
        Ok(Updated::Done { known: Box::new(Known::stored(row)?), findings })
    }

    /// Removes a profile; `false` when it was not there.
    pub(crate) async fn delete_profile(&self, scope: &Scope, id: &str) -> Result<bool, AppError> {
        let workspace = self.one_workspace(scope).await?;
        own(id)?;
        match self.store.remove_profile(&workspace, id).await? {
            Removed::Done => {
                tracing::info!(profile = %id, "Provider profile deleted");
                Ok(true)
            }
            Removed::Absent => Ok(false),
            Removed::Used(provider) => Err(AppError::Precondition(format!(
                "provider '{provider}' is of type '{id}': delete it first"
            ))),
        }
    }

    /// Refuses a change of providers that sandboxes could not put in force.
    pub(super) async fn check_change(
        &self,
        sandboxes: &[SandboxId],
        change: impl Fn(&mut Provider) + Send + Sync,
    ) -> Result<(), AppError> {
        for id in sandboxes {
            let Some(revision) = self.store.revision(id, None).await? else { continue };
            let Held { mut attached, routes, .. } = self.store.held(id).await?;
            attached.iter_mut().for_each(|one| change(&mut one.provider));
            let composed = with_rules((&revision.text, &revision.digest), &attached, &routes);
            if let Err(error @ ComposeError::Policy(_)) = composed {
                let sandbox = self.sandbox_by_id(id).await?;
                let why = format!("sandbox '{}' cannot have it: {error}", sandbox.name);
                return Err(AppError::Precondition(why));
            }
        }
        Ok(())
    }
}

/// The text in the form in which it is kept: its version is the row's.
fn to_store(profile: &Profile) -> String {
    profile.clone().with_resource_version(None).to_yaml()
}

/// SECURITY: what comes with OpenShell says where secrets of well-known kinds go, and stays.
fn own(id: &str) -> Result<(), AppError> {
    if builtin::get(id).is_some() {
        let why = format!("'{id}' comes with OpenShell, and stays as it is");
        return Err(AppError::Precondition(why));
    }
    Ok(())
}

fn bounded(count: usize) -> Result<(), AppError> {
    if count > PROFILES {
        return Err(AppError::invalid("profiles", format!("more than {PROFILES}")));
    }
    Ok(())
}

fn no_profile(id: &str) -> AppError {
    AppError::NotFound { kind: "provider profile", name: id.to_owned() }
}
