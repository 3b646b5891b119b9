//! What a provider's own settings make of its profile: a server of the user's own in the place of the
//! one that the profile names, and the registries of package managers, of which it names none.
//!
//! What comes of it is read again as a profile is, so nothing that a file could not say gets in.

mod registry;
mod s3;
mod site;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeMap;

use thiserror::Error;

use crate::builtin;
use crate::profile::Profile;
use site::Site;

/// A setting that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{key}`: {why}")]
pub struct ConfigError {
    /// The setting's key.
    pub key: String,
    /// What is wrong with it. It never quotes the value, in which a password may stand.
    pub why: String,
}

/// The profiles that a provider of this one comes to: one, unless each setting has its own place to
/// go. SECURITY: I2; what is bound to one of them goes to no other.
pub fn configured<'a>(
    profile: &'a Profile,
    config: &BTreeMap<String, String>,
) -> Result<Vec<Cow<'a, Profile>>, ConfigError> {
    if profile.id() == registry::TYPE {
        return Ok(registry::profiles(config)?.into_iter().map(Cow::Owned).collect());
    }
    if profile.id() == s3::TYPE {
        return Ok(vec![Cow::Owned(s3::profile(config)?)]);
    }
    let Some(key) = base_url_key(profile.id()) else { return Ok(vec![Cow::Borrowed(profile)]) };
    let Some(url) = config.get(key) else { return Ok(vec![Cow::Borrowed(profile)]) };
    let site = Site::parse(url).map_err(|why| error(key, why))?;
    if site.user.is_some() {
        return Err(error(key, "a name or password has no place in it".to_owned()));
    }
    // Servers that speak the API of OpenAI are asked by the programs that ask OpenAI.
    let programs = builtin::get("openai").map(|one| &one.profile);
    let programs = programs.filter(|_| profile.binaries().next().is_none());
    let text = profile.to_yaml_at(&site.endpoint(Some(site.below()), "read-write"), programs);
    Ok(vec![Cow::Owned(read(key, &text)?)])
}

/// What of the settings programs look for in their environment; `placeholders` stand for the
/// credentials, by variable.
pub fn environment(
    profile: &Profile,
    config: &BTreeMap<String, String>,
    placeholders: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    if profile.id() == registry::TYPE {
        return registry::environment(config, placeholders);
    }
    if profile.id() == s3::TYPE {
        return s3::environment(config);
    }
    let key = base_url_key(profile.id());
    let entry = key.and_then(|key| config.get_key_value(key));
    entry.map(|(key, url)| (key.clone(), url.clone())).into_iter().collect()
}

/// What the settings of a type must have, for people; `None` when they have it.
pub fn missing(profile: &Profile, config: &BTreeMap<String, String>) -> Option<String> {
    if profile.id() == registry::TYPE {
        return registry::missing(config);
    }
    let inference = builtin::get(profile.id())?.inference.as_ref()?;
    let key = inference.base_url_key;
    let is_missing = inference.base_url.is_none() && !config.contains_key(key);
    is_missing.then(|| format!("`{key}`, the URL of the server"))
}

pub use registry::{Client, Registry};

/// The setting that says where a type's server is. A file of a user's own says it in its endpoints.
fn base_url_key(id: &str) -> Option<&'static str> {
    Some(builtin::get(id)?.inference.as_ref()?.base_url_key)
}

fn read(key: &str, text: &str) -> Result<Profile, ConfigError> {
    Profile::parse(text).map_err(|findings| {
        let errors = findings.iter().filter(|one| one.is_error()).map(|one| one.message.as_str());
        error(key, errors.collect::<Vec<_>>().join("; "))
    })
}

fn error(key: &str, why: String) -> ConfigError {
    ConfigError { key: key.to_owned(), why }
}
