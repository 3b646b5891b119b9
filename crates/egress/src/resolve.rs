//! Resolving a permitted name, once, at dial.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolveHosts,
    ResolverConfig as HickoryConfig,
};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use openshell_types::HostName;

use crate::limits;
use crate::refusal::Refusal;
use crate::settings::ResolverConfig;

/// The resolver of one sandbox. Its cache is its own: what one sandbox asked says nothing to
/// another.
pub(crate) struct Resolve {
    config: ResolverConfig,
    current: Mutex<Option<(Stamp, Arc<TokioResolver>)>>,
}

/// When the system's files last changed.
type Stamp = [Option<(SystemTime, u64)>; 2];

impl Resolve {
    pub(crate) const fn new(config: ResolverConfig) -> Self {
        Self { config, current: Mutex::new(None) }
    }

    /// All addresses of a name, of both families.
    pub(crate) async fn addresses(&self, name: &HostName) -> Result<Vec<IpAddr>, Refusal> {
        let resolver = self.resolver().map_err(|error| {
            let detail = format!("the resolver could not be set up: {error}");
            Refusal::unreachable("resolver", detail)
        })?;
        // The trailing dot keeps search domains out.
        let look_up = resolver.lookup_ip(format!("{name}."));
        match tokio::time::timeout(limits::RESOLVE_TIMEOUT, look_up).await {
            Ok(Ok(found)) => Ok(found.iter().collect()),
            Ok(Err(error)) if error.is_no_records_found() => {
                Err(Refusal::unreachable("unresolved", format!("there is no host `{name}`")))
            }
            Ok(Err(error)) => {
                let detail = format!("`{name}` could not be resolved: {error}");
                Err(Refusal::unreachable("unresolved", detail))
            }
            Err(_) => {
                let detail = format!("`{name}` was not resolved in time");
                Err(Refusal::unreachable("unresolved", detail))
            }
        }
    }

    /// The resolver for the files as they are now.
    fn resolver(&self) -> Result<Arc<TokioResolver>, NetError> {
        let stamp = match self.config {
            ResolverConfig::System => ["/etc/resolv.conf", "/etc/hosts"].map(stamp),
            ResolverConfig::Servers(_) => [None; 2],
        };
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((made, resolver)) = current.as_ref()
            && *made == stamp
        {
            return Ok(Arc::clone(resolver));
        }
        let resolver = Arc::new(self.build()?);
        *current = Some((stamp, Arc::clone(&resolver)));
        Ok(resolver)
    }

    fn build(&self) -> Result<TokioResolver, NetError> {
        let mut builder = match &self.config {
            ResolverConfig::System => TokioResolver::builder_tokio()?,
            ResolverConfig::Servers(servers) => {
                let servers = servers.iter().copied().map(name_server).collect();
                TokioResolver::builder_with_config(
                    HickoryConfig::from_name_servers(servers),
                    TokioRuntimeProvider::default(),
                )
            }
        };
        let options = builder.options_mut();
        // SECURITY: B2; both families are asked for, so that both are checked.
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        options.use_hosts_file = match self.config {
            ResolverConfig::System => ResolveHosts::Always,
            ResolverConfig::Servers(_) => ResolveHosts::Never,
        };
        builder.build()
    }
}

fn stamp(path: &str) -> Option<(SystemTime, u64)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

fn name_server(address: SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()]
        .map(|mut connection| {
            connection.port = address.port();
            connection
        })
        .to_vec();
    NameServerConfig::new(address.ip(), true, connections)
}
