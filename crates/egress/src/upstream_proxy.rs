//! The operator's proxy, through which upstreams are reached, and what is dialled directly beside
//! it.
//!
//! No policy is asked about the proxy's own address, and no word of a client chooses it. What goes
//! through was permitted and checked as ever, and the proxy is told the checked address; unless the
//! operator has it take names, which it resolves itself. When it cannot be reached, or refuses,
//! there is no connection: nothing is dialled directly in its place. Deliberately absent: any word
//! of the proxy to a client. `handshake` asks it for a tunnel, `outbound` is what comes of that.

mod handshake;
mod outbound;

use std::net::{IpAddr, SocketAddr};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openshell_policy::HOST_ALIAS;
use openshell_types::{
    Authority, ConnectBy, Host, PlainHttp, Port, ProxyException, ProxyScheme, ProxyUrl, Redacted,
};
use tokio::time::{Instant, timeout_at};

use crate::accept::Context;
use crate::authorize::Permit;
use crate::exchange::{self, Dialled};
use crate::limits;
use crate::refusal::Refusal;
use crate::tls::{Alpn, OutwardError};
use crate::vet::{Upstream, vet};
use handshake::Rejection;
pub use outbound::Outbound;

/// The operator's proxy.
#[derive(Clone, Debug)]
pub struct UpstreamProxy {
    /// Where it is.
    pub url: ProxyUrl,
    /// What is dialled directly.
    pub exceptions: Vec<ProxyException>,
    /// What it is told to connect to.
    pub connect_by: ConnectBy,
    /// How it is asked for plain HTTP/1.
    pub plain: PlainHttp,
    /// What lets us in. Said when a tunnel is asked for, and never in a forwarded request.
    pub credentials: Option<Credentials>,
}

/// What lets us into a proxy: the value of `Proxy-Authorization`.
#[derive(Clone, Debug)]
pub struct Credentials(Redacted<String>);

impl Credentials {
    /// Of `user:password` (RFC 7617).
    pub fn basic(auth: &Redacted<String>) -> Self {
        // Room from the start, so that no copy is left behind when it grows.
        let mut value = String::with_capacity(16 + auth.expose().len().saturating_mul(2));
        value.push_str("Basic ");
        STANDARD.encode_string(auth.expose(), &mut value);
        Self(Redacted::new(value))
    }
}

/// What a connection is for, as far as the way through a proxy depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// Anything: it has to lead to the server itself.
    Tunnel,
    /// Requests of HTTP/1 without TLS, which a proxy can be asked for one by one.
    PlainRequests,
}

/// Where a connection leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reached {
    /// To an address that was checked.
    Address(SocketAddr),
    /// To wherever the proxy found a permitted name.
    ByName,
}

impl Reached {
    /// The address, if it is known.
    pub(crate) const fn ip(self) -> Option<IpAddr> {
        match self {
            Self::Address(address) => Some(address.ip()),
            Self::ByName => None,
        }
    }
}

/// Resolves, checks and dials what a permit is for, through the operator's proxy if there is one.
pub(crate) async fn reach(
    context: &Context,
    permit: Permit,
    wanted: Use,
) -> Result<(Dialled, Permit), Refusal> {
    let proxy = context.settings.proxy.as_ref().filter(|proxy| !proxy.excepts(&permit));
    if let Some(proxy) = proxy
        && proxy.names(&permit)
    {
        let deadline = Instant::now() + limits::PROXY_HANDSHAKE;
        let call = Call { context, permit: &permit, wanted, deadline };
        let opened = proxy.open(&call, permit.to()).await;
        let dialled = opened.map_err(|rejected| rejected.refusal)?;
        return Ok((dialled.to(Reached::ByName), permit));
    }
    let upstream = vet(permit, &context.resolve, &*context.seams.host).await?;
    let proxy = proxy.filter(|proxy| !upstream.addresses().iter().all(|at| proxy.has(*at)));
    let dialled = match proxy {
        Some(proxy) => proxy.dial(context, &upstream, wanted).await?,
        None => exchange::dial(&upstream).await?,
    };
    Ok((dialled, upstream.into_permit()))
}

/// Refuses datagrams to what the operator's proxy has to see: it takes none.
pub(crate) fn check_datagrams(context: &Context, upstream: &Upstream) -> Result<(), Refusal> {
    let is_direct = |proxy: &UpstreamProxy| {
        proxy.excepts(upstream.permit()) || upstream.addresses().iter().all(|at| proxy.has(*at))
    };
    if context.settings.proxy.as_ref().is_none_or(is_direct) {
        return Ok(());
    }
    let detail = "the operator's proxy takes no datagrams; `no_proxy` of gateway.toml names what may be \
                  reached around it";
    Err(Refusal::unreachable("upstream_proxy_refused", detail.to_owned()))
}

/// What the proxy is asked for, and until when.
#[derive(Clone, Copy)]
struct Call<'a> {
    context: &'a Context,
    permit: &'a Permit,
    wanted: Use,
    deadline: Instant,
}

/// A connection through the proxy that is not one yet as far as anybody else knows.
struct Opened {
    stream: Outbound,
    is_forward: bool,
}

impl Opened {
    fn to(self, reached: Reached) -> Dialled {
        let Self { stream, is_forward } = self;
        Dialled { stream, reached, is_forward }
    }
}

/// The proxy did not do it.
struct Rejected {
    refusal: Refusal,
    /// Whether it may do it for another address of the same name.
    may_try_next: bool,
}

impl UpstreamProxy {
    /// Whether the destination goes around the proxy, as it was permitted. The host's own services
    /// always do: the proxy has another loopback.
    fn excepts(&self, permit: &Permit) -> bool {
        let Authority { host, port } = permit.to();
        let is_excepted = |exception: &ProxyException| match host {
            Host::Name(name) => exception.has_name(name, *port),
            Host::Address(address) => exception.has_address(*address, *port),
        };
        let is_alias = matches!(host, Host::Name(name) if name.as_str() == HOST_ALIAS);
        is_alias || permit.is_host_loopback() || self.exceptions.iter().any(is_excepted)
    }

    /// Whether a checked address goes around the proxy. A name does if all of its addresses do.
    fn has(&self, at: SocketAddr) -> bool {
        let Some(port) = Port::new(at.port()) else { return false };
        self.exceptions.iter().any(|exception| exception.has_address(at.ip(), port))
    }

    /// Whether the proxy is told the name.
    /// SECURITY: B1; not where the policy lists addresses, which nobody but us would hold it to.
    fn names(&self, permit: &Permit) -> bool {
        self.connect_by == ConnectBy::Hostname
            && matches!(permit.to().host, Host::Name(_))
            && !permit.lists_addresses()
    }

    /// Whether the proxy is asked for requests, which name their server.
    fn forwards(&self, call: &Call<'_>) -> bool {
        self.plain == PlainHttp::Forward && call.wanted == Use::PlainRequests
    }

    /// Has the proxy connect to one of the checked addresses.
    async fn dial(
        &self,
        context: &Context,
        upstream: &Upstream,
        wanted: Use,
    ) -> Result<Dialled, Refusal> {
        let permit = upstream.permit();
        let end = Instant::now() + limits::PROXY_HANDSHAKE;
        let mut waiting = upstream.addresses().iter();
        let mut last = Refusal::unreachable("unresolved", "the name has no address".to_owned());
        while let Some(address) = waiting.next() {
            // One that does not answer leaves time for the next.
            let first_end = Instant::now() + limits::DIAL_TIMEOUT;
            let deadline = if waiting.len() > 0 { end.min(first_end) } else { end };
            let call = Call { context, permit, wanted, deadline };
            let to = Authority { host: Host::Address(address.ip()), port: permit.to().port };
            match self.open(&call, &to).await {
                Ok(opened) => return Ok(opened.to(Reached::Address(*address))),
                Err(Rejected { refusal, may_try_next: true }) if Instant::now() < end => {
                    last = refusal;
                }
                Err(Rejected { refusal, .. }) => return Err(refusal),
            }
        }
        Err(last)
    }

    /// A connection to the proxy that is a tunnel to `to`, or takes requests.
    async fn open(&self, call: &Call<'_>, to: &Authority) -> Result<Opened, Rejected> {
        let is_forward = self.forwards(call);
        let rejected = |rejection: Rejection| {
            let may_try_next = rejection.is_about_the_address();
            Rejected { refusal: rejection.to_refusal(call.permit.to()), may_try_next }
        };
        let opening = async {
            let connected = self.connect(call.context).await;
            let mut stream =
                connected.map_err(|refusal| Rejected { refusal, may_try_next: false })?;
            if !is_forward {
                let credentials = self.credentials.as_ref();
                handshake::ask(&mut stream, to, credentials).await.map_err(rejected)?;
            }
            Ok(Opened { stream, is_forward })
        };
        let opened = timeout_at(call.deadline, opening).await;
        opened.unwrap_or_else(|_| Err(rejected(Rejection::Late)))
    }

    /// A connection to the proxy itself. Why there is none is told in full to the operator only: a
    /// refusal, which the agent reads, does not name the proxy.
    async fn connect(&self, context: &Context) -> Result<Outbound, Refusal> {
        let away = |detail: String| Refusal::unreachable("upstream_proxy_unreachable", detail);
        let Authority { host, port } = &self.url.authority;
        let found = match host {
            Host::Name(name) => context.resolve.addresses(name).await.map_err(|refusal| {
                tracing::warn!(detail = refusal.detail(), "The operator's proxy was not found");
                away("the operator's proxy was not found".to_owned())
            })?,
            Host::Address(address) => vec![*address],
        };
        let addresses: Vec<SocketAddr> = found
            .into_iter()
            .take(limits::DIAL_ADDRESSES)
            .map(|ip| SocketAddr::new(ip, port.number()))
            .collect();
        let (stream, _) = exchange::race(&addresses).await.map_err(|last| {
            let why = last.map_or_else(|| "it has no address".to_owned(), |(_, e)| e.to_string());
            away(format!("the operator's proxy could not be reached: {why}"))
        })?;
        match self.url.scheme {
            ProxyScheme::Http => Ok(stream.into()),
            ProxyScheme::Https => {
                let outward = &context.seams.tls.outward;
                // SECURITY: D4; the password is said only to whom the certificate is for.
                let secured = outward.connect(stream, host, Alpn::Http1).await;
                let secured = secured.map_err(|error| {
                    tracing::warn!(%error, "There is no TLS with the operator's proxy");
                    away(match error {
                        OutwardError::Certificate { .. } | OutwardError::Trust(_) => {
                            "the certificate of the operator's proxy is not one to trust".to_owned()
                        }
                        OutwardError::Handshake { .. } | OutwardError::Gone(_) => {
                            "there is no TLS with the operator's proxy".to_owned()
                        }
                    })
                })?;
                Ok(Outbound::ToProxy(Box::new(secured)))
            }
        }
    }
}

/// The target of a request that a proxy is asked for (RFC 9112, section 3.2.2). The proxy makes
/// `Host` of it, so the port that goes without saying is left out.
pub(crate) fn absolute(to: &Authority, target: &str) -> String {
    let host = if to.port.number() == 80 { to.host.to_string() } else { to.to_string() };
    // RFC 9112, section 3.2.4: the star is written by leaving the path out.
    let path = if target == "*" { "" } else { target };
    format!("http://{host}{path}")
}

/// The refusal of a proxy that answers to a forwarded request itself.
pub(crate) fn refused(status: u16, to: &Authority) -> Refusal {
    Rejection::Status(status).to_refusal(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i08_credentials_are_encoded_and_never_printed() {
        let credentials = Credentials::basic(&Redacted::new("Aladdin:open sesame".to_owned()));
        // The example of RFC 7617.
        assert_eq!(credentials.0.expose(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert_eq!(format!("{credentials:?}"), "Credentials([redacted])");
    }

    #[test]
    fn a_forwarded_target_names_its_server() {
        let to = |text| Authority::parse(text).unwrap();
        assert_eq!(absolute(&to("a.com:80"), "/x?y"), "http://a.com/x?y");
        assert_eq!(absolute(&to("a.com:8080"), "/"), "http://a.com:8080/");
        assert_eq!(absolute(&to("[2001:db8::1]:81"), "/"), "http://[2001:db8::1]:81/");
        assert_eq!(absolute(&to("a.com:80"), "*"), "http://a.com");
    }
}
