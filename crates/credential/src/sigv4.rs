//! Signatures of version 4 in AWS's way: a program signs with its placeholders, and what goes out is
//! signed anew with the values.
//!
//! The new signature is over what is sent, so it comes last, when all else of the head is known. The
//! client's own is not verified: whoever holds the placeholders can make one, so it would tell
//! nothing of who asks. That the identifier of connections does, and the policy decides first.

mod canonical;
mod claimed;
#[cfg(test)]
mod tests;
mod unsignable;

use std::collections::BTreeMap;

use aws_lc_rs::digest;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use openshell_codec::http1::{Header, goes_upstream, host_value};
use openshell_types::{Payload, Placement, Redacted, SigV4, SigV4Part};

use crate::held::{Credentials, Going, Held};
use crate::misuse::{Misuse, Place};
use crate::place::{Placed, Search};
use canonical::Request;
use claimed::Claimed;
pub use unsignable::Unsignable;

/// The field with the session's token.
const TOKEN: &str = "x-amz-security-token";
const DATE: &str = "x-amz-date";
const DIGEST: &str = "x-amz-content-sha256";
/// What stands there when the body is not signed.
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";
/// The same of one with a checksum behind it.
const UNSIGNED_CHUNKS: &str = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";

/// How far a signature's time may be from ours, in milliseconds: as far as AWS lets it be.
const SKEW_MS: i64 = 15 * 60 * 1000;

/// Parameters by which a request is signed in its query, by version 4 and by the one before.
const SIGNED_QUERY: [&str; 7] = [
    "x-amz-algorithm",
    "x-amz-credential",
    "x-amz-signature",
    "x-amz-signedheaders",
    "x-amz-security-token",
    "awsaccesskeyid",
    "signature",
];

/// Fields that name what a request reads beside its path.
const SOURCES: [&str; 2] = ["x-amz-copy-source", "x-amz-rename-source"];

/// How a request is signed.
pub(crate) enum Signs {
    /// Nothing that signs is bound here.
    No,
    /// Something is, and the request is not signed in its head.
    Unsigned,
    /// The field of this index signs it.
    By(usize),
}

impl Signs {
    /// Whether this field is replaced together with the signature.
    pub(crate) fn takes(&self, at: usize, header: &Header) -> bool {
        matches!(self, Self::By(by) if *by == at || header.name == TOKEN)
    }
}

impl Credentials {
    /// Whether the body of a request with these fields is signed by its digest, which nobody but us
    /// makes: it has to be all there before anything is sent.
    pub fn signs_body(&self, going: Going<'_>, headers: &[Header]) -> bool {
        let is_said = || headers.iter().any(|header| header.name == DIGEST);
        self.bound(going.to).any(|(_, bound)| match &bound.placement {
            Placement::SigV4(own) if bound.covers(going) => match own.payload {
                Payload::Digest => true,
                Payload::AsSaid => !canonical::is_s3(&own.service) && !is_said(),
                Payload::Unsigned => false,
            },
            _ => false,
        })
    }
}

impl<'a> Search<'a> {
    /// How the request is signed, where something that signs is bound.
    pub(crate) fn signs(&self) -> Result<Signs, Misuse> {
        if self.parts(SigV4Part::KeyId).next().is_none() {
            return Ok(Signs::No);
        }
        let query = self.asked.target.split_once('?').map_or("", |(_, query)| query);
        // SECURITY: I10; such an address could be given to anybody.
        if query.split('&').any(|pair| is_signing(pair.split('=').next().unwrap_or_default())) {
            return Err(Unsignable::Presigned.into());
        }
        let mut all = self.fields().filter(|(_, header)| header.name == "authorization");
        match (all.next(), all.next()) {
            (Some((at, header)), None) if header.value.starts_with(b"AWS4-") => Ok(Signs::By(at)),
            // SECURITY: I5.
            (Some(_), Some(_)) => Err(Unsignable::Twice("authorization").into()),
            _ => Ok(Signs::Unsigned),
        }
    }

    /// Signs what goes out.
    pub(crate) fn sign(&self, signs: &Signs, placed: &mut Placed) -> Result<(), Misuse> {
        let at = match signs {
            Signs::By(at) => *at,
            // SECURITY: I15; a request that nobody signed may write where everybody can, or have
            // the signature of another in a form.
            Signs::Unsigned if placed.names.is_empty() => return Err(Unsignable::Absent.into()),
            Signs::No | Signs::Unsigned => return Ok(()),
        };
        let text = self.text(at)?;
        let claimed = Claimed::parse(text)?;
        let (key, own) = self.key(&claimed, text)?;
        let of = |part| {
            self.parts(part)
                .find(|(held, own)| held.provider() == key.provider() && claimed.is_for(own))
                .map(|(held, _)| held)
        };
        let secret = of(SigV4Part::Secret).ok_or(Unsignable::NoSecret)?;
        for held in [key, secret] {
            self.check(held, &mut placed.names)?;
        }
        if let Some((at, token)) = self.token(of(SigV4Part::Token), &mut placed.names)? {
            placed.fields.push((at, token));
        }
        placed.fields.extend(self.digest_field(own)?);
        let fields = self.signed_fields(&claimed, placed)?;
        self.check_date(&claimed, &fields)?;
        let digest = self.digest(own, &fields)?;
        let request = Request {
            method: self.asked.method,
            target: placed.target.as_ref().map_or(self.asked.target, |target| target.expose()),
            payload: payload(&fields, digest.as_deref())?,
            fields: &fields,
        };
        let signature = canonical::signature(&request, &claimed, secret.secret.expose());
        let (id, scope) = (key.secret.expose(), claimed.scope());
        let names = fields.keys().copied().collect::<Vec<_>>().join(";");
        let value = format!(
            "AWS4-HMAC-SHA256 Credential={id}/{scope}, SignedHeaders={names}, Signature={signature}"
        );
        placed.fields.push((at, Redacted::new(value.into_bytes())));
        Ok(())
    }

    /// The fields that go upstream.
    fn fields(&self) -> impl Iterator<Item = (usize, &'a Header)> {
        let all = self.asked.headers.iter().enumerate();
        all.filter(|(_, header)| goes_upstream(&header.name))
    }

    fn text(&self, at: usize) -> Result<&'a str, Misuse> {
        let value = self.asked.headers.get(at).map_or(&[][..], |header| header.value.as_slice());
        let text = std::str::from_utf8(value);
        text.map_err(|_| Unsignable::Malformed("it is not UTF-8").into())
    }

    /// What is bound here as this part of what signs.
    fn parts(&self, part: SigV4Part) -> impl Iterator<Item = (&'a Held, &'a SigV4)> {
        self.bound(move |at| matches!(at, Placement::SigV4(own) if own.part == part)).filter_map(
            |(held, bound)| match &bound.placement {
                Placement::SigV4(own) => Some((held, own)),
                _ => None,
            },
        )
    }

    /// The key that a program signed with: one of ours, for what it is bound to.
    fn key(&self, claimed: &Claimed<'_>, text: &str) -> Result<(&'a Held, &'a SigV4), Misuse> {
        let mine =
            || self.parts(SigV4Part::KeyId).filter(|(held, _)| held.placeholder == claimed.key);
        // SECURITY: I10; for what else the key is good nothing is signed.
        if let Some(found) = mine().find(|(_, own)| claimed.is_for(own)) {
            return Ok(found);
        }
        if let Some((held, own)) = mine().next() {
            return Err(Misuse::Unsignable {
                name: Some(held.name.clone()),
                why: claimed.other_scope(own),
            });
        }
        // SECURITY: I15.
        let place = Place::Field("authorization".to_owned());
        let stray = self.stray(text.as_bytes(), &place);
        Err(stray.unwrap_or(Misuse::Foreign { place }))
    }

    /// The session's token that goes out, and where. SECURITY: I5, I15; none but the key's own.
    fn token(
        &self,
        held: Option<&'a Held>,
        names: &mut Vec<String>,
    ) -> Result<Option<Replaced>, Misuse> {
        let mut all = self.fields().filter(|(_, header)| header.name == TOKEN);
        let (at, value) = match (all.next(), all.next(), held) {
            (None, _, None) => return Ok(None),
            (None, _, Some(_)) => return Err(Unsignable::NoToken.into()),
            (Some(_), Some(_), _) => return Err(Unsignable::Twice(TOKEN).into()),
            (Some((at, header)), None, Some(held))
                if header.value == held.placeholder.as_bytes() =>
            {
                self.check(held, names)?;
                (at, held.secret.expose().clone().into_bytes())
            }
            (Some((_, header)), _, _) => {
                let place = Place::Field(TOKEN.to_owned());
                let stray = self.stray(&header.value, &place);
                return Err(stray.unwrap_or(Misuse::Foreign { place }));
            }
        };
        Ok(Some((at, Redacted::new(value))))
    }

    /// The field that says something of the body, and what goes out in it where the binding wants
    /// another thing said than the program did.
    fn digest_field(&self, own: &SigV4) -> Result<Option<Replaced>, Misuse> {
        let mut all = self.fields().filter(|(_, header)| header.name == DIGEST);
        let (at, said) = match (all.next(), all.next()) {
            (Some(_), Some(_)) => return Err(Unsignable::Twice(DIGEST).into()),
            (Some((at, header)), None) => (at, header.value.as_slice()),
            (None, _) => return Ok(None),
        };
        let is_framed = said.starts_with(b"STREAMING-");
        let other = match own.payload {
            Payload::AsSaid => return Ok(None),
            // Whoever reads the body has to know of the checksum behind it.
            Payload::Unsigned if said == UNSIGNED_CHUNKS.as_bytes() => return Ok(None),
            _ if is_framed => return Err(Unsignable::Chunks.into()),
            Payload::Unsigned => UNSIGNED.to_owned(),
            Payload::Digest => self.body_digest()?,
        };
        Ok(Some((at, Redacted::new(other.into_bytes()))))
    }

    /// The digest of the body, where no field says anything of it. Services other than S3 do not ask
    /// for the field.
    fn digest(&self, own: &SigV4, fields: &Fields<'_>) -> Result<Option<String>, Misuse> {
        let is_ours = own.payload != Payload::Unsigned && !canonical::is_s3(&own.service);
        let is_said = fields.contains_key(DIGEST);
        (is_ours && !is_said).then(|| self.body_digest()).transpose()
    }

    fn body_digest(&self) -> Result<String, Misuse> {
        let is_plain =
            |header: &Header| header.value.trim_ascii().eq_ignore_ascii_case(b"identity");
        let mut codings = self.fields().filter(|(_, own)| own.name == "content-encoding");
        // What was read goes out without its codings, and the field with it.
        if !codings.all(|(_, header)| is_plain(header)) {
            return Err(Unsignable::Coded.into());
        }
        let body = self.asked.body.ok_or(Unsignable::NoDigest)?;
        Ok(hex::encode(digest::digest(&digest::SHA256, body)))
    }

    /// The fields that are signed, by name, with what is sent in them.
    fn signed_fields<'n>(
        &self,
        claimed: &Claimed<'n>,
        placed: &Placed,
    ) -> Result<Fields<'n>, Misuse> {
        let mut fields = Fields::new();
        for name in &claimed.signed {
            let value = match *name {
                "host" => {
                    let default_port = if self.asked.is_secure { 443 } else { 80 };
                    host_value(self.asked.to, default_port)
                }
                // It is written anew, as a number.
                "content-length" => self.length().ok_or(Unsignable::not_sent(name))?.to_string(),
                // Whether it is sent is our affair.
                "expect" => continue,
                name if !goes_upstream(name) => continue,
                name => self.joined(name, placed)?.ok_or(Unsignable::not_sent(name))?,
            };
            fields.insert(name, Redacted::new(value));
        }
        if !fields.contains_key("host") {
            return Err(Unsignable::Malformed("`host` is not among the signed fields").into());
        }
        // SECURITY: I10, C9; the policy was asked about the path, and such a request also reads what
        // another path has.
        if self
            .fields()
            .any(|(_, header)| SOURCES.contains(&header.name.replace('_', "-").as_str()))
        {
            return Err(Unsignable::Source.into());
        }
        // SECURITY: I10, C9; what AWS reads as an order is signed, or is not there.
        let is_order = |name: &str| name.replace('_', "-").starts_with("x-amz-");
        let free = self.fields().find(|(_, header)| {
            is_order(&header.name) && !fields.contains_key(header.name.as_str())
        });
        match free {
            Some((_, header)) => Err(Unsignable::not_signed(&header.name).into()),
            None => Ok(fields),
        }
    }

    fn length(&self) -> Option<u64> {
        let field = self.asked.headers.iter().find(|own| own.name == "content-length")?;
        std::str::from_utf8(&field.value).ok()?.trim().parse().ok()
    }

    /// All values of a field as they are sent, the way they are signed: without space around them
    /// and with one space where there are more.
    fn joined(&self, name: &str, placed: &Placed) -> Result<Option<String>, Misuse> {
        let mut all: Option<String> = None;
        for (at, header) in self.fields().filter(|(_, header)| header.name == name) {
            let other = placed.fields.iter().find(|(index, _)| *index == at);
            let value = other.map_or(&header.value, |(_, value)| value.expose());
            let text = std::str::from_utf8(value)
                .map_err(|_| Unsignable::Malformed("a signed field is not UTF-8"))?;
            let words = text.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
            all = Some(all.map_or_else(|| words.clone(), |before| format!("{before},{words}")));
        }
        Ok(all)
    }

    /// SECURITY: I10; nothing is signed for another time, of a key that may be gone by then.
    fn check_date(&self, claimed: &Claimed<'_>, fields: &Fields<'_>) -> Result<(), Misuse> {
        let date = fields.get(DATE).ok_or(Unsignable::Date)?.expose();
        let at = moment(date).ok_or(Unsignable::Date)?;
        if at.abs_diff(self.now_ms) > SKEW_MS.unsigned_abs() {
            return Err(Unsignable::Clock.into());
        }
        match date.strip_prefix(claimed.day) {
            Some(rest) if rest.starts_with('T') => Ok(()),
            _ => Err(Unsignable::Malformed("its day is not that of `x-amz-date`").into()),
        }
    }
}

/// A field by its index, and what goes out in it.
type Replaced = (usize, Redacted<Vec<u8>>);

/// Fields by name.
type Fields<'n> = BTreeMap<&'n str, Redacted<String>>;

fn is_signing(name: &str) -> bool {
    let name = percent_encoding::percent_decode_str(name).decode_utf8_lossy();
    SIGNED_QUERY.iter().any(|known| known.eq_ignore_ascii_case(&name))
}

/// What is said of the body. The server holds the body against it.
fn payload<'f>(fields: &'f Fields<'_>, digest: Option<&'f str>) -> Result<&'f str, Unsignable> {
    let said = fields.get(DIGEST).map(|said| said.expose().as_str());
    let said = said.or(digest).ok_or(Unsignable::NoDigest)?;
    let is_digest = said.len() == 64 && said.bytes().all(|b| b.is_ascii_hexdigit());
    if is_digest || matches!(said, UNSIGNED | UNSIGNED_CHUNKS) {
        Ok(said)
    } else if said.starts_with("STREAMING-") {
        // Each part of the body has a signature of its own, made with the placeholders.
        Err(Unsignable::Chunks)
    } else {
        Err(Unsignable::Digest)
    }
}

/// The time of `20130524T000000Z`, in milliseconds since 1970.
fn moment(text: &str) -> Option<i64> {
    let is_digit = |at: usize, b: u8| matches!(at, 8 | 15) || b.is_ascii_digit();
    if text.len() != 16 || !text.bytes().enumerate().all(|(at, b)| is_digit(at, b)) {
        return None;
    }
    let time = DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok()?;
    Some(TimeZone::UTC.to_timestamp(time).ok()?.as_millisecond())
}
