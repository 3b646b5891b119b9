//! What a renewal is asked with: a client's id, its secret, a refresh token.

use std::collections::{BTreeMap, BTreeSet};

use openshell_credential::SecretValue;
use openshell_credential::limits::{MATERIAL, WORD_CHARS};
use openshell_types::Redacted;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Material by name. It is kept sealed, all of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Material {
    values: BTreeMap<String, Redacted<String>>,
    secret: BTreeSet<String>,
}

/// The sealed text.
#[derive(Serialize)]
struct Writing<'a> {
    values: BTreeMap<&'a str, &'a str>,
    secret: &'a BTreeSet<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reading {
    values: BTreeMap<String, String>,
    secret: BTreeSet<String>,
}

/// What is secret whether or not somebody says so.
const SECRET: [&str; 2] = ["client_secret", "refresh_token"];

impl Material {
    /// Takes material in. What is wrong is told without a value.
    pub(crate) fn new(
        values: BTreeMap<String, Redacted<String>>,
        secret: impl IntoIterator<Item = String>,
    ) -> Result<Self, String> {
        if values.len() > MATERIAL {
            return Err(format!("more than {MATERIAL} entries"));
        }
        for (name, value) in &values {
            let is_word = name.len() <= WORD_CHARS
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
            if name.is_empty() || !is_word {
                return Err(format!(
                    "`{}`: a name has 1 to {WORD_CHARS} letters, digits, `_` and `-`",
                    name.escape_debug()
                ));
            }
            // SECURITY: I6; none of it has a line break or another control character.
            SecretValue::parse(value.expose().clone())
                .map_err(|error| format!("`{name}`: {error}"))?;
        }
        let mut all: BTreeSet<String> = SECRET.map(str::to_owned).into();
        all.retain(|name| values.contains_key(name));
        for name in secret {
            if !values.contains_key(&name) {
                return Err(format!("`{}` is said to be secret, and is not there", shown(&name)));
            }
            all.insert(name);
        }
        Ok(Self { values, secret: all })
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|value| value.expose().as_str())
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    pub(crate) fn is_secret(&self, name: &str) -> bool {
        self.secret.contains(name)
    }

    pub(crate) fn secrets(&self) -> impl Iterator<Item = &str> {
        self.secret.iter().filter_map(|name| self.get(name))
    }

    /// The same with another value.
    pub(crate) fn with(&self, name: &str, value: Redacted<String>) -> Self {
        let mut changed = self.clone();
        changed.values.insert(name.to_owned(), value);
        changed.secret.insert(name.to_owned());
        changed
    }

    /// The text that is sealed.
    pub(crate) fn to_text(&self) -> Result<Redacted<String>, serde_json::Error> {
        let values: BTreeMap<&str, &str> =
            self.values.iter().map(|(k, v)| (k.as_str(), v.expose().as_str())).collect();
        // Room for each byte as an escape: a buffer that grows leaves copies behind.
        let lengths = values.iter().map(|(k, v)| k.len().saturating_add(v.len()));
        let room = lengths.fold(4096, |sum: usize, one| sum.saturating_add(one.saturating_mul(6)));
        let mut text = Zeroizing::new(Vec::with_capacity(room));
        serde_json::to_writer(&mut *text, &Writing { values, secret: &self.secret })?;
        // JSON is UTF-8.
        let text = String::from_utf8(std::mem::take(&mut *text)).unwrap_or_default();
        Ok(Redacted::new(text))
    }

    /// Reads what [`Material::to_text`] wrote; `None` for anything else.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        // SECURITY: I8; an error of the parser's could quote what it read.
        let Reading { values, secret } = serde_json::from_str(text).ok()?;
        let values = values.into_iter().map(|(name, value)| (name, Redacted::new(value))).collect();
        Some(Self { values, secret })
    }
}

fn shown(name: &str) -> String {
    name.chars().take(WORD_CHARS).flat_map(char::escape_debug).collect()
}
