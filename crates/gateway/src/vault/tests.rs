//! A key that is rotated, and what ends a rotation in between.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use openshell_credential::Kek;
use tempfile::TempDir;

use super::key::{fresh, replace};
use super::rotate::rotate;
use super::*;

const VALUE: &str = "canary-value";

struct Place {
    folder: TempDir,
    store: Store,
}

impl Place {
    /// A store with one value in each table that has sealed ones.
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("gateway.db")).await.unwrap();
        store.ensure_default_workspace().await.unwrap();
        let place = Self { folder, store };
        let vault = place.open().await.unwrap();
        place
            .store
            .insert_sealed_for_test(
                &vault.seal(&place::credential("id", "KEY"), VALUE).unwrap(),
                &vault.seal(&place::material("id", "KEY"), VALUE).unwrap(),
            )
            .await;
        place
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("credentials.key")
    }

    fn source(&self) -> KeySource {
        KeySource::File(self.file())
    }

    async fn open(&self) -> Result<Vault, GatewayError> {
        Vault::open(&self.source(), &self.store).await
    }

    /// Whether all that is stored opens with the key that is found.
    async fn opens(&self, source: &KeySource) -> Vec<u8> {
        let vault = Vault::open(source, &self.store).await.unwrap();
        let (credential, material) = self.store.sealed_for_test().await;
        for (place, text) in
            [(place::credential("id", "KEY"), credential), (place::material("id", "KEY"), material)]
        {
            assert_eq!(vault.unseal(&place, &text).unwrap().expose(), VALUE);
        }
        vault.mark().expose().to_vec()
    }

    fn files(&self) -> Vec<String> {
        let all = fs::read_dir(self.folder.path()).unwrap();
        let mut all: Vec<_> =
            all.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        all.retain(|name| name.contains("key"));
        all
    }
}

#[tokio::test]
async fn all_that_is_stored_is_sealed_with_a_new_key() {
    let place = Place::new().await;
    let (before, mark) = (fs::read(place.file()).unwrap(), place.opens(&place.source()).await);
    let rotation = rotate(&place.source(), None, &place.store).await.unwrap();
    assert_eq!(rotation.sealed, 3);
    assert_ne!(fs::read(place.file()).unwrap(), before);
    assert_eq!(Kek::load(&place.file()).unwrap().id().to_string(), rotation.key);
    // Placeholders that are out stay what they are.
    assert_eq!(place.opens(&place.source()).await, mark);
    assert_eq!(place.files(), ["credentials.key"]);
}

#[tokio::test]
async fn a_rotation_that_ended_before_its_transaction_is_as_if_it_was_not() {
    let place = Place::new().await;
    let before = fs::read(place.file()).unwrap();
    Kek::create(&fresh(&place.file())).unwrap();
    place.opens(&place.source()).await;
    assert_eq!(fs::read(place.file()).unwrap(), before);
    assert_eq!(place.files(), ["credentials.key"]);
}

#[tokio::test]
async fn a_rotation_that_ended_after_its_transaction_is_ended_at_the_next_start() {
    for is_destroyed in [false, true] {
        let place = Place::new().await;
        let old = fs::read(place.file()).unwrap();
        rotate(&place.source(), None, &place.store).await.unwrap();
        // As it was between: the new key beside the old one, which may be overwritten already.
        fs::rename(place.file(), fresh(&place.file())).unwrap();
        let left = if is_destroyed { vec![b'0'; old.len()] } else { old };
        fs::write(place.file(), left).unwrap();
        fs::set_permissions(place.file(), fs::Permissions::from_mode(0o600)).unwrap();
        place.opens(&place.source()).await;
        assert_eq!(place.files(), ["credentials.key"], "{is_destroyed}");
        rotate(&place.source(), None, &place.store).await.unwrap();
        place.opens(&place.source()).await;
    }
}

#[tokio::test]
async fn a_key_moves_to_a_command_and_back() {
    let place = Place::new().await;
    let kept = place.folder.path().join("kept");
    Kek::create(&kept).unwrap();
    let command = KeySource::Command(vec!["/bin/cat".into(), kept.display().to_string()]);
    let refused = Vault::open(&command, &place.store).await.unwrap_err().to_string();
    assert!(refused.contains("rotate-key --from FILE"), "{refused}");
    let refused = rotate(&command, None, &place.store).await.unwrap_err().to_string();
    assert!(refused.contains("--from FILE"), "{refused}");
    let file = place.file();
    assert_eq!(rotate(&command, Some(&file), &place.store).await.unwrap().sealed, 3);
    place.opens(&command).await;
    assert!(place.open().await.is_err(), "the old key opens nothing");
    // A second time there is nothing left to do.
    assert_eq!(rotate(&command, Some(&file), &place.store).await.unwrap().sealed, 0);
    fs::remove_file(&file).unwrap();
    assert_eq!(rotate(&place.source(), Some(&kept), &place.store).await.unwrap().sealed, 3);
    place.opens(&place.source()).await;
}

#[tokio::test]
async fn a_key_that_is_gone_is_not_replaced_and_one_that_is_wrong_changes_nothing() {
    let place = Place::new().await;
    let (other, third) = (place.folder.path().join("other"), place.folder.path().join("third"));
    Kek::create(&other).unwrap();
    Kek::create(&third).unwrap();
    let command = KeySource::Command(vec!["/bin/cat".into(), third.display().to_string()]);
    assert!(rotate(&command, Some(&other), &place.store).await.is_err());
    place.opens(&place.source()).await;
    fs::rename(place.file(), place.folder.path().join("moved")).unwrap();
    assert!(place.open().await.is_err());
    assert!(!place.file().exists(), "a new key would open nothing");
}

#[tokio::test]
async fn what_is_sealed_in_a_place_that_is_not_known_stops_a_rotation() {
    let place = Place::new().await;
    let sealed = place.open().await.unwrap().seal("elsewhere", VALUE).unwrap();
    place.store.set_setting("elsewhere", &sealed).await.unwrap();
    let refused = rotate(&place.source(), None, &place.store).await.unwrap_err().to_string();
    assert!(refused.contains("`settings.value` is sealed"), "{refused}");
    place.opens(&place.source()).await;
    assert!(replace(&place.file()).is_err(), "there is no new key any more");
}
