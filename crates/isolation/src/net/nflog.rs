//! Reports of packets that the capture refused.
//!
//! The kernel sends the head of each refused packet, at most a hundred a second. The packets were
//! written by the agent, so every byte behind the netlink header is hostile here.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddrV4};
use std::os::fd::{AsFd, OwnedFd};

use super::listen;
use super::netlink::{self, Attributes, Attrs, F_ACK, F_REQUEST, Family, Messages};

/// Where the self-test of a boot sends the datagram that must be refused: TEST-NET-1, the port of
/// the discard service. Its report is the first one for that place.
pub const SELF_TEST: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 1), 9);

/// Room for one batch of reports; see [`recv`].
pub const BUFFER: usize = 32 * 1024;

const NFNL_SUBSYS_ULOG: u16 = 4;
const NFULNL_MSG_PACKET: u16 = 0;
const NFULNL_MSG_CONFIG: u16 = 1;
const NFULA_CFG_CMD: u16 = 1;
const NFULA_CFG_MODE: u16 = 2;
const NFULA_CFG_TIMEOUT: u16 = 4;
const NFULA_CFG_QTHRESH: u16 = 5;
const NFULNL_CFG_CMD_BIND: u8 = 1;
const NFULNL_COPY_PACKET: u8 = 2;
const NFULA_PAYLOAD: u16 = 9;
/// Length of `struct nfgenmsg`, which starts every netfilter message.
const NFGENMSG: usize = 4;
/// Bytes of a packet that are copied at most; the rule itself asks for fewer.
const COPIED_BYTES: u32 = 256;
/// Reports wait at most 100 ms (the unit is 10 ms) or until this many are there.
const FLUSH_CENTISECONDS: u32 = 10;
const FLUSH_REPORTS: u32 = 16;
/// IPv6 extension headers that are followed before a packet is reported without a port.
const EXTENSION_HEADERS: usize = 8;

/// A packet that was refused.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Dropped {
    /// The transport protocol's number: 17 is UDP, 1 and 58 are ICMP.
    pub protocol: u8,
    /// Who sent it; any address can be a source in the jail.
    pub src: IpAddr,
    /// Where it should have gone.
    pub dst: IpAddr,
    /// The destination port, for protocols that have ports there.
    pub port: Option<u16>,
}

/// Opens a socket that receives the reports of `group`.
pub(super) fn open(group: u16) -> io::Result<OwnedFd> {
    let socket = netlink::open(Family::Netfilter)?;
    // A full buffer loses reports and nothing else; an error for it would only look like a fault.
    listen::enable(&socket, libc::SOL_NETLINK, libc::NETLINK_NO_ENOBUFS)?;
    let mut mode = COPIED_BYTES.to_be_bytes().to_vec();
    mode.extend_from_slice(&[NFULNL_COPY_PACKET, 0]);
    let attrs = Attrs::new()
        .bytes(NFULA_CFG_CMD, &[NFULNL_CFG_CMD_BIND])
        .bytes(NFULA_CFG_MODE, &mode)
        .be32(NFULA_CFG_TIMEOUT, FLUSH_CENTISECONDS)
        .be32(NFULA_CFG_QTHRESH, FLUSH_REPORTS);
    let [high, low] = group.to_be_bytes();
    let kind = (NFNL_SUBSYS_ULOG << 8) | NFULNL_MSG_CONFIG;
    let request = netlink::message(kind, F_REQUEST | F_ACK, 1, &[0, 0, high, low], &attrs);
    netlink::transact(&socket, &request, 1).map_err(|refused| refused.source)?;
    Ok(socket)
}

/// Receives one batch of reports, or `WouldBlock`. Give it a buffer of [`BUFFER`] bytes: what does
/// not fit is lost. The result is bounded by the buffer and may be empty.
pub fn recv(fd: impl AsFd, buf: &mut [u8]) -> io::Result<Vec<Dropped>> {
    let datagram = netlink::receive(fd, buf)?;
    Ok(parse(datagram))
}

/// Reads the reports of one datagram; what is not well-formed is skipped.
fn parse(datagram: &[u8]) -> Vec<Dropped> {
    Messages(datagram)
        .filter(|message| message.kind == (NFNL_SUBSYS_ULOG << 8) | NFULNL_MSG_PACKET)
        .filter_map(|message| {
            let attributes = Attributes(message.body.get(NFGENMSG..)?);
            let (_, payload) = attributes.into_iter().find(|(kind, _)| *kind == NFULA_PAYLOAD)?;
            packet(payload)
        })
        .collect()
}

/// Reads the headers of one IP packet.
fn packet(bytes: &[u8]) -> Option<Dropped> {
    match bytes.first()? >> 4 {
        4 => packet_v4(bytes),
        6 => packet_v6(bytes),
        _ => None,
    }
}

fn packet_v4(bytes: &[u8]) -> Option<Dropped> {
    let header = bytes.first_chunk::<20>()?;
    let length = usize::from(bytes.first()? & 0x0f) * 4;
    let fragment = u16::from_be_bytes(*header.get(6..)?.first_chunk()?) & 0x1fff;
    let protocol = *header.get(9)?;
    let src = Ipv4Addr::from(*header.get(12..)?.first_chunk::<4>()?);
    let dst = Ipv4Addr::from(*header.get(16..)?.first_chunk::<4>()?);
    let transport = bytes.get(length..).filter(|_| length >= 20 && fragment == 0);
    let port = transport.and_then(|transport| destination_port(protocol, transport));
    Some(Dropped { protocol, src: IpAddr::V4(src), dst: IpAddr::V4(dst), port })
}

fn packet_v6(bytes: &[u8]) -> Option<Dropped> {
    let header = bytes.first_chunk::<40>()?;
    let src = Ipv6Addr::from(*header.get(8..)?.first_chunk::<16>()?);
    let dst = Ipv6Addr::from(*header.get(24..)?.first_chunk::<16>()?);
    let mut protocol = *header.get(6)?;
    let mut rest = bytes.get(40..).unwrap_or_default();
    let mut whole = true;
    for _ in 0..EXTENSION_HEADERS {
        let Some((next, length, first)) = extension(protocol, rest) else { break };
        protocol = next;
        rest = rest.get(length..).unwrap_or_default();
        whole &= first;
    }
    let port = if whole { destination_port(protocol, rest) } else { None };
    Some(Dropped { protocol, src: IpAddr::V6(src), dst: IpAddr::V6(dst), port })
}

/// The next header, this one's length, and whether the packet's first fragment is here.
fn extension(protocol: u8, bytes: &[u8]) -> Option<(u8, usize, bool)> {
    let [next, length, high, low] = *bytes.first_chunk::<4>()?;
    match protocol {
        0 | 43 | 60 => Some((next, (usize::from(length) + 1) * 8, true)),
        44 => Some((next, 8, u16::from_be_bytes([high, low]) >> 3 == 0)),
        _ => None,
    }
}

/// TCP, UDP, DCCP, SCTP and UDP-Lite keep their destination port in the same place.
fn destination_port(protocol: u8, transport: &[u8]) -> Option<u16> {
    if !matches!(protocol, 6 | 17 | 33 | 132 | 136) {
        return None;
    }
    Some(u16::from_be_bytes(*transport.get(2..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn udp_v4() -> Vec<u8> {
        let mut bytes = vec![0x45, 0, 0, 30, 0, 0, 0, 0, 64, 17, 0, 0];
        bytes.extend_from_slice(&[198, 18, 0, 1, 1, 1, 1, 1]);
        bytes.extend_from_slice(&[0x90, 0x00, 0x01, 0xbb, 0, 10, 0, 0, 7, 7]);
        bytes
    }

    fn udp_v6(extension: &[u8], next: u8) -> Vec<u8> {
        let mut bytes = vec![0x60, 0, 0, 0, 0, 10, next, 64];
        bytes.extend_from_slice(&Ipv6Addr::LOCALHOST.octets());
        bytes.extend_from_slice(&Ipv6Addr::UNSPECIFIED.octets());
        bytes.extend_from_slice(extension);
        bytes.extend_from_slice(&[0x90, 0x00, 0x01, 0xbb, 0, 10, 0, 0, 7, 7]);
        bytes
    }

    #[test]
    fn reads_the_destination_of_an_ipv4_packet() {
        let dropped = packet(&udp_v4()).unwrap();
        assert_eq!(dropped.dst, IpAddr::from([1, 1, 1, 1]));
        assert_eq!((dropped.protocol, dropped.port), (17, Some(443)));
    }

    #[test]
    fn follows_ipv6_extension_headers_to_the_port() {
        assert_eq!(packet(&udp_v6(&[], 17)).unwrap().port, Some(443));
        let options = [17, 0, 1, 4, 0, 0, 0, 0];
        assert_eq!(packet(&udp_v6(&options, 0)).unwrap().port, Some(443));
    }

    #[test]
    fn a_later_fragment_has_no_port() {
        let mut bytes = udp_v4();
        bytes[7] = 1;
        assert_eq!(packet(&bytes).unwrap().port, None);
        let fragment = [17, 0, 0, 8, 0, 0, 0, 0];
        assert_eq!(packet(&udp_v6(&fragment, 44)).unwrap().port, None);
    }

    #[test]
    fn every_truncation_and_every_flipped_byte_is_survived() {
        for original in [udp_v4(), udp_v6(&[17, 0, 1, 4, 0, 0, 0, 0], 0)] {
            for end in 0..original.len() {
                let _ = packet(&original[..end]);
            }
            for place in 0..original.len() {
                for value in 0..=255 {
                    let mut bytes = original.clone();
                    bytes[place] = value;
                    let _ = packet(&bytes);
                    let _ = parse(&bytes);
                }
            }
        }
    }

    #[test]
    fn a_datagram_of_several_reports_is_read_whole() {
        let attrs = Attrs::new().bytes(NFULA_PAYLOAD, &udp_v4());
        let one = netlink::message(NFNL_SUBSYS_ULOG << 8, 0, 0, &[2, 0, 0, 1], &attrs);
        let three = [one.clone(), one.clone(), one].concat();
        assert_eq!(parse(&three).len(), 3);
        assert_eq!(parse(&three[..three.len() - 1]).len(), 2);
    }
}
