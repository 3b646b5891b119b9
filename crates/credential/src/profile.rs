//! What a kind of provider needs, and which endpoints its credentials are good for: version 1 of
//! the profile's YAML.

use std::collections::BTreeMap;

use openshell_policy::{Diagnostic, Document, parse};
use openshell_types::{Binding, Host, Placement, Port};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use thiserror::Error;

/// The profiles that come with the product.
const BUILT_IN: [&str; 11] = [
    include_str!("../profiles/anthropic.yaml"),
    include_str!("../profiles/claude-code.yaml"),
    include_str!("../profiles/codex.yaml"),
    include_str!("../profiles/deepinfra.yaml"),
    include_str!("../profiles/gemini.yaml"),
    include_str!("../profiles/generic.yaml"),
    include_str!("../profiles/github.yaml"),
    include_str!("../profiles/gitlab.yaml"),
    include_str!("../profiles/nvidia.yaml"),
    include_str!("../profiles/openai.yaml"),
    include_str!("../profiles/openrouter.yaml"),
];

/// A profile as it is written.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Its name, and the type of the providers that have it.
    pub id: String,
    /// Its name for people.
    pub display_name: String,
    /// What it is for, in a sentence.
    #[serde(default)]
    pub description: String,
    /// What sort of thing it is.
    #[serde(default)]
    pub category: Category,
    /// Whether models can be asked through it.
    #[serde(default)]
    pub inference_capable: bool,
    /// What its providers hold.
    #[serde(default)]
    pub credentials: Vec<CredentialSpec>,
    /// Where they are good for: endpoints of a policy.
    #[serde(default)]
    pub endpoints: Vec<Value>,
    /// The programs that a sandbox with such a provider may reach these endpoints with.
    #[serde(default)]
    pub binaries: Vec<Value>,
}

/// What sort of thing a profile is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// None of the others.
    #[default]
    Other,
    /// Models.
    Inference,
    /// An agent.
    Agent,
    /// Repositories.
    SourceControl,
    /// Messages.
    Messaging,
    /// Databases and files.
    Data,
    /// Documents and search.
    Knowledge,
}

/// A credential that a provider may hold.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CredentialSpec {
    /// Its name in the profile.
    pub name: String,
    /// What it is, for people.
    #[serde(default)]
    pub description: String,
    /// The variables in which programs look for it.
    pub env_vars: Vec<String>,
    /// Whether a provider without it is of no use.
    #[serde(default)]
    pub required: bool,
    /// Where in a request it stands.
    auth_style: AuthStyle,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    header_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    query_param: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path_template: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum AuthStyle {
    Basic,
    Bearer,
    Header,
    Query,
    Path,
}

/// A profile that cannot be used.
#[derive(Debug, Error)]
pub enum ProfileError {
    /// It is no YAML of this form.
    #[error("{0}")]
    Form(String),
    /// What it says about a credential does not fit together.
    #[error("credential `{credential}`: {what}")]
    Credential {
        /// Which.
        credential: String,
        /// What is wrong.
        what: String,
    },
    /// Its endpoints or binaries are wrong.
    #[error("{}", .0.iter().map(|finding| finding.message.as_str()).collect::<Vec<_>>().join("; "))]
    Rule(Vec<Diagnostic>),
    /// An endpoint to which no secret may be bound.
    #[error(
        "endpoint `{0}`: a credential is bound to one host and its ports, and not to a wildcard"
    )]
    Wildcard(String),
}

impl Profile {
    /// The profiles that come with the product, in the order of their names.
    pub fn built_in() -> impl Iterator<Item = Self> {
        // They are read by a test.
        BUILT_IN.into_iter().filter_map(|text| Self::parse(text).ok())
    }

    /// Reads and checks one.
    pub fn parse(text: &str) -> Result<Self, ProfileError> {
        let profile: Self =
            serde_saphyr::from_str(text).map_err(|error| ProfileError::Form(error.to_string()))?;
        for credential in &profile.credentials {
            credential.placement()?;
        }
        profile.addresses()?;
        profile.rule("check")?;
        Ok(profile)
    }

    /// The credential that this variable holds.
    pub fn of_variable<'a>(
        &'a self,
        variable: &'a str,
    ) -> impl Iterator<Item = &'a CredentialSpec> {
        self.credentials.iter().filter(move |one| one.env_vars.iter().any(|own| own == variable))
    }

    /// Where the value of a variable may be put.
    pub fn bindings(&self, variable: &str) -> Result<Vec<Binding>, ProfileError> {
        let mut all = Vec::new();
        for credential in self.of_variable(variable) {
            let placement = credential.placement()?;
            all.extend(self.addresses()?.into_iter().map(|(host, port)| Binding {
                host,
                port,
                path: None,
                placement: placement.clone(),
            }));
        }
        Ok(all)
    }

    /// The rule of a policy that lets the profile's programs reach its endpoints, under this key.
    /// `None`: it names no programs, and the policy has to.
    pub fn rule(&self, key: &str) -> Result<Option<Document>, ProfileError> {
        if self.binaries.is_empty() || self.endpoints.is_empty() {
            return Ok(None);
        }
        let rule = json!({ "endpoints": self.endpoints, "binaries": self.binaries });
        let rules = BTreeMap::from([(key, rule)]);
        // JSON is YAML.
        let parsed = parse(&json!({ "version": 1, "network_policies": rules }).to_string());
        match parsed.document {
            Some(document) => Ok(Some(document)),
            None => Err(ProfileError::Rule(
                parsed.diagnostics.into_iter().filter(Diagnostic::is_error).collect(),
            )),
        }
    }

    /// The hosts and ports of its endpoints.
    fn addresses(&self) -> Result<Vec<(Host, Port)>, ProfileError> {
        let mut all = Vec::new();
        for endpoint in &self.endpoints {
            let wildcard = || ProfileError::Wildcard(endpoint["host"].to_string());
            let host = endpoint.get("host").and_then(Value::as_str).ok_or_else(wildcard)?;
            let host = Host::parse(host).map_err(|_| wildcard())?;
            let ports = endpoint.get("ports").and_then(Value::as_array).map(Vec::as_slice);
            let ports = ports.or_else(|| endpoint.get("port").map(std::slice::from_ref));
            for port in ports.unwrap_or_default() {
                let number = port.as_u64().and_then(|port| u16::try_from(port).ok());
                let port = number.and_then(Port::new).ok_or_else(wildcard)?;
                all.push((host.clone(), port));
            }
        }
        Ok(all)
    }
}

impl CredentialSpec {
    /// Where in a request it stands.
    pub fn placement(&self) -> Result<Placement, ProfileError> {
        let wrong = |what: &str| ProfileError::Credential {
            credential: self.name.clone(),
            what: what.to_owned(),
        };
        let written = match (
            self.auth_style,
            &self.header_name,
            &self.query_param,
            &self.path_template,
        ) {
            (AuthStyle::Basic | AuthStyle::Bearer, None, None, None) => {
                return Ok(Placement::Authorization);
            }
            (AuthStyle::Header, Some(name), None, None) => format!("header:{name}"),
            (AuthStyle::Query, None, Some(name), None) => format!("query:{name}"),
            (AuthStyle::Path, None, None, Some(template)) => format!("path:{template}"),
            _ => {
                return Err(wrong(
                    "`auth_style: header` needs `header_name`, `query` needs `query_param`, `path` \
                     needs `path_template`, and none takes another's",
                ));
            }
        };
        match Placement::parse(&written) {
            Ok(Placement::Header(name)) if name == "authorization" => Ok(Placement::Authorization),
            Ok(placement) => Ok(placement),
            Err(_) => Err(wrong("its place in a request cannot be read")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_profiles_are_read() {
        let all: Vec<Profile> = Profile::built_in().collect();
        assert_eq!(all.len(), BUILT_IN.len());
        for text in BUILT_IN {
            let profile = Profile::parse(text).unwrap_or_else(|error| panic!("{text}{error}"));
            assert!(profile.id == "generic" || !profile.credentials.is_empty());
        }
        let key = |id: &str, variable: &str| {
            let profile = all.iter().find(|profile| profile.id == id).unwrap();
            profile
                .bindings(variable)
                .unwrap()
                .iter()
                .map(|one| one.placement.to_string())
                .collect()
        };
        let claude: Vec<String> = key("claude-code", "ANTHROPIC_API_KEY");
        assert_eq!(claude, ["header:x-api-key"]);
        let gemini: Vec<String> = key("gemini", "GEMINI_API_KEY");
        assert_eq!(gemini, ["header:x-goog-api-key", "query:key"]);
        let github: Vec<String> = key("github", "GH_TOKEN");
        assert_eq!(github, ["authorization", "authorization"]);
    }

    #[test]
    fn what_cannot_be_used_is_refused() {
        let base = "id: x\ndisplay_name: X\n";
        let key = "credentials: [{ name: k, env_vars: [K], auth_style: bearer }]\n";
        for bad in [
            "display_name: X\n".to_owned(),
            format!("{base}colour: red\n"),
            format!("{base}credentials: [{{ name: k, env_vars: [K], auth_style: header }}]\n"),
            format!("{base}{key}endpoints: [{{ host: '*.example.com', port: 443 }}]\n"),
            format!("{base}{key}endpoints: [{{ host: a.example.com, port: 70000 }}]\n"),
            format!(
                "{base}{key}endpoints: [{{ host: a.example.com, port: 443, protocol: rust }}]\n\
                 binaries: [{{ path: /bin/x }}]\n"
            ),
        ] {
            assert!(Profile::parse(&bad).is_err(), "{bad}");
        }
    }
}
