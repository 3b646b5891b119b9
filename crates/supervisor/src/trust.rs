//! Whom the jail's programs trust: what this machine trusts, and the sandbox's own authority.
//!
//! Three files lie in the folder `trust` of the sandbox's folder, which the jail sees read-only. They
//! are made empty before the jail's init starts, for it binds them, and filled when this process may
//! have secrets, for then only is there an authority: no process of the jail is ever a copy of one
//! that had its key. Nothing runs in the jail before they are filled.

mod jks;
#[cfg(test)]
mod tests;

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use openshell_isolation::{Access, Bind, Origin, TRUST};
use rustix::fs::OFlags;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::limits::AUTHORITIES_BYTES;

/// The folder's name in the sandbox's folder.
const FOLDER: &str = "trust";

/// The sandbox's authority alone.
const CERTIFICATE: &str = "openshell-ca.pem";

/// What this machine trusts, and the authority.
const BUNDLE: &str = "ca-bundle.pem";

/// The same for Java.
const JAVA: &str = "java-cacerts.jks";

/// Where systems keep the list of the authorities that they trust, the usual ones first: Debian and
/// Arch, Fedora, openSUSE, Alpine.
const SYSTEM_BUNDLES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/tls/cert.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/etc/ssl/certs/ca-bundle.crt",
];

/// Where they keep it for Java.
const SYSTEM_JAVA: &[&str] = &[
    "/etc/ssl/certs/java/cacerts",
    "/etc/pki/ca-trust/extracted/java/cacerts",
    "/etc/pki/java/cacerts",
];

/// The files, open for writing, and what they will be made of.
#[derive(Debug)]
pub(crate) struct Trust {
    certificate: File,
    bundle: File,
    java: File,
    /// This machine's list, opened while that is possible by name.
    system: Option<File>,
    /// The operator's, read.
    operator: Option<Vec<u8>>,
}

impl Trust {
    /// Makes the files, empty, in the sandbox's `folder`; `ca_file` is the operator's own list.
    pub(crate) fn make(folder: &Path, ca_file: Option<&Path>) -> io::Result<Self> {
        let folder = folder.join(FOLDER);
        match DirBuilder::new().mode(0o700).create(&folder) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        // The agent's user is another one when root starts a sandbox.
        fs::set_permissions(&folder, Permissions::from_mode(0o755))?;
        let system = SYSTEM_BUNDLES.iter().find_map(|path| File::open(path).ok());
        let named = |path: &Path, error: io::Error| {
            io::Error::new(error.kind(), format!("`{}`: {error}", path.display()))
        };
        let operator = ca_file
            .map(|path| File::open(path).and_then(read_list).map_err(|error| named(path, error)))
            .transpose()?;
        Ok(Self {
            certificate: empty(&folder.join(CERTIFICATE))?,
            bundle: empty(&folder.join(BUNDLE))?,
            java: empty(&folder.join(JAVA))?,
            system,
            operator,
        })
    }

    /// What the jail sees of them: the folder, and each list of this machine's covered by ours.
    pub(crate) fn binds(folder: &Path) -> Vec<Bind> {
        let bind = |name: &str, target: &Path| Bind {
            source: folder.join(FOLDER).join(name),
            target: target.to_owned(),
            access: Access::ReadOnly,
            origin: Origin::Trust,
        };
        let own = Bind { source: folder.join(FOLDER), ..bind("", Path::new(TRUST)) };
        let bundles = real_files(SYSTEM_BUNDLES).map(|path| bind(BUNDLE, path));
        let java = real_files(SYSTEM_JAVA).map(|path| bind(JAVA, path));
        std::iter::once(own).chain(bundles).chain(java).collect()
    }

    /// What the operator trusts besides, in PEM.
    pub(crate) fn of_operator(&self) -> Option<&[u8]> {
        self.operator.as_deref()
    }

    /// Writes them, with the certificate `authority` in PEM.
    pub(crate) fn fill(mut self, authority: &str) -> io::Result<()> {
        let mut list = self.system.take().map(read_list).transpose()?.unwrap_or_default();
        list.extend_from_slice(&self.operator.take().unwrap_or_default());
        list.extend_from_slice(authority.as_bytes());
        self.certificate.write_all(authority.as_bytes())?;
        self.bundle.write_all(&list)?;
        // What is no certificate is for Java's list what it is for other programs': passed over.
        let certificates = CertificateDer::pem_slice_iter(&list).filter_map(Result::ok);
        self.java.write_all(&jks::write(certificates))
    }
}

/// The variables by which programs find the files, which stand in `folder`.
pub(crate) fn variables(folder: &str) -> Vec<(&'static str, String)> {
    let certificate = format!("{folder}/{CERTIFICATE}");
    let bundle = format!("{folder}/{BUNDLE}");
    // These take a list in place of their own.
    let bundles = [
        "SSL_CERT_FILE",
        "CURL_CA_BUNDLE",
        "REQUESTS_CA_BUNDLE",
        "PIP_CERT",
        "GIT_SSL_CAINFO",
        "CARGO_HTTP_CAINFO",
        "AWS_CA_BUNDLE",
        "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
        "NIX_SSL_CERT_FILE",
    ];
    // And these a certificate besides their own.
    let certificates = ["NODE_EXTRA_CA_CERTS", "DENO_CERT"];
    let java = format!("-Djavax.net.ssl.trustStore={folder}/{JAVA}");
    bundles
        .into_iter()
        .map(|name| (name, bundle.clone()))
        .chain(certificates.into_iter().map(|name| (name, certificate.clone())))
        .chain([("JAVA_TOOL_OPTIONS", java), ("DENO_TLS_CA_STORE", "system,mozilla".to_owned())])
        .collect()
}

/// A list that another can follow.
fn read_list(file: File) -> io::Result<Vec<u8>> {
    let mut list = Vec::new();
    file.take(AUTHORITIES_BYTES + 1).read_to_end(&mut list)?;
    if u64::try_from(list.len()).unwrap_or(u64::MAX) > AUTHORITIES_BYTES {
        return Err(io::Error::other("a list of authorities is too long"));
    }
    if list.last().is_some_and(|last| *last != b'\n') {
        list.push(b'\n');
    }
    Ok(list)
}

fn empty(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(path)?;
    file.set_permissions(Permissions::from_mode(0o644))?;
    Ok(file)
}

/// Those of `paths` that are files here, each file under one name.
fn real_files(paths: &'static [&str]) -> impl Iterator<Item = &'static Path> {
    let mut seen: Vec<PathBuf> = Vec::new();
    paths.iter().map(Path::new).filter(move |path| match path.canonicalize() {
        Ok(real) if real.is_file() && !seen.contains(&real) => {
            seen.push(real);
            true
        }
        _ => false,
    })
}
