//! The certificate authority of one start of a sandbox. Its key is in the memory of the trusted
//! process alone: it is never written, and the jail's own processes are not its copies.

use std::fmt;
use std::time::SystemTime;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SerialNumber,
    SignatureAlgorithm, SigningKey,
};
use rustls::crypto::aws_lc_rs;
use thiserror::Error;
use zeroize::Zeroize;

use crate::limits;

/// Signs the certificates that the clients of one sandbox see, and that nobody else trusts.
pub struct Authority {
    issuer: Issuer<'static, Key>,
    pem: String,
    until: SystemTime,
}

/// Why a certificate could not be made.
#[derive(Debug, Error)]
pub enum AuthorityError {
    /// Making a key or a signature failed.
    #[error("a certificate could not be made: {0}")]
    Sign(#[from] rcgen::Error),
    /// A key or a configuration was not taken.
    #[error("a certificate could not be put to use: {0}")]
    Tls(#[from] rustls::Error),
    /// The system gave no random bytes.
    #[error("there are no random bytes for a certificate")]
    Random,
}

impl Authority {
    /// A new authority (ECDSA P-256) that signs servers' certificates only, and no further
    /// authority.
    pub fn new() -> Result<Self, AuthorityError> {
        Self::at(SystemTime::now())
    }

    pub(super) fn at(now: SystemTime) -> Result<Self, AuthorityError> {
        let until = now + limits::AUTHORITY_VALIDITY;
        let mut params = params(COMMON_NAME, now, until)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = Key::new()?;
        let pem = params.self_signed(&key)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), pem, until })
    }

    /// The certificate that clients are to trust.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// When no certificate of it is valid any more.
    pub(super) const fn until(&self) -> SystemTime {
        self.until
    }

    /// Signs `params` for `key`.
    pub(super) fn sign(
        &self,
        params: &CertificateParams,
        key: &Key,
    ) -> Result<Certificate, AuthorityError> {
        Ok(params.signed_by(key, &self.issuer)?)
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

/// The fields that all of our certificates have: a subject, a random serial number, the time from a
/// day before `now` to `until`, and that they are for servers.
pub(super) fn params(
    subject: &str,
    now: SystemTime,
    until: SystemTime,
) -> Result<CertificateParams, AuthorityError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, subject);
    params.not_before = now.checked_sub(limits::CLOCK_SKEW).unwrap_or(now).into();
    params.not_after = until.into();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let mut serial = [0; 16];
    aws_lc_rs::default_provider()
        .secure_random
        .fill(&mut serial)
        .map_err(|_| AuthorityError::Random)?;
    // Positive, and neither zero nor shorter by chance (RFC 5280, section 4.1.2.2).
    if let Some(first) = serial.first_mut() {
        *first = *first & 0x3f | 0x40;
    }
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    Ok(params)
}

/// A key whose encoded form is wiped when it is dropped; the library wipes its own form.
pub(super) struct Key(KeyPair);

impl Key {
    pub(super) fn new() -> Result<Self, AuthorityError> {
        Ok(Self(KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?))
    }

    /// The key in PKCS #8, for the one place that hands it to the TLS library.
    pub(super) fn expose(&self) -> &[u8] {
        self.0.serialized_der()
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        self.0.der_bytes()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        PublicKeyData::algorithm(&self.0)
    }
}

impl SigningKey for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        self.0.sign(message)
    }
}

/// The authority's name; people look for it in their programs' lists.
const COMMON_NAME: &str = "OpenShell Sandbox CA";
