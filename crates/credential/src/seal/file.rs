//! The file of a key.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use openshell_types::Redacted;
use rustix::fs::OFlags;
use rustix::process::geteuid;

use super::kek::KekError;
use crate::limits::KEY_TEXT_BYTES;

/// The text of a key file, once the file is known to be one.
pub(super) fn read(path: &Path) -> Result<Redacted<Vec<u8>>, KekError> {
    // SECURITY: what is checked is what was opened; a pipe in its place blocks nobody.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path);
    let file = match opened {
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            return Err(KekError::NotRegular);
        }
        opened => opened?,
    };
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(KekError::NotRegular);
    }
    if metadata.uid() != geteuid().as_raw() {
        return Err(KekError::NotOurs);
    }
    let mode = metadata.mode() & 0o7777;
    if mode & !0o600 != 0 {
        return Err(KekError::Mode(mode));
    }
    read_bounded(file)
}

/// All that there is to read, when that is not too much. The buffer never grows, so that no copy of
/// a secret is left behind.
fn read_bounded(from: File) -> Result<Redacted<Vec<u8>>, KekError> {
    let most = KEY_TEXT_BYTES.saturating_add(1);
    let mut text = Vec::with_capacity(most.saturating_mul(2));
    let read = from.take(u64::try_from(most).unwrap_or(u64::MAX)).read_to_end(&mut text);
    let text = Redacted::new(text);
    read?;
    if text.expose().len() > KEY_TEXT_BYTES { Err(KekError::TooLong) } else { Ok(text) }
}

/// Writes a file that is not there yet: beside its place, and then into it, in one step.
pub(super) fn create(path: &Path, text: &[u8]) -> Result<(), KekError> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(KekError::NotRegular);
    };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let mut random = [0; 8];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| KekError::Random)?;
    let mut beside = std::ffi::OsString::from(".");
    beside.push(name);
    beside.push(format!(".{}", hex::encode(random)));
    let beside = folder.join(beside);
    let made = write(&beside, text).and_then(|()| {
        // A name that is taken, by a link too, is an error here.
        fs::hard_link(&beside, path)
    });
    let removed = fs::remove_file(&beside);
    match made {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(KekError::Exists),
        made => made?,
    }
    removed?;
    File::open(folder)?.sync_all()?;
    Ok(())
}

fn write(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    // Whatever the umask leaves of it.
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    file.write_all(text)?;
    file.write_all(b"\n")?;
    file.sync_all()
}
