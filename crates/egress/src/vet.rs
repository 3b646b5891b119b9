//! Every address that a permitted destination stands for is checked before one is dialled: the
//! only place where an [`Upstream`] comes from.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use openshell_types::Host;

use crate::authorize::Permit;
use crate::limits;
use crate::refusal::Refusal;
use crate::resolve::Resolve;
use crate::seams::HostAddresses;
use crate::upstream_proxy::Reached;

/// Checked addresses of a permitted destination; only they are dialled.
pub(crate) struct Upstream {
    permit: Permit,
    addresses: Vec<SocketAddr>,
}

impl Upstream {
    /// The addresses, in the order in which they are tried.
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// What allows it.
    pub(crate) const fn permit(&self) -> &Permit {
        &self.permit
    }

    /// Gives the permit back for the relay.
    pub(crate) fn into_permit(self) -> Permit {
        self.permit
    }
}

/// Resolves the destination once and checks **all** answers.
pub(crate) async fn vet(
    permit: Permit,
    resolve: &Resolve,
    host: &dyn HostAddresses,
) -> Result<Upstream, Refusal> {
    let port = permit.to().port.number();
    if permit.is_host_loopback() {
        let addresses = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, port))];
        return Ok(Upstream { permit, addresses });
    }
    let found = match &permit.to().host {
        Host::Name(name) => resolve.addresses(name).await?,
        Host::Address(address) => vec![address.to_canonical()],
    };
    let own = own_addresses(host)?;
    // SECURITY: B1, B2; one bad answer refuses the whole set, or a rebinding name would pick.
    for address in &found {
        permit.admits(*address)?;
        if !permit.is_backend() && is_own(*address, &own) {
            return Err(Refusal::own_address(*address));
        }
    }
    if found.is_empty() {
        return Err(Refusal::unreachable("unresolved", "the name has no address".to_owned()));
    }
    let addresses = in_turns(&found).map(|ip| SocketAddr::new(ip, port)).collect();
    Ok(Upstream { permit, addresses })
}

/// Checks where a connection leads that is there already, under another permit.
pub(crate) fn recheck(
    permit: &Permit,
    reached: Reached,
    host: &dyn HostAddresses,
) -> Result<(), Refusal> {
    let Some(address) = reached.ip() else { return permit.admits_unseen() };
    if permit.is_host_loopback() {
        let is_same = address == IpAddr::V4(Ipv4Addr::LOCALHOST);
        return if is_same { Ok(()) } else { Err(Refusal::own_address(address)) };
    }
    permit.admits(address)?;
    let own = own_addresses(host)?;
    if is_own(address, &own) { Err(Refusal::own_address(address)) } else { Ok(()) }
}

fn own_addresses(host: &dyn HostAddresses) -> Result<std::sync::Arc<[IpAddr]>, Refusal> {
    host.current().map_err(|error| {
        Refusal::unreachable("host", format!("this host's addresses could not be read: {error}"))
    })
}

/// Whether an address reaches this host, also through a translator. SECURITY: B9.
fn is_own(address: IpAddr, own: &[IpAddr]) -> bool {
    own.iter().any(|own| match (address.to_canonical(), own.to_canonical()) {
        (IpAddr::V6(address), IpAddr::V4(own)) => carries(address, own),
        (address, own) => address == own,
    })
}

/// Whether the octets of `own` stand in `address`, plain or inverted (NAT64, 6to4, Teredo, ISATAP).
fn carries(address: Ipv6Addr, own: Ipv4Addr) -> bool {
    let plain = own.octets();
    let inverted = plain.map(|octet| !octet);
    address.octets().windows(4).any(|window| window == plain || window == inverted)
}

/// The first few addresses, one of each family in turn (RFC 8305, section 4).
fn in_turns(found: &[IpAddr]) -> impl Iterator<Item = IpAddr> {
    let mut first = found.iter().copied().filter(IpAddr::is_ipv4);
    let mut second = found.iter().copied().filter(IpAddr::is_ipv6);
    let mut turn: Vec<IpAddr> = Vec::new();
    loop {
        let before = turn.len();
        turn.extend(first.next());
        turn.extend(second.next());
        if turn.len() == before || turn.len() >= limits::DIAL_ADDRESSES {
            break;
        }
    }
    turn.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b09_addresses_of_this_host_are_found_in_every_embedding() {
        let own: Vec<IpAddr> = vec!["203.0.113.5".parse().unwrap(), "2001:db8::5".parse().unwrap()];
        for text in [
            "203.0.113.5",
            "::ffff:203.0.113.5",
            "64:ff9b::203.0.113.5",
            "2002:cb00:7105::1",
            "2001:db8::5",
            "2001:0:808:808::34ff:8efa",
        ] {
            assert!(is_own(text.parse().unwrap(), &own), "{text}");
        }
        for text in ["203.0.113.6", "2001:db8::6", "64:ff9b::203.0.113.6"] {
            assert!(!is_own(text.parse().unwrap(), &own), "{text}");
        }
    }

    #[test]
    fn families_are_tried_in_turns() {
        let found: Vec<IpAddr> = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1"]
            .map(|text| text.parse().unwrap())
            .to_vec();
        let turns: Vec<String> = in_turns(&found).map(|ip| ip.to_string()).collect();
        assert_eq!(turns, ["192.0.2.1", "2001:db8::1", "192.0.2.2", "192.0.2.3"]);
    }
}
