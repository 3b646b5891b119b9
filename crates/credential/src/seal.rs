//! Secrets at rest: each is encrypted with a key of its own, and that key with the gateway's
//! (AES-256-GCM, NIST SP 800-38D). So the gateway's key can change without touching the secrets.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use openshell_types::Redacted;
use thiserror::Error;
use zeroize::Zeroizing;

/// The form that this build writes and reads.
const VERSION: &str = "1";

/// How long keys are, in octets.
const KEY: usize = 32;

/// How much longer what is encrypted is: nonce and tag.
const ADDED: usize = NONCE_LEN + 16;

/// The key of a gateway.
pub struct Kek(LessSafeKey);

/// Why a secret was not sealed or opened. Nothing of it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SealError {
    /// The text is no sealed secret of this version.
    #[error("it is no sealed value of this version")]
    Form,
    /// Another key, another place, or changed bytes.
    #[error("it cannot be opened: another key sealed it, or it was changed or moved")]
    Closed,
    /// The system has no random numbers.
    #[error("the system has no random numbers")]
    Random,
}

impl Kek {
    /// Takes the key in.
    pub fn new(key: &Redacted<[u8; KEY]>) -> Self {
        Self(cipher(key))
    }

    /// Seals a secret. `context` says where it is kept; it can be opened for the same only.
    pub fn seal(&self, context: &str, secret: &Redacted<String>) -> Result<String, SealError> {
        let mut own = Zeroizing::new([0; KEY]);
        getrandom::fill(own.as_mut_slice()).map_err(|_| SealError::Random)?;
        let own = Redacted::new(*own);
        let wrapped = encrypt(&self.0, context, own.expose())?;
        let sealed = encrypt(&cipher(&own), context, secret.expose().as_bytes())?;
        let text = |bytes: &[u8]| BASE64_STANDARD.encode(bytes);
        Ok(format!("{VERSION}.{}.{}", text(&wrapped), text(&sealed)))
    }

    /// Opens what was sealed for this context.
    pub fn open(&self, context: &str, sealed: &str) -> Result<Redacted<String>, SealError> {
        let (own, sealed) = self.unwrap(context, sealed)?;
        let secret = decrypt(&cipher(&own), context, &sealed)?;
        let secret = String::from_utf8(secret.expose().clone()).map_err(|_| SealError::Form)?;
        Ok(Redacted::new(secret))
    }

    /// The same secret, sealed with the `new` key of the gateway.
    pub fn rewrap(&self, new: &Self, context: &str, sealed: &str) -> Result<String, SealError> {
        let (own, sealed) = self.unwrap(context, sealed)?;
        let wrapped = encrypt(&new.0, context, own.expose())?;
        let text = |bytes: &[u8]| BASE64_STANDARD.encode(bytes);
        Ok(format!("{VERSION}.{}.{}", text(&wrapped), text(&sealed)))
    }

    /// A secret's own key, and the secret as it is encrypted.
    fn unwrap(
        &self,
        context: &str,
        sealed: &str,
    ) -> Result<(Redacted<[u8; KEY]>, Vec<u8>), SealError> {
        let mut parts = sealed.split('.');
        let (Some(VERSION), Some(wrapped), Some(sealed), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(SealError::Form);
        };
        let bytes = |text: &str| BASE64_STANDARD.decode(text).map_err(|_| SealError::Form);
        let own = decrypt(&self.0, context, &bytes(wrapped)?)?;
        let own = own.expose().as_slice().try_into().map_err(|_| SealError::Form)?;
        Ok((Redacted::new(own), bytes(sealed)?))
    }
}

impl std::fmt::Debug for Kek {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

fn cipher(key: &Redacted<[u8; KEY]>) -> LessSafeKey {
    #[expect(clippy::expect_used, reason = "the array has the length of the cipher's keys")]
    let key = UnboundKey::new(&AES_256_GCM, key.expose()).expect("a key of the cipher's length");
    LessSafeKey::new(key)
}

/// A fresh nonce, and what it encrypts with the tag. Each key of a secret is used once, and the
/// gateway's far less often than 2^32 times, so random nonces do not collide (SP 800-38D, 8.3).
fn encrypt(key: &LessSafeKey, context: &str, plain: &[u8]) -> Result<Vec<u8>, SealError> {
    let mut nonce = [0; NONCE_LEN];
    getrandom::fill(&mut nonce).map_err(|_| SealError::Random)?;
    let mut bytes = Vec::with_capacity(plain.len().saturating_add(ADDED));
    bytes.extend_from_slice(plain);
    key.seal_in_place_append_tag(
        Nonce::assume_unique_for_key(nonce),
        Aad::from(context.as_bytes()),
        &mut bytes,
    )
    .map_err(|_| SealError::Closed)?;
    bytes.splice(0..0, nonce);
    Ok(bytes)
}

fn decrypt(key: &LessSafeKey, context: &str, bytes: &[u8]) -> Result<Redacted<Vec<u8>>, SealError> {
    let (nonce, sealed) = bytes.split_first_chunk::<NONCE_LEN>().ok_or(SealError::Form)?;
    let mut sealed = sealed.to_vec();
    let length = key
        .open_in_place(
            Nonce::assume_unique_for_key(*nonce),
            Aad::from(context.as_bytes()),
            &mut sealed,
        )
        .map_err(|_| SealError::Closed)?
        .len();
    sealed.truncate(length);
    Ok(Redacted::new(sealed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> Kek {
        Kek::new(&Redacted::new([byte; KEY]))
    }

    fn secret() -> Redacted<String> {
        Redacted::new("hunter2 and more".to_owned())
    }

    #[test]
    fn what_is_sealed_opens_for_its_key_and_place_only() {
        let sealed = key(1).seal("provider/a/KEY", &secret()).unwrap();
        assert_eq!(key(1).open("provider/a/KEY", &sealed).unwrap().expose(), secret().expose());
        assert!(!sealed.contains("hunter2"));
        assert_eq!(key(1).open("provider/b/KEY", &sealed).unwrap_err(), SealError::Closed);
        assert_eq!(key(2).open("provider/a/KEY", &sealed).unwrap_err(), SealError::Closed);
        assert_ne!(sealed, key(1).seal("provider/a/KEY", &secret()).unwrap());
    }

    #[test]
    fn every_changed_letter_is_noticed() {
        let sealed = key(1).seal("c", &secret()).unwrap();
        for at in 0..sealed.len() {
            let mut bytes = sealed.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let text = String::from_utf8(bytes).unwrap();
            assert!(key(1).open("c", &text).is_err(), "{at}");
            assert!(key(1).open("c", &sealed[..at]).is_err(), "{at}");
        }
    }

    #[test]
    fn the_gateways_key_changes_and_the_secret_stays() {
        let sealed = key(1).seal("c", &secret()).unwrap();
        let again = key(1).rewrap(&key(2), "c", &sealed).unwrap();
        assert_eq!(key(2).open("c", &again).unwrap().expose(), secret().expose());
        assert!(key(1).open("c", &again).is_err());
        assert_eq!(sealed.rsplit('.').next(), again.rsplit('.').next());
    }
}
