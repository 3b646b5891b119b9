//! One address for each part of the address space that ranges and guards tell apart.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::budget::Exhausted;
use crate::address::{AddressClass, classify, edges};
use crate::pattern::Network;

/// Addresses outside of all ranges: public and private.
const ELSEWHERE: [IpAddr; 4] = [
    IpAddr::V4(Ipv4Addr::new(8, 8, 8, 8)),
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)),
    IpAddr::V6(Ipv6Addr::new(0x2606, 0x4700, 0x4700, 0, 0, 0, 0, 0x1111)),
    IpAddr::V6(Ipv6Addr::new(0xfd12, 0, 0, 0, 0, 0, 0, 1)),
];

/// For each combination of ranges an address of each class, as far as there are any; and some that
/// are in no range.
pub(super) fn representatives(networks: &[Network]) -> Result<Vec<IpAddr>, Exhausted> {
    let mut all: BTreeSet<IpAddr> = ELSEWHERE.into_iter().collect();
    let mut four = BTreeSet::new();
    let mut six = BTreeSet::new();
    for network in networks {
        match (network.base(), network.last()) {
            (IpAddr::V4(first), IpAddr::V4(last)) => {
                four.extend(between(first.to_bits().into(), last.to_bits().into(), networks));
            }
            (IpAddr::V6(first), IpAddr::V6(last)) => {
                if is_tunnelled(network) {
                    return Err(Exhausted(format!(
                        "{network} holds addresses whose class depends on another address within"
                    )));
                }
                six.extend(between(first.to_bits(), last.to_bits(), networks));
            }
            _ => {}
        }
    }
    let usable = |address: &IpAddr| !matches!(classify(*address), AddressClass::Never(_));
    let four = four.into_iter().filter_map(|bits| u32::try_from(bits).ok());
    all.extend(four.map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits))).filter(usable));
    for bits in six {
        let address = Ipv6Addr::from_bits(bits);
        // The same prefix around a private address, as ISATAP writes it.
        let inner = (bits >> 64 << 64) | 0x5efe_0a00_0001;
        let near = [bits, bits.saturating_add(1), inner].map(Ipv6Addr::from_bits);
        let mut found = near.into_iter().map(IpAddr::V6).filter(usable).peekable();
        if found.peek().is_none() && !is_never(address) {
            return Err(Exhausted(format!("no address near {address} can be reached")));
        }
        let inside = |address: &IpAddr| {
            let range = |network: &&Network| network.contains(*address);
            networks.iter().filter(range).eq(networks
                .iter()
                .filter(|network| network.contains(IpAddr::V6(Ipv6Addr::from_bits(bits)))))
        };
        all.extend(found.filter(inside));
    }
    Ok(all.into_iter().collect())
}

fn is_never(address: Ipv6Addr) -> bool {
    matches!(classify(address.into()), AddressClass::Never(_))
}

/// The first address of each part of `first..=last`.
fn between(first: u128, last: u128, networks: &[Network]) -> Vec<u128> {
    let four = last <= u128::from(u32::MAX) && networks.iter().any(|n| n.base().is_ipv4());
    let bits = |address: IpAddr| match address {
        IpAddr::V4(address) => (true, u128::from(address.to_bits())),
        IpAddr::V6(address) => (false, address.to_bits()),
    };
    let mut starts: BTreeSet<u128> = [first].into();
    let ends = networks.iter().flat_map(|network| [(network.base(), 0), (network.last(), 1)]);
    for (address, after) in ends.chain(edges().into_iter().map(|address| (address, 0))) {
        let (is_four, number) = bits(address);
        let number = number.saturating_add(after);
        if is_four == four && (first..=last).contains(&number) {
            starts.insert(number);
        }
    }
    starts.into_iter().collect()
}

/// Whether the class of an address of the range depends on an IPv4 address inside of it, in
/// another way than ISATAP's in a range of whole subnets.
fn is_tunnelled(network: &Network) -> bool {
    const TUNNELS: [(Ipv6Addr, u8); 4] = [
        (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96),
        (Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0), 48),
        (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
        (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 32),
    ];
    let single = network.prefix() == 128;
    let meets = TUNNELS.iter().any(|(base, prefix)| {
        Network::parse(&format!("{base}/{prefix}"))
            .is_ok_and(|tunnel| tunnel.contains(network.base()) || network.contains(tunnel.base()))
    });
    let low = Network::parse("::/96")
        .is_ok_and(|low| low.contains(network.base()) || network.contains(low.base()));
    !single && (meets || low || network.prefix() > 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(texts: &[&str]) -> Vec<Network> {
        texts.iter().map(|text| Network::parse(text).unwrap()).collect()
    }

    #[test]
    fn every_part_of_a_range_has_an_address() {
        let list = networks(&["10.0.0.0/8", "10.1.0.0/16", "0.0.0.0/0"]);
        let found = representatives(&list).unwrap();
        for text in ["10.0.0.0", "10.1.0.0", "10.2.0.0", "11.0.0.0", "172.16.0.0", "192.0.2.0"] {
            assert!(found.contains(&text.parse().unwrap()), "{text}: {found:?}");
        }
        assert!(!found.contains(&"127.0.0.0".parse().unwrap()));
        let six = representatives(&networks(&["2a00::/16", "2a00:1::/32"])).unwrap();
        for text in ["2a00::", "2a00:1::", "2a00:2::"] {
            assert!(six.contains(&text.parse().unwrap()), "{text}: {six:?}");
        }
        assert!(representatives(&networks(&["2002::/16"])).is_err());
        assert!(representatives(&networks(&["2001:db8::9"])).is_ok());
    }
}
