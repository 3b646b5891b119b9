//! The addresses of this host's interfaces, which the jail may never reach.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use openshell_egress::HostAddresses;
use tokio::time::Instant;

use crate::limits;

/// Reads them from /proc/net, whose files stay open across the seal.
pub(crate) struct Interfaces {
    state: Mutex<State>,
}

struct State {
    v4: File,
    /// Absent on a kernel without IPv6.
    v6: Option<File>,
    read: Option<(Instant, Arc<[IpAddr]>)>,
}

impl Interfaces {
    /// Opens the kernel's tables.
    pub(crate) fn open() -> io::Result<Self> {
        let v4 = File::open("/proc/net/fib_trie")?;
        let v6 = match File::open("/proc/net/if_inet6") {
            Ok(file) => Some(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        Ok(Self { state: Mutex::new(State { v4, v6, read: None }) })
    }
}

impl HostAddresses for Interfaces {
    fn current(&self) -> io::Result<Arc<[IpAddr]>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((when, addresses)) = &state.read
            && when.elapsed() < limits::HOST_ADDRESSES
        {
            return Ok(Arc::clone(addresses));
        }
        let mut addresses: Vec<IpAddr> =
            parse_v4(&content(&mut state.v4)?).into_iter().map(IpAddr::V4).collect();
        if let Some(v6) = &mut state.v6 {
            addresses.extend(parse_v6(&content(v6)?).into_iter().map(IpAddr::V6));
        }
        let addresses: Arc<[IpAddr]> = addresses.into();
        state.read = Some((Instant::now(), Arc::clone(&addresses)));
        Ok(addresses)
    }
}

fn content(file: &mut File) -> io::Result<String> {
    let mut text = String::new();
    file.seek(SeekFrom::Start(0))?;
    file.read_to_string(&mut text)?;
    Ok(text)
}

/// Local addresses of fib_trie: an address line `|-- A` followed by `/32 host LOCAL`.
fn parse_v4(text: &str) -> Vec<Ipv4Addr> {
    let mut addresses = Vec::new();
    let mut last = None;
    for line in text.lines() {
        let line = line.trim();
        if let Some(address) = line.strip_prefix("|-- ") {
            last = address.parse().ok();
        } else if line.starts_with("/32 host LOCAL")
            && let Some(address) = last
            && !addresses.contains(&address)
        {
            addresses.push(address);
        }
    }
    addresses
}

/// Addresses of if_inet6: 32 hexadecimal digits start each line.
fn parse_v6(text: &str) -> Vec<Ipv6Addr> {
    text.lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|digits| digits.len() == 32)
        .filter_map(|digits| u128::from_str_radix(digits, 16).ok())
        .map(Ipv6Addr::from_bits)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b09_local_addresses_are_read_and_networks_are_not() {
        let text = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n\
            Local:\n     |-- 10.0.0.0\n        /24 link UNICAST\n     |-- 10.0.0.7\n        \
            /32 host LOCAL\n     |-- 10.0.0.255\n        /32 link BROADCAST\n     |-- 127.0.0.1\n  \
                  /32 host LOCAL\n";
        assert_eq!(parse_v4(text), [Ipv4Addr::new(10, 0, 0, 7), Ipv4Addr::LOCALHOST]);
        let text = "00000000000000000000000000000001 01 80 10 80       lo\n\
            fe800000000000000000000000000001 02 40 20 80     eth0\n";
        let [first, second] = parse_v6(text)[..] else { panic!("two addresses") };
        assert_eq!(first, Ipv6Addr::LOCALHOST);
        assert_eq!(second, "fe80::1".parse::<Ipv6Addr>().expect("address"));
    }

    #[test]
    fn this_host_has_a_loopback_address() {
        let addresses = Interfaces::open().expect("tables").current().expect("addresses");
        assert!(addresses.contains(&IpAddr::V4(Ipv4Addr::LOCALHOST)));
    }
}
