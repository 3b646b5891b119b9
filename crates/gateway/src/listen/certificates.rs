//! The gateway's own certificate authority, for clients that speak TLS over loopback.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use jiff::{Timestamp, ToSpan as _, civil::Date, tz::Offset};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use tonic::transport::{Certificate, Identity, ServerTlsConfig};

use super::private_folder;
use crate::store::Store;
use crate::{GatewayError, Paths};

/// What the server shows and whom it believes.
pub(crate) struct Certificates {
    ca: String,
    certificate: String,
    key: String,
}

/// How long the certificates are good for, and how long before their end they are replaced.
const YEARS: i64 = 2;
const RENEW_DAYS: i64 = 30;

/// When the certificates that are there end, as a date.
const SETTING: &str = "tls_not_after";

impl Certificates {
    /// The certificates that are there, or new ones for server and client.
    pub(crate) async fn load_or_make(paths: &Paths, store: &Store) -> Result<Self, GatewayError> {
        let today = Offset::UTC.to_datetime(Timestamp::now()).date();
        let until = store.setting(SETTING).await?.and_then(|text| text.parse::<Date>().ok());
        let renew_after = today.saturating_add(RENEW_DAYS.days());
        if until.is_some_and(|until| until > renew_after)
            && let Ok(certificates) = Self::load(paths)
        {
            return Ok(certificates);
        }
        let until = today.saturating_add(YEARS.years());
        let certificates = make(paths, today, until)?;
        store.set_setting(SETTING, &until.to_string()).await?;
        Ok(certificates)
    }

    fn load(paths: &Paths) -> io::Result<Self> {
        let (server, client) = (paths.tls(), paths.registration().join("mtls"));
        for file in ["tls.crt", "tls.key"] {
            fs::metadata(client.join(file))?;
        }
        Ok(Self {
            ca: fs::read_to_string(client.join("ca.crt"))?,
            certificate: fs::read_to_string(server.join("server.crt"))?,
            key: fs::read_to_string(server.join("server.key"))?,
        })
    }
}

/// TLS as the published clients expect it: HTTP/2, and a client certificate or no connection.
pub(crate) fn server_tls(certificates: Certificates) -> ServerTlsConfig {
    ServerTlsConfig::new()
        .identity(Identity::from_pem(certificates.certificate, certificates.key))
        .client_ca_root(Certificate::from_pem(certificates.ca))
}

/// Makes an authority, signs a server and a client with it, and forgets its key.
fn make(paths: &Paths, from: Date, until: Date) -> Result<Certificates, GatewayError> {
    let ca_key = KeyPair::generate()?;
    let mut ca = params("OpenShell local gateway CA", &[], (from, until))?;
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let ca_pem = ca.self_signed(&ca_key)?.pem();
    let issuer = Issuer::new(ca, ca_key);
    let signed = |name, sans: &[&str], usage| -> Result<(String, String), GatewayError> {
        let mut leaf = params(name, sans, (from, until))?;
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        leaf.extended_key_usages = vec![usage];
        let key = KeyPair::generate()?;
        Ok((leaf.signed_by(&key, &issuer)?.pem(), key.serialize_pem()))
    };
    let usage = ExtendedKeyUsagePurpose::ServerAuth;
    let (certificate, key) = signed("OpenShell local gateway", &["localhost", "127.0.0.1"], usage)?;
    let usage = ExtendedKeyUsagePurpose::ClientAuth;
    let (client_certificate, client_key) = signed("OpenShell local user", &[], usage)?;

    let (server, client) = (paths.tls(), paths.registration().join("mtls"));
    private_folder(&server)?;
    private_folder(&client)?;
    write_private(&server.join("server.key"), &key)?;
    write_private(&server.join("server.crt"), &certificate)?;
    write_private(&client.join("tls.key"), &client_key)?;
    write_private(&client.join("tls.crt"), &client_certificate)?;
    write_private(&client.join("ca.crt"), &ca_pem)?;
    Ok(Certificates { ca: ca_pem, certificate, key })
}

fn params(
    name: &str,
    sans: &[&str],
    times: (Date, Date),
) -> Result<CertificateParams, rcgen::Error> {
    let sans: Vec<String> = sans.iter().map(|san| (*san).to_owned()).collect();
    let mut params = CertificateParams::new(sans)?;
    params.distinguished_name.push(DnType::CommonName, name);
    let day = |date: Date| {
        let small = |number: i8| u8::try_from(number).unwrap_or(1);
        date_time_ymd(date.year().into(), small(date.month()), small(date.day()))
    };
    // A day early, for clocks that differ.
    let from = times.0.saturating_sub(1.day());
    params.not_before = day(from);
    params.not_after = day(times.1);
    Ok(params)
}

/// Writes a file for this user alone, whole or not at all.
pub(super) fn write_private(path: &Path, content: &str) -> Result<(), GatewayError> {
    let fresh = path.with_extension("new");
    let write = || {
        let _ = fs::remove_file(&fresh);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
        file.write_all(content.as_bytes())?;
        fs::rename(&fresh, path)
    };
    write().map_err(GatewayError::io(format!("writing `{}`", path.display())))
}
