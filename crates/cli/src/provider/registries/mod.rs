//! The registries of packages that the person's own programs are set to use, with the credentials
//! that stand beside them.
//!
//! Only what is the user's or the machine's is read. SECURITY: a project's files may come from
//! anybody, and could send a credential of the user's to a server of theirs.

mod cargo;
mod npm;
mod pip;

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use openshell_credential::configured::{Client, Registry};
use openshell_types::Redacted;
use percent_encoding::percent_decode_str;

use crate::config::Config;
use crate::error::{CliError, describe};
use crate::output::escape;

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Settings of the provider.
    pub config: HashMap<String, String>,
    /// Its credentials, by variable.
    pub credentials: BTreeMap<String, Redacted<String>>,
    /// What was left out, and why.
    pub notes: Vec<String>,
}

/// One registry as its client's configuration has it.
struct Entry {
    /// Its name, where the client has names.
    name: Option<String>,
    url: String,
    /// What stands beside the URL.
    secret: Option<Secret>,
}

struct Secret {
    user: Option<String>,
    value: Redacted<String>,
}

/// Where is looked, and what was looked at.
struct Places<'a> {
    config: &'a Config,
    looked: Vec<String>,
}

/// Reads the configuration of all clients.
pub(crate) fn existing(config: &Config) -> Result<Found, CliError> {
    let mut places = Places { config, looked: Vec::new() };
    let mut found = Found::default();
    for (client, entries) in [
        (Client::Pip, pip::read(&mut places)?),
        (Client::Npm, npm::read(&mut places)?),
        (Client::Cargo, cargo::read(&mut places)?),
    ] {
        take(&mut found, client, entries);
    }
    if found.config.is_empty() {
        let looked = places.looked.join(", ");
        let error = CliError::usage("no package registry is set for pip, npm or cargo here");
        return Err(error
            .help(format!("looked at {looked}; or name one: `--config PIP_INDEX_URL=https://…`")));
    }
    Ok(found)
}

fn take(found: &mut Found, client: Client, entries: Vec<Entry>) {
    let mut number = 0;
    for entry in entries {
        let Some((url, secret)) = split(&entry) else {
            found.notes.push(format!("a registry of {} is left out: no URL", client.as_str()));
            continue;
        };
        if found.config.values().any(|known| *known == url) {
            continue;
        }
        let registry = match &entry.name {
            Some(name) => Registry::named(client, name),
            None => {
                number += 1;
                Registry::numbered(client, number)
            }
        };
        match secret {
            // SECURITY: I15; it would go out for everybody to read.
            Some(_) if !url.trim_start_matches("sparse+").starts_with("https://") => {
                found.notes.push(format!(
                    "the credential for `{}` is left out: `{}` is not https",
                    escape(&registry.setting),
                    escape(&url)
                ))
            }
            Some(secret) => {
                found.credentials.insert(registry.variable, secret);
            }
            None => {}
        }
        found.config.insert(registry.setting, url);
    }
}

/// The URL as a provider's settings have it, and the secret: a password never stays in a URL.
fn split(entry: &Entry) -> Option<(String, Option<Redacted<String>>)> {
    let (scheme, rest) = entry.url.trim().split_once("://")?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (info, host) = match authority.rsplit_once('@') {
        Some((info, host)) => (Some(info), host),
        None => (None, authority),
    };
    let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let (user, secret) = match (&entry.secret, info.map(|info| info.split_once(':'))) {
        (Some(secret), _) => (secret.user.clone(), Some(secret.value.clone())),
        (None, Some(Some((user, password)))) if !password.is_empty() => {
            (Some(decode(user)), Some(Redacted::new(decode(password))))
        }
        // A name alone is a token.
        (None, Some(_)) => {
            let token = info.unwrap_or_default().trim_end_matches(':');
            (None, (!token.is_empty()).then(|| Redacted::new(decode(token))))
        }
        (None, None) => (None, None),
    };
    let user = user.filter(|user| !user.is_empty()).map(|user| user + "@").unwrap_or_default();
    // cargo takes an index of its own kind only with the slash at its end.
    let path = if scheme.starts_with("sparse+") { path } else { path.trim_end_matches('/') };
    Some((format!("{scheme}://{user}{host}{path}"), secret))
}

impl Places<'_> {
    /// A variable.
    fn variable(&mut self, name: &str) -> Option<String> {
        self.looked.push(format!("`{name}`"));
        self.config.text(name).map(str::to_owned)
    }

    /// A file, if there is one.
    fn file(&mut self, path: &Path) -> Result<Option<String>, CliError> {
        const LARGEST: u64 = 1 << 20;
        let shown = escape(&path.to_string_lossy());
        self.looked.push(format!("`{shown}`"));
        let read = File::open(path).and_then(|file| {
            let mut text = String::new();
            file.take(LARGEST).read_to_string(&mut text)?;
            Ok(text)
        });
        match read {
            Ok(text) => Ok(Some(text)),
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                Ok(None)
            }
            Err(error) => {
                Err(CliError::usage(format!("`{shown}` cannot be read: {}", describe(&error))))
            }
        }
    }

    /// A path beneath the person's home.
    fn at_home(&self, path: &str) -> Option<PathBuf> {
        self.config.home().map(|home| home.join(path))
    }
}

#[cfg(test)]
mod tests;
