//! One credential of a profile.

use std::fmt;

use openshell_policy::yaml::{Fields, Findings, Node, Position, Spanned, choice, shown, text};

use super::read::{plain_word, prose, refuse_text};
use super::refresh::{self, Refresh};
use crate::limits::VARIABLES;
use crate::value::CredentialName;

/// What a profile says about one credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialSpec {
    /// Its name within the profile.
    pub name: String,
    /// What it is, and where people get it.
    pub description: String,
    /// The variables in which programs look for it. All have the same placeholder.
    pub env_vars: Vec<CredentialName>,
    /// Whether the provider is of no use without it.
    pub required: bool,
    /// Where in a request it stands; `None`: in none.
    pub placement: Option<Placement>,
    /// Whether its value is put into bodies of requests, too, and into messages over WebSockets.
    pub in_body: bool,
    /// How it is renewed; `None`: it is not.
    pub refresh: Option<Refresh>,
    /// Whether its placeholder stays when its value changes.
    pub stable_placeholder: bool,
}

impl CredentialSpec {
    /// Whether it stands somewhere in a request.
    pub(super) const fn is_placed(&self) -> bool {
        self.placement.is_some() || self.in_body
    }
}

/// Where in a request a credential stands. Prints as `authorization`, `header:NAME`, `query:NAME` or
/// `path:TEMPLATE`: of the first two styles the program chooses one, so they print the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placement {
    /// `Authorization: Bearer VALUE`.
    Bearer,
    /// `Authorization: Basic` with the value as name or password.
    Basic,
    /// The whole value of a field.
    Header {
        /// In lower case.
        name: String,
    },
    /// The whole value of a parameter.
    Query {
        /// Its name.
        name: String,
    },
    /// A part of the path.
    Path {
        /// With `{credential}` once.
        template: String,
    },
}

/// What a template has in the place of the credential.
pub(super) const SLOT: &str = "{credential}";

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bearer | Self::Basic => f.write_str("authorization"),
            Self::Header { name } => write!(f, "header:{name}"),
            Self::Query { name } => write!(f, "query:{name}"),
            Self::Path { template } => write!(f, "path:{template}"),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Bearer,
    Basic,
    Header,
    Query,
    Path,
}

pub(super) fn read(node: Node, findings: &mut Findings) -> Option<Spanned<CredentialSpec>> {
    let mut fields = Fields::of(node, "a credential", findings)?;
    let at = fields.at;
    let name = fields.text("name", findings);
    if name.is_none() {
        findings.error("P0103", at, "a credential needs a `name`".to_owned());
    }
    let name = name.and_then(|name| plain_word(name, "name", findings));
    let spec = CredentialSpec {
        name: name.unwrap_or_default(),
        description: prose(&mut fields, "description", findings),
        env_vars: env_vars(&mut fields, findings),
        required: fields.boolean("required", findings).is_some_and(|flag| flag.value),
        placement: placement(&mut fields, findings),
        in_body: fields.boolean("in_body", findings).is_some_and(|flag| flag.value),
        refresh: fields.take("refresh").and_then(|node| refresh::read(node, findings)),
        stable_placeholder: fields
            .boolean("stable_placeholder", findings)
            .is_some_and(|flag| flag.value),
    };
    for key in ["token_grant", "token_grant_owners"] {
        if let Some(entry) = fields.take_entry(key).filter(|entry| !entry.value.is_null()) {
            findings.error_with_help(
                "C0105",
                entry.at,
                format!("this build has no `{key}`"),
                "give the provider a value, or let it be renewed with `refresh`".to_owned(),
            );
        }
    }
    fields.refuse_rest(findings);
    Some(Spanned { value: spec, at })
}

fn env_vars(fields: &mut Fields, findings: &mut Findings) -> Vec<CredentialName> {
    let Some(nodes) = fields.list("env_vars", VARIABLES, findings) else { return Vec::new() };
    let mut names = Vec::with_capacity(nodes.value.len());
    for node in nodes.value {
        let Some(written) = text(node, "env_vars", findings) else { continue };
        match CredentialName::parse(&written.value) {
            Ok(name) => names.push(name),
            Err(why) => {
                let message = format!("`{}` cannot be a variable: {why}", shown(&written.value));
                findings.error("C0101", written.at, message);
            }
        }
    }
    names
}

fn placement(fields: &mut Fields, findings: &mut Findings) -> Option<Placement> {
    let style_at = fields.place_of("auth_style");
    let style = fields.text("auth_style", findings).and_then(|word| {
        let choices = [
            ("bearer", Style::Bearer),
            ("basic", Style::Basic),
            ("header", Style::Header),
            ("query", Style::Query),
            ("path", Style::Path),
        ];
        choice(&word, "auth_style", &choices, findings)
    });
    let of =
        |key, owner, style_word: &'static str, fields: &mut Fields, findings: &mut Findings| {
            let written = fields.text(key, findings)?;
            // A style that was refused is no reason for more findings.
            if style == Some(owner) {
                return Some(written);
            }
            if style.is_some() || style_at.is_none() {
                let message = format!("`{key}` belongs to `auth_style: {style_word}`");
                findings.error("C0102", written.at, message);
            }
            None
        };
    let header = of("header_name", Style::Header, "header", fields, findings);
    let query = of("query_param", Style::Query, "query", fields, findings);
    let path = of("path_template", Style::Path, "path", fields, findings);
    let at = style_at.unwrap_or(fields.at);
    match style? {
        Style::Bearer => Some(Placement::Bearer),
        Style::Basic => Some(Placement::Basic),
        Style::Header => {
            let name = needed(header, ("header_name", at), findings)?;
            let value = name.value.to_ascii_lowercase();
            is_field(&value)
                .then_some(Placement::Header { name: value })
                .or_else(|| refuse_text("header_name", &name, "no field for a secret", findings))
        }
        Style::Query => {
            let name = needed(query, ("query_param", at), findings)?;
            is_parameter(&name.value)
                .then(|| Placement::Query { name: name.value.clone() })
                .or_else(|| refuse_text("query_param", &name, "no name of a parameter", findings))
        }
        Style::Path => {
            let template = needed(path, ("path_template", at), findings)?;
            is_template(&template.value)
                .then(|| Placement::Path { template: template.value.clone() })
                .or_else(|| {
                    let why = "no path with `{credential}` once";
                    refuse_text("path_template", &template, why, findings)
                })
        }
    }
}

fn needed(
    given: Option<Spanned<String>>,
    (key, at): (&'static str, Position),
    findings: &mut Findings,
) -> Option<Spanned<String>> {
    if given.is_none() {
        findings.error("C0102", at, format!("this `auth_style` needs a `{key}`"));
    }
    given
}

/// SECURITY: fields that say where a request goes or how long it is are no place for a text that
/// the jail has no part in.
fn is_field(name: &str) -> bool {
    const FRAMING: [&str; 10] = [
        "host",
        "connection",
        "content-length",
        "transfer-encoding",
        "te",
        "trailer",
        "upgrade",
        "expect",
        "keep-alive",
        "content-type",
    ];
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !name.is_empty()
        && name.len() <= 128
        && name.bytes().all(token)
        && !name.starts_with("proxy-")
        && !FRAMING.contains(&name)
}

fn is_parameter(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~$".contains(&b);
    !name.is_empty() && name.len() <= 128 && name.bytes().all(plain)
}

fn is_template(text: &str) -> bool {
    let (before, after) = text.split_once(SLOT).unwrap_or(("", SLOT));
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&b);
    before.starts_with('/')
        && text.len() <= 1024
        && before.bytes().all(plain)
        && after.bytes().all(plain)
        && !text.split('/').any(|part| matches!(part, "." | ".."))
}
