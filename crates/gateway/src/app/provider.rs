//! Providers: made, found, changed, and attached to sandboxes.

use std::collections::BTreeMap;

use jiff::Timestamp;
use openshell_credential::configured::{configured, missing};
use openshell_credential::limits::{CONFIG, CREDENTIALS};
use openshell_credential::profile::Strategy;
use openshell_credential::{CredentialName, Profile, SecretValue, builtin};
use openshell_types::{Redacted, SandboxId, WorkspaceName};
use tokio::time::{Instant, timeout_at};

use super::page::{Selector, cut, label, size};
use super::profile::Known;
use super::workspace::Scope;
use super::{App, AppError};
use crate::compose::{compose, context, placeholders};
use crate::limits::{PROVIDER_WAIT, PROVIDERS};
use crate::store::rows::provider::{Attached, Concerned, Provider, Sealed};
use crate::store::rows::sandbox::Sandbox;

/// A provider that is asked for.
#[derive(Debug, Default)]
pub(crate) struct NewProvider {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) values: Values,
}

/// What is set of a provider. What is not named stays.
#[derive(Debug, Default)]
pub(crate) struct Values {
    /// Values by variable.
    pub(crate) credentials: BTreeMap<String, Redacted<String>>,
    pub(crate) config: BTreeMap<String, String>,
    /// When values end to be good, in milliseconds since 1970; `None`: they do not.
    pub(crate) expiries: BTreeMap<String, Option<i64>>,
}

impl App {
    /// Stores a provider.
    pub(crate) async fn create_provider(
        &self,
        scope: &Scope,
        new: NewProvider,
    ) -> Result<Provider, AppError> {
        let workspace = self.one_workspace(scope).await?;
        let NewProvider { name, kind, labels, annotations, values } = new;
        provider_name(&name)?;
        let known = self.known(&workspace, &kind).await?;
        let profile = known.profile.as_ref();
        let mut provider = Provider {
            workspace,
            name,
            id: uuid::Uuid::new_v4().to_string(),
            kind,
            labels,
            annotations,
            resource_version: 1,
            created_ms: Timestamp::now().as_millisecond(),
            config: BTreeMap::new(),
            profile: known.text.clone(),
            credentials: BTreeMap::new(),
        };
        self.put_values(&mut provider, profile, values)?;
        if let Some(missing) = missing(profile, &provider.config) {
            let message = format!("a provider of type `{}` needs {missing}", profile.id());
            return Err(AppError::invalid("config", message));
        }
        let holds = |name: &CredentialName| provider.credentials.contains_key(name.as_str());
        let missing = profile
            .credentials()
            .iter()
            // What is renewed may come of its first renewal.
            .filter(|own| !own.refresh.as_ref().is_some_and(|refresh| is_minted(refresh.strategy)))
            .find(|own| own.required && !own.env_vars.iter().any(holds));
        if let Some(missing) = missing {
            let variables = variables(&missing.env_vars).join("` or `");
            let message = format!("a provider of type `{}` needs `{variables}`", profile.id());
            return Err(AppError::invalid("credentials", message));
        }
        if !self.store.insert_provider(&provider).await? {
            return Err(AppError::AlreadyExists { kind: "provider", name: provider.name });
        }
        tracing::info!(provider = %provider.name, kind = %provider.kind, "Provider created");
        Ok(provider)
    }

    /// Changes values of a provider. Returns when every sandbox that has it uses the new ones.
    pub(crate) async fn update_provider(
        &self,
        scope: &Scope,
        (name, kind): (&str, &str),
        values: Values,
    ) -> Result<Provider, AppError> {
        let workspace = self.one_workspace(scope).await?;
        let mut provider = self.provider_in(&workspace, name).await?;
        if !kind.is_empty() && kind != provider.kind {
            let message = format!("`{name}` is of type `{}`, and stays it", provider.kind);
            return Err(AppError::invalid("type", message));
        }
        let known = self.known(&workspace, &provider.kind).await?;
        self.put_values(&mut provider, &known.profile, values)?;
        self.check_routes_of(&provider).await?;
        let holding = self.store.sandboxes_with(&provider.id).await?;
        self.check_change(&holding, |other| {
            if other.id == provider.id {
                *other = provider.clone();
            }
        })
        .await?;
        let Some(concerned) = self.store.update_provider(&provider).await? else {
            let current = self.provider_in(&workspace, name).await?.resource_version;
            return Err(AppError::Conflict { current });
        };
        tracing::info!(provider = %provider.name, "Provider changed");
        self.provider_changed(&provider, concerned).await?;
        self.provider_in(&workspace, name).await
    }

    /// The type of this name.
    async fn known(&self, workspace: &WorkspaceName, kind: &str) -> Result<Known, AppError> {
        if let Some(known) = self.profile_in(workspace, kind).await? {
            return Ok(known);
        }
        let own = self.store.profiles(workspace).await?;
        let known = builtin::all().iter().map(|one| one.profile.id());
        let known: Vec<&str> = known.chain(own.iter().map(|row| row.id.as_str())).collect();
        let message = format!("there is no type `{kind}`; there are {}", known.join(", "));
        Err(AppError::invalid("type", message))
    }

    /// After a provider's values were stored: returns when every sandbox that has it, or has its
    /// model calls answered by it, uses the new ones.
    pub(super) async fn provider_changed(
        &self,
        provider: &Provider,
        concerned: Concerned,
    ) -> Result<(), AppError> {
        let Concerned { attached: mut sandboxes, routed } = concerned;
        for id in &sandboxes {
            self.hold_placeholders(id, provider).await?;
        }
        sandboxes.extend(routed);
        self.bring_all_into_force(&sandboxes).await
    }

    /// A provider by its name.
    pub(crate) async fn provider(&self, scope: &Scope, name: &str) -> Result<Provider, AppError> {
        let workspace = self.one_workspace(scope).await?;
        self.provider_in(&workspace, name).await
    }

    /// SECURITY: I14; names of other workspaces are not found.
    pub(super) async fn provider_in(
        &self,
        workspace: &WorkspaceName,
        name: &str,
    ) -> Result<Provider, AppError> {
        self.store.provider(workspace, name).await?.ok_or_else(|| no_provider(name))
    }

    /// A page of providers, and the token of the next one.
    pub(crate) async fn providers(
        &self,
        scope: &Scope,
        page: (i32, &str),
        selector: &str,
    ) -> Result<(Vec<Provider>, String), AppError> {
        let workspace = match scope {
            Scope::All => None,
            one @ Scope::One(_) => Some(self.one_workspace(one).await?),
        };
        let selector = Selector::parse(selector)?;
        let size = size(page.0)?;
        let place = |provider: &Provider| format!("{}/{}", provider.workspace, provider.name);
        let mut providers = self.store.providers(workspace.as_ref()).await?;
        providers.retain(|provider| {
            selector.matches(&provider.labels) && (page.1.is_empty() || *place(provider) > *page.1)
        });
        let (providers, more) = cut(providers, size);
        let token = providers.last().filter(|_| more).map(place).unwrap_or_default();
        Ok((providers, token))
    }

    /// Removes a provider; `false` when it was not there.
    pub(crate) async fn delete_provider(
        &self,
        scope: &Scope,
        name: &str,
    ) -> Result<bool, AppError> {
        let workspace = self.one_workspace(scope).await?;
        let Some(provider) = self.store.provider(&workspace, name).await? else {
            return Ok(false);
        };
        if !self.store.remove_provider(&provider.id).await? {
            if let Some(why) = self.route_in_the_way(&provider).await? {
                return Err(AppError::Precondition(why));
            }
            return Err(AppError::Precondition(self.attached_in_the_way(&provider).await?));
        }
        tracing::info!(provider = %name, "Provider deleted");
        Ok(true)
    }

    /// Why a provider that sandboxes have cannot go, with the command that takes it from the first.
    async fn attached_in_the_way(&self, provider: &Provider) -> Result<String, AppError> {
        let name = &provider.name;
        let ids = self.store.sandboxes_with(&provider.id).await?;
        let Some(id) = ids.first() else {
            return Ok(format!("provider '{name}' was in use: try again"));
        };
        let sandbox = self.sandbox_by_id(id).await?.name;
        let others = match ids.len().saturating_sub(1) {
            0 => String::new(),
            1 => " and to another".to_owned(),
            more => format!(" and to {more} others"),
        };
        Ok(format!(
            "provider '{name}' is attached to sandbox '{sandbox}'{others}: \
             `openshell provider detach {sandbox} {name}` first"
        ))
    }

    /// What is attached to a sandbox.
    pub(crate) async fn attached(&self, sandbox: &Sandbox) -> Result<Vec<Attached>, AppError> {
        Ok(self.store.attached(&sandbox.id).await?.1)
    }

    /// Attaches a provider; `false` when it was already. Returns when it is in force.
    pub(crate) async fn attach_provider(
        &self,
        sandbox: &Sandbox,
        name: &str,
        expected: u64,
    ) -> Result<bool, AppError> {
        let provider = self.provider_in(&sandbox.workspace, name).await?;
        unchanged(sandbox, expected)?;
        let (_, attached) = self.store.attached(&sandbox.id).await?;
        let is_attached = attached.iter().any(|other| other.provider.id == provider.id);
        if !is_attached {
            goes_with(&provider, &attached)?;
            self.hold_placeholders(&sandbox.id, &provider).await?;
            tracing::info!(sandbox = %sandbox.name, provider = %name, "Provider attached");
        }
        if let Err(error) = self.bring_into_force(&sandbox.id).await {
            // What cannot be in force is not attached either.
            if !is_attached && matches!(error, AppError::Precondition(_)) {
                self.store.detach(&sandbox.id, &provider.id).await?;
            }
            return Err(error);
        }
        Ok(!is_attached)
    }

    /// Detaches a provider; `false` when it was not attached. Returns when nothing is sent with its
    /// credentials any more.
    pub(crate) async fn detach_provider(
        &self,
        sandbox: &Sandbox,
        name: &str,
        expected: u64,
    ) -> Result<bool, AppError> {
        let provider = self.provider_in(&sandbox.workspace, name).await?;
        unchanged(sandbox, expected)?;
        let was_attached = self.store.detach(&sandbox.id, &provider.id).await?;
        if was_attached {
            tracing::info!(sandbox = %sandbox.name, provider = %name, "Provider detached");
        }
        self.bring_into_force(&sandbox.id).await?;
        Ok(was_attached)
    }

    /// The providers that a new sandbox has from the start.
    pub(super) async fn to_attach(
        &self,
        (workspace, id): (&WorkspaceName, &SandboxId),
        names: &[String],
    ) -> Result<Vec<Attached>, AppError> {
        let mut all: Vec<Attached> = Vec::new();
        for name in names {
            let found = self.store.provider(workspace, name).await?;
            let provider = found
                .ok_or_else(|| AppError::Precondition(format!("provider '{name}' not found")))?;
            if all.iter().any(|other| other.provider.id == provider.id) {
                continue;
            }
            goes_with(&provider, &all)?;
            let placeholders = placeholders(&self.vault, id, &provider, BTreeMap::new())?;
            all.push(Attached { provider, placeholders });
        }
        Ok(all)
    }

    /// Stores what stands for a provider's credentials in a sandbox.
    pub(super) async fn hold_placeholders(
        &self,
        id: &SandboxId,
        provider: &Provider,
    ) -> Result<(), AppError> {
        let (_, attached) = self.store.attached(id).await?;
        let held = attached.into_iter().find(|other| other.provider.id == provider.id);
        let held = held.map(|attached| attached.placeholders).unwrap_or_default();
        let held = placeholders(&self.vault, id, provider, held)?;
        self.store.attach(id, provider, &held).await?;
        Ok(())
    }

    /// Pushes what is attached to a sandbox, and waits until it is in force. A sandbox that does not
    /// run yet starts with it. SECURITY: I13; one that runs is waited for while its supervisor is
    /// away, for it goes on with what it has.
    pub(super) async fn bring_into_force(&self, id: &SandboxId) -> Result<(), AppError> {
        let mut changes = self.registry.state(id);
        let message = compose(&self.store, id).await?.into_message(&self.vault)?;
        let wanted = (message.generation, message.epoch);
        if let Some(session) = self.registry.session(id) {
            session.push(message).await;
        }
        let deadline = Instant::now().checked_add(PROVIDER_WAIT).unwrap_or_else(Instant::now);
        loop {
            match self.registry.answered(id) {
                Some((state, refused)) if state >= wanted => {
                    return match refused {
                        None => Ok(()),
                        Some(why) => Err(AppError::Precondition(why)),
                    };
                }
                _ if !self.runs(id).await? => return Ok(()),
                _ => {}
            }
            match timeout_at(deadline, changes.changed()).await {
                Ok(Ok(())) => {}
                // It is gone.
                Ok(Err(_)) => return Ok(()),
                Err(_) => return Err(AppError::Deadline(NOT_IN_FORCE, PROVIDER_WAIT)),
            }
        }
    }

    /// Whether a supervisor of the sandbox may be there.
    pub(super) async fn runs(&self, id: &SandboxId) -> Result<bool, AppError> {
        let sandbox = self.store.sandbox(id).await?;
        Ok(sandbox.is_some_and(|own| own.placed_ms.is_some() && !own.observed.phase.is_last()))
    }

    fn put_values(
        &self,
        provider: &mut Provider,
        profile: &Profile,
        values: Values,
    ) -> Result<(), AppError> {
        let Values { credentials, config, expiries } = values;
        provider.config.extend(config);
        if provider.config.len() > CONFIG {
            return Err(AppError::invalid("config", format!("more than {CONFIG} entries")));
        }
        let profiles = configured(profile, &provider.config)
            .map_err(|error| AppError::invalid("config", error.to_string()))?;
        let specs = || profiles.iter().flat_map(|own| own.credentials());
        for (variable, value) in credentials {
            let value = check_credential(&variable, value)?;
            let is_known = profiles.iter().any(|own| own.of_variable(&variable).next().is_some());
            if profile.id() != "generic" && !is_known {
                let known = specs().flat_map(|own| variables(&own.env_vars));
                let known = known.collect::<Vec<_>>().join("`, `");
                let message = format!("type `{}` has no `{variable}`, but `{known}`", profile.id());
                return Err(AppError::invalid("credentials", message));
            }
            let sealed = self
                .vault
                .seal(&context(provider, &variable), value.expose())
                .map_err(|error| AppError::Unavailable(error.to_string()))?;
            provider.credentials.insert(variable, Sealed { sealed, expires_ms: None });
        }
        for (variable, expires_ms) in expiries {
            let Some(held) = provider.credentials.get_mut(&variable) else {
                let message = format!("there is no credential `{variable}`");
                return Err(AppError::invalid("credential_expiration_times", message));
            };
            held.expires_ms = expires_ms;
        }
        if provider.credentials.len() > CREDENTIALS {
            return Err(AppError::invalid("credentials", format!("more than {CREDENTIALS}")));
        }
        Ok(())
    }
}

/// What took too long, when it is stored and a running sandbox did not take it yet.
const NOT_IN_FORCE: &str = "it is stored, but bringing it into force in a running sandbox";

/// Whether a provider can be attached beside others.
fn goes_with(provider: &Provider, attached: &[Attached]) -> Result<(), AppError> {
    if attached.len() >= PROVIDERS {
        let why = format!("a sandbox has at most {PROVIDERS} providers");
        return Err(AppError::Precondition(why));
    }
    let clash = attached.iter().find_map(|other| {
        let variable =
            other.placeholders.keys().find(|own| provider.credentials.contains_key(*own));
        variable.map(|variable| (variable, &other.provider.name))
    });
    match clash {
        Some((variable, other)) => Err(AppError::Precondition(format!(
            "`{variable}` of provider '{}' is also one of '{other}', which is attached",
            provider.name
        ))),
        None => Ok(()),
    }
}

fn unchanged(sandbox: &Sandbox, expected: u64) -> Result<(), AppError> {
    if expected != 0 && expected != sandbox.resource_version {
        return Err(AppError::Conflict { current: sandbox.resource_version });
    }
    Ok(())
}

fn no_provider(name: &str) -> AppError {
    AppError::NotFound { kind: "provider", name: name.to_owned() }
}

fn provider_name(name: &str) -> Result<(), AppError> {
    if name.is_empty() {
        return Err(AppError::invalid("name", "a provider must be named"));
    }
    label(name, "").map_err(|_| {
        let message =
            "1 to 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends";
        AppError::invalid("name", message)
    })
}

/// Whether a renewal needs no value to begin with.
fn is_minted(strategy: Strategy) -> bool {
    !matches!(strategy, Strategy::Static | Strategy::External)
}

fn variables(names: &[CredentialName]) -> Vec<&str> {
    names.iter().map(CredentialName::as_str).collect()
}

/// SECURITY: I6; what would break out of its field is never stored. The value is not told.
fn check_credential(variable: &str, value: Redacted<String>) -> Result<SecretValue, AppError> {
    let wrong = |why: String| {
        AppError::invalid("credentials", format!("`{}`: {why}", variable.escape_debug()))
    };
    CredentialName::parse(variable).map_err(|error| wrong(error.to_string()))?;
    SecretValue::parse(value.expose().clone()).map_err(|error| wrong(error.to_string()))
}
