//! The key encryption key.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::alphabet::{Alphabet, STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::prelude::BASE64_STANDARD;
use openshell_types::Redacted;
use thiserror::Error;

use super::{command, file};
use crate::limits::{KEY_COMMAND_SECONDS, KEY_TEXT_BYTES};

/// The key that wraps the data keys of a store: 32 bytes.
#[derive(Clone, Debug)]
pub struct Kek(Redacted<[u8; 32]>);

impl Kek {
    /// Takes a key.
    pub const fn new(key: Redacted<[u8; 32]>) -> Self {
        Self(key)
    }

    /// Makes a fresh key.
    pub fn generate() -> Result<Self, KekError> {
        let mut key = [0; 32];
        aws_lc_rs::rand::fill(&mut key).map_err(|_| KekError::Random)?;
        Ok(Self(Redacted::new(key)))
    }

    /// Reads the key of a file: a regular one of ours that nobody else may read, with 32 bytes as
    /// hexadecimal digits or Base64. A link is not followed.
    pub fn load(path: &Path) -> Result<Self, KekError> {
        Self::parse(file::read(path)?.expose())
    }

    /// Makes a fresh key and its file, which is there whole or not at all. A file that is there is
    /// never replaced: what was sealed with its key would be lost.
    pub fn create(path: &Path) -> Result<Self, KekError> {
        let key = Self::generate()?;
        let text = Redacted::new(BASE64_STANDARD.encode(key.0.expose()));
        file::create(path, text.expose().as_bytes())?;
        Ok(key)
    }

    /// Runs the operator's command and reads the key from what it prints. Blocks until then, for at
    /// most [`KEY_COMMAND_SECONDS`].
    pub fn from_command(argv: &[String]) -> Result<Self, KekError> {
        Self::from_command_within(argv, Duration::from_secs(KEY_COMMAND_SECONDS))
    }

    pub(super) fn from_command_within(
        argv: &[String],
        patience: Duration,
    ) -> Result<Self, KekError> {
        Self::parse(command::output(argv, patience)?.expose())
    }

    /// Reads 64 hexadecimal digits, or Base64 of either alphabet; space around them is no part.
    pub(super) fn parse(text: &[u8]) -> Result<Self, KekError> {
        let text = text.trim_ascii();
        let indifferent =
            GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
        let base64 = |alphabet: &Alphabet| {
            let engine = GeneralPurpose::new(alphabet, indifferent);
            engine.decode(text).map(Redacted::new).ok()
        };
        let decoded = match hex::decode(text) {
            Ok(bytes) => Redacted::new(bytes),
            Err(_) => base64(&STANDARD).or_else(|| base64(&URL_SAFE)).ok_or(KekError::Format)?,
        };
        let key = decoded.expose().as_slice().try_into().map_err(|_| KekError::Format)?;
        Ok(Self(Redacted::new(key)))
    }

    /// Names the key, and says nothing about it.
    pub fn id(&self) -> KekId {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.0.expose());
        let tag = hmac::sign(&key, b"openshell key encryption key v1: id");
        KekId(tag.as_ref().first_chunk().copied().unwrap_or_default())
    }

    /// The key itself.
    pub fn into_bytes(self) -> Redacted<[u8; 32]> {
        self.0
    }

    pub(super) const fn bytes(&self) -> &[u8; 32] {
        self.0.expose()
    }
}

/// The name of a [`Kek`]: 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KekId([u8; 8]);

impl KekId {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 8];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        let id = Self(bytes);
        // One spelling, so that texts that differ are never the same.
        (id.to_string() == text).then_some(id)
    }
}

impl fmt::Display for KekId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Why there is no key. The operator's to fix; no part of a key is in it.
#[derive(Debug, Error)]
pub enum KekError {
    /// The file cannot be opened, read or written.
    #[error("the key file: {0}")]
    Io(#[from] std::io::Error),
    /// A folder, a link, a device.
    #[error("the key file is not a regular file")]
    NotRegular,
    /// Of another user.
    #[error("the key file belongs to another user")]
    NotOurs,
    /// Others may read or write it.
    #[error("the key file has mode {0:04o}; it must be 0600, so that nobody else can read it")]
    Mode(u32),
    /// It is there already.
    #[error("the key file is there already, and is not replaced")]
    Exists,
    /// Not 32 bytes in one of the notations.
    #[error("the key is not 32 bytes as hexadecimal digits or Base64")]
    Format,
    /// More text than a key needs.
    #[error("the key has more than {KEY_TEXT_BYTES} bytes of text")]
    TooLong,
    /// No program is named.
    #[error("the command for the key is empty")]
    NoCommand,
    /// The command cannot be started, or watched.
    #[error("the command for the key cannot be run: {0}")]
    Start(#[source] std::io::Error),
    /// The command failed.
    #[error("the command for the key failed: {0}")]
    Failed(std::process::ExitStatus),
    /// The command took too long.
    #[error("the command for the key has not ended in time")]
    Timeout,
    /// The system has no random bytes.
    #[error("there are no random bytes for a key")]
    Random,
}
