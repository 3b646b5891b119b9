//! How a credential is renewed: what its profile says, and for the rest what the material does.

use openshell_credential::Profile;
use openshell_credential::limits::SCOPES;
use openshell_credential::profile::{Output, Refresh, Strategy};

use super::Material;
use crate::outbound::OutboundUrl;

/// How one credential is renewed.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) strategy: Strategy,
    pub(crate) url: OutboundUrl,
    /// Separated by spaces.
    pub(crate) scope: String,
    pub(crate) by_basic: bool,
    pub(crate) before_seconds: u64,
    pub(crate) max_lifetime_seconds: u64,
    /// Which other variables are made of the answer: its field, and the variable.
    pub(crate) outputs: Vec<(String, String)>,
}

/// What the two strategies know of themselves, whichever profile there is.
const KNOWN: [&str; 8] = [
    "client_id",
    "client_secret",
    "refresh_token",
    "token_url",
    "scopes",
    "audience",
    "resource",
    "token_endpoint_auth_method",
];

/// The defaults of a profile that says nothing.
const BEFORE_SECONDS: u64 = 300;
const MAX_LIFETIME_SECONDS: u64 = 3600;

/// The strategy that is asked for; without a word the profile's.
pub(crate) fn strategy(
    asked: Option<Strategy>,
    refresh: Option<&Refresh>,
) -> Result<Strategy, String> {
    let profile = refresh.map(|refresh| refresh.strategy);
    let wanted = asked.or(profile).ok_or_else(|| format!("it is missing: there are {SERVED}"))?;
    match (wanted, profile) {
        (Strategy::Static | Strategy::External, _) => Err(format!(
            "what is static or comes from elsewhere is set by `provider update`; renewed are {SERVED}"
        )),
        (wanted, Some(profile)) if wanted != profile => Err(format!(
            "the profile renews it by `{}`, not by `{}`",
            profile.as_str(),
            wanted.as_str()
        )),
        (Strategy::Oauth2RefreshToken | Strategy::Oauth2ClientCredentials, _) => Ok(wanted),
        (other, _) => {
            Err(format!("renewal by `{}` is not supported yet: there are {SERVED}", other.as_str()))
        }
    }
}

const SERVED: &str = "`oauth2_refresh_token` and `oauth2_client_credentials`";

impl Plan {
    /// Puts profile and material together. What is wrong is told without a value.
    pub(crate) fn make(
        (profile, refresh): (Option<&Profile>, Option<&Refresh>),
        strategy: Strategy,
        material: &Material,
    ) -> Result<Self, String> {
        let url = url(refresh, material)?;
        known(refresh, material)?;
        needed(refresh, strategy, material)?;
        let by_basic = match material.get("token_endpoint_auth_method") {
            None | Some("client_secret_post") => false,
            Some("client_secret_basic") if material.get("client_secret").is_some() => true,
            Some("client_secret_basic") => {
                return Err("`client_secret_basic` needs a `client_secret`".to_owned());
            }
            Some(_) => {
                return Err("`token_endpoint_auth_method` is `client_secret_post` or \
                            `client_secret_basic`"
                    .to_owned());
            }
        };
        let outputs = refresh.map(|refresh| refresh.additional_outputs.as_slice());
        Ok(Self {
            strategy,
            url,
            scope: scope(refresh, material)?,
            by_basic,
            before_seconds: refresh.map_or(BEFORE_SECONDS, |own| own.before_seconds),
            max_lifetime_seconds: refresh.map_or(MAX_LIFETIME_SECONDS, |o| o.max_lifetime_seconds),
            outputs: outputs
                .unwrap_or_default()
                .iter()
                .filter_map(|output| variable(profile?, output))
                .collect(),
        })
    }

    /// How many milliseconds a value is used, and after how many it is renewed.
    pub(crate) fn times(&self, lifetime_seconds: Option<u64>) -> (i64, i64) {
        let most = self.max_lifetime_seconds;
        let lifetime = lifetime_seconds.unwrap_or(most).min(most);
        // One that lives shorter than that is renewed half-way, and no server is asked all the time.
        let after = lifetime.checked_sub(self.before_seconds).filter(|after| *after > 0);
        let after = after.unwrap_or(lifetime / 2).max(SOONEST_SECONDS);
        let ms = |seconds: u64| i64::try_from(seconds.saturating_mul(1000)).unwrap_or(i64::MAX);
        (ms(lifetime), ms(after))
    }
}

/// How long a value is left alone at least.
const SOONEST_SECONDS: u64 = 10;

/// The first variable of the credential that an output is for.
fn variable(profile: &Profile, output: &Output) -> Option<(String, String)> {
    let variable = profile.credential(&output.credential)?.env_vars.first()?;
    Some((output.output.clone(), variable.to_string()))
}

/// SECURITY: I8; where a profile says where its secrets go, nobody else does.
fn url(refresh: Option<&Refresh>, material: &Material) -> Result<OutboundUrl, String> {
    let profile = refresh.and_then(|refresh| refresh.token_url.as_deref());
    let text = match (profile, material.get("token_url")) {
        (Some(_), Some(_)) => {
            return Err("`token_url`: the profile says what it is; leave it out".to_owned());
        }
        (Some(template), None) => fill(template, material)?,
        (None, Some(text)) => text.to_owned(),
        (None, None) => {
            return Err("`token_url` is missing: where tokens are got from".to_owned());
        }
    };
    OutboundUrl::parse(&text).map_err(|error| format!("`token_url`: {error}"))
}

/// Puts material in the place of each `{NAME}`.
fn fill(template: &str, material: &Material) -> Result<String, String> {
    let mut filled = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').ok_or("`token_url` has a brace too many")?;
        let value = material.get(name).ok_or_else(|| format!("`{name}` is missing"))?;
        // A segment of a path as it is, and none that leads elsewhere.
        let is_plain = value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b))
            && value.bytes().any(|b| b != b'.');
        if material.is_secret(name) || !is_plain {
            return Err(format!(
                "`{name}` stands in a URL: it is no secret, and has letters, digits, `-`, `.` and `_`"
            ));
        }
        filled.push_str(before);
        filled.push_str(value);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

/// A name with a slip in it is told, and not left unused.
fn known(refresh: Option<&Refresh>, material: &Material) -> Result<(), String> {
    let own = refresh.map(|refresh| refresh.material.as_slice()).unwrap_or_default();
    let template = refresh.and_then(|refresh| refresh.token_url.as_deref()).unwrap_or_default();
    let is_known = |name: &str| {
        KNOWN.contains(&name)
            || own.iter().any(|one| one.name == name)
            || template.contains(&format!("{{{name}}}"))
    };
    match material.names().find(|name| !is_known(name)) {
        None => Ok(()),
        Some(name) => {
            let mut all: Vec<&str> = KNOWN.to_vec();
            all.extend(own.iter().map(|one| one.name.as_str()).filter(|one| !KNOWN.contains(one)));
            Err(format!("there is no `{name}`; there are `{}`", all.join("`, `")))
        }
    }
}

fn needed(
    refresh: Option<&Refresh>,
    strategy: Strategy,
    material: &Material,
) -> Result<(), String> {
    let of_strategy: &[&str] = match strategy {
        Strategy::Oauth2ClientCredentials => &["client_id", "client_secret"],
        _ => &["client_id", "refresh_token"],
    };
    let of_profile = refresh.map(|refresh| refresh.material.as_slice()).unwrap_or_default();
    let of_profile = of_profile.iter().filter(|one| one.required).map(|one| one.name.as_str());
    let mut all = of_strategy.iter().copied().chain(of_profile);
    match all.find(|name| material.get(name).is_none()) {
        None => Ok(()),
        Some(name) => Err(format!("`{name}` is missing")),
    }
}

/// RFC 6749, section 3.3.
fn scope(refresh: Option<&Refresh>, material: &Material) -> Result<String, String> {
    let own = refresh.map(|refresh| refresh.scopes.as_slice()).unwrap_or_default();
    let Some(said) = material.get("scopes") else { return Ok(own.join(" ")) };
    let scopes: Vec<&str> = said.split([' ', ',']).filter(|scope| !scope.is_empty()).collect();
    let is_scope =
        |scope: &&str| scope.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\');
    if scopes.len() > SCOPES || !scopes.iter().all(is_scope) {
        return Err(format!("`scopes` has more than {SCOPES}, or one that is none"));
    }
    Ok(scopes.join(" "))
}
