//! What a program's `Authorization` says.

use std::collections::BTreeSet;

use openshell_types::SigV4;

use super::unsignable::Unsignable;

/// A signature as a program made it, without the signature itself.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Claimed<'a> {
    pub key: &'a str,
    /// Eight digits.
    pub day: &'a str,
    pub region: &'a str,
    pub service: &'a str,
    /// Names of fields, in lower case.
    pub signed: BTreeSet<&'a str>,
}

impl<'a> Claimed<'a> {
    /// Reads `AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…`.
    pub fn parse(text: &'a str) -> Result<Self, Unsignable> {
        let rest = text.strip_prefix("AWS4-HMAC-SHA256").ok_or(Unsignable::Algorithm)?;
        if !rest.starts_with([' ', '\t']) {
            return Err(Unsignable::Algorithm);
        }
        let (mut credential, mut signed, mut signature) = (None, None, None);
        for part in rest.split(',') {
            let (name, value) = part.trim().split_once('=').unwrap_or_default();
            let slot = match name {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut signed,
                "Signature" => &mut signature,
                _ => return Err(Unsignable::Malformed("it has a part that is none of version 4")),
            };
            if slot.replace(value).is_some() {
                return Err(Unsignable::Malformed("it has a part twice"));
            }
        }
        let (Some(credential), Some(signed), Some(_)) = (credential, signed, signature) else {
            return Err(Unsignable::Malformed("it lacks a part"));
        };
        let mut words = credential.rsplitn(5, '/');
        let mut next = || words.next().unwrap_or_default();
        let (end, service, region, day, key) = (next(), next(), next(), next(), next());
        let is_day = day.len() == 8 && day.bytes().all(|b| b.is_ascii_digit());
        if end != "aws4_request" || !is_day || !is_word(region) || !is_word(service) {
            let why = "`Credential` is not `KEY/DAY/REGION/SERVICE/aws4_request`";
            return Err(Unsignable::Malformed(why));
        }
        let signed: BTreeSet<&str> = signed.split(';').collect();
        if !signed.iter().all(|name| is_field(name)) {
            return Err(Unsignable::Malformed("`SignedHeaders` has no names of fields"));
        }
        Ok(Self { key, day, region, service, signed })
    }

    /// Whether it is for what a key is bound to.
    pub fn is_for(&self, own: &SigV4) -> bool {
        self.service == own.service && self.region == own.region
    }

    /// What it is good for.
    pub fn scope(&self) -> String {
        format!("{}/{}/{}/aws4_request", self.day, self.region, self.service)
    }

    /// Why it is refused where a key is bound to this.
    pub fn other_scope(&self, own: &SigV4) -> Unsignable {
        Unsignable::Scope {
            signed: format!("`{}` in `{}`", self.service, self.region),
            bound: format!("`{}` in `{}`", own.service, own.region),
        }
    }
}

/// A region or a service.
fn is_word(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.*".contains(&b))
}

/// RFC 9110, section 5.1, in lower case.
fn is_field(name: &str) -> bool {
    let plain =
        |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&b);
    !name.is_empty() && name.bytes().all(plain)
}
