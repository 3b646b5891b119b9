//! Address ranges, as in `allowed_ips`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::address::{AddressClass, canonical, classify};

/// An address or a CIDR range, in canonical form: IPv4 is IPv4, and no bit beyond the prefix is
/// set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Network {
    base: IpAddr,
    prefix: u8,
}

impl Network {
    /// Reads `ADDRESS` or `ADDRESS/PREFIX`; says in words why not.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let base: IpAddr = address
            .parse()
            .map_err(|_| "an address is four decimal numbers, or IPv6".to_owned())?;
        let width = width(base);
        let prefix = match prefix {
            None => width,
            Some(digits) => {
                let plain = !digits.is_empty()
                    && digits.bytes().all(|byte| byte.is_ascii_digit())
                    && (digits == "0" || !digits.starts_with('0'));
                let number = digits.parse::<u8>().ok().filter(|number| plain && *number <= width);
                number.ok_or_else(|| format!("the prefix is a number from 0 to {width}"))?
            }
        };
        let network = Self { base: masked(base, prefix), prefix };
        if network.base != base {
            return Err(format!("bits are set beyond the prefix; the range is {network}"));
        }
        Ok(network.to_canonical())
    }

    /// `::ffff:a.b.c.d/96+n` is `a.b.c.d/n`.
    fn to_canonical(self) -> Self {
        match (canonical(self.base), self.base) {
            (base @ IpAddr::V4(_), IpAddr::V6(_)) if self.prefix >= 96 => {
                Self { base, prefix: self.prefix.saturating_sub(96) }
            }
            _ => self,
        }
    }

    pub const fn base(&self) -> IpAddr {
        self.base
    }

    pub const fn prefix(&self) -> u8 {
        self.prefix
    }

    pub fn contains(&self, address: IpAddr) -> bool {
        let address = canonical(address);
        address.is_ipv4() == self.base.is_ipv4() && masked(address, self.prefix) == self.base
    }

    /// Whether it holds more than 65,536 IPv4 addresses, or more than a site's /48.
    pub const fn is_wide(&self) -> bool {
        match self.base {
            IpAddr::V4(_) => self.prefix < 16,
            IpAddr::V6(_) => self.prefix < 48,
        }
    }

    /// The guard that makes every address of the range unreachable, when one does.
    pub fn never(&self) -> Option<&'static str> {
        match (classify(self.base), classify(self.last())) {
            (AddressClass::Never(why), AddressClass::Never(other)) if why == other => Some(why),
            _ => None,
        }
    }

    /// The last address of the range.
    pub fn last(&self) -> IpAddr {
        match self.base {
            IpAddr::V4(base) => Ipv4Addr::from_bits(base.to_bits() | !mask4(self.prefix)).into(),
            IpAddr::V6(base) => Ipv6Addr::from_bits(base.to_bits() | !mask6(self.prefix)).into(),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.prefix == width(self.base) {
            self.base.fmt(f)
        } else {
            write!(f, "{}/{}", self.base, self.prefix)
        }
    }
}

const fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// `address` with all bits beyond `prefix` cleared.
pub(crate) fn masked(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => Ipv4Addr::from_bits(address.to_bits() & mask4(prefix)).into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & mask6(prefix)).into(),
    }
}

fn mask4(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32_u32.saturating_sub(prefix.into())).unwrap_or(0)
}

fn mask6(prefix: u8) -> u128 {
    u128::MAX.checked_shl(128_u32.saturating_sub(prefix.into())).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_what_its_prefix_says() {
        let network = Network::parse("10.1.0.0/16").unwrap();
        assert!(network.contains("10.1.255.255".parse().unwrap()));
        assert!(network.contains("::ffff:10.1.2.3".parse().unwrap()));
        assert!(!network.contains("10.2.0.0".parse().unwrap()));
        assert_eq!(Network::parse("::ffff:10.1.0.0/112"), Ok(network));
        assert!(Network::parse("0.0.0.0/0").unwrap().contains("9.9.9.9".parse().unwrap()));
        assert!(!Network::parse("0.0.0.0/0").unwrap().contains("::1".parse().unwrap()));
    }

    #[test]
    fn b04_odd_notations_are_refused() {
        for text in ["10.1", "10.0.0.0/33", "10.0.0.0/08", "10.0.0.1/8", "0x0a.0.0.1", "::1%lo", ""]
        {
            assert!(Network::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn b07_ranges_that_only_hold_guarded_addresses_are_known() {
        for text in
            ["127.0.0.1", "127.0.0.0/8", "169.254.0.0/16", "::1", "fe80::/10", "168.63.129.16"]
        {
            assert!(Network::parse(text).unwrap().never().is_some(), "{text}");
        }
        for text in ["10.0.0.0/8", "0.0.0.0/0", "100.64.0.0/10", "fc00::/7"] {
            assert_eq!(Network::parse(text).unwrap().never(), None, "{text}");
        }
    }
}
