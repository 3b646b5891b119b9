//! The gateway's keys for what it keeps of others: one seals credentials at rest, the other marks
//! the placeholders that stand for them.

mod key;
pub(crate) mod place;
mod rotate;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use openshell_credential::{Kek, Minter, SealError, Sealed};
use openshell_types::Redacted;

use crate::GatewayError;
use crate::store::Store;

pub(crate) use key::KeySource;
pub use rotate::{Rotation, rotate_key};

/// Both keys.
#[derive(Clone, Debug)]
pub(crate) struct Vault(Arc<Keys>);

#[derive(Debug)]
struct Keys {
    kek: Kek,
    minter: Minter,
    mark: Redacted<[u8; 32]>,
}

/// Where the second key is kept, sealed with the first.
const MARK: &str = "placeholder_mark";

impl Vault {
    /// Reads the keys, or makes them on first use.
    pub(crate) async fn open(source: &KeySource, store: &Store) -> Result<Self, GatewayError> {
        let held = store.setting(MARK).await?;
        let by = held.as_deref().map(Sealed::parse).transpose().map_err(|e| unusable(&e))?;
        let kek = source.key(by.map(|sealed| sealed.by())).await?;
        let mark = match held {
            Some(text) => open_mark(&kek, &text),
            None => {
                let mark = Kek::generate().map(|key| key.into_bytes());
                let mark = mark.map_err(|error| unusable(&error))?;
                let sealed = kek.seal(MARK.as_bytes(), mark.expose()).map_err(|e| unusable(&e))?;
                store.set_setting(MARK, &sealed.to_text()).await?;
                Ok(mark)
            }
        };
        let mark = mark.map_err(|error| unusable(&error))?;
        let minter = Minter::new(*mark.expose());
        Ok(Self(Arc::new(Keys { kek, minter, mark })))
    }

    /// Seals a credential for where it is kept.
    pub(crate) fn seal(&self, context: &str, value: &str) -> Result<String, SealError> {
        Ok(self.0.kek.seal(context.as_bytes(), value.as_bytes())?.to_text())
    }

    /// Opens a credential of this place.
    pub(crate) fn unseal(&self, context: &str, text: &str) -> Result<Redacted<String>, SealError> {
        let bytes = self.0.kek.open(context.as_bytes(), &Sealed::parse(text)?)?;
        // What was sealed was text.
        match std::str::from_utf8(bytes.expose()) {
            Ok(text) => Ok(Redacted::new(text.to_owned())),
            Err(_) => Err(SealError::Broken),
        }
    }

    /// What makes placeholders.
    pub(crate) fn minter(&self) -> &Minter {
        &self.0.minter
    }

    /// The key of the placeholders, for supervisors.
    pub(crate) fn mark(&self) -> &Redacted<[u8; 32]> {
        &self.0.mark
    }
}

fn open_mark(kek: &Kek, text: &str) -> Result<Redacted<[u8; 32]>, SealError> {
    let bytes = kek.open(MARK.as_bytes(), &Sealed::parse(text)?)?;
    bytes.expose().as_slice().try_into().map(Redacted::new).map_err(|_| SealError::Broken)
}

fn unusable(error: &(impl std::error::Error + ?Sized)) -> GatewayError {
    GatewayError::io("the mark of the placeholders")(std::io::Error::other(error.to_string()))
}
