//! What the operator and the jail's builder decide about the egress.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use openshell_types::Port;

use crate::seams::{HostAddresses, Identify, Report};
use crate::tls::Tls;
use crate::upstream_proxy::UpstreamProxy;

/// The settings of one sandbox's egress.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where names are resolved at dial.
    pub resolver: ResolverConfig,
    /// The proxy through which upstreams are reached; without one they are dialled directly.
    pub proxy: Option<UpstreamProxy>,
    /// The addresses of the jail's `lo` under which the proxy answers.
    pub own_addresses: [IpAddr; 2],
    /// The port on those addresses that speaks HTTP proxy.
    pub proxy_port: Port,
    /// How many connections are served at once; one more is reset.
    pub max_connections: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            resolver: ResolverConfig::System,
            proxy: None,
            own_addresses: [IpAddr::V4(OWN_V4), IpAddr::V6(OWN_V6)],
            proxy_port: PROXY_PORT,
            max_connections: crate::limits::CONNECTIONS,
        }
    }
}

impl Settings {
    /// Whether a connection that dialled `dialled` asked for the proxy.
    pub(crate) fn is_proxy(&self, dialled: SocketAddr) -> bool {
        dialled.port() == self.proxy_port.number() && self.own_addresses.contains(&dialled.ip())
    }
}

/// Where names are resolved at dial. No question of a client is ever passed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResolverConfig {
    /// The host's `/etc/hosts` and `/etc/resolv.conf`, read again when they change.
    System,
    /// These name servers, over UDP and TCP; `/etc/hosts` is not read.
    Servers(Vec<SocketAddr>),
}

/// What the supervisor passes in.
#[derive(Clone)]
pub struct Seams {
    /// Tells callers.
    pub identify: Arc<dyn Identify>,
    /// Takes events.
    pub report: Arc<dyn Report>,
    /// Knows this host's addresses.
    pub host: Arc<dyn HostAddresses>,
    /// Ends TLS where requests are judged.
    pub tls: Arc<Tls>,
}

/// The address of `lo` in the jail: proxy, name server and source of captured connections.
pub const OWN_V4: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);

/// The same in IPv6, of our unique local prefix.
pub const OWN_V6: Ipv6Addr = Ipv6Addr::new(0xfd23, 0x6f70, 0x656e, 0, 0, 0, 0, 1);

/// The port on them that speaks HTTP proxy.
pub const PROXY_PORT: Port = match Port::new(3128) {
    Some(port) => port,
    None => unreachable!(),
};
