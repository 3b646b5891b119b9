//! The Internet's certificate authority, and servers that speak TLS.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::serve::Connection;

/// What is wrong with a server's certificate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Flaw {
    /// Nothing: the world's authority signed it.
    None,
    /// Its time is over.
    Expired,
    /// Nobody but itself signed it.
    SelfSigned,
}

/// An authority that only the machine of its own test trusts.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    configs: Mutex<HashMap<String, Arc<ServerConfig>>>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().expect("a key can be made");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.distinguished_name.push(rcgen::DnType::CommonName, "Test world CA");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("it signs itself");
        Self { issuer, configs: Mutex::default() }
    }

    pub(crate) fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// The configuration of a server for `name`; the same one each time.
    pub(crate) fn server(&self, name: &str) -> Arc<ServerConfig> {
        let mut configs = self.configs.lock().expect("nothing panics with it");
        configs.entry(name.to_owned()).or_insert_with(|| Arc::new(self.issue(name))).clone()
    }

    /// A certificate for `name` and its key, both as PEM.
    pub(crate) fn identity(&self, name: &str, flaw: Flaw) -> (String, String) {
        let key = KeyPair::generate().expect("a key can be made");
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a DNS name");
        if flaw == Flaw::Expired {
            params.not_after = date_time_ymd(2001, 1, 1);
        }
        let leaf = match flaw {
            Flaw::SelfSigned => params.self_signed(&key),
            Flaw::None | Flaw::Expired => params.signed_by(&key, &self.issuer),
        };
        (leaf.expect("it can be signed").pem(), key.serialize_pem())
    }

    fn issue(&self, name: &str) -> ServerConfig {
        let key = KeyPair::generate().expect("a key can be made");
        let params = CertificateParams::new(vec![name.to_owned()]).expect("a DNS name");
        let leaf = params.signed_by(&key, &self.issuer).expect("the authority signs it");
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("it was just made");
        let chain = vec![CertificateDer::from(leaf.der().to_vec())];
        let mut config =
            ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()
                .expect("the provider has them")
                .with_no_client_auth()
                .with_single_cert(chain, key)
                .expect("the key fits its certificate");
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

/// The server's side of a TLS connection; the handshake happens with the first byte.
pub(crate) fn accept(
    config: &Arc<ServerConfig>,
    stream: Connection,
) -> io::Result<StreamOwned<ServerConnection, Connection>> {
    let connection = ServerConnection::new(config.clone()).map_err(io::Error::other)?;
    Ok(StreamOwned::new(connection, stream))
}
