//! Which addresses may ever be dialled.
//!
//! Ranges are those of the IANA special-purpose registries, and of the metadata services that
//! cloud hosts offer. An IPv6 address that carries an IPv4 address is judged as the worse of both.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What kind of address it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressClass {
    /// Routed on the Internet.
    Public,
    /// Private, or reserved for a special use; for exactly declared destinations only.
    Private(&'static str),
    /// Not reachable through the egress, whatever a policy says.
    Never(&'static str),
}

impl AddressClass {
    const fn rank(self) -> u8 {
        match self {
            Self::Public => 0,
            Self::Private(_) => 1,
            Self::Never(_) => 2,
        }
    }

    const fn worse(self, other: Self) -> Self {
        if other.rank() > self.rank() { other } else { self }
    }
}

/// Tells the class of an address. IPv4 addresses inside of IPv6 ones are found in every embedding
/// that some gateway translates.
pub fn classify(address: IpAddr) -> AddressClass {
    match address {
        IpAddr::V4(address) => classify_v4(address),
        IpAddr::V6(address) => classify_v6(address),
    }
}

/// The one form of an address: an IPv4-mapped IPv6 address is the IPv4 address (the kernel dials
/// it as that).
pub(crate) const fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

struct Range4(Ipv4Addr, u32, AddressClass);
struct Range6(Ipv6Addr, u32, AddressClass);

use AddressClass::{Never, Private, Public};

const V4: &[Range4] = &[
    Range4(Ipv4Addr::new(0, 0, 0, 0), 8, Never("this network, 0.0.0.0/8")),
    Range4(Ipv4Addr::new(127, 0, 0, 0), 8, Never("loopback")),
    Range4(Ipv4Addr::new(169, 254, 0, 0), 16, Never("link-local, where metadata services live")),
    Range4(Ipv4Addr::new(168, 63, 129, 16), 32, Never("the Azure metadata service")),
    Range4(Ipv4Addr::new(100, 100, 100, 200), 32, Never("the Alibaba metadata service")),
    Range4(Ipv4Addr::new(224, 0, 0, 0), 4, Never("multicast")),
    Range4(Ipv4Addr::new(240, 0, 0, 0), 4, Never("reserved, 240.0.0.0/4")),
    Range4(Ipv4Addr::new(10, 0, 0, 0), 8, Private("private, 10.0.0.0/8")),
    Range4(Ipv4Addr::new(172, 16, 0, 0), 12, Private("private, 172.16.0.0/12")),
    Range4(Ipv4Addr::new(192, 168, 0, 0), 16, Private("private, 192.168.0.0/16")),
    Range4(Ipv4Addr::new(100, 64, 0, 0), 10, Private("carrier-grade NAT, 100.64.0.0/10")),
    Range4(Ipv4Addr::new(192, 0, 0, 0), 24, Private("protocol assignments, 192.0.0.0/24")),
    Range4(Ipv4Addr::new(192, 0, 2, 0), 24, Private("documentation, 192.0.2.0/24")),
    Range4(Ipv4Addr::new(192, 88, 99, 0), 24, Private("6to4 relays, 192.88.99.0/24")),
    Range4(Ipv4Addr::new(198, 18, 0, 0), 15, Private("benchmarking, 198.18.0.0/15")),
    Range4(Ipv4Addr::new(198, 51, 100, 0), 24, Private("documentation, 198.51.100.0/24")),
    Range4(Ipv4Addr::new(203, 0, 113, 0), 24, Private("documentation, 203.0.113.0/24")),
];

const V6: &[Range6] = &[
    Range6(Ipv6Addr::UNSPECIFIED, 128, Never("unspecified")),
    Range6(Ipv6Addr::LOCALHOST, 128, Never("loopback")),
    Range6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10, Never("link-local")),
    Range6(Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10, Never("site-local, fec0::/10")),
    Range6(Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8, Never("multicast")),
    Range6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0), 32, Never("the EC2 metadata service")),
    Range6(
        Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0),
        32,
        Never("the Google Cloud metadata service"),
    ),
    Range6(Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, Private("unique local, fc00::/7")),
    Range6(
        Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0),
        32,
        Private("documentation, 2001:db8::/32"),
    ),
    Range6(Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, Private("documentation, 3fff::/20")),
    Range6(Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, 0), 48, Private("benchmarking, 2001:2::/48")),
    Range6(
        Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0),
        23,
        Private("protocol assignments, 2001::/23"),
    ),
    Range6(LOCAL_NAT64, 48, Private("local NAT64, 64:ff9b:1::/48")),
    // The well-known NAT64 prefix is as public as the address that it carries.
    Range6(NAT64, 96, Public),
    Range6(Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3, Public),
];

/// Where ranges of a class begin, and what follows after their ends.
pub(crate) fn edges() -> Vec<IpAddr> {
    let mut all: Vec<IpAddr> = Vec::new();
    for Range4(base, length, _) in V4 {
        let size = u64::from(u32::MAX) >> length;
        let after = u64::from(base.to_bits()).saturating_add(size).saturating_add(1);
        all.push((*base).into());
        all.extend(u32::try_from(after).map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits))));
    }
    for Range6(base, length, _) in V6 {
        let last = base.to_bits() | u128::MAX.checked_shr(*length).unwrap_or(0);
        all.push((*base).into());
        all.extend(last.checked_add(1).map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits))));
    }
    all
}

/// Outside of 2000::/3 and of every named range: no one is meant to be there.
const UNASSIGNED: AddressClass = Private("not assigned for the Internet");

fn classify_v4(address: Ipv4Addr) -> AddressClass {
    let bits = address.to_bits();
    V4.iter()
        .find(|Range4(base, length, _)| {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(*length)).unwrap_or(0);
            bits & mask == base.to_bits()
        })
        .map_or(Public, |range| range.2)
}

fn classify_v6(address: Ipv6Addr) -> AddressClass {
    if let Some(mapped) = address.to_ipv4_mapped() {
        return classify_v4(mapped);
    }
    let own = V6
        .iter()
        .find(|Range6(base, length, _)| in_v6(address, *base, *length))
        .map_or(UNASSIGNED, |range| range.2);
    // SECURITY: a translator or tunnel would deliver to the embedded address (B3).
    embedded(address).into_iter().flatten().map(classify_v4).fold(own, AddressClass::worse)
}

const fn in_v6(address: Ipv6Addr, base: Ipv6Addr, length: u32) -> bool {
    let mask = match u128::MAX.checked_shl(128_u32.saturating_sub(length)) {
        Some(mask) => mask,
        None => 0,
    };
    address.to_bits() & mask == base.to_bits()
}

const NAT64: Ipv6Addr = Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0);
const LOCAL_NAT64: Ipv6Addr = Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0);
const SIX_TO_FOUR: Ipv6Addr = Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0);
const TEREDO: Ipv6Addr = Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0);

/// The IPv4 addresses that an IPv6 address carries.
fn embedded(address: Ipv6Addr) -> [Option<Ipv4Addr>; 4] {
    let bits = address.to_bits();
    let last = low_v4(bits);
    // IPv4-compatible, ::a.b.c.d (RFC 4291, 2.5.5.1), and NAT64 (RFC 6052).
    if in_v6(address, Ipv6Addr::UNSPECIFIED, 96) || in_v6(address, NAT64, 96) {
        return [Some(last), None, None, None];
    }
    if in_v6(address, LOCAL_NAT64, 48) {
        return local_nat64(bits);
    }
    if in_v6(address, SIX_TO_FOUR, 16) {
        return [Some(low_v4(bits >> 80)), None, None, None];
    }
    // Teredo (RFC 4380): the server, and the client's address with every bit inverted.
    if in_v6(address, TEREDO, 32) {
        return [Some(low_v4(bits >> 64)), Some(low_v4(!bits)), None, None];
    }
    // ISATAP (RFC 5214): the interface identifier is [02]00:5efe:a.b.c.d under any prefix.
    let identifier = (bits >> 32) & 0xffff_ffff;
    if identifier & !0x0200_0000 == 0x0000_5efe {
        return [Some(last), None, None, None];
    }
    [None; 4]
}

/// A network chooses where in its own /48 the IPv4 address stands (RFC 6052, 2.2, with prefixes of
/// 48, 56, 64 and 96 bits): look at each place. An address out of 0/8 says that it is not there.
fn local_nat64(bits: u128) -> [Option<Ipv4Addr>; 4] {
    let around_u = |high: u128, low: u128, low_bits: u32| low_v4((high << low_bits) | low);
    let p48 = around_u((bits >> 64) & 0xffff, (bits >> 40) & 0xffff, 16);
    let p56 = around_u((bits >> 64) & 0xff, (bits >> 32) & 0xff_ffff, 24);
    let p64 = low_v4(bits >> 24);
    let found = [p48, p56, p64, low_v4(bits)].map(|v4| (v4.to_bits() >> 24 != 0).then_some(v4));
    if found.iter().all(Option::is_none) { [Some(low_v4(bits)), None, None, None] } else { found }
}

fn low_v4(bits: u128) -> Ipv4Addr {
    Ipv4Addr::from_bits(u32::try_from(bits & 0xffff_ffff).unwrap_or_default())
}

#[cfg(test)]
mod tests;
