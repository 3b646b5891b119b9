//! Synthetic addresses: what a permitted name looks like from inside the jail.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use openshell_types::HostName;

/// Which synthetic address stands for which name.
///
/// INVARIANT: an address names one name for the sandbox's life; bindings are added, never changed
/// or removed (A12). A name has at most one address of each family in each pool.
#[derive(Default)]
pub(crate) struct Names([Mutex<Bindings>; 2]);

/// From where a name has its address: datagrams are let through to one pool alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pool {
    /// 198.18.1.0 to 198.18.255.255, and fd23:6f70:656e:1::/64.
    Tcp,
    /// 198.19.1.0 to 198.19.255.255, and fd23:6f70:656e:2::/64.
    Both,
}

#[derive(Default)]
struct Bindings {
    /// Names in the order of their addresses.
    names: Vec<HostName>,
    /// Where in `names` a name stands.
    places: HashMap<HostName, u32>,
}

/// The addresses of one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Synthetic {
    pub(crate) v4: Ipv4Addr,
    pub(crate) v6: Ipv6Addr,
}

impl Names {
    /// The addresses of a name, new ones if it has none; `None` when the pool is used up.
    pub(crate) fn bind(&self, name: &HostName, pool: Pool) -> Option<Synthetic> {
        let mut bindings = self.lock(pool);
        if let Some(&place) = bindings.places.get(name) {
            return Some(pool.at(place));
        }
        let place = u32::try_from(bindings.names.len()).ok().filter(|place| *place < SIZE)?;
        bindings.names.push(name.clone());
        bindings.places.insert(name.clone(), place);
        Some(pool.at(place))
    }

    /// The name that an address stands for.
    pub(crate) fn name_of(&self, address: IpAddr) -> Option<HostName> {
        [Pool::Tcp, Pool::Both].into_iter().find_map(|pool| {
            let place = usize::try_from(pool.place_of(address)?).ok()?;
            self.lock(pool).names.get(place).cloned()
        })
    }

    fn lock(&self, pool: Pool) -> MutexGuard<'_, Bindings> {
        let [tcp, both] = &self.0;
        let bindings = match pool {
            Pool::Tcp => tcp,
            Pool::Both => both,
        };
        bindings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pool {
    /// The first address of each family. 198.18.0.0/24 is the jail's own, as is the first /64.
    const fn first(self) -> (Ipv4Addr, Ipv6Addr) {
        let (second, fourth) = match self {
            Self::Tcp => (18, 1),
            Self::Both => (19, 2),
        };
        let v6 = Ipv6Addr::new(0xfd23, 0x6f70, 0x656e, fourth, 0, 0, 0, 0x100);
        (Ipv4Addr::new(198, second, 1, 0), v6)
    }

    const fn at(self, place: u32) -> Synthetic {
        let (v4, v6) = self.first();
        Synthetic {
            v4: Ipv4Addr::from_bits(v4.to_bits().saturating_add(place)),
            v6: Ipv6Addr::from_bits(v6.to_bits().saturating_add(place as u128)),
        }
    }

    fn place_of(self, address: IpAddr) -> Option<u32> {
        let (first_v4, first_v6) = self.first();
        let place = match address.to_canonical() {
            IpAddr::V4(v4) => v4.to_bits().checked_sub(first_v4.to_bits())?,
            IpAddr::V6(v6) => u32::try_from(v6.to_bits().checked_sub(first_v6.to_bits())?).ok()?,
        };
        (place < SIZE).then_some(place)
    }
}

/// How many names each pool has addresses for.
const SIZE: u32 = 65_536 - 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: u32) -> HostName {
        HostName::parse(&format!("n{number}.example.com")).unwrap()
    }

    #[test]
    fn a12_an_address_names_one_name_for_ever() {
        let names = Names::default();
        let first = names.bind(&name(1), Pool::Tcp).unwrap();
        let second = names.bind(&name(2), Pool::Tcp).unwrap();
        assert_ne!(first, second);
        assert_eq!(names.bind(&name(1), Pool::Tcp), Some(first));
        assert_eq!(names.name_of(first.v4.into()), Some(name(1)));
        assert_eq!(names.name_of(second.v6.into()), Some(name(2)));
        assert_eq!(names.name_of(first.v4.to_ipv6_mapped().into()), Some(name(1)));
    }

    #[test]
    fn a_name_has_an_address_in_each_pool() {
        let names = Names::default();
        let tcp = names.bind(&name(1), Pool::Tcp).unwrap();
        assert_eq!(names.name_of("198.19.1.0".parse().unwrap()), None);
        let both = names.bind(&name(1), Pool::Both).unwrap();
        assert_eq!(both.v4, Ipv4Addr::new(198, 19, 1, 0));
        for address in [tcp.v4.into(), tcp.v6.into(), both.v4.into(), both.v6.into()] {
            assert_eq!(names.name_of(address), Some(name(1)), "{address}");
        }
    }

    #[test]
    fn a_used_up_pool_binds_no_more_and_forgets_nothing() {
        let names = Names::default();
        for number in 0..SIZE {
            assert!(names.bind(&name(number), Pool::Tcp).is_some());
        }
        assert_eq!(names.bind(&name(SIZE), Pool::Tcp), None);
        let last: IpAddr = "198.18.255.255".parse().unwrap();
        assert_eq!(names.name_of(last), Some(name(SIZE - 1)));
        assert_eq!(names.name_of("198.19.1.0".parse().unwrap()), None);
        assert_eq!(names.name_of("198.18.0.1".parse().unwrap()), None);
        assert_eq!(names.bind(&name(0), Pool::Tcp).unwrap().v4, Ipv4Addr::new(198, 18, 1, 0));
    }
}
