//! Synthetic addresses: what a permitted name looks like from inside the jail.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use openshell_types::HostName;

/// Which synthetic address stands for which name.
///
/// INVARIANT: an address names one name for the sandbox's life; bindings are added, never changed
/// or removed (A12). A name has one address of each family.
#[derive(Default)]
pub(crate) struct Names(Mutex<Bindings>);

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
    pub(crate) fn bind(&self, name: &HostName) -> Option<Synthetic> {
        let mut bindings = self.lock();
        if let Some(&place) = bindings.places.get(name) {
            return Some(Synthetic::at(place));
        }
        let place = u32::try_from(bindings.names.len()).ok().filter(|place| *place < POOL)?;
        bindings.names.push(name.clone());
        bindings.places.insert(name.clone(), place);
        Some(Synthetic::at(place))
    }

    /// The name that an address stands for.
    pub(crate) fn name_of(&self, address: IpAddr) -> Option<HostName> {
        let place = Synthetic::place_of(address)?;
        self.lock().names.get(usize::try_from(place).ok()?).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, Bindings> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Synthetic {
    const fn at(place: u32) -> Self {
        Self {
            v4: Ipv4Addr::from_bits(FIRST_V4.to_bits().saturating_add(place)),
            v6: Ipv6Addr::from_bits(FIRST_V6.to_bits().saturating_add(place as u128)),
        }
    }

    fn place_of(address: IpAddr) -> Option<u32> {
        let place = match address.to_canonical() {
            IpAddr::V4(v4) => v4.to_bits().checked_sub(FIRST_V4.to_bits())?,
            IpAddr::V6(v6) => u32::try_from(v6.to_bits().checked_sub(FIRST_V6.to_bits())?).ok()?,
        };
        (place < POOL).then_some(place)
    }
}

/// The first synthetic address; 198.18.0.0/24 is the jail's own.
const FIRST_V4: Ipv4Addr = Ipv4Addr::new(198, 18, 1, 0);

/// The first one in IPv6: a /64 beside that of the jail's own address.
const FIRST_V6: Ipv6Addr = Ipv6Addr::new(0xfd23, 0x6f70, 0x656e, 1, 0, 0, 0, 0x100);

/// How many names can be bound: 198.18.1.0 to 198.19.255.255.
const POOL: u32 = 2 * 65_536 - 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: u32) -> HostName {
        HostName::parse(&format!("n{number}.example.com")).unwrap()
    }

    #[test]
    fn a12_an_address_names_one_name_for_ever() {
        let names = Names::default();
        let first = names.bind(&name(1)).unwrap();
        let second = names.bind(&name(2)).unwrap();
        assert_ne!(first, second);
        assert_eq!(names.bind(&name(1)), Some(first));
        assert_eq!(names.name_of(first.v4.into()), Some(name(1)));
        assert_eq!(names.name_of(second.v6.into()), Some(name(2)));
        assert_eq!(names.name_of(first.v4.to_ipv6_mapped().into()), Some(name(1)));
    }

    #[test]
    fn a_used_up_pool_binds_no_more_and_forgets_nothing() {
        let names = Names::default();
        for number in 0..POOL {
            assert!(names.bind(&name(number)).is_some());
        }
        assert_eq!(names.bind(&name(POOL)), None);
        let last: IpAddr = "198.19.255.255".parse().unwrap();
        assert_eq!(names.name_of(last), Some(name(POOL - 1)));
        assert_eq!(names.name_of("198.20.0.0".parse().unwrap()), None);
        assert_eq!(names.name_of("198.18.0.1".parse().unwrap()), None);
        assert_eq!(names.bind(&name(0)).unwrap().v4, Ipv4Addr::new(198, 18, 1, 0));
    }
}
