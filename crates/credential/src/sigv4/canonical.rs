//! What is signed, and how.
//!
//! Our own, since a library that signs requests makes them: it chooses the fields, and takes the
//! client of a cloud along. This has to sign what is there.

use aws_lc_rs::{digest, hmac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use zeroize::Zeroizing;

use super::claimed::Claimed;
use super::{DATE, Fields};

/// A request as it is sent.
pub(super) struct Request<'a> {
    pub method: &'a str,
    pub target: &'a str,
    /// Those that are signed.
    pub fields: &'a Fields<'a>,
    /// The digest of the body, or what stands in its place.
    pub payload: &'a str,
}

/// The signature, in hexadecimal digits.
pub(super) fn signature(request: &Request<'_>, claimed: &Claimed<'_>, secret: &str) -> String {
    let hash = request.digest(claimed.service);
    let date = request.fields.get(DATE).map_or("", |date| date.expose().as_str());
    let text =
        format!("AWS4-HMAC-SHA256\n{date}\n{}\n{}", claimed.scope(), hex::encode(hash.as_ref()));
    let mut key = Zeroizing::new(["AWS4", secret].concat().into_bytes());
    for word in [claimed.day, claimed.region, claimed.service, "aws4_request"] {
        key = Zeroizing::new(mac(&key, word));
    }
    hex::encode(mac(&key, &text))
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::sign(&key, text.as_bytes()).as_ref().to_vec()
}

impl Request<'_> {
    /// The digest of its one form, of which no text is made: a token may be in it.
    fn digest(&self, service: &str) -> digest::Digest {
        let mut hash = digest::Context::new(&digest::SHA256);
        let mut put = |parts: &[&str]| {
            for part in parts {
                hash.update(part.as_bytes());
            }
        };
        let (path, query) = self.target.split_once('?').unwrap_or((self.target, ""));
        let (path, query) = (canonical_path(path, service), canonical_query(query));
        put(&[self.method, "\n", &path, "\n", &query, "\n"]);
        for (name, value) in self.fields {
            put(&[name, ":", value.expose(), "\n"]);
        }
        let names = self.fields.keys().copied().collect::<Vec<_>>().join(";");
        put(&["\n", &names, "\n", self.payload]);
        hash.finish()
    }
}

/// All but what RFC 3986, section 2.3, leaves as it is.
const RESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const IN_PATH: AsciiSet = RESERVED.remove(b'/');

/// Whether a service is S3, or one of its kinds.
pub(super) fn is_s3(service: &str) -> bool {
    service == "s3" || service.starts_with("s3-") || service == "s3express"
}

/// S3 takes a path apart and encodes it again; every other service encodes it as it is, once more.
fn canonical_path(path: &str, service: &str) -> String {
    if is_s3(service) {
        let octets: Vec<u8> = percent_decode_str(path).collect();
        percent_encode(&octets, &IN_PATH).to_string()
    } else {
        percent_encode(path.as_bytes(), &IN_PATH).to_string()
    }
}

/// The parameters, each encoded in the one way, in the order of their octets. `+` is a space, as it
/// is to the policy.
fn canonical_query(query: &str) -> String {
    let encoded = |text: &str| {
        let text = text.replace('+', " ");
        let octets: Vec<u8> = percent_decode_str(&text).collect();
        percent_encode(&octets, &RESERVED).to_string()
    };
    let mut pairs: Vec<(String, String)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (encoded(name), encoded(value)))
        .collect();
    pairs.sort_unstable();
    let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join("&")
}
