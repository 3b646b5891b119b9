//! Sealing and opening.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use openshell_types::Redacted;
use thiserror::Error;
use zeroize::Zeroizing;

use super::kek::{Kek, KekId};
use crate::limits::SEALED_BYTES;

/// A secret that only its [`Kek`] opens, and only where it belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    by: KekId,
    /// The data key, sealed with the key encryption key.
    wrapped: Vec<u8>,
    /// The secret, sealed with the data key.
    secret: Vec<u8>,
}

/// What the associated data begin with, so that one part never passes for the other.
const WRAPPED: &[u8] = b"openshell sealed v1: data key\0";
const SECRET: &[u8] = b"openshell sealed v1: secret\0";
/// What the text begins with.
const PREFIX: &str = "sealed:v1";
const TAG_LEN: usize = 16;
const WRAPPED_LEN: usize = NONCE_LEN + 32 + TAG_LEN;

impl Kek {
    /// Seals a secret for the place that `context` names, such as `provider/ID/KEY`.
    pub fn seal(&self, context: &[u8], secret: &[u8]) -> Result<Sealed, SealError> {
        let mut key = Zeroizing::new([0; 32]);
        aws_lc_rs::rand::fill(&mut *key).map_err(|_| SealError::Failed)?;
        Ok(Sealed {
            by: self.id(),
            wrapped: encrypt(self.bytes(), &[WRAPPED, context], &*key)?,
            secret: encrypt(&key, &[SECRET, context], secret)?,
        })
    }

    /// The secret that was sealed for this place.
    pub fn open(&self, context: &[u8], sealed: &Sealed) -> Result<Redacted<Vec<u8>>, SealError> {
        let key = self.unwrap(context, sealed)?;
        decrypt(key.expose(), &[SECRET, context], &sealed.secret)
    }

    /// The data key.
    fn unwrap(&self, context: &[u8], sealed: &Sealed) -> Result<Redacted<[u8; 32]>, SealError> {
        if sealed.by != self.id() {
            return Err(SealError::OtherKey { by: sealed.by });
        }
        let key = decrypt(self.bytes(), &[WRAPPED, context], &sealed.wrapped)?;
        key.expose().as_slice().try_into().map(Redacted::new).map_err(|_| SealError::Broken)
    }
}

/// The same secret under another key encryption key. The secret itself is not opened.
pub fn rewrap(old: &Kek, new: &Kek, context: &[u8], sealed: &Sealed) -> Result<Sealed, SealError> {
    let key = old.unwrap(context, sealed)?;
    Ok(Sealed {
        by: new.id(),
        wrapped: encrypt(new.bytes(), &[WRAPPED, context], key.expose())?,
        secret: sealed.secret.clone(),
    })
}

impl Sealed {
    /// Which key opens it.
    pub const fn by(&self) -> KekId {
        self.by
    }

    /// The text for a database.
    pub fn to_text(&self) -> String {
        let encode = |bytes: &[u8]| BASE64_STANDARD_NO_PAD.encode(bytes);
        format!("{PREFIX}:{}:{}:{}", self.by, encode(&self.wrapped), encode(&self.secret))
    }

    /// Reads what [`Sealed::to_text`] wrote.
    pub fn parse(text: &str) -> Result<Self, SealError> {
        if text.len() > SEALED_BYTES {
            return Err(SealError::Malformed);
        }
        let rest = text.strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix(':'));
        let mut parts = rest.ok_or(SealError::Malformed)?.split(':');
        let mut part = || parts.next().ok_or(SealError::Malformed);
        let by = KekId::parse(part()?).ok_or(SealError::Malformed)?;
        let decode =
            |text: &str| BASE64_STANDARD_NO_PAD.decode(text).map_err(|_| SealError::Malformed);
        let (wrapped, secret) = (decode(part()?)?, decode(part()?)?);
        let fits = wrapped.len() == WRAPPED_LEN && secret.len() >= NONCE_LEN + TAG_LEN;
        if part().is_ok() || !fits {
            return Err(SealError::Malformed);
        }
        Ok(Self { by, wrapped, secret })
    }
}

impl fmt::Display for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text())
    }
}

/// A nonce and what was encrypted with it. Nonces are random: no key seals enough for two to meet.
fn encrypt(key: &[u8; 32], about: &[&[u8]], plain: &[u8]) -> Result<Vec<u8>, SealError> {
    let key = RandomizedNonceKey::new(&AES_256_GCM, key).map_err(|_| SealError::Failed)?;
    // With room for the tag: a buffer that grows leaves a copy of the secret behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(plain.len().saturating_add(TAG_LEN)));
    bytes.extend_from_slice(plain);
    let nonce = key
        .seal_in_place_append_tag(Aad::from(about.concat()), &mut *bytes)
        .map_err(|_| SealError::Failed)?;
    Ok([nonce.as_ref(), bytes.as_slice()].concat())
}

fn decrypt(key: &[u8; 32], about: &[&[u8]], sealed: &[u8]) -> Result<Redacted<Vec<u8>>, SealError> {
    let key = RandomizedNonceKey::new(&AES_256_GCM, key).map_err(|_| SealError::Failed)?;
    let (nonce, rest) = sealed.split_first_chunk::<NONCE_LEN>().ok_or(SealError::Broken)?;
    let mut bytes = Zeroizing::new(rest.to_vec());
    let nonce = Nonce::assume_unique_for_key(*nonce);
    let plain = key
        .open_in_place(nonce, Aad::from(about.concat()), &mut bytes)
        .map_err(|_| SealError::Broken)?;
    let length = plain.len();
    bytes.truncate(length);
    Ok(Redacted::new(std::mem::take(&mut *bytes)))
}

/// Why something is not sealed or opened. It never says what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SealError {
    /// The text is no sealed value of a version that is known.
    #[error("that is no sealed value of a version that is known")]
    Malformed,
    /// Another key encryption key sealed it.
    #[error("it is sealed with another key, `{by}`")]
    OtherKey {
        /// Which.
        by: KekId,
    },
    /// It was changed, or stands where it does not belong.
    #[error("the sealed value was changed, or belongs to another place")]
    Broken,
    /// The library refused.
    #[error("nothing can be sealed")]
    Failed,
}
