//! Java's own format for a list of certificates ("JKS", version 2). Every Java reads it, and unlike
//! PKCS #12 with a password it costs no key derivation.

use std::time::{SystemTime, UNIX_EPOCH};

use rustls::pki_types::CertificateDer;
use sha1::{Digest, Sha1};

/// The password that Java's own list has had since ever. It protects nothing: there is no key in
/// the list, and most readers give none.
const PASSWORD: &str = "changeit";

/// A whole file.
pub(super) fn write(certificates: impl Iterator<Item = CertificateDer<'static>>) -> Vec<u8> {
    const MAGIC: u32 = 0xfeed_feed;
    const VERSION: u32 = 2;
    const TRUSTED: u32 = 2;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
    let mut entries = Vec::new();
    let mut count: u32 = 0;
    for certificate in certificates {
        let Ok(length) = u32::try_from(certificate.len()) else { continue };
        entries.extend(TRUSTED.to_be_bytes());
        text(&mut entries, &format!("authority-{count}"));
        entries.extend(now.to_be_bytes());
        text(&mut entries, "X.509");
        entries.extend(length.to_be_bytes());
        entries.extend_from_slice(&certificate);
        count += 1;
    }
    let mut file = Vec::with_capacity(entries.len() + 32);
    file.extend(MAGIC.to_be_bytes());
    file.extend(VERSION.to_be_bytes());
    file.extend(count.to_be_bytes());
    file.append(&mut entries);
    let digest = digest(&file);
    file.extend(digest);
    file
}

/// A text as Java writes it; ours are short and ASCII.
fn text(into: &mut Vec<u8>, text: &str) {
    into.extend(u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
    into.extend_from_slice(text.as_bytes());
}

/// The check sum at the end, whose algorithm is the format's.
fn digest(content: &[u8]) -> [u8; 20] {
    let mut digest = Sha1::new();
    for unit in PASSWORD.encode_utf16() {
        digest.update(unit.to_be_bytes());
    }
    digest.update(b"Mighty Aphrodite");
    digest.update(content);
    digest.finalize().into()
}
