//! Real handshakes over loopback. The servers' certificates are made here; only the clock of a
//! certificate is a stand-in.

mod inward;
mod kept;
mod outward;

use std::sync::Arc;

use openshell_types::{Host, Port};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::net::{TcpListener, TcpStream};

use super::{Authority, Leaves};

fn host(text: &str) -> Host {
    Host::parse(text).unwrap()
}

fn port(number: u16) -> Port {
    Port::new(number).unwrap()
}

fn name(text: &str) -> ServerName<'static> {
    ServerName::try_from(text.to_owned()).unwrap()
}

fn leaves() -> (Arc<Authority>, Leaves) {
    let authority = Arc::new(Authority::new().unwrap());
    (Arc::clone(&authority), Leaves::new(authority).unwrap())
}

/// Both ends of a connection.
async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (client, server) = tokio::join!(TcpStream::connect(address), listener.accept());
    (client.unwrap(), server.unwrap().0)
}

/// A client that trusts `pem` alone and offers `alpn`.
fn client(
    pem: &str,
    alpn: &[&[u8]],
    versions: &[&'static SupportedProtocolVersion],
) -> ClientConfig {
    let mut config = client_of(aws_lc_rs::default_provider(), pem, versions);
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    config
}

/// One with this cryptography that trusts `pem` alone.
fn client_of(
    provider: CryptoProvider,
    pem: &str,
    versions: &[&'static SupportedProtocolVersion],
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
    ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}
