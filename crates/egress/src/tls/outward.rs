//! The verified side: TLS with upstreams.

use std::fmt;
use std::sync::Arc;

use openshell_types::Host;
use rustls::RootCertStore;
use rustls::client::{ClientConfig, Resumption, WebPkiServerVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::alpn::{Alpn, Protocol};
use super::fault::OutwardError;
use super::suites;
use crate::limits;
use crate::upstream_proxy::Outbound;

/// A connection to an upstream whose certificate was verified for the permitted name.
pub type Verified = TlsStream<Outbound>;

/// Speaks TLS with upstreams. Trusted are the authorities that this machine trusts and those of
/// the operator; there is no way to trust without verifying.
pub struct Outward {
    extra: Vec<CertificateDer<'static>>,
    /// One for each offer. They share their sessions.
    configs: OnceCell<Vec<(Alpn, Arc<ClientConfig>)>>,
    #[cfg(test)]
    without_system: bool,
}

/// Why the operator's file of further authorities was refused.
#[derive(Debug, Error)]
pub enum TrustError {
    /// It is longer than any list of authorities.
    #[error("the file of authorities has more than {} MiB", limits::CA_FILE / (1024 * 1024))]
    TooLong,
    /// Something in it is no certificate in PEM.
    #[error("the file of authorities is not PEM: {0}")]
    Pem(String),
    /// A certificate in it cannot be read.
    #[error("certificate {number} in the file of authorities cannot be trusted: {cause}")]
    Certificate {
        /// Which one, from 1.
        number: usize,
        /// What is wrong with it.
        cause: String,
    },
    /// There is none in it.
    #[error("the file of authorities has no certificate")]
    Empty,
}

impl Outward {
    /// `extra_ca` is the content of the operator's `ca_file`, in PEM. This machine's own list is
    /// read with the first connection: a sandbox that ends no TLS does not pay for it.
    pub fn new(extra_ca: Option<&[u8]>) -> Result<Self, TrustError> {
        Ok(Self {
            extra: extra_ca.map(read_extra).transpose()?.unwrap_or_default(),
            configs: OnceCell::new(),
            #[cfg(test)]
            without_system: false,
        })
    }

    /// Trusts `extra_ca` alone.
    #[cfg(test)]
    pub(super) fn without_system(extra_ca: Option<&[u8]>) -> Self {
        Self { without_system: true, ..Self::new(extra_ca).unwrap() }
    }

    /// Whether this machine's list was read.
    #[cfg(test)]
    pub(super) fn is_loaded(&self) -> bool {
        self.configs.initialized()
    }

    /// Ends the handshake with `host` over `stream`, asking for it by name, and offers what its
    /// client offered.
    pub async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        host: &Host,
        offer: Alpn,
    ) -> Result<TlsStream<S>, OutwardError> {
        let name = match host {
            Host::Name(name) => ServerName::try_from(name.as_str().to_owned())
                .map_err(|_| OutwardError::no_name(host))?,
            Host::Address(address) => ServerName::IpAddress(address.to_canonical().into()),
        };
        let config = self.config(offer).await?;
        let handshake = TlsConnector::from(config).connect(name, stream);
        match timeout(limits::HANDSHAKE_TIMEOUT, handshake).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(OutwardError::from_io(&error, host)),
            Err(_) => Err(OutwardError::timed_out(host)),
        }
    }

    async fn config(&self, offer: Alpn) -> Result<Arc<ClientConfig>, OutwardError> {
        let configs = self
            .configs
            .get_or_try_init(|| async {
                let extra = self.extra.clone();
                #[cfg(test)]
                let without_system = self.without_system;
                #[cfg(not(test))]
                let without_system = false;
                // Some hundred files, and as many certificates to read.
                spawn_blocking(move || configs(&extra, !without_system))
                    .await
                    .map_err(|error| OutwardError::Trust(error.to_string()))?
            })
            .await?;
        configs
            .iter()
            .find_map(|(alpn, config)| (*alpn == offer).then(|| Arc::clone(config)))
            .ok_or_else(|| OutwardError::Trust("no configuration for this offer".to_owned()))
    }
}

impl fmt::Debug for Outward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outward").field("extra", &self.extra.len()).finish_non_exhaustive()
    }
}

/// What the upstream chose to speak.
pub fn negotiated<S>(stream: &TlsStream<S>) -> Option<Protocol> {
    stream.get_ref().1.alpn_protocol().and_then(Protocol::from_wire)
}

fn read_extra(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    if pem.len() > limits::CA_FILE {
        return Err(TrustError::TooLong);
    }
    let extra = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| TrustError::Pem(error.to_string()))?;
    if extra.is_empty() {
        return Err(TrustError::Empty);
    }
    // What an operator names must be usable; of a machine's own list, some entries may not be.
    let mut roots = RootCertStore::empty();
    for (at, certificate) in extra.iter().enumerate() {
        roots.add(certificate.clone()).map_err(|error| TrustError::Certificate {
            number: at + 1,
            cause: error.to_string(),
        })?;
    }
    Ok(extra)
}

fn configs(
    extra: &[CertificateDer<'static>],
    with_system: bool,
) -> Result<Vec<(Alpn, Arc<ClientConfig>)>, OutwardError> {
    let mut roots = RootCertStore::empty();
    if with_system {
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            tracing::warn!(%error, "A part of this machine's trust store could not be read");
        }
        roots.add_parsable_certificates(found.certs);
    }
    roots.add_parsable_certificates(extra.iter().cloned());
    if roots.is_empty() {
        let detail = "this machine's trust store has no certificate authority, so no upstream can \
                      be verified: install ca-certificates, or set `ca_file` under [upstream]";
        return Err(OutwardError::Trust(detail.to_owned()));
    }
    let unusable = |error: &dyn fmt::Display| OutwardError::Trust(error.to_string());
    let provider = suites::provider();
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .map_err(|error| unusable(&error))?;
    let mut base = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| unusable(&error))?
        .with_webpki_verifier(verifier)
        .with_no_client_auth();
    base.resumption = Resumption::in_memory_sessions(limits::SESSIONS);
    base.enable_early_data = false;
    let with = |alpn: Alpn| {
        let mut config = base.clone();
        config.alpn_protocols = alpn.to_wire();
        (alpn, Arc::new(config))
    };
    Ok(Alpn::ALL.map(with).to_vec())
}
