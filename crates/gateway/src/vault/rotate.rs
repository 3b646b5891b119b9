//! Another key for what is stored.
//!
//! It happens while no gateway runs: nothing is sealed meanwhile with the key that goes. Values stay
//! sealed as they are; only what seals them is sealed anew, so that somebody who has had both the old
//! key and the database still has the values of then.

use std::path::Path;

use openshell_credential::{Kek, Sealed, rewrap};

use super::key::{KeySource, at, fresh, of_command, replace};
use super::{MARK, Vault};
use crate::listen::{prepare_run_folder, take_lock};
use crate::store::Store;
use crate::{GatewayConfig, GatewayError};

/// What a rotation did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// How many values were sealed anew.
    pub sealed: usize,
    /// The name of the key that is in use now.
    pub key: String,
}

/// Seals all that is stored with another key: a new one of the gateway's own, or, when `from` has the
/// old one, with the one that the configuration names. Refused while a gateway runs.
pub async fn rotate_key(
    config: GatewayConfig,
    from: Option<&Path>,
) -> Result<Rotation, GatewayError> {
    let paths = &config.paths;
    prepare_run_folder(paths)?;
    let lock = take_lock(paths)?;
    let store = Store::open(&paths.database()).await?;
    store.ensure_default_workspace().await?;
    let rotated = rotate(&KeySource::of(&config), from, &store).await;
    store.close().await;
    drop(lock);
    rotated
}

pub(super) async fn rotate(
    source: &KeySource,
    from: Option<&Path>,
    store: &Store,
) -> Result<Rotation, GatewayError> {
    let load = |path: &Path| Kek::load(path).map_err(|error| at(path, error));
    match (source, from) {
        (KeySource::File(path), None) => {
            // It also ends what an earlier rotation left undone.
            let vault = Vault::open(source, store).await?;
            let file = fresh(path);
            let new = Kek::create(&file).map_err(|error| at(&file, error))?;
            let rotation = reseal(store, &vault.0.kek, &new).await?;
            replace(path)?;
            Ok(rotation)
        }
        (KeySource::File(path), Some(from)) => {
            let new =
                if path.exists() { load(path) } else { Kek::create(path).map_err(|e| at(path, e)) };
            reseal(store, &load(from)?, &new?).await
        }
        (KeySource::Command(command), Some(from)) => {
            reseal(store, &load(from)?, &of_command(command).await?).await
        }
        (KeySource::Command(_), None) => {
            let why = "the old key has to be named, because `credentials.key_command` prints the \
                       new one: write the old one to a file and name it with `--from FILE`";
            Err(GatewayError::io("the key of the credentials")(std::io::Error::other(why)))
        }
    }
}

async fn reseal(store: &Store, old: &Kek, new: &Kek) -> Result<Rotation, GatewayError> {
    if old.id() == new.id() {
        let why = format!("the old and the new one are the same, {}", new.id());
        return Err(GatewayError::io("the key of the credentials")(std::io::Error::other(why)));
    }
    let again = |context: &str, text: &str| {
        let sealed = Sealed::parse(text)?;
        if sealed.by() == new.id() {
            return Ok(None);
        }
        rewrap(old, new, context.as_bytes(), &sealed).map(|sealed| Some(sealed.to_text()))
    };
    let sealed = store.reseal(MARK, &format!("sealed:v1:{}:", old.id()), again).await?;
    tracing::info!(sealed, key = %new.id(), "Sealed with another key");
    Ok(Rotation { sealed, key: new.id().to_string() })
}
