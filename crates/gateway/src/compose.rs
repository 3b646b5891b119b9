//! What a sandbox's supervisor is to put in force: the policy that a person set, with a rule for each
//! provider that brings one and for each route of model calls, the credentials, and the routes.

pub(crate) mod bound;
pub(crate) mod route;

use std::borrow::Cow;
use std::collections::BTreeMap;

use openshell_credential::configured::{configured, environment};
use openshell_credential::{Profile, Shape, builtin};
use openshell_policy::{Diagnostic, Policy, parse};
use openshell_types::{Credential, CredentialSet, Digest, ModelProtocol, SandboxId};
use openshell_wire::{credential, session};
use thiserror::Error;

use bound::Bound;

use crate::limits::BINDINGS;
use crate::store::rows::policy::Revision;
use crate::store::rows::provider::{Attached, Provider};
use crate::store::rows::route::{Held, StoredRoute};
use crate::store::{Store, StoreError};
use crate::vault::{Vault, place};

/// Why there is nothing to put in force.
#[derive(Debug, Error)]
pub(crate) enum ComposeError {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It is gone.
    #[error("the sandbox is gone")]
    Gone,
    /// A credential at rest cannot be opened.
    #[error("the credential {name} cannot be read: {error}")]
    Sealed { name: String, error: openshell_credential::SealError },
    /// A route has no backend.
    #[error("the route of the {protocol} calls: {why}")]
    Route { protocol: ModelProtocol, why: String },
    /// The rules of its providers and its policy cannot be one policy.
    #[error("the policy with the rules of the providers and routes: {0}")]
    Policy(String),
}

/// A policy with the rules of providers and routes, and what else comes with it.
pub(crate) struct Composed {
    pub(crate) revision: Revision,
    pub(crate) text: String,
    pub(crate) digest: String,
    pub(crate) attached: Vec<Attached>,
    pub(crate) routes: Vec<StoredRoute>,
    pub(crate) epoch: u64,
}

/// Puts together what is in force: the newest policy, what is attached, and the routes.
pub(crate) async fn compose(store: &Store, id: &SandboxId) -> Result<Composed, ComposeError> {
    let revision = store.revision(id, None).await?.ok_or(ComposeError::Gone)?;
    let Held { epoch, attached, routes } = store.held(id).await?;
    let (text, digest) = with_rules((&revision.text, &revision.digest), &attached, &routes)?;
    Ok(Composed { revision, text, digest, attached, routes, epoch })
}

impl Composed {
    /// The message for the supervisor.
    pub(crate) fn into_message(self, vault: &Vault) -> Result<session::Policy, ComposeError> {
        let mut all: Vec<Credential> = Vec::new();
        let bound = Bound::of(&self.text);
        for Attached { provider, placeholders } in &self.attached {
            let profiles = profiles(provider)?;
            for (variable, sealed) in &provider.credentials {
                let Some(placeholder) = placeholders.get(variable) else { continue };
                let name = format!("{}/{variable}", provider.name);
                let secret = vault.unseal(&context(provider, variable), &sealed.sealed);
                let secret =
                    secret.map_err(|error| ComposeError::Sealed { name: name.clone(), error })?;
                let bindings = profiles.iter().flat_map(|own| own.bindings_of(variable));
                let bindings = bindings.chain(bound.bindings(provider, variable));
                all.push(Credential {
                    name,
                    placeholder: placeholder.clone(),
                    secret,
                    expires_ms: sealed.expires_ms,
                    bindings: bindings.collect(),
                });
            }
        }
        if all.iter().map(|one| one.bindings.len()).sum::<usize>() > BINDINGS {
            let why = format!("credentials are bound to more than {BINDINGS} places");
            return Err(ComposeError::Policy(why));
        }
        let routes = self.routes.iter().map(|stored| route::compose(stored, vault));
        let routes = routes.collect::<Result<Vec<_>, _>>()?;
        let mut message = session::Policy {
            generation: self.revision.number.into(),
            digest: self.digest,
            text: self.text,
            ..session::Policy::default()
        };
        let set = CredentialSet { epoch: self.epoch, mark: vault.mark().clone(), all };
        credential::put(&set, &mut message);
        openshell_wire::route::put(&routes, &mut message);
        Ok(message)
    }

    /// The variables with the placeholders in them, and what providers are set to.
    pub(crate) fn environment(&self) -> BTreeMap<String, String> {
        let settings = self.attached.iter().flat_map(|Attached { provider, placeholders }| {
            let profile = builtin::get(&provider.kind).map(|one| &one.profile);
            let found = profile.map(|own| environment(own, &provider.config, placeholders));
            found.unwrap_or_default()
        });
        let placeholders = self.attached.iter().flat_map(|attached| attached.placeholders.clone());
        settings.chain(placeholders).collect()
    }
}

/// What a provider's profile and its settings come to. SECURITY: I2; a type that is not there any
/// more binds nothing.
pub(crate) fn profiles(provider: &Provider) -> Result<Vec<Cow<'static, Profile>>, ComposeError> {
    let wrong = |why: String| ComposeError::Policy(format!("provider '{}': {why}", provider.name));
    if let Some(one) = builtin::get(&provider.kind) {
        return configured(&one.profile, &provider.config)
            .map_err(|error| wrong(error.to_string()));
    }
    let Some(text) = &provider.profile else { return Ok(Vec::new()) };
    let profile = Profile::parse(text)
        .map_err(|_| wrong(format!("its type '{}' has errors in this version", provider.kind)))?;
    Ok(vec![Cow::Owned(profile)])
}

/// The profile of a provider's type, without what its settings change of it; `None` when it is not
/// there any more, or has errors in this version.
pub(crate) fn profile(provider: &Provider) -> Option<Cow<'static, Profile>> {
    if let Some(one) = builtin::get(&provider.kind) {
        return Some(Cow::Borrowed(&one.profile));
    }
    Profile::parse(provider.profile.as_deref()?).ok().map(Cow::Owned)
}

/// Where a credential is kept: it can be opened for this place only.
pub(crate) fn context(provider: &Provider, variable: &str) -> String {
    place::credential(&provider.id, variable)
}

/// What stands for a provider's credentials in a sandbox. What it holds already stays.
pub(crate) fn placeholders(
    vault: &Vault,
    id: &SandboxId,
    provider: &Provider,
    mut held: BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, ComposeError> {
    for (variable, sealed) in &provider.credentials {
        if held.contains_key(variable) {
            continue;
        }
        let name = format!("{}/{variable}", provider.name);
        let secret = vault
            .unseal(&context(provider, variable), &sealed.sealed)
            .map_err(|error| ComposeError::Sealed { name, error })?;
        let shape = Shape::of(secret.expose());
        let credential = format!("{}/{variable}", provider.id);
        let minted = vault.minter().mint(&seed(id), &credential, &shape);
        held.insert(variable.clone(), minted.into_string());
    }
    held.retain(|variable, _| provider.credentials.contains_key(variable));
    Ok(held)
}

/// What makes a sandbox's placeholders differ from another's.
fn seed(id: &SandboxId) -> [u8; 16] {
    let digest = Digest::of(id.as_str().as_bytes());
    digest.as_bytes().first_chunk().copied().unwrap_or_default()
}

/// The text and digest of a policy with the rules of providers and routes.
pub(crate) fn with_rules(
    (text, digest): (&str, &str),
    attached: &[Attached],
    routes: &[StoredRoute],
) -> Result<(String, String), ComposeError> {
    let wrong = |what: String| ComposeError::Policy(what);
    let all = |findings: &[Diagnostic]| {
        wrong(findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
    };
    let mut rules = Vec::new();
    for Attached { provider, .. } in attached {
        let key = format!("_provider_{}", provider.name.replace(['-', '.'], "_"));
        for profile in profiles(provider)? {
            let is_whole = profile.id() == provider.kind;
            let key = if is_whole { key.clone() } else { format!("{key}:{}", profile.id()) };
            // Without programs the policy has to say who may reach its endpoints.
            if profile.binaries().next().is_some() {
                rules.extend(profile.policy_rule(&key));
            }
        }
    }
    for StoredRoute { protocol, binaries, .. } in routes {
        rules.push(route::rule(*protocol, binaries).map_err(|findings| all(&findings))?);
    }
    if rules.is_empty() {
        return Ok((text.to_owned(), digest.to_owned()));
    }
    let base = parse(text).document;
    let base = base.ok_or_else(|| wrong("it has errors in this version".to_owned()))?;
    let text = base.join(&rules).map_err(|findings| all(&findings))?.formatted();
    let (policy, _) = Policy::compile(&text).map_err(|findings| all(&findings))?;
    let digest = policy.digest().to_string();
    Ok((text, digest))
}
