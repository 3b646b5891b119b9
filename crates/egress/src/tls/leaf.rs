//! What a client sees in the place of an upstream: a certificate for exactly the permitted name.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use lru::LruCache;
use openshell_types::Host;
use rcgen::{IsCa, KeyUsagePurpose, SanType};
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::alpn::Alpn;
use super::authority::{Authority, AuthorityError, Key, params};
use super::suites;
use crate::limits;

/// The configurations with which clients are accepted, one for each name and offer; a bounded
/// number of them is kept.
pub struct Leaves {
    authority: Arc<Authority>,
    provider: Arc<CryptoProvider>,
    /// One key for all of them: they are the same server.
    key: Key,
    kept: Mutex<LruCache<(Host, Alpn), Kept>>,
}

struct Kept {
    config: Arc<ServerConfig>,
    until: SystemTime,
}

impl Leaves {
    /// None yet.
    pub fn new(authority: Arc<Authority>) -> Result<Self, AuthorityError> {
        let most = NonZeroUsize::new(limits::LEAVES).unwrap_or(NonZeroUsize::MIN);
        Ok(Self {
            authority,
            provider: suites::provider(),
            key: Key::new()?,
            kept: Mutex::new(LruCache::new(most)),
        })
    }

    /// The configuration of a server for `host` that speaks `alpn`. The same one each time, so that
    /// sessions are resumed; it resumes no session of another name (D5).
    pub fn config(&self, host: &Host, alpn: Alpn) -> Result<Arc<ServerConfig>, AuthorityError> {
        self.config_at(host, alpn, SystemTime::now())
    }

    pub(super) fn config_at(
        &self,
        host: &Host,
        alpn: Alpn,
        now: SystemTime,
    ) -> Result<Arc<ServerConfig>, AuthorityError> {
        let key = (host.clone(), alpn);
        if let Some(config) = self.find(&key, now) {
            return Ok(config);
        }
        // Signed without the lock: other names need not wait.
        let config = Arc::new(self.issue(host, alpn, now)?);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(other) = kept.get(&key).filter(|kept| now < kept.until) {
            // Somebody else was quicker; one of them has the tickets.
            return Ok(Arc::clone(&other.config));
        }
        let until = now + limits::LEAF_VALIDITY / 2;
        kept.put(key, Kept { config: Arc::clone(&config), until });
        Ok(config)
    }

    fn find(&self, key: &(Host, Alpn), now: SystemTime) -> Option<Arc<ServerConfig>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(key).filter(|kept| now < kept.until).map(|kept| Arc::clone(&kept.config))
    }

    fn issue(
        &self,
        host: &Host,
        alpn: Alpn,
        now: SystemTime,
    ) -> Result<ServerConfig, AuthorityError> {
        let subject = host.to_string();
        let subject = if subject.len() <= LONGEST_SUBJECT { &subject } else { "OpenShell sandbox" };
        let until = (now + limits::LEAF_VALIDITY).min(self.authority.until());
        let mut params = params(subject, now, until)?;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        params.subject_alt_names = vec![match host {
            Host::Name(name) => SanType::DnsName(name.as_str().try_into()?),
            Host::Address(address) => SanType::IpAddress(address.to_canonical()),
        }];
        let certificate = self.authority.sign(&params, &self.key)?;
        let private = PrivatePkcs8KeyDer::from(self.key.expose().to_vec());
        let signing = self.provider.key_provider.load_private_key(PrivateKeyDer::Pkcs8(private))?;
        let certified = Arc::new(CertifiedKey::new(vec![certificate.der().clone()], signing));

        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Exactly { host: host.clone(), certified }));
        config.alpn_protocols = alpn.to_wire();
        // SECURITY: D5; sessions are in tickets, whose keys are this configuration's own, and
        // nothing of a client's is taken before its handshake ends.
        config.ticketer = aws_lc_rs::Ticketer::new()?;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.max_early_data_size = 0;
        // Clients that resume get another with the session; a second one is a second record to seal.
        config.send_tls13_tickets = 1;
        config.ignore_client_order = true;
        Ok(config)
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.kept.lock().unwrap().len()
    }
}

impl fmt::Debug for Leaves {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leaves").finish_non_exhaustive()
    }
}

/// Shows its certificate to nobody who asks for another server.
struct Exactly {
    host: Host,
    certified: Arc<CertifiedKey>,
}

impl ResolvesServerCert for Exactly {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // SECURITY: D1; held against the name once more, by the reader that ends the handshake.
        let is_asked_for = match (hello.server_name(), &self.host) {
            (None, _) => true,
            (Some(asked), Host::Name(name)) => {
                asked.strip_suffix('.').unwrap_or(asked).eq_ignore_ascii_case(name.as_str())
            }
            (Some(asked), Host::Address(address)) => {
                asked.parse().is_ok_and(|asked: IpAddr| asked == *address)
            }
        };
        is_asked_for.then(|| Arc::clone(&self.certified))
    }
}

impl fmt::Debug for Exactly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exactly").field("host", &self.host).finish_non_exhaustive()
    }
}

/// The longest common name of a subject (RFC 5280, appendix A.1); clients read the other field.
const LONGEST_SUBJECT: usize = 64;
