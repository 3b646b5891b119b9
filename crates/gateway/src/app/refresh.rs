//! How credentials are renewed: set, looked at, ended, and done.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;
use openshell_credential::CredentialName;
use openshell_credential::limits::CREDENTIALS;
use openshell_credential::profile::{Refresh as ProfileRefresh, Strategy};
use openshell_credential::{Profile, SecretValue};
use openshell_types::Redacted;
use tokio::time::sleep;

use super::workspace::Scope;
use super::{App, AppError};
use crate::compose::{context, profile};
use crate::limits::{REFRESH_RETRY, REFRESH_STORE_PAUSE, REFRESH_STORE_TRIES};
use crate::refresh::{Failure, Material, Missed, Outcome, Plan, Recovery, Token, mint, strategy};
use crate::store::rows::provider::{Provider, Sealed};
use crate::store::rows::refresh::{NewRefresh, Refresh, Renewed};
use crate::vault::place;

/// How a credential shall be renewed.
#[derive(Debug)]
pub(crate) struct AskedRefresh {
    pub(crate) strategy: Option<Strategy>,
    pub(crate) material: BTreeMap<String, Redacted<String>>,
    /// Which material is secret beside what always is.
    pub(crate) secret: Vec<String>,
    /// When the value that is there ends to be good; it is renewed at once when that is not said.
    pub(crate) expires_ms: Option<i64>,
}

impl App {
    /// Sets how a credential is renewed, in the place of what was set before.
    pub(crate) async fn configure_refresh(
        &self,
        scope: &Scope,
        (name, variable): (&str, &str),
        asked: AskedRefresh,
    ) -> Result<Refresh, AppError> {
        let provider = self.provider(scope, name).await?;
        let AskedRefresh { strategy: wanted, material, secret, expires_ms } = asked;
        let known = of_variable(&provider, variable)?;
        let (own, refresh) = known.parts();
        let strategy =
            strategy(wanted, refresh).map_err(|why| AppError::invalid("strategy", why))?;
        let wrong = |why: String| AppError::invalid("material", why);
        let material = Material::new(material, secret).map_err(wrong)?;
        let plan = Plan::make((own, refresh), strategy, &material).map_err(wrong)?;
        let fresh = std::iter::once(variable)
            .chain(plan.outputs.iter().map(|(_, variable)| variable.as_str()))
            .filter(|variable| !provider.credentials.contains_key(*variable));
        if provider.credentials.len().saturating_add(fresh.count()) > CREDENTIALS {
            return Err(AppError::invalid("credential_key", format!("more than {CREDENTIALS}")));
        }
        if expires_ms.is_some() && !provider.credentials.contains_key(variable) {
            let message = format!("there is no value of `{variable}` yet, which could end");
            return Err(AppError::invalid("expiration_time", message));
        }
        let now_ms = Timestamp::now().as_millisecond();
        let before_ms = i64::try_from(plan.before_seconds).unwrap_or(i64::MAX).saturating_mul(1000);
        let sealed = self.seal_material(&provider, variable, &material)?;
        let new = NewRefresh {
            workspace: provider.workspace.as_str(),
            provider_id: &provider.id,
            variable,
            strategy: strategy.as_str(),
            sealed: &sealed,
            next_ms: expires_ms.map_or(now_ms, |end| end.saturating_sub(before_ms)),
            expires_ms,
        };
        self.store.put_refresh(new, now_ms).await?;
        tracing::info!(provider = %name, variable, strategy = strategy.as_str(), "Renewal set");
        // Read first: a status that is answered is that of what was set.
        let set = self.refresh_of(&provider, variable).await?;
        self.refreshes.look();
        Ok(set)
    }

    /// How the credentials of a provider are renewed: all of them, or one.
    pub(crate) async fn refreshes_of(
        &self,
        scope: &Scope,
        (name, variable): (&str, &str),
    ) -> Result<Vec<Refresh>, AppError> {
        let provider = self.provider(scope, name).await?;
        match variable {
            "" => Ok(self.store.refreshes(&provider.id).await?),
            one => Ok(vec![self.refresh_of(&provider, one).await?]),
        }
    }

    /// Renews a credential now. Returns when every sandbox that has it uses the new value.
    pub(crate) async fn renew_now(
        &self,
        scope: &Scope,
        (name, variable): (&str, &str),
    ) -> Result<Refresh, AppError> {
        let provider = self.provider(scope, name).await?;
        let found = self.refresh_of(&provider, variable).await?;
        let outcome = self.refreshes.now((found.provider_id, found.variable)).await;
        outcome.map_err(|missed| match missed {
            // Not unavailable, which is the gateway itself when clients read it.
            Missed::Failed(failure) => AppError::Precondition(failure.message),
            Missed::Superseded => {
                AppError::Unavailable("it was configured anew or removed meanwhile".to_owned())
            }
            Missed::NotInForce(why) => AppError::Unavailable(why),
            Missed::Broken => AppError::Unavailable("the renewal was broken off".to_owned()),
        })?;
        self.refresh_of(&provider, variable).await
    }

    /// Ends the renewal of a credential, which keeps its value; `false` when there was none.
    pub(crate) async fn delete_refresh(
        &self,
        scope: &Scope,
        (name, variable): (&str, &str),
    ) -> Result<bool, AppError> {
        let provider = self.provider(scope, name).await?;
        let was_there = self.store.remove_refresh(&provider.id, variable).await?;
        if was_there {
            tracing::info!(provider = %name, variable, "Renewal ended");
        }
        Ok(was_there)
    }

    async fn refresh_of(&self, provider: &Provider, variable: &str) -> Result<Refresh, AppError> {
        let all = self.store.refreshes(&provider.id).await?;
        all.into_iter().find(|one| one.variable == variable).ok_or_else(|| no_refresh(variable))
    }

    /// Renews what the worker took. Between the server's answer and the end of the transaction that
    /// stores it there is a moment in which a new refresh token is in memory only. When the gateway
    /// dies then, the old one is tried again: a server that rotates with a grace period takes it, and
    /// another answers `invalid_grant`, which the status shows with the advice to sign in again.
    /// Nothing can be written before, because nothing is known before.
    pub(crate) async fn renew(&self, taken: Refresh) -> Outcome {
        let log = tracing::info_span!("renew", provider = %taken.provider, %taken.variable);
        let renewed = match self.ask(&taken).await {
            Ok(renewed) => renewed,
            Err(failure) => {
                log.in_scope(|| tracing::warn!(code = %failure.code, "Not renewed"));
                let now_ms = Timestamp::now().as_millisecond();
                let times = (now_ms, now_ms.saturating_add(RETRY));
                if let Err(error) = self.store.fail_refresh(&taken, &failure, times).await {
                    log.in_scope(|| tracing::error!(%error, "The failure could not be stored"));
                }
                return Err(Missed::Failed(failure));
            }
        };
        let mut tries = 0_u32;
        let concerned = loop {
            match self.store.finish_refresh(&taken, &renewed).await {
                Ok(Some(concerned)) => break concerned,
                Ok(None) => return Err(Missed::Superseded),
                Err(error) => {
                    tries = tries.saturating_add(1);
                    log.in_scope(|| tracing::error!(%error, tries, "A renewal is not stored"));
                    if tries >= REFRESH_STORE_TRIES {
                        return Err(Missed::Broken);
                    }
                }
            }
            sleep(REFRESH_STORE_PAUSE).await;
        };
        log.in_scope(|| tracing::info!(sandboxes = concerned.attached.len(), "Renewed"));
        let pushed = async {
            let provider = self.store.provider(&taken.workspace, &taken.provider).await?;
            match provider {
                Some(provider) => self.provider_changed(&provider, concerned).await,
                None => Ok(()),
            }
        };
        pushed.await.map_err(|error: AppError| {
            log.in_scope(|| tracing::warn!(%error, "A renewed value is not in force everywhere"));
            Missed::NotInForce(error.to_string())
        })
    }

    /// Asks the server, and seals what it gave.
    async fn ask(&self, taken: &Refresh) -> Result<Renewed, Failure> {
        let local = |code: &str, why: String| Failure::new(code, why, Recovery::FixConfiguration);
        let provider = self.store.provider(&taken.workspace, &taken.provider).await;
        let provider = provider.ok().flatten().ok_or_else(|| {
            Failure::new("no_provider", "the provider cannot be read", Recovery::Retry)
        })?;
        let place = place::material(&provider.id, &taken.variable);
        let material = self.vault.unseal(&place, &taken.sealed).map_err(|error| error.to_string());
        let material = material
            .and_then(|text| Material::parse(text.expose()).ok_or("it is malformed".to_owned()))
            .map_err(|why| local("no_material", format!("the material cannot be read: {why}")))?;
        let known = of_variable(&provider, &taken.variable)
            .map_err(|error| local("no_profile", error.to_string()))?;
        let (own, refresh) = known.parts();
        let wanted = strategy(Strategy::parse(&taken.strategy), refresh);
        let wanted = wanted.map_err(|_| {
            local("no_strategy", "the profile renews it in another way now".to_owned())
        })?;
        let plan =
            Plan::make((own, refresh), wanted, &material).map_err(|why| local("no_plan", why))?;

        // Before the request: what a server says of a token's life began when it was made.
        let now_ms = Timestamp::now().as_millisecond();
        let token = mint(&self.outbound, &plan, &material).await?;
        let (life, after) = plan.times(token.lifetime);
        let expires_ms = Some(now_ms.saturating_add(life));
        let credentials = self.sealed(&provider, taken, (&plan, &token, &material), expires_ms);
        let unsealed =
            |error: AppError| Failure::new("not_sealed", error.to_string(), Recovery::Investigate);
        let material = match token.refresh {
            Some(fresh)
                if plan.strategy == Strategy::Oauth2RefreshToken
                    && material.get("refresh_token") != Some(fresh.expose()) =>
            {
                let changed = material.with("refresh_token", fresh.into_inner());
                let sealed = self.seal_material(&provider, &taken.variable, &changed);
                Some(sealed.map_err(unsealed)?)
            }
            _ => None,
        };
        Ok(Renewed {
            credentials: credentials.map_err(unsealed)?,
            material,
            now_ms,
            next_ms: now_ms.saturating_add(after),
        })
    }

    /// The values of an answer, by variable.
    fn sealed(
        &self,
        provider: &Provider,
        taken: &Refresh,
        (plan, token, material): (&Plan, &Token, &Material),
        expires_ms: Option<i64>,
    ) -> Result<BTreeMap<String, Sealed>, AppError> {
        let seal = |variable: &str, value: &SecretValue, expires_ms| {
            let sealed = self.vault.seal(&context(provider, variable), value.expose());
            let sealed = sealed.map_err(|error| AppError::Unavailable(error.to_string()))?;
            Ok::<_, AppError>((variable.to_owned(), Sealed { sealed, expires_ms }))
        };
        let mut all = BTreeMap::from([seal(&taken.variable, &token.access, expires_ms)?]);
        for (field, variable) in &plan.outputs {
            // A server that does not rotate leaves it out.
            let kept = || {
                let text = material.get(field).filter(|_| field == "refresh_token")?;
                SecretValue::parse(text.to_owned()).ok()
            };
            if let Some(value) = token.output(field).or_else(kept) {
                all.extend([seal(variable, &value, None)?]);
            }
        }
        Ok(all)
    }

    fn seal_material(
        &self,
        provider: &Provider,
        variable: &str,
        material: &Material,
    ) -> Result<String, AppError> {
        let text = material.to_text().map_err(|_| {
            AppError::Unavailable("the material cannot be written as text".to_owned())
        })?;
        self.vault
            .seal(&place::material(&provider.id, variable), text.expose())
            .map_err(|error| AppError::Unavailable(error.to_string()))
    }
}

/// How long after a failure it is tried again, in milliseconds.
const RETRY: i64 = REFRESH_RETRY.as_secs().cast_signed() * 1000;

/// What is known of a variable of a provider.
struct Known {
    profile: Cow<'static, Profile>,
    refresh: Option<ProfileRefresh>,
}

impl Known {
    fn parts(&self) -> (Option<&Profile>, Option<&ProfileRefresh>) {
        (Some(&*self.profile), self.refresh.as_ref())
    }
}

/// The profile of a provider, and what it says of the renewal of a variable.
fn of_variable(provider: &Provider, variable: &str) -> Result<Known, AppError> {
    let wrong = |why: String| AppError::invalid("credential_key", why);
    CredentialName::parse(variable)
        .map_err(|error| wrong(format!("`{}`: {error}", variable.escape_debug())))?;
    let Some(profile) = profile(provider) else {
        return Err(wrong(format!("there is no type `{}` any more", provider.kind)));
    };
    if profile.id() == "generic" {
        return Ok(Known { profile, refresh: None });
    }
    match profile.credentials().iter().find(|own| holds(own, variable)) {
        Some(own) => {
            let refresh = own.refresh.clone();
            Ok(Known { profile, refresh })
        }
        None => {
            let all = profile.credentials().iter().flat_map(|own| &own.env_vars);
            let all: Vec<&str> = all.map(CredentialName::as_str).collect();
            let all = all.join("`, `");
            Err(wrong(format!("type `{}` has no `{variable}`, but `{all}`", profile.id())))
        }
    }
}

fn holds(spec: &openshell_credential::CredentialSpec, variable: &str) -> bool {
    spec.env_vars.iter().any(|own| own.as_str() == variable)
}

fn no_refresh(variable: &str) -> AppError {
    AppError::NotFound { kind: "renewal of credential", name: variable.to_owned() }
}
