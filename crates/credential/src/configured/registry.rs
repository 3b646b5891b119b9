//! Registries of packages: which ones there are is in a provider's settings alone.
//!
//! | client | setting | credential |
//! |---|---|---|
//! | pip | `PIP_INDEX_URL`, `PIP_INDEX_URL_2`, … | `PIP_PASSWORD`, `PIP_PASSWORD_2`, … |
//! | npm | `NPM_REGISTRY`, `NPM_REGISTRY_2`, … | `NPM_TOKEN`, `NPM_TOKEN_2`, … |
//! | cargo | `CARGO_REGISTRIES_NAME_INDEX` | `CARGO_REGISTRIES_NAME_TOKEN` |
//!
//! A URL has the name before its host where the client sends one, and never the password. One of
//! cargo's begins with `sparse+` where its index is of that kind.

use std::collections::BTreeMap;

use openshell_policy::yaml::{Key, Layout, Reader, Value};

use super::site::Site;
use super::{ConfigError, error, read};
use crate::profile::Profile;

/// The type whose providers are these.
pub(super) const TYPE: &str = "package-registries";

/// A program that gets packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Client {
    /// `pip`, and what reads its settings.
    Pip,
    /// `npm`, and what reads its settings.
    Npm,
    /// `cargo`.
    Cargo,
}

/// Names of one registry of a client: the first has no number, cargo's have names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registry {
    /// Whose.
    pub client: Client,
    /// The setting that has its URL.
    pub setting: String,
    /// The variable that has its credential.
    pub variable: String,
}

impl Client {
    const ALL: [Self; 3] = [Self::Pip, Self::Npm, Self::Cargo];

    /// The word in ids and texts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pip => "pip",
            Self::Npm => "npm",
            Self::Cargo => "cargo",
        }
    }

    /// Before and behind of what tells registries apart in a setting, and in a variable.
    const fn frame(self) -> [(&'static str, &'static str); 2] {
        match self {
            Self::Pip => [("PIP_INDEX_URL", ""), ("PIP_PASSWORD", "")],
            Self::Npm => [("NPM_REGISTRY", ""), ("NPM_TOKEN", "")],
            Self::Cargo => [("CARGO_REGISTRIES_", "_INDEX"), ("CARGO_REGISTRIES_", "_TOKEN")],
        }
    }

    /// The programs that may go there.
    const fn programs(self) -> &'static [&'static str] {
        match self {
            Self::Pip => &[
                "/usr/bin/python3",
                "/usr/bin/python3.*",
                "/usr/local/bin/python3",
                "/usr/local/bin/python3.*",
                "/usr/bin/uv",
                "/usr/local/bin/uv",
                "/home/*/.local/bin/uv",
            ],
            Self::Npm => {
                &["/usr/bin/node", "/usr/local/bin/node", "/home/*/.nvm/versions/node/*/bin/node"]
            }
            Self::Cargo => &[
                "/usr/bin/cargo",
                "/usr/local/bin/cargo",
                "/usr/local/cargo/bin/cargo",
                "/usr/local/rustup/toolchains/*/bin/cargo",
                "/home/*/.rustup/toolchains/*/bin/cargo",
            ],
        }
    }
}

impl Registry {
    /// The one of this number, counted from 1.
    pub fn numbered(client: Client, number: usize) -> Self {
        let tail = if number < 2 { String::new() } else { format!("_{number}") };
        Self::of(client, &tail)
    }

    /// The one of this name: letters, digits and underscores are left, other characters become these.
    pub fn named(client: Client, name: &str) -> Self {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
        Self::of(client, &name.chars().map(plain).collect::<String>())
    }

    fn of(client: Client, part: &str) -> Self {
        let [setting, variable] = client.frame();
        let whole = |(before, behind): (&str, &str)| format!("{before}{part}{behind}");
        Self { client, setting: whole(setting), variable: whole(variable) }
    }

    /// The one whose setting has this key.
    pub(super) fn of_setting(key: &str) -> Option<Self> {
        Client::ALL.into_iter().find_map(|client| {
            let [(before, behind), _] = client.frame();
            let part = key.strip_prefix(before)?.strip_suffix(behind)?;
            let word = |text: &str| {
                let plain = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
                !text.is_empty() && text.len() <= NAME && text.bytes().all(plain)
            };
            let number =
                |text: &str| !text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit());
            let fits = match client {
                Client::Cargo => word(part),
                _ => {
                    part.is_empty() || part.strip_prefix('_').is_some_and(|n| word(n) && number(n))
                }
            };
            fits.then(|| Self::of(client, part))
        })
    }

    /// A word for it within a provider.
    fn id(&self) -> String {
        let [(before, behind), _] = self.client.frame();
        let part = self.setting.strip_prefix(before).and_then(|rest| rest.strip_suffix(behind));
        let words = part.unwrap_or_default().split('_').filter(|word| !word.is_empty());
        let words: Vec<String> = words.map(str::to_ascii_lowercase).collect();
        std::iter::once(self.client.as_str().to_owned()).chain(words).collect::<Vec<_>>().join("-")
    }

    fn profile(&self, url: &str) -> Result<Profile, ConfigError> {
        let is_cargo = self.client == Client::Cargo;
        let plain = url.strip_prefix("sparse+").filter(|_| is_cargo).unwrap_or(url);
        let site = site(&self.setting, plain)?;
        let path =
            |path: &&str| Value::Map(Layout::Small, vec![(Key::Known("path"), Value::text(path))]);
        let mut keys = vec![(Key::Known("id"), Value::text(&self.id()))];
        // SECURITY: I15; without TLS nobody knows who is there, so no credential goes there.
        if site.is_secure {
            let credential = vec![
                (Key::Known("name"), Value::text("token")),
                (Key::Known("env_vars"), Value::List(vec![Value::text(&self.variable)])),
                (Key::Known("auth_style"), Value::word(&"bearer")),
            ];
            let credential = Value::Map(Layout::Item, credential);
            keys.push((Key::Known("credentials"), Value::List(vec![credential])));
        }
        // The packages lie beside the index as often as beneath it. SECURITY: O3; read only, so
        // nothing is published.
        keys.push((Key::Known("endpoints"), site.endpoint(None, "read-only")));
        let programs = self.client.programs().iter().map(path).collect();
        keys.push((Key::Known("binaries"), Value::List(programs)));
        read(&self.setting, &Value::Map(Layout::Block, keys).document(Reader::Person))
    }
}

/// Longest name of a registry, in characters.
const NAME: usize = 32;

pub(super) fn profiles(config: &BTreeMap<String, String>) -> Result<Vec<Profile>, ConfigError> {
    config
        .iter()
        .map(|(key, url)| {
            let own = Registry::of_setting(key).ok_or_else(|| {
                error(key, format!("not a setting of this type; it has {SETTINGS}"))
            })?;
            own.profile(url)
        })
        .collect()
}

/// What a client finds in its environment, so that it goes where its provider does.
pub(super) fn environment(
    config: &BTreeMap<String, String>,
    placeholders: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let mut more = Vec::new();
    for (key, url) in config {
        let Some(own) = Registry::of_setting(key) else { continue };
        match own.client {
            Client::Npm if *key == "NPM_REGISTRY" => {
                all.insert("npm_config_registry".to_owned(), url.clone());
            }
            Client::Npm => {}
            // It asks for the token in the variable that has it already.
            Client::Cargo => {
                all.insert(key.clone(), url.clone());
            }
            Client::Pip => {
                let url = with_password(url, placeholders.get(&own.variable));
                if key == "PIP_INDEX_URL" {
                    all.insert(key.clone(), url);
                } else {
                    more.push(url);
                }
            }
        }
    }
    if !more.is_empty() {
        all.insert("PIP_EXTRA_INDEX_URL".to_owned(), more.join(" "));
    }
    all
}

/// A URL with what stands for the password, as the client sends it: behind the name, or in its place.
fn with_password(url: &str, placeholder: Option<&String>) -> String {
    let (Some(placeholder), Some((scheme, rest))) = (placeholder, url.split_once("://")) else {
        return url.to_owned();
    };
    match rest.split_once('@') {
        Some((user, rest)) => format!("{scheme}://{user}:{placeholder}@{rest}"),
        None => format!("{scheme}://{placeholder}@{rest}"),
    }
}

pub(super) fn missing(config: &BTreeMap<String, String>) -> Option<String> {
    config.is_empty().then(|| format!("a registry: {SETTINGS}"))
}

const SETTINGS: &str = "`PIP_INDEX_URL`, `NPM_REGISTRY` and `CARGO_REGISTRIES_NAME_INDEX`";

fn site(key: &str, url: &str) -> Result<Site, ConfigError> {
    Site::parse(url).map_err(|why| error(key, why))
}
