//! What a stored route comes to: where its backend is, what authenticates a call there, and the rule
//! that says which programs may use it.

use std::net::IpAddr;
use std::time::Duration;

use openshell_credential::{Placement, builtin};
use openshell_policy::{Diagnostic, Document, HOST_ALIAS, parse};
use openshell_types::{BaseUrl, Host, ModelProtocol, Redacted, Route};
use serde_json::json;

use super::{ComposeError, context};
use crate::store::rows::provider::Provider;
use crate::store::rows::route::StoredRoute;
use crate::vault::Vault;

/// Keys of rules that begin so are ours: no policy that a person writes has them.
pub(crate) const RULE_PREFIX: &str = Route::RULE_PREFIX;

/// Where the model calls of one protocol go when a provider answers them.
#[derive(Debug)]
pub(crate) struct Backend<'a> {
    pub(crate) base: BaseUrl,
    /// The field that authenticates a call, what stands before the value in it, and the variable of
    /// the value. `None`: the provider has no value for any.
    auth: Option<(String, &'static str, &'a str)>,
    inference: &'static builtin::InferenceProfile,
}

/// What a provider's type serves; an error says in words that it serves nothing.
pub(crate) fn protocols(provider: &Provider) -> Result<&'static [ModelProtocol], String> {
    inference(provider).map(|(_, inference)| inference.protocols)
}

fn inference(
    provider: &Provider,
) -> Result<(&'static builtin::Builtin, &'static builtin::InferenceProfile), String> {
    let known = builtin::get(&provider.kind);
    known.and_then(|one| Some((one, one.inference.as_ref()?))).ok_or_else(|| {
        let serving = builtin::all().iter().filter(|one| one.inference.is_some());
        let serving: Vec<&str> = serving.map(|one| one.profile.id()).collect();
        format!(
            "`{}` is of type `{}`, which serves no models; types that do are {}",
            provider.name,
            provider.kind,
            serving.join(", ")
        )
    })
}

/// The backend that a provider is for calls of a protocol; an error says in words why it is none.
pub(crate) fn backend(provider: &Provider, protocol: ModelProtocol) -> Result<Backend<'_>, String> {
    let (known, inference) = inference(provider)?;
    if !inference.protocols.contains(&protocol) {
        let words: Vec<&str> = inference.protocols.iter().map(|one| one.as_str()).collect();
        return Err(format!(
            "`{}` is of type `{}`, which speaks {}, and not {protocol}",
            provider.name,
            provider.kind,
            words.join(" and ")
        ));
    }
    let key = inference.base_url_key;
    let said = provider.config.get(key).map(String::as_str).filter(|url| !url.is_empty());
    let url = said.or(inference.base_url).ok_or_else(|| {
        format!(
            "`{name}` does not say where its server is: `openshell provider update {name} \
             --config {key}=https://HOST/v1`",
            name = provider.name
        )
    })?;
    let wrong = |why: String| format!("`{key}` of `{}`: {why}", provider.name);
    let base = BaseUrl::parse(url).map_err(|error| wrong(error.to_string()))?;
    check_plain(&base).map_err(wrong)?;
    let mut auth = None;
    for spec in known.profile.credentials() {
        let held = spec.env_vars.iter().find_map(|variable| {
            Some(provider.credentials.get_key_value(variable.as_str())?.0.as_str())
        });
        let Some(variable) = held else { continue };
        auth = match &spec.placement {
            Some(Placement::Bearer) => Some(("authorization".to_owned(), "Bearer ", variable)),
            Some(Placement::Header { name }) => Some((name.to_ascii_lowercase(), "", variable)),
            _ => continue,
        };
        break;
    }
    Ok(Backend { base, auth, inference })
}

/// SECURITY: without TLS a key and what is asked are read by everyone on the way.
fn check_plain(base: &BaseUrl) -> Result<(), String> {
    let is_near = base.is_secure
        || match &base.authority.host {
            Host::Name(name) => name.as_str() == HOST_ALIAS,
            Host::Address(address) => match address.to_canonical() {
                IpAddr::V4(address) => address.is_loopback() || address.is_private(),
                IpAddr::V6(address) => address.is_loopback() || address.is_unique_local(),
            },
        };
    if is_near {
        return Ok(());
    }
    Err(format!(
        "the key and what is asked would go to `{}` unencrypted: use `https://`; `http://` is for \
         loopback and private addresses such as 127.0.0.1 and 10.0.0.7, and for {HOST_ALIAS}, which \
         is this machine's own 127.0.0.1",
        base.authority.host
    ))
}

impl Backend<'_> {
    /// The field that authenticates a call, its whole value, and when that ends to be good.
    #[expect(clippy::type_complexity, reason = "as a route has it")]
    pub(crate) fn auth(
        &self,
        provider: &Provider,
        vault: &Vault,
    ) -> Result<(Option<(String, Redacted<String>)>, Option<i64>), ComposeError> {
        let Some((field, before, variable)) = &self.auth else { return Ok((None, None)) };
        let Some(held) = provider.credentials.get(*variable) else { return Ok((None, None)) };
        let secret = vault.unseal(&context(provider, variable), &held.sealed);
        let secret = secret.map_err(|error| ComposeError::Sealed {
            name: format!("{}/{variable}", provider.name),
            error,
        })?;
        let value = Redacted::new(format!("{before}{}", secret.expose()));
        Ok((Some((field.clone(), value)), held.expires_ms))
    }

    /// Whether there is a value that authenticates a call.
    pub(crate) const fn has_auth(&self) -> bool {
        self.auth.is_some()
    }

    /// Fields that a call gets when it has none of the name.
    pub(crate) fn defaults(&self) -> Vec<(String, String)> {
        let own = self.inference.default_headers.iter();
        own.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }
}

/// How long the backend of a route may be silent.
pub(crate) fn idle(route: &StoredRoute) -> Duration {
    match route.idle_seconds {
        0 => Route::IDLE,
        seconds => Duration::from_secs(seconds.into()),
    }
}

/// A route as a supervisor is given it.
pub(super) fn compose(route: &StoredRoute, vault: &Vault) -> Result<Route, ComposeError> {
    let StoredRoute { protocol, provider, .. } = route;
    let unusable = |why| ComposeError::Route { protocol: *protocol, why };
    let backend = backend(provider, *protocol).map_err(unusable)?;
    let (auth, expires_ms) = backend.auth(provider, vault)?;
    let passed = backend.inference.passed_headers.iter();
    Ok(Route {
        protocol: *protocol,
        provider: provider.name.clone(),
        model: route.model.clone(),
        auth,
        expires_ms,
        passed: passed.map(|name| (*name).to_owned()).collect(),
        defaults: backend.defaults(),
        idle: idle(route),
        budget: route.budget,
        base: backend.base,
    })
}

/// The rule that says which programs may use a route: the egress asks the policy for a connection to
/// a host that stands for the protocol and is nowhere.
pub(crate) fn rule(
    protocol: ModelProtocol,
    binaries: &[String],
) -> Result<Document, Vec<Diagnostic>> {
    const EVERY: &str = "/**";
    let all = [EVERY.to_owned()];
    let binaries = if binaries.is_empty() { &all } else { binaries };
    let binaries = binaries.iter().map(|path| json!({ "path": path, "descendants": false }));
    let host = format!("{protocol}.inference.local");
    let mut rules = serde_json::Map::new();
    rules.insert(
        format!("{RULE_PREFIX}{protocol}"),
        json!({
            "endpoints": [{ "host": host, "port": 443 }],
            "binaries": binaries.collect::<Vec<_>>(),
        }),
    );
    // JSON is YAML, whatever stands in a path.
    let text = json!({ "version": 1, "network_policies": rules }).to_string();
    let parsed = parse(&text);
    parsed.document.ok_or(parsed.diagnostics)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use openshell_types::WorkspaceName;

    use super::*;
    use crate::store::rows::provider::Sealed;

    fn provider(kind: &str, config: &[(&str, &str)], variables: &[&str]) -> Provider {
        let sealed =
            |name: &&str| ((*name).to_owned(), Sealed { sealed: String::new(), expires_ms: None });
        Provider {
            workspace: WorkspaceName::default_workspace(),
            name: "mine".into(),
            id: "id".into(),
            kind: kind.into(),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            resource_version: 1,
            created_ms: 0,
            config: config.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            profile: None,
            credentials: variables.iter().map(sealed).collect(),
        }
    }

    #[test]
    fn a_backend_is_what_the_settings_say_or_the_vendors() {
        let openai = provider("openai", &[], &["OPENAI_API_KEY"]);
        let found = backend(&openai, ModelProtocol::OpenAi).expect("a backend");
        assert_eq!(found.base.to_string(), "https://api.openai.com/v1");
        assert_eq!(found.auth, Some(("authorization".into(), "Bearer ", "OPENAI_API_KEY")));

        let gemini = provider("gemini", &[], &["GOOGLE_API_KEY"]);
        let found = backend(&gemini, ModelProtocol::Gemini).expect("a backend");
        assert_eq!(found.auth, Some(("x-goog-api-key".into(), "", "GOOGLE_API_KEY")));

        let local = "http://host.openshell.internal:11434/v1";
        let own = provider("openai-compatible", &[("OPENAI_BASE_URL", local)], &[]);
        let found = backend(&own, ModelProtocol::OpenAi).expect("a backend");
        assert_eq!((found.base.to_string().as_str(), found.auth.is_none()), (local, true));
    }

    #[test]
    fn what_is_no_backend_says_why() {
        let none = provider("openai-compatible", &[], &[]);
        let why = backend(&none, ModelProtocol::OpenAi).expect_err("no base URL");
        assert!(why.contains("provider update mine --config OPENAI_BASE_URL="), "{why}");
        let github = provider("github", &[], &["GITHUB_TOKEN"]);
        let why = protocols(&github).expect_err("no models");
        assert!(why.contains("serves no models") && why.contains("anthropic"), "{why}");
        let openai = provider("openai", &[], &["OPENAI_API_KEY"]);
        let why = backend(&openai, ModelProtocol::Gemini).expect_err("another protocol");
        assert!(why.contains("speaks openai, and not gemini"), "{why}");
    }

    #[test]
    fn without_tls_only_near_servers_are_called() {
        for (url, is_good) in [
            ("https://api.example.com/v1", true),
            ("http://127.0.0.1:11434/v1", true),
            ("http://[::1]:8080", true),
            ("http://192.168.1.7/v1", true),
            ("http://10.0.0.7/v1", true),
            ("http://[fd00::7]/v1", true),
            ("http://host.openshell.internal:11434/v1", true),
            ("http://api.example.com/v1", false),
            ("http://localhost:11434/v1", false),
            ("http://8.8.8.8/v1", false),
            ("http://169.254.169.254/v1", false),
            ("http://100.64.0.1/v1", false),
            ("http://[2001:db8::1]/v1", false),
            ("http://[::ffff:8.8.8.8]/v1", false),
            ("ftp://127.0.0.1", false),
        ] {
            let own = provider("openai-compatible", &[("OPENAI_BASE_URL", url)], &[]);
            assert_eq!(backend(&own, ModelProtocol::OpenAi).is_ok(), is_good, "{url}");
        }
    }

    #[test]
    fn a_rule_has_the_programs_of_its_route_and_quotes_them() {
        let odd = "/opt/a \"b\": {c}/*".to_owned();
        let rule = rule(ModelProtocol::Anthropic, &[odd, "/usr/bin/node".into()]).expect("a rule");
        let keys: Vec<&str> = rule.rule_keys().map(|(key, _)| key).collect();
        assert_eq!(keys, ["_inference_anthropic"]);
        let text = rule.formatted();
        assert!(text.contains("anthropic.inference.local"), "{text}");
        assert!(text.contains("/usr/bin/node") && text.contains("{c}/*"), "{text}");
        assert!(super::rule(ModelProtocol::OpenAi, &["bin/x".into()]).is_err());
        let every = super::rule(ModelProtocol::OpenAi, &[]).expect("a rule").formatted();
        assert!(every.contains("/**"), "{every}");
    }
}
