//! What opens, and what does not.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use openshell_types::Redacted;
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

const HERE: &[u8] = b"provider/1/KEY";
const SECRET: &[u8] = b"sk-canary-0123456789";

fn key(byte: u8) -> Kek {
    Kek::new(Redacted::new([byte; 32]))
}

#[test]
fn what_is_sealed_opens_with_its_key_and_in_its_place_alone() {
    let sealed = key(1).seal(HERE, SECRET).unwrap();
    assert_eq!(key(1).open(HERE, &sealed).unwrap().expose(), SECRET);
    let refused = key(1).open(b"provider/2/KEY", &sealed).unwrap_err();
    assert_eq!(refused, SealError::Broken);
    let other = key(2).open(HERE, &sealed).unwrap_err();
    assert_eq!(other, SealError::OtherKey { by: key(1).id() });
    // Nor for somebody who renames the key.
    let text = sealed.to_text().replace(&key(1).id().to_string(), &key(2).id().to_string());
    assert_eq!(key(2).open(HERE, &Sealed::parse(&text).unwrap()).unwrap_err(), SealError::Broken);
}

#[test]
fn no_part_of_one_value_fits_another() {
    let split = |sealed: &Sealed| -> Vec<String> {
        sealed.to_text().split(':').map(str::to_owned).collect()
    };
    let one = split(&key(1).seal(HERE, SECRET).unwrap());
    let two = split(&key(1).seal(HERE, SECRET).unwrap());
    assert!(one[3] != two[3] && one[4] != two[4], "the same twice");
    let mut mixed = one.clone();
    mixed[3].clone_from(&two[3]);
    let mixed = Sealed::parse(&mixed.join(":")).unwrap();
    assert_eq!(key(1).open(HERE, &mixed).unwrap_err(), SealError::Broken);
    // The data key in the place of a secret of 32 bytes.
    let mut swapped = one.clone();
    swapped[4].clone_from(&one[3]);
    let swapped = Sealed::parse(&swapped.join(":")).unwrap();
    assert_eq!(key(1).open(HERE, &swapped).unwrap_err(), SealError::Broken);
}

#[test]
fn a_new_key_wraps_what_the_old_one_did() {
    let sealed = key(1).seal(HERE, SECRET).unwrap();
    let again = rewrap(&key(1), &key(2), HERE, &sealed).unwrap();
    assert_eq!(again.by(), key(2).id());
    assert_eq!(key(2).open(HERE, &again).unwrap().expose(), SECRET);
    assert!(key(1).open(HERE, &again).is_err());
    let last = |sealed: &Sealed| sealed.to_text().rsplit_once(':').unwrap().1.to_owned();
    assert_eq!(last(&again), last(&sealed));
    assert_eq!(rewrap(&key(1), &key(2), b"", &sealed).unwrap_err(), SealError::Broken);
    assert!(matches!(rewrap(&key(3), &key(2), HERE, &sealed), Err(SealError::OtherKey { .. })));
}

#[test]
fn every_flipped_bit_and_every_cut_is_noticed() {
    let sealed = key(1).seal(HERE, SECRET).unwrap();
    let text = sealed.to_text();
    for at in 0..text.len() {
        assert!(opens(text.get(..at).unwrap()).is_none(), "cut at {at}");
        for bit in 0..7 {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1 << bit;
            let changed = String::from_utf8(bytes).unwrap();
            assert!(opens(&changed).is_none(), "bit {bit} of byte {at}");
        }
    }
    assert!(opens(&text).is_some());
    for odd in ["", "sealed", "sealed:v1", "sealed:v1:::", &text.replace("v1", "v2"), &(text + ":")]
    {
        assert_eq!(Sealed::parse(odd).unwrap_err(), SealError::Malformed, "{odd}");
    }
}

fn opens(text: &str) -> Option<Redacted<Vec<u8>>> {
    key(1).open(HERE, &Sealed::parse(text).ok()?).ok()
}

#[test]
fn i08_no_secret_is_in_what_is_printed() {
    let sealed = key(1).seal(HERE, SECRET).unwrap();
    let kek = Kek::parse("a1".repeat(32).as_bytes()).unwrap();
    let texts = [
        format!("{sealed:?} {sealed} {kek:?} {} {:?}", kek.id(), kek.id()),
        format!("{:?}", key(2).open(HERE, &sealed)),
        format!("{:?}", Kek::parse(b"canary")),
    ];
    for text in texts {
        assert!(!text.contains("canary") && !text.contains("a1a1"), "{text}");
    }
}

proptest! {
    #[test]
    fn what_is_written_reads_the_same(context: Vec<u8>, secret: Vec<u8>) {
        let sealed = key(1).seal(&context, &secret).unwrap();
        let read = Sealed::parse(&sealed.to_text()).unwrap();
        prop_assert_eq!(&read, &sealed);
        let opened = key(1).open(&context, &read).unwrap();
        prop_assert_eq!(opened.expose(), &secret);
    }

    #[test]
    fn no_text_makes_reading_fail_badly(text in "(sealed:v1:)?[0-9a-f:]{0,80}") {
        let _ = Sealed::parse(&text);
    }
}

fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    (folder, path)
}

#[test]
fn a_key_file_is_made_once_and_read_again() {
    let (folder, path) = place();
    let made = Kek::create(&path).unwrap();
    assert_eq!(Kek::load(&path).unwrap().id(), made.id());
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    assert!(matches!(Kek::create(&path), Err(KekError::Exists)));
    assert_eq!(Kek::load(&path).unwrap().id(), made.id());
    // Not through a link to nowhere, either.
    let link = folder.path().join("link");
    symlink("elsewhere", &link).unwrap();
    assert!(matches!(Kek::create(&link), Err(KekError::Exists)));
    assert!(!folder.path().join("elsewhere").exists());
}

#[test]
fn keys_are_read_in_each_notation() {
    let hex = "00".repeat(31) + "ff";
    let wanted = Kek::parse(hex.as_bytes()).unwrap().id();
    let base64 = "A".repeat(41) + "P8=";
    let padless = base64.trim_end_matches('=');
    for same in [hex.to_uppercase(), format!(" {hex}\r\n"), base64.clone(), padless.to_owned()] {
        assert_eq!(Kek::parse(same.as_bytes()).unwrap().id(), wanted, "{same}");
    }
    assert_eq!(
        Kek::parse(("_".repeat(42) + "8").as_bytes()).unwrap().id(),
        Kek::parse(("/".repeat(42) + "8").as_bytes()).unwrap().id()
    );
    for bad in ["", "ff", &"f".repeat(63), &"f".repeat(66), &"g".repeat(64), "key", &"A".repeat(42)]
    {
        assert!(matches!(Kek::parse(bad.as_bytes()), Err(KekError::Format)), "{bad}");
    }
}

#[test]
fn files_that_others_could_read_or_swap_are_refused() {
    let (folder, path) = place();
    Kek::create(&path).unwrap();
    for mode in [0o640, 0o604, 0o660, 0o644, 0o700, 0o4600] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        assert!(
            matches!(Kek::load(&path), Err(KekError::Mode(found)) if found == mode),
            "{mode:o}"
        );
    }
    for mode in [0o600, 0o400] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        assert!(Kek::load(&path).is_ok(), "{mode:o}");
    }
    let link = folder.path().join("link");
    symlink(&path, &link).unwrap();
    assert!(matches!(Kek::load(&link), Err(KekError::NotRegular)));
    assert!(matches!(Kek::load(folder.path()), Err(KekError::NotRegular)));
    let pipe = folder.path().join("pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, 0o600.into()).unwrap();
    assert!(matches!(Kek::load(&pipe), Err(KekError::NotRegular)));
    assert!(matches!(Kek::load(&folder.path().join("none")), Err(KekError::Io(_))));
    let long = folder.path().join("long");
    fs::write(&long, "a".repeat(257)).unwrap();
    fs::set_permissions(&long, Permissions::from_mode(0o600)).unwrap();
    assert!(matches!(Kek::load(&long), Err(KekError::TooLong)));
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&path, Some(65_534), None).unwrap();
        assert!(matches!(Kek::load(&path), Err(KekError::NotOurs)));
    }
}

fn command(script: &str, patience: Duration) -> Result<Kek, KekError> {
    let argv = ["/bin/sh", "-c", script].map(str::to_owned);
    Kek::from_command_within(&argv, patience)
}

#[test]
fn a_command_prints_the_key() {
    let long = Duration::from_secs(60);
    let hex = "ab".repeat(32);
    let wanted = Kek::parse(hex.as_bytes()).unwrap().id();
    for script in [format!("echo {hex}"), format!("printf %s {hex}; exec >&-; sleep 0.01")] {
        assert_eq!(command(&script, long).unwrap().id(), wanted, "{script}");
    }
    let failed = command(&format!("echo {hex}; exit 3"), long);
    assert!(matches!(failed, Err(KekError::Failed(status)) if status.code() == Some(3)));
    assert!(matches!(command("echo no key", long), Err(KekError::Format)));
    assert!(matches!(command("yes", long), Err(KekError::TooLong)));
    assert!(matches!(Kek::from_command(&[]), Err(KekError::NoCommand)));
    let missing = Kek::from_command(&["/nonexistent/program".to_owned()]);
    assert!(matches!(missing, Err(KekError::Start(_))));
}

#[test]
fn a_command_that_does_not_end_is_ended() {
    let started = Instant::now();
    // One that says nothing, one that has closed its output, and one whose child has not.
    for script in ["sleep 600", "exec >&-; sleep 600", "sleep 600 & exit 0"] {
        let refused = command(script, Duration::from_millis(200));
        assert!(matches!(refused, Err(KekError::Timeout)), "{script}: {refused:?}");
    }
    assert!(started.elapsed() < Duration::from_secs(60));
}
