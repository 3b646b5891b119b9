//! What npm is set to: its variables and the user's `.npmrc`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use openshell_types::Redacted;

use super::{Entry, Places, Secret};
use crate::config::Config;
use crate::error::CliError;

pub(super) fn read(places: &mut Places<'_>) -> Result<Vec<Entry>, CliError> {
    let named = ["npm_config_registry", "NPM_CONFIG_REGISTRY"];
    let mut default = named.into_iter().find_map(|name| places.variable(name));
    let named = ["npm_config_userconfig", "NPM_CONFIG_USERCONFIG"];
    let file = named.into_iter().find_map(|name| places.variable(name)).map(PathBuf::from);
    let Some(path) = file.or_else(|| places.at_home(".npmrc")) else { return Ok(Vec::new()) };
    let text = places.file(&path)?.unwrap_or_default();
    let pairs = pairs(&text, places.config);
    default = default.or_else(|| pairs.get("registry").cloned());
    let scoped = pairs.iter().filter(|(key, _)| key.starts_with('@') && key.ends_with(":registry"));
    let urls = default.clone().into_iter().chain(scoped.map(|(_, url)| url.clone()));
    Ok(urls
        .map(|url| {
            let is_default = default.as_ref() == Some(&url);
            let secret = secret(&url, is_default, &pairs);
            Entry { name: None, url, secret }
        })
        .collect())
}

fn pairs(text: &str, config: &Config) -> BTreeMap<String, String> {
    let lines = text.lines().map(str::trim);
    lines
        .filter(|line| !line.starts_with(['#', ';', '[']))
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| {
            let value = value.trim();
            let bare = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
            (key.trim().to_owned(), expand(bare.unwrap_or(value), config))
        })
        .collect()
}

/// `${NAME}` is a variable of the environment; one that is not set stays as it is written.
fn expand(value: &str, config: &Config) -> String {
    let mut out = String::new();
    let mut rest = value;
    while let Some((before, after)) = rest.split_once("${") {
        out.push_str(before);
        let Some((name, behind)) = after.split_once('}') else {
            rest = after;
            out.push_str("${");
            continue;
        };
        match config.text(name) {
            Some(found) => out.push_str(found),
            None => out.push_str(&format!("${{{name}}}")),
        }
        rest = behind;
    }
    out + rest
}

/// The credential that belongs to a URL: its keys begin with the URL, or with a part of it.
fn secret(url: &str, is_default: bool, pairs: &BTreeMap<String, String>) -> Option<Secret> {
    let (_, rest) = url.split_once("://")?;
    let mut place = format!("//{}/", rest.trim_end_matches('/'));
    loop {
        if let Some(secret) = secret_of(&format!("{place}:"), pairs) {
            return Some(secret);
        }
        let shorter = place.trim_end_matches('/').rfind('/')?;
        place.truncate(shorter.saturating_add(1));
        if place.len() <= 2 {
            break;
        }
    }
    // As older files have it.
    if is_default { secret_of("", pairs) } else { None }
}

fn secret_of(before: &str, pairs: &BTreeMap<String, String>) -> Option<Secret> {
    let get = |key: &str| pairs.get(&format!("{before}{key}")).filter(|value| !value.is_empty());
    if let Some(token) = get("_authToken") {
        return Some(Secret { user: None, value: Redacted::new(token.clone()) });
    }
    let decode = |text: &str| {
        BASE64_STANDARD.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok())
    };
    if let Some(pair) = get("_auth").and_then(|packed| decode(packed)) {
        let (user, password) = pair.split_once(':')?;
        let value = Redacted::new(password.to_owned());
        return Some(Secret { user: Some(user.to_owned()), value });
    }
    let password = get("_password").and_then(|packed| decode(packed))?;
    Some(Secret { user: get("username").cloned(), value: Redacted::new(password) })
}
