//! Packets that are put together by hand: answers from ports that nobody can be bound to, and the
//! errors of refused datagrams.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

const ICMP: u8 = 1;
const UDP: u8 = 17;
const ICMP_V6: u8 = 58;
const V4_HEADER: usize = 20;
const UDP_HEADER: usize = 8;
const TIME_TO_LIVE: u8 = 64;

/// Both ends of a datagram, of one family.
#[derive(Clone, Copy)]
pub(super) enum Ends {
    V4 { from: SocketAddrV4, to: SocketAddrV4 },
    V6 { from: SocketAddrV6, to: SocketAddrV6 },
}

impl Ends {
    /// `None` if they are of two families.
    pub(super) const fn new(from: SocketAddr, to: SocketAddr) -> Option<Self> {
        match (from, to) {
            (SocketAddr::V4(from), SocketAddr::V4(to)) => Some(Self::V4 { from, to }),
            (SocketAddr::V6(from), SocketAddr::V6(to)) => Some(Self::V6 { from, to }),
            _ => None,
        }
    }

    const fn ports(self) -> (u16, u16) {
        match self {
            Self::V4 { from, to } => (from.port(), to.port()),
            Self::V6 { from, to } => (from.port(), to.port()),
        }
    }

    /// What is summed up beside the message (RFC 768, and RFC 8200, section 8.1).
    fn pseudo_header(self, protocol: u8, length: u32) -> Vec<u8> {
        let tail = [length.to_be_bytes(), u32::from(protocol).to_be_bytes()].concat();
        match self {
            Self::V4 { from, to } => [&from.ip().octets()[..], &to.ip().octets(), &tail].concat(),
            Self::V6 { from, to } => [&from.ip().octets()[..], &to.ip().octets(), &tail].concat(),
        }
    }
}

/// A datagram from and to these ends, with its IP header. `None` if it is longer than one can be.
pub(super) fn datagram(ends: Ends, payload: &[u8]) -> Option<Vec<u8>> {
    let length = u16::try_from(UDP_HEADER.checked_add(payload.len())?).ok()?;
    let (from, to) = ends.ports();
    let mut message = Vec::with_capacity(usize::from(length));
    for field in [from, to, length, 0] {
        message.extend(field.to_be_bytes());
    }
    message.extend(payload);
    let sum = match checksum(&[&ends.pseudo_header(UDP, length.into()), &message]) {
        // Zero would say that there is none.
        0 => u16::MAX,
        sum => sum,
    };
    set(&mut message, 6, sum);
    with_ip_header(ends, UDP, &message)
}

/// The error that a datagram of `length` bytes from `client` to `server` was forbidden by an
/// administrator (RFC 792 and RFC 1812, section 5.2.7.1; RFC 4443, section 3.1).
pub(super) fn prohibited(client: SocketAddr, server: SocketAddr, length: usize) -> Option<Vec<u8>> {
    let length = u16::try_from(UDP_HEADER.checked_add(length)?).ok()?;
    let (refused, back) = (Ends::new(client, server)?, Ends::new(server, client)?);
    let mut message = match refused {
        Ends::V4 { .. } => vec![3, 13, 0, 0, 0, 0, 0, 0],
        Ends::V6 { .. } => vec![1, 1, 0, 0, 0, 0, 0, 0],
    };
    message.extend(ip_header(refused, UDP, length)?);
    let (from, to) = refused.ports();
    for field in [from, to, length, 0] {
        message.extend(field.to_be_bytes());
    }
    let protocol = match refused {
        Ends::V4 { .. } => ICMP,
        Ends::V6 { .. } => ICMP_V6,
    };
    let sum = match refused {
        Ends::V4 { .. } => checksum(&[&message]),
        Ends::V6 { .. } => {
            let length = u32::try_from(message.len()).ok()?;
            checksum(&[&back.pseudo_header(ICMP_V6, length), &message])
        }
    };
    set(&mut message, 2, sum);
    with_ip_header(back, protocol, &message)
}

fn with_ip_header(ends: Ends, protocol: u8, message: &[u8]) -> Option<Vec<u8>> {
    let mut packet = ip_header(ends, protocol, u16::try_from(message.len()).ok()?)?;
    packet.extend(message);
    Some(packet)
}

/// The header before a message of `length` bytes. The kernel fills in the checksum of IPv4.
fn ip_header(ends: Ends, protocol: u8, length: u16) -> Option<Vec<u8>> {
    Some(match ends {
        Ends::V4 { from, to } => {
            let total = length.checked_add(V4_HEADER as u16)?.to_be_bytes();
            let fixed = [0x45, 0, total[0], total[1], 0, 0, 0, 0, TIME_TO_LIVE, protocol, 0, 0];
            let addresses: [Ipv4Addr; 2] = [*from.ip(), *to.ip()];
            [&fixed[..], &addresses.map(|ip| ip.octets()).concat()].concat()
        }
        Ends::V6 { from, to } => {
            let length = length.to_be_bytes();
            let fixed = [0x60, 0, 0, 0, length[0], length[1], protocol, TIME_TO_LIVE];
            let addresses: [Ipv6Addr; 2] = [*from.ip(), *to.ip()];
            [&fixed[..], &addresses.map(|ip| ip.octets()).concat()].concat()
        }
    })
}

/// Writes a field of two bytes; what is too short is left as it is.
fn set(message: &mut [u8], at: usize, value: u16) {
    if let Some(field) = message.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
        *field = value.to_be_bytes();
    }
}

/// The Internet checksum of parts of which only the last has an odd length (RFC 1071).
fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0_u64;
    for part in parts {
        for pair in part.chunks(2) {
            let (high, low) = (pair.first().copied(), pair.get(1).copied());
            let word = u16::from_be_bytes([high.unwrap_or(0), low.unwrap_or(0)]);
            sum = sum.wrapping_add(word.into());
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff).wrapping_add(sum >> 16);
    }
    !(sum as u16)
}

/// Longest payload: what the largest packet of loopback, 65,536 bytes, leaves after the headers of
/// IPv6. A longer one would have to be cut into fragments.
pub(super) const LONGEST: usize = 65_536 - 40 - UDP_HEADER;

#[cfg(test)]
mod tests {
    use super::*;

    const V6_HEADER: usize = 40;

    #[test]
    fn a_datagram_is_as_long_as_it_says_and_sums_up() {
        for (from, to, header) in [
            ("192.0.2.1:5", "192.0.2.2:6", V4_HEADER),
            ("[2001:db8::1]:5", "[2001:db8::2]:6", V6_HEADER),
        ] {
            let ends = Ends::new(from.parse().unwrap(), to.parse().unwrap()).unwrap();
            for payload in [&b""[..], b"x", b"four"] {
                let packet = datagram(ends, payload).unwrap();
                let message = &packet[header..];
                assert_eq!(message.len(), UDP_HEADER + payload.len());
                let pseudo = ends.pseudo_header(UDP, message.len() as u32);
                assert_eq!(checksum(&[&pseudo, message]), 0, "{packet:?}");
            }
            assert!(datagram(ends, &[0; LONGEST]).is_some());
            assert!(datagram(ends, &[0; 65_536]).is_none());
        }
    }

    #[test]
    fn ends_are_of_one_family() {
        assert!(Ends::new("192.0.2.1:5".parse().unwrap(), "[::1]:6".parse().unwrap()).is_none());
    }
}
