//! Requests that the gateway itself sends: to token endpoints, and to servers that are asked whether
//! they are there. One request a connection, over HTTP/1.1; answers are bounded in size and time.
//! Redirects are answers like others: nothing that was meant for one server goes to another.

#[cfg(test)]
mod tests;
mod url;

use std::error::Error as _;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONNECTION, HOST};
use http::{HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use openshell_types::Redacted;
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use crate::limits::OUTBOUND_HEAD;
pub(crate) use url::OutboundUrl;

/// Sends requests.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outbound {
    ca_file: Option<PathBuf>,
}

/// One request. `Debug` shows neither its fields nor its body.
pub(crate) struct Outgoing {
    pub(crate) method: Method,
    pub(crate) url: OutboundUrl,
    /// Besides `host`, `connection` and `accept-encoding`.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Redacted<Vec<u8>>,
    /// How long all of it may take.
    pub(crate) patience: Duration,
    /// Bytes of the answer's body; a longer one is an error.
    pub(crate) most: usize,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) status: StatusCode,
    pub(crate) body: Redacted<Vec<u8>>,
}

/// Why there is no answer. Nothing of what was sent or received is in it.
#[derive(Debug, Error)]
pub(crate) enum OutboundError {
    /// This machine's own affair.
    #[error("no server can be verified: {0}")]
    Trust(String),
    #[error("`{to}` cannot be reached: {cause}")]
    Connect { to: String, cause: io::Error },
    #[error("`{to}` cannot be trusted: {cause}")]
    Tls { to: String, cause: io::Error },
    #[error("`{to}` does not speak HTTP: {cause}")]
    Http { to: String, cause: String },
    #[error("the answer of `{to}` is longer than {most} bytes")]
    TooLong { to: String, most: usize },
    #[error("`{to}` did not answer within {patience:?}")]
    Timeout { to: String, patience: Duration },
}

impl Outbound {
    /// `ca_file` is the operator's own list of authorities, which this machine's list is added to.
    pub(crate) fn new(ca_file: Option<PathBuf>) -> Self {
        Self { ca_file }
    }

    /// Sends a request, and waits for all of its answer.
    pub(crate) async fn send(&self, request: Outgoing) -> Result<Incoming, OutboundError> {
        let (to, patience) = (request.url.authority().to_string(), request.patience);
        match timeout(patience, self.exchange(request, &to)).await {
            Ok(answer) => answer,
            Err(_) => Err(OutboundError::Timeout { to, patience }),
        }
    }

    async fn exchange(&self, request: Outgoing, to: &str) -> Result<Incoming, OutboundError> {
        let failed = |cause| OutboundError::Connect { to: to.to_owned(), cause };
        let stream = TcpStream::connect(request.url.dialled()).await.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        let Some(name) = request.url.server_name() else {
            return speak(stream, request, to).await;
        };
        let config = self.trust().await?;
        let stream = TlsConnector::from(config)
            .connect(name, stream)
            .await
            .map_err(|cause| OutboundError::Tls { to: to.to_owned(), cause })?;
        speak(stream, request, to).await
    }

    /// Read anew each time: requests are rare, and lists change.
    async fn trust(&self) -> Result<Arc<ClientConfig>, OutboundError> {
        let ca_file = self.ca_file.clone();
        match spawn_blocking(move || trust(ca_file)).await {
            Ok(config) => config.map_err(OutboundError::Trust),
            Err(error) => Err(OutboundError::Trust(error.to_string())),
        }
    }
}

async fn speak(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Outgoing,
    to: &str,
) -> Result<Incoming, OutboundError> {
    let failed = |error: hyper::Error| {
        let cause = error.source().map_or_else(|| error.to_string(), ToString::to_string);
        OutboundError::Http { to: to.to_owned(), cause }
    };
    let Outgoing { method, url, headers, body, most, .. } = request;
    // It is wiped when it is sent.
    let body = Bytes::from_owner(Zeroizing::new(body.expose().clone()));
    let mut sent = Request::new(Full::new(body));
    *sent.method_mut() = method;
    *sent.uri_mut() = url.target().clone();
    let fields = sent.headers_mut();
    fields.insert(HOST, url.host_field().clone());
    fields.insert(CONNECTION, HeaderValue::from_static("close"));
    fields.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    fields.extend(headers);

    let mut builder = http1::Builder::new();
    builder.max_buf_size(OUTBOUND_HEAD);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(failed)?;
    // It ends with this function.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let answer = sender.send_request(sent).await.map_err(failed)?;
    let status = answer.status();
    let mut frames = answer.into_body();
    // A buffer that never grows, so that no copy of a secret is left behind.
    let mut all = Zeroizing::new(Vec::with_capacity(most));
    while let Some(frame) = frames.frame().await {
        let Ok(data) = frame.map_err(failed)?.into_data() else { continue };
        if data.len() > most.saturating_sub(all.len()) {
            return Err(OutboundError::TooLong { to: to.to_owned(), most });
        }
        all.extend_from_slice(&data);
    }
    Ok(Incoming { status, body: Redacted::new(std::mem::take(&mut *all)) })
}

fn trust(ca_file: Option<PathBuf>) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "A part of this machine's trust store could not be read");
    }
    roots.add_parsable_certificates(found.certs);
    if let Some(path) = ca_file {
        let wrong =
            |error: &dyn fmt::Display| format!("`upstream.ca_file`, `{}`: {error}", path.display());
        for certificate in CertificateDer::pem_file_iter(&path).map_err(|error| wrong(&error))? {
            let certificate = certificate.map_err(|error| wrong(&error))?;
            roots.add(certificate).map_err(|error| wrong(&error))?;
        }
    }
    if roots.is_empty() {
        return Err("this machine's trust store has no certificate authority: install \
                    ca-certificates, or set `ca_file` under [upstream]"
            .to_owned());
    }
    let unusable = |error: &dyn fmt::Display| error.to_string();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .map_err(|error| unusable(&error))?;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| unusable(&error))?
        .with_webpki_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing").field("url", &self.url).finish_non_exhaustive()
    }
}
