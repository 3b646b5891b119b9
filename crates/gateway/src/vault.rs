//! The gateway's keys for what it keeps of others: one seals credentials at rest, the other marks
//! the placeholders that stand for them.

use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;

use openshell_credential::{Kek, Minter};
use openshell_types::Redacted;
use rustix::fs::OFlags;
use rustix::process::geteuid;
use zeroize::Zeroizing;

use crate::GatewayError;

/// How long a key is, in octets; the file has twice as many hexadecimal digits and a line's end.
const KEY: usize = 32;

/// Both keys.
#[derive(Clone, Debug)]
pub(crate) struct Vault(Arc<Keys>);

#[derive(Debug)]
struct Keys {
    kek: Kek,
    minter: Minter,
    mark: Redacted<[u8; 32]>,
}

impl Vault {
    /// Reads the keys, or makes them on first use.
    pub(crate) fn open(kek: &Path, mark: &Path) -> Result<Self, GatewayError> {
        let (kek, mark) = (key(kek)?, key(mark)?);
        let minter = Minter::new(*mark.expose());
        Ok(Self(Arc::new(Keys { kek: Kek::new(&kek), minter, mark })))
    }

    /// What seals credentials.
    pub(crate) fn kek(&self) -> &Kek {
        &self.0.kek
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

fn key(path: &Path) -> Result<Redacted<[u8; KEY]>, GatewayError> {
    let failed = |error| GatewayError::io("opening the key of the credentials")(error);
    match read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make(path).map_err(failed)?;
            read(path).map_err(failed)
        }
        result => result.map_err(failed),
    }
}

/// SECURITY: I1; a key that others can read, or that is another's, is refused rather than used.
fn read(path: &Path) -> io::Result<Redacted<[u8; KEY]>> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let mut file = OpenOptions::new()
        .read(true)
        .custom_flags(i32::try_from(flags.bits()).unwrap_or_default())
        .open(path)?;
    let about = file.metadata()?;
    let wrong = |what: &str| {
        Err(io::Error::new(io::ErrorKind::InvalidData, format!("`{}` {what}", path.display())))
    };
    if !about.is_file() || about.uid() != geteuid().as_raw() {
        return wrong("is not a file of this user");
    }
    if about.mode() & 0o077 != 0 {
        return wrong("can be read by others: `chmod 600` it, and change what it has sealed");
    }
    let mut text = Zeroizing::new(String::new());
    (&mut file).take(1024).read_to_string(&mut text)?;
    let mut bytes = Zeroizing::new([0; KEY]);
    match hex::decode_to_slice(text.trim(), bytes.as_mut_slice()) {
        Ok(()) => Ok(Redacted::new(*bytes)),
        Err(_) => wrong("is not a key of 64 hexadecimal digits"),
    }
}

/// It appears whole or not at all.
fn make(path: &Path) -> io::Result<()> {
    let mut bytes = Zeroizing::new([0; KEY]);
    getrandom::fill(bytes.as_mut_slice()).map_err(io::Error::other)?;
    let fresh = path.with_extension("new");
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    let text = Zeroizing::new(hex::encode(bytes.as_slice()));
    writeln!(file, "{}", *text)?;
    file.sync_all()?;
    fs::rename(&fresh, path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn keys_are_made_once_and_stay() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("kek");
        let first = key(&path).expect("made");
        assert_eq!(first.expose(), key(&path).expect("there").expose());
        assert_eq!(fs::metadata(&path).expect("there").mode() & 0o777, 0o600);
        let other = key(&folder.path().join("mark")).expect("made");
        assert_ne!(first.expose(), other.expose());
    }

    #[test]
    fn i01_a_key_that_is_open_to_others_or_somewhere_else_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("kek");
        key(&path).expect("made");
        let link = folder.path().join("link");
        symlink(&path, &link).expect("linked");
        assert!(key(&link).is_err());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("opened");
        let error = key(&path).unwrap_err().to_string();
        let text = fs::read_to_string(&path).expect("a key");
        assert!(!error.contains(text.trim()));
        let short = folder.path().join("short");
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&short).expect("made");
        assert!(key(&short).is_err());
    }
}
