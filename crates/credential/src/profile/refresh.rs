//! How a credential is renewed.

use openshell_policy::yaml::{Fields, Findings, Node, Spanned, choice, number, text};
use openshell_types::{Authority, Port};

use super::read::{plain_word, prose, refuse_text};
use crate::limits::{MATERIAL, REFRESH_SECONDS, SCOPES};

/// What a profile says about renewal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refresh {
    /// In which way.
    pub strategy: Strategy,
    /// Where tokens are got from, always by TLS. It may have `{NAME}` for material in its path.
    pub token_url: Option<String>,
    /// What is asked for.
    pub scopes: Vec<String>,
    /// How long before its end a value is renewed.
    pub before_seconds: u64,
    /// How long a value is used at most.
    pub max_lifetime_seconds: u64,
    /// What the provider must have for it.
    pub material: Vec<Material>,
    /// Which other credentials come of the same step.
    pub additional_outputs: Vec<Output>,
}

/// A way to renew a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Strategy {
    /// It is what it is.
    Static,
    /// Somebody else gives the provider a new value.
    External,
    /// By a refresh token (RFC 6749, section 6).
    Oauth2RefreshToken,
    /// By the client's own secret (RFC 6749, section 4.4).
    Oauth2ClientCredentials,
    /// By a token that a service account's key signs (RFC 7523).
    GoogleServiceAccountJwt,
    /// By taking a role of AWS.
    AwsStsAssumeRole,
}

impl Strategy {
    const WORDS: [(&str, Self); 6] = [
        ("static", Self::Static),
        ("external", Self::External),
        ("oauth2_refresh_token", Self::Oauth2RefreshToken),
        ("oauth2_client_credentials", Self::Oauth2ClientCredentials),
        ("google_service_account_jwt", Self::GoogleServiceAccountJwt),
        ("aws_sts_assume_role", Self::AwsStsAssumeRole),
    ];

    /// The strategy of this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::WORDS.iter().find(|(own, _)| *own == word).map(|(_, one)| *one)
    }

    /// The word in the text.
    pub fn as_str(self) -> &'static str {
        Self::WORDS.iter().find(|(_, one)| *one == self).map_or("static", |(word, _)| word)
    }
}

/// A value that renewal needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Material {
    /// Such as `client_id`.
    pub name: String,
    /// What it is.
    pub description: String,
    /// Whether nothing is renewed without it.
    pub required: bool,
    /// Whether it is kept as the credentials are.
    pub secret: bool,
}

/// A credential that renewal makes beside the one that it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Which part of the answer.
    pub output: String,
    /// Of which credential it is the value.
    pub credential: String,
}

pub(super) const BEFORE_SECONDS: u64 = 300;
pub(super) const LIFETIME_SECONDS: u64 = 3600;

pub(super) fn read(node: Node, findings: &mut Findings) -> Option<Refresh> {
    let mut fields = Fields::of(node, "refresh", findings)?;
    let at = fields.at;
    let word = fields.text("strategy", findings);
    if word.is_none() {
        findings.error("P0103", at, "`refresh` needs a `strategy`".to_owned());
    }
    let strategy = word.and_then(|word| choice(&word, "strategy", &Strategy::WORDS, findings));
    let token_url = fields.text("token_url", findings).and_then(|url| token_url(url, findings));
    let scopes = words(&mut fields, "scopes", findings);
    let mut seconds = |key: &'static str, default, fields: &mut Fields| {
        let node = fields.take(key);
        node.and_then(|node| number(&node, key, "C0104", 1..=REFRESH_SECONDS, findings))
            .unwrap_or(default)
    };
    let before_seconds = seconds("refresh_before_seconds", BEFORE_SECONDS, &mut fields);
    let max_lifetime_seconds = seconds("max_lifetime_seconds", LIFETIME_SECONDS, &mut fields);
    let material = each(&mut fields, "material", findings, material);
    let additional_outputs = each(&mut fields, "additional_outputs", findings, output);
    fields.refuse_rest(findings);
    Some(Refresh {
        strategy: strategy?,
        token_url,
        scopes,
        before_seconds,
        max_lifetime_seconds,
        material,
        additional_outputs,
    })
}

fn each<T>(
    fields: &mut Fields,
    key: &'static str,
    findings: &mut Findings,
    read: fn(Node, &mut Findings) -> Option<T>,
) -> Vec<T> {
    let nodes = fields.list(key, MATERIAL, findings).map(|list| list.value).unwrap_or_default();
    nodes.into_iter().filter_map(|node| read(node, findings)).collect()
}

fn words(fields: &mut Fields, key: &'static str, findings: &mut Findings) -> Vec<String> {
    let nodes = fields.list(key, SCOPES, findings).map(|list| list.value).unwrap_or_default();
    let mut all = Vec::with_capacity(nodes.len());
    for node in nodes {
        let Some(word) = text(node, key, findings) else { continue };
        // RFC 6749, section 3.3.
        let fits = !word.value.is_empty()
            && word.value.len() <= 512
            && word.value.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\');
        if fits {
            all.push(word.value);
        } else {
            refuse_text::<()>(key, &word, "no scope", findings);
        }
    }
    all
}

/// SECURITY: refresh material is a secret, and goes where TLS says who is there.
fn token_url(url: Spanned<String>, findings: &mut Findings) -> Option<String> {
    let authority = url.value.strip_prefix("https://").and_then(|rest| rest.split('/').next());
    let fits = authority
        .is_some_and(|it| Authority::parse_with_default(it, Port::new(443)).is_ok())
        && url.value.len() <= 1024
        && url.value.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
    if fits {
        return Some(url.value);
    }
    refuse_text("token_url", &url, "no URL that begins with `https://`", findings)
}

fn material(node: Node, findings: &mut Findings) -> Option<Material> {
    let mut fields = Fields::of(node, "a material", findings)?;
    let name = word(&mut fields, "name", findings);
    let material = Material {
        name: name?,
        description: prose(&mut fields, "description", findings),
        required: fields.boolean("required", findings).is_some_and(|flag| flag.value),
        secret: fields.boolean("secret", findings).is_some_and(|flag| flag.value),
    };
    fields.refuse_rest(findings);
    Some(material)
}

fn output(node: Node, findings: &mut Findings) -> Option<Output> {
    let mut fields = Fields::of(node, "an output", findings)?;
    let output = word(&mut fields, "output", findings);
    let credential = word(&mut fields, "credential", findings);
    fields.refuse_rest(findings);
    Some(Output { output: output?, credential: credential? })
}

fn word(fields: &mut Fields, key: &'static str, findings: &mut Findings) -> Option<String> {
    let at = fields.at;
    match fields.text(key, findings) {
        Some(word) => plain_word(word, key, findings),
        None => {
            findings.error("P0103", at, format!("`{key}` is missing"));
            None
        }
    }
}
