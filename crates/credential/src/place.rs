//! Putting values in the place of placeholders, in the head of one request.

use std::borrow::Cow;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use openshell_codec::http1::{Header, goes_upstream};
use openshell_policy::BoundEndpoint;
use openshell_types::{Authority, CREDENTIAL, Placement, Redacted};

use crate::held::{Bound, Credentials, Going, Held};
use crate::misuse::{Misuse, Place};

/// A request that was allowed, and not sent.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Where it goes.
    pub to: &'a Authority,
    /// Its method.
    pub method: &'a str,
    /// Whether it is encrypted on its way there.
    pub is_secure: bool,
    /// Its canonical target.
    pub target: &'a str,
    /// Its fields, names in lower case.
    pub headers: &'a [Header],
    /// The endpoints of the policy that bind credentials, and speak for it.
    pub bound: &'a [BoundEndpoint],
    /// Its body as it is sent, when that is all there.
    pub body: Option<&'a [u8]>,
}

/// What of a request is sent otherwise than it came.
#[derive(Debug, Default)]
pub struct Placed {
    /// Fields by their index, with the values that go out.
    pub fields: Vec<(usize, Redacted<Vec<u8>>)>,
    /// The target that goes out.
    pub target: Option<Redacted<String>>,
    /// The credentials that are in them, by name, for the audit.
    pub names: Vec<String>,
}

/// Fields in which programs authenticate themselves, besides those that a provider names. Where a
/// credential is bound they hold that one, or nothing.
const FIELDS: [&str; 9] = [
    "authorization",
    "x-api-key",
    "api-key",
    "x-goog-api-key",
    "x-auth-token",
    "x-access-token",
    "x-amz-security-token",
    "private-token",
    "job-token",
];

/// Parameters of the same kind.
const PARAMETERS: [&str; 5] =
    ["access_token", "api_key", "private_token", "job_token", "x-amz-signature"];

impl Credentials {
    /// Finds the placeholders in a request's head, and says what goes out in their place; or why
    /// the request must not go out. `now_ms` is the time, in milliseconds since 1970.
    pub fn place(&self, asked: &Asked<'_>, now_ms: i64) -> Result<Placed, Misuse> {
        let mut placed = Placed::default();
        if self.all.is_empty() && self.minter.is_none() {
            return Ok(placed);
        }
        let search = Search { credentials: self, asked, now_ms };
        let signs = search.signs()?;
        for (at, header) in asked.headers.iter().enumerate() {
            if !goes_upstream(&header.name) || signs.takes(at, header) {
                continue;
            }
            if let Some(value) = search.field(header, &mut placed.names)? {
                placed.fields.push((at, value));
            }
        }
        placed.target = search.target(&mut placed.names)?;
        search.sign(&signs, &mut placed)?;
        Ok(placed)
    }

    /// The misuse that some bytes of a request are, if a placeholder is in them.
    pub(crate) fn stray(&self, bytes: &[u8], going: Going<'_>, place: &Place) -> Option<Misuse> {
        if let Some(held) = self.forms.find(bytes).and_then(|at| self.all.get(at)) {
            let elsewhere = || Misuse::Elsewhere { name: held.name.clone(), place: place.clone() };
            return Some(held.closed(going, place).unwrap_or_else(elsewhere));
        }
        let minter = self.minter.as_ref()?;
        minter.find_ours(bytes).map(|_| Misuse::Unknown { place: place.clone() })
    }
}

impl<'a> Asked<'a> {
    /// Where it goes.
    pub fn going(&self) -> Going<'a> {
        let path = self.target.split('?').next().unwrap_or_default();
        Going { to: self.to, path, bound: self.bound }
    }

    /// Whether this value may go out with it, if it is bound there.
    pub(crate) fn may_carry(&self, held: &Held, now_ms: i64) -> Result<(), Misuse> {
        if held.expires_ms.is_some_and(|end| end <= now_ms) {
            return Err(Misuse::Expired { name: held.name.clone() });
        }
        // SECURITY: who binds a credential to another port than TLS's meant what is spoken there.
        if !self.is_secure && self.to.port.number() == 443 {
            return Err(Misuse::Plain { name: held.name.clone() });
        }
        Ok(())
    }
}

/// One look through a request.
pub(crate) struct Search<'a> {
    pub(crate) credentials: &'a Credentials,
    pub(crate) asked: &'a Asked<'a>,
    pub(crate) now_ms: i64,
}

impl<'a> Search<'a> {
    /// What is bound here, in places that fit.
    pub(crate) fn bound(
        &self,
        fits: impl Fn(&Placement) -> bool,
    ) -> impl Iterator<Item = (&'a Held, &'a Bound)> {
        let going = self.asked.going();
        self.credentials
            .bound(self.asked.to)
            .filter(move |(_, bound)| bound.covers(going) && fits(&bound.placement))
    }

    /// The misuse that some bytes of it are, if a placeholder is in them.
    pub(crate) fn stray(&self, bytes: &[u8], place: &Place) -> Option<Misuse> {
        self.credentials.stray(bytes, self.asked.going(), place)
    }

    /// The value of the credential whose placeholder this is, where it is bound to a place that
    /// fits. `None`: it is no such placeholder.
    fn value(
        &self,
        token: &str,
        fits: impl Fn(&Placement) -> bool,
        names: &mut Vec<String>,
    ) -> Result<Option<&'a Redacted<String>>, Misuse> {
        let Some((held, _)) = self.bound(fits).find(|(held, _)| held.placeholder == token) else {
            return Ok(None);
        };
        self.check(held, names)?;
        Ok(Some(&held.secret))
    }

    /// Whether a value may go out now, over this connection. Notes its name.
    pub(crate) fn check(&self, held: &Held, names: &mut Vec<String>) -> Result<(), Misuse> {
        self.asked.may_carry(held, self.now_ms)?;
        if !names.contains(&held.name) {
            names.push(held.name.clone());
        }
        Ok(())
    }

    /// The value that goes out in this field, when it is another.
    fn field(
        &self,
        header: &Header,
        names: &mut Vec<String>,
    ) -> Result<Option<Redacted<Vec<u8>>>, Misuse> {
        let Header { name, value } = header;
        let place = Place::Field(name.clone());
        let text = std::str::from_utf8(value).unwrap_or_default().trim();
        let replaced = if name == "authorization" {
            self.authorization(text, names)?
        } else {
            let fits = |at: &Placement| match at {
                Placement::Header(own) => own == name,
                other => *other == Placement::Any,
            };
            self.value(text, fits, names)?.map(to_bytes)
        };
        if replaced.is_some() {
            return Ok(replaced);
        }
        if let Some(misuse) = self.stray(value, &place) {
            return Err(misuse);
        }
        // SECURITY: I5, I15; only what is bound may authenticate here.
        if !value.is_empty() && self.is_reserved_field(name) {
            return Err(Misuse::Foreign { place });
        }
        Ok(None)
    }

    /// RFC 9110, section 11.6.2: a scheme, and what belongs to it.
    fn authorization(
        &self,
        text: &str,
        names: &mut Vec<String>,
    ) -> Result<Option<Redacted<Vec<u8>>>, Misuse> {
        let fits = |at: &Placement| matches!(at, Placement::Authorization | Placement::Any);
        // Some servers take the credential as it is, such as those of cargo.
        let Some((scheme, rest)) = text.split_once(' ') else {
            return Ok(self.value(text, fits, names)?.map(to_bytes));
        };
        let rest = rest.trim();
        if scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("token") {
            let secret = self.value(rest, fits, names)?;
            return Ok(secret.map(|secret| {
                Redacted::new(format!("{scheme} {}", secret.expose()).into_bytes())
            }));
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return Ok(None);
        }
        let Some(pair) = BASE64_STANDARD.decode(rest).ok().and_then(|b| String::from_utf8(b).ok())
        else {
            return Ok(None);
        };
        let Some((user, password)) = pair.split_once(':') else { return Ok(None) };
        let pair = if let Some(secret) =
            self.value(password, fits, names)?.filter(|_| is_user(user))
        {
            Redacted::new(format!("{user}:{}", secret.expose()))
        } else if let Some(secret) = self.value(user, fits, names)?.filter(|_| is_filler(password))
        {
            Redacted::new(format!("{}:{password}", secret.expose()))
        } else {
            let place = Place::Field("authorization".to_owned());
            return match self.stray(pair.as_bytes(), &place) {
                Some(misuse) => Err(misuse),
                None => Ok(None),
            };
        };
        let packed = BASE64_STANDARD.encode(pair.expose());
        Ok(Some(Redacted::new(format!("{scheme} {packed}").into_bytes())))
    }

    /// Whether only a bound credential may stand in some fields and parameters. One that is detached
    /// leaves nothing free: the policy's endpoint is still for it.
    fn is_reserved(&self) -> bool {
        self.credentials.binds(self.asked.to) || !self.asked.bound.is_empty()
    }

    /// Whether only a bound credential may stand in this field.
    fn is_reserved_field(&self, name: &str) -> bool {
        // SECURITY: C9; servers in the manner of CGI do not tell `_` from `-`.
        let name = name.replace('_', "-");
        let mut here = self.credentials.bound(self.asked.to);
        self.is_reserved()
            && (FIELDS.contains(&name.as_str())
                || here.any(
                    |(_, bound)| matches!(&bound.placement, Placement::Header(own) if *own == name),
                ))
    }

    /// Whether only a bound credential may stand in this parameter.
    fn is_reserved_parameter(&self, name: &str) -> bool {
        let mut here = self.credentials.bound(self.asked.to);
        self.is_reserved()
            && (PARAMETERS.iter().any(|known| known.eq_ignore_ascii_case(name))
                || here.any(
                    |(_, bound)| matches!(&bound.placement, Placement::Query(own) if own == name),
                ))
    }

    /// The target that goes out, when it is another.
    fn target(&self, names: &mut Vec<String>) -> Result<Option<Redacted<String>>, Misuse> {
        let (path, query) = match self.asked.target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (self.asked.target, None),
        };
        let new_path = self.in_path(path, names)?;
        let new_query = query.map(|query| self.in_query(query, names)).transpose()?.flatten();
        if new_path.is_none() && new_query.is_none() {
            return Ok(None);
        }
        let mut target = new_path.map_or_else(|| path.to_owned(), |path| path.expose().clone());
        if let Some(query) = query {
            target.push('?');
            target.push_str(new_query.as_ref().map_or(query, |query| query.expose()));
        }
        Ok(Some(Redacted::new(target)))
    }

    fn in_path(
        &self,
        path: &str,
        names: &mut Vec<String>,
    ) -> Result<Option<Redacted<String>>, Misuse> {
        let templates =
            self.bound(|at| matches!(at, Placement::Path(_))).filter_map(|(_, bound)| match &bound
                .placement
            {
                Placement::Path(template) => template.split_once(CREDENTIAL),
                _ => None,
            });
        for (before, _) in templates {
            let Some(rest) = path.strip_prefix(before) else { continue };
            let (token, after) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let fits = |at: &Placement| matches!(at, Placement::Path(own) if own.split(CREDENTIAL).next() == Some(before));
            if let Some(secret) = self.value(&decoded(token), fits, names)? {
                if let Some(misuse) = self.stray_decoded(after, &Place::Path) {
                    return Err(misuse);
                }
                let secret = Redacted::new(encoded(secret.expose()));
                return Ok(Some(Redacted::new(format!("{before}{}{after}", secret.expose()))));
            }
        }
        if self.bound(|at| *at == Placement::Any).next().is_some() {
            return self.in_segments(path, names);
        }
        match self.stray_decoded(path, &Place::Path) {
            Some(misuse) => Err(misuse),
            None => Ok(None),
        }
    }

    /// The path with values in the place of segments, if there is one.
    fn in_segments(
        &self,
        path: &str,
        names: &mut Vec<String>,
    ) -> Result<Option<Redacted<String>>, Misuse> {
        let mut out = Redacted::new(String::with_capacity(path.len()));
        let (mut rest, mut is_other) = (String::with_capacity(path.len()), false);
        for (at, segment) in path.split('/').enumerate() {
            let secret = self.value(&decoded(segment), |at| *at == Placement::Any, names)?;
            let text = match secret {
                Some(secret) => Redacted::new(encoded(secret.expose())),
                None => Redacted::new(segment.to_owned()),
            };
            let separator = if at == 0 { "" } else { "/" };
            rest.push_str(separator);
            rest.push_str(if secret.is_some() { "" } else { segment });
            is_other |= secret.is_some();
            out = Redacted::new(format!("{}{separator}{}", out.expose(), text.expose()));
        }
        match self.stray_decoded(&rest, &Place::Path) {
            Some(misuse) => Err(misuse),
            None => Ok(is_other.then_some(out)),
        }
    }

    fn in_query(
        &self,
        query: &str,
        names: &mut Vec<String>,
    ) -> Result<Option<Redacted<String>>, Misuse> {
        let mut out = Redacted::new(String::with_capacity(query.len()));
        let mut is_other = false;
        for (at, pair) in query.split('&').enumerate() {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let key = decoded(name);
            let fits = |at: &Placement| match at {
                Placement::Query(own) => *own == key,
                other => *other == Placement::Any,
            };
            let separator = if at == 0 { "" } else { "&" };
            let secret = self.value(&decoded(value), fits, names)?;
            let text = match secret {
                Some(secret) => Redacted::new(format!("{name}={}", encoded(secret.expose()))),
                None => {
                    if let Some(misuse) = self.stray_decoded(pair, &Place::Query) {
                        return Err(misuse);
                    }
                    // SECURITY: I5, I15.
                    if !value.is_empty() && self.is_reserved_parameter(&key) {
                        return Err(Misuse::Foreign { place: Place::Query });
                    }
                    Redacted::new(pair.to_owned())
                }
            };
            is_other |= secret.is_some();
            out = Redacted::new(format!("{}{separator}{}", out.expose(), text.expose()));
        }
        Ok(is_other.then_some(out))
    }

    fn stray_decoded(&self, text: &str, place: &Place) -> Option<Misuse> {
        self.stray(text.as_bytes(), place).or_else(|| self.stray(decoded(text).as_bytes(), place))
    }
}

fn to_bytes(secret: &Redacted<String>) -> Redacted<Vec<u8>> {
    Redacted::new(secret.expose().clone().into_bytes())
}

/// Names that stand beside a token as the password. SECURITY: I5; one that is long may be a
/// credential itself, and some servers take it for one.
fn is_user(user: &str) -> bool {
    const LONGEST: usize = 39;
    user.len() <= LONGEST
        && user
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._@+".contains(&b) || user == "__token__")
        && !crate::placeholder::looks_secret(user)
}

/// Passwords that stand beside a token as the name.
fn is_filler(password: &str) -> bool {
    matches!(password, "" | "x-oauth-basic" | "x" | "X")
}

fn decoded(text: &str) -> Cow<'_, str> {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy()
}

pub(crate) fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}
