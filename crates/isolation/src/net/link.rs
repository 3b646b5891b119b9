//! The loopback interface of the jail: up, addressed, and the home of every address there is.

use std::io;
use std::net::IpAddr;

use super::netlink::{self, Attrs, F_ACK, F_CREATE, F_EXCL, F_REQUEST, Family, Refused};
use super::{JAIL_V4, JAIL_V6, NetError};

const RTM_NEWLINK: u16 = 16;
const RTM_NEWADDR: u16 = 20;
const RTM_NEWROUTE: u16 = 24;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const RTA_OIF: u16 = 4;
const RTA_PREFSRC: u16 = 7;
const AF_UNSPEC: u8 = 0;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
/// `lo` is the first interface of every network namespace.
const LOOPBACK: u32 = 1;
const IFF_UP: u32 = 1;
/// No duplicate address detection: the address must be usable at once.
const IFA_F_NODAD: u8 = 2;
const RT_TABLE_LOCAL: u8 = 255;
const RTPROT_BOOT: u8 = 3;
const RT_SCOPE_UNIVERSE: u8 = 0;
const RT_SCOPE_HOST: u8 = 254;
const RTN_LOCAL: u8 = 2;

/// Brings `lo` up, names it and makes every address local to it. Says whether IPv6 exists.
pub(super) fn configure() -> Result<bool, NetError> {
    let socket = netlink::open(Family::Route)
        .map_err(|source| NetError::Socket { what: "rtnetlink", source })?;
    let send = |request: Vec<u8>| netlink::transact(&socket, &request, 1);

    send(up()).map_err(failed("bring up the loopback interface"))?;
    send(address(IpAddr::V4(JAIL_V4))).map_err(failed("give the jail its IPv4 address"))?;
    send(every_address(IpAddr::V4(JAIL_V4))).map_err(failed("make all IPv4 addresses local"))?;
    match send(address(IpAddr::V6(JAIL_V6))) {
        Ok(()) => {}
        Err(refused) if is_without_v6(&refused.source) => return Ok(false),
        Err(refused) => return Err(failed("give the jail its IPv6 address")(refused)),
    }
    send(every_address(IpAddr::V6(JAIL_V6))).map_err(failed("make all IPv6 addresses local"))?;
    Ok(true)
}

/// A kernel built or booted without IPv6 knows no such family; one that has it switched off for
/// new interfaces answers EACCES. In both, no socket of the jail can send an IPv6 packet either.
fn is_without_v6(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EAFNOSUPPORT | libc::EACCES))
}

fn failed(step: &'static str) -> impl Fn(Refused) -> NetError {
    move |refused| NetError::Link { step, source: refused.source }
}

fn up() -> Vec<u8> {
    let mut fixed = vec![AF_UNSPEC, 0, 0, 0];
    for word in [LOOPBACK, IFF_UP, IFF_UP] {
        fixed.extend_from_slice(&word.to_ne_bytes());
    }
    netlink::message(RTM_NEWLINK, F_REQUEST | F_ACK, 1, &fixed, &Attrs::new())
}

fn address(address: IpAddr) -> Vec<u8> {
    let (family, octets) = family_and_octets(address);
    let bits = u8::try_from(octets.len() * 8).unwrap_or(u8::MAX);
    let mut fixed = vec![family, bits, IFA_F_NODAD, RT_SCOPE_UNIVERSE];
    fixed.extend_from_slice(&LOOPBACK.to_ne_bytes());
    let attrs = Attrs::new().bytes(IFA_LOCAL, &octets).bytes(IFA_ADDRESS, &octets);
    netlink::message(RTM_NEWADDR, F_REQUEST | F_ACK | F_CREATE | F_EXCL, 1, &fixed, &attrs)
}

/// `local default dev lo src SOURCE`. Without the source, look-ups with `AI_ADDRCONFIG` would find
/// no address of the family and programs would not even try.
fn every_address(source: IpAddr) -> Vec<u8> {
    let (family, octets) = family_and_octets(source);
    let fixed =
        [family, 0, 0, 0, RT_TABLE_LOCAL, RTPROT_BOOT, RT_SCOPE_HOST, RTN_LOCAL, 0, 0, 0, 0];
    let attrs = Attrs::new().bytes(RTA_OIF, &LOOPBACK.to_ne_bytes()).bytes(RTA_PREFSRC, &octets);
    netlink::message(RTM_NEWROUTE, F_REQUEST | F_ACK | F_CREATE | F_EXCL, 1, &fixed, &attrs)
}

fn family_and_octets(address: IpAddr) -> (u8, Vec<u8>) {
    match address {
        IpAddr::V4(v4) => (AF_INET, v4.octets().to_vec()),
        IpAddr::V6(v6) => (AF_INET6, v6.octets().to_vec()),
    }
}
