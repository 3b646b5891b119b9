//! A token endpoint: each request comes to the test, which answers it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use percent_encoding::percent_decode_str;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio_rustls::TlsAcceptor;

use super::within;

pub struct TokenServer {
    pub url: String,
    requests: mpsc::UnboundedReceiver<Asked>,
}

/// One request.
pub struct Asked {
    pub head: String,
    pub form: BTreeMap<String, String>,
    answer: oneshot::Sender<String>,
}

impl TokenServer {
    pub async fn start() -> Self {
        Self::serve(None).await
    }

    /// One with TLS, whose authority's certificate is put into a file.
    pub async fn start_secure(ca: &Path) -> Self {
        Self::serve(Some(acceptor(ca))).await
    }

    async fn serve(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let (sender, requests) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (sender, tls) = (sender.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => exchange(stream, &sender).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                exchange(stream, &sender).await;
                            }
                        }
                    }
                });
            }
        });
        Self { url: format!("{scheme}://127.0.0.1:{port}/token"), requests }
    }

    /// The next request.
    pub async fn next(&mut self) -> Asked {
        within(self.requests.recv()).await.expect("a request")
    }

    /// Whether nobody has asked.
    pub fn is_quiet(&mut self) -> bool {
        self.requests.try_recv().is_err()
    }
}

impl Asked {
    pub fn answer(self, status: u16, body: &str) {
        let length = body.len();
        let text = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n\r\n{body}");
        let _ = self.answer.send(text);
    }

    /// Answers with a token, and with a refresh token if one is given.
    pub fn give(self, access: &str, refresh: Option<&str>) {
        let refresh = refresh.map(|it| format!(r#","refresh_token":"{it}""#)).unwrap_or_default();
        self.answer(
            200,
            &format!(
                r#"{{"access_token":"{access}","token_type":"Bearer","expires_in":1800{refresh}}}"#
            ),
        );
    }
}

async fn exchange(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    sender: &mpsc::UnboundedSender<Asked>,
) {
    let mut read = Vec::new();
    let (head, body) = loop {
        let mut buffer = [0; 4096];
        let length = stream.read(&mut buffer).await.unwrap_or(0);
        if length == 0 {
            return;
        }
        read.extend_from_slice(&buffer[..length]);
        let text = String::from_utf8_lossy(&read).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let wanted = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if wanted.is_some_and(|wanted| wanted.parse() == Ok(body.len())) {
            break (head.to_owned(), body.to_owned());
        }
    };
    let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let fields = body.split('&').filter_map(|field| field.split_once('='));
    let form = fields.map(|(name, value)| (decode(name), decode(value))).collect();
    let (answer, answered) = oneshot::channel();
    let _ = sender.send(Asked { head, form, answer });
    if let Ok(text) = answered.await {
        let _ = stream.write_all(text.as_bytes()).await;
        let _ = stream.shutdown().await;
    }
}

fn acceptor(ca: &Path) -> TlsAcceptor {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    std::fs::write(ca, issuer.pem()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &issuer).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from(leaf.der().to_vec())],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}
