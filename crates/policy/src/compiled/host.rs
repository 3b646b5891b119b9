//! Hosts: names and addresses by hash, wildcards as globs read from the right, ranges by their
//! length.

use std::collections::HashMap;
use std::net::IpAddr;

use foldhash::fast::FixedState;
use openshell_types::HostName;

use super::globs::{Globs, GlobsBuilder};
use crate::HOST_ALIAS;
use crate::address::canonical;
use crate::document::Endpoint;
use crate::pattern::{Case, HostPattern, masked};
use crate::sets::{SetId, Sets, SetsBuilder, Span, Union, extend};

/// All hosts of a policy.
#[derive(Clone, Debug)]
pub(crate) struct HostIndex {
    names: HashMap<Box<str>, SetId, FixedState>,
    wildcards: Globs,
    addresses: HashMap<IpAddr, SetId, FixedState>,
    ranges: HashMap<(IpAddr, u8), SetId, FixedState>,
    /// The lengths that occur in `ranges`: (IPv4?, length).
    prefixes: Box<[(bool, u8)]>,
}

/// Makes a [`HostIndex`].
#[derive(Debug)]
pub(crate) struct HostIndexBuilder {
    names: HashMap<Box<str>, Vec<Span>, FixedState>,
    wildcards: GlobsBuilder,
    addresses: HashMap<IpAddr, Vec<Span>, FixedState>,
    ranges: HashMap<(IpAddr, u8), Vec<Span>, FixedState>,
}

impl HostIndexBuilder {
    pub fn new() -> Self {
        Self {
            names: HashMap::default(),
            wildcards: GlobsBuilder::new(Case::Exact, b'.'),
            addresses: HashMap::default(),
            ranges: HashMap::default(),
        }
    }

    pub fn insert(&mut self, endpoint: &Endpoint, span: &Span) {
        match endpoint.host.as_ref().map(|host| &host.value) {
            Some(HostPattern::Exact(name)) => {
                extend(self.names.entry(name.as_str().into()).or_default(), span);
            }
            Some(HostPattern::Address(address)) => {
                extend(self.addresses.entry(*address).or_default(), span);
            }
            Some(HostPattern::Wildcard(wildcard)) => {
                self.wildcards.insert(&wildcard.reversed(), span);
            }
            None => {
                for range in &endpoint.allowed_ips {
                    let key = (range.value.base(), range.value.prefix());
                    extend(self.ranges.entry(key).or_default(), span);
                }
            }
        }
    }

    pub fn finish(self, sets: &mut SetsBuilder) -> HostIndex {
        let mut prefixes: Vec<(bool, u8)> =
            self.ranges.keys().map(|(base, prefix)| (base.is_ipv4(), *prefix)).collect();
        prefixes.sort_unstable();
        prefixes.dedup();
        HostIndex {
            names: finish(self.names, sets),
            wildcards: self.wildcards.finish(sets),
            addresses: finish(self.addresses, sets),
            ranges: finish(self.ranges, sets),
            prefixes: prefixes.into(),
        }
    }
}

/// Each list of spans as a set.
pub(super) fn finish<K: Eq + std::hash::Hash>(
    lists: HashMap<K, Vec<Span>, FixedState>,
    sets: &mut SetsBuilder,
) -> HashMap<K, SetId, FixedState> {
    lists.into_iter().map(|(key, spans)| (key, sets.of(spans))).collect()
}

impl HostIndex {
    /// The clauses whose host matches a name.
    pub fn put_name(&self, name: &HostName, sets: &Sets, into: &mut Union) {
        let name = name.as_str();
        if let Some(set) = self.names.get(name) {
            sets.put(*set, into);
        }
        // SECURITY: the host's own loopback is opened by its exact name only, never by a wildcard
        // that happens to cover it.
        if name != HOST_ALIAS && !self.wildcards.is_empty() {
            // A name has at most 253 bytes.
            let mut reversed = [0_u8; 256];
            for (to, from) in reversed.iter_mut().zip(name.bytes().rev()) {
                *to = from;
            }
            let text = reversed.get(..name.len()).unwrap_or_default();
            self.wildcards.put(text, sets, into);
        }
    }

    /// The clauses whose address or range holds an address.
    pub fn put_address(&self, address: IpAddr, sets: &Sets, into: &mut Union) {
        let address = canonical(address);
        if let Some(set) = self.addresses.get(&address) {
            sets.put(*set, into);
        }
        for (v4, prefix) in &self.prefixes {
            if *v4 == address.is_ipv4()
                && let Some(set) = self.ranges.get(&(masked(address, *prefix), *prefix))
            {
                sets.put(*set, into);
            }
        }
    }

    pub fn bytes(&self) -> usize {
        let names = self.names.keys().map(|name| name.len().saturating_add(24)).sum::<usize>();
        let others = self.addresses.len().saturating_add(self.ranges.len()).saturating_mul(32);
        names.saturating_add(others).saturating_add(self.wildcards.bytes())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::document::findings::{Position, Spanned};
    use crate::pattern::Network;

    fn endpoint(host: Option<&str>, ips: &[&str]) -> Endpoint {
        let text =
            "version: 1\nnetwork_policies: { a: { endpoints: [{ host: x.example, port: 1 }] } }";
        let mut endpoint = crate::parse(text).document.unwrap().rules[0].endpoints[0].clone();
        let at = Position::START;
        endpoint.host = host.map(|text| Spanned { value: HostPattern::parse(text).unwrap(), at });
        endpoint.allowed_ips =
            ips.iter().map(|ip| Spanned { value: Network::parse(ip).unwrap(), at }).collect();
        endpoint
    }

    fn index(endpoints: &[Endpoint]) -> (HostIndex, Sets) {
        let (mut sets, mut builder) = (SetsBuilder::new(), HostIndexBuilder::new());
        for (endpoint, id) in endpoints.iter().zip(0..) {
            builder.insert(endpoint, &(id..id + 1));
        }
        (builder.finish(&mut sets), sets.finish())
    }

    fn found(sets: &Sets, put: impl FnOnce(&mut Union)) -> Vec<u32> {
        let mut union = Union::new();
        put(&mut union);
        sets.common(&[&union], 0).collect()
    }

    #[test]
    fn wildcards_match_whole_labels() {
        let hosts = [
            "*.example.com",
            "**.example.com",
            "a.*.example.com",
            "a.**.example.com",
            "api-*.example.com",
            "*x*y.example.com",
            "b.example.com",
        ];
        let endpoints: Vec<_> = hosts.iter().map(|host| endpoint(Some(host), &[])).collect();
        let (index, sets) = index(&endpoints);
        for (name, wanted) in [
            ("example.com", vec![]),
            ("b.example.com", vec![0, 1, 6]),
            ("xexample.com", vec![]),
            ("a.b.example.com", vec![1, 2, 3]),
            ("a.b.c.example.com", vec![1, 3]),
            ("api-.example.com", vec![0, 1]),
            ("api-eu.example.com", vec![0, 1, 4]),
            ("x.api-eu.example.com", vec![1]),
            ("1x2y.example.com", vec![0, 1, 5]),
            ("a.example.com", vec![0, 1]),
            ("b.example.com.evil.com", vec![]),
        ] {
            // A trailing hyphen is no name of ours; the index does not mind.
            let Ok(parsed) = HostName::parse(name) else { continue };
            assert_eq!(
                found(&sets, |union| index.put_name(&parsed, &sets, union)),
                wanted,
                "{name}"
            );
        }
    }

    #[test]
    fn no_wildcard_reaches_the_host_itself() {
        let hosts = ["**.openshell.internal", "*.openshell.internal", "host.openshell.internal"];
        let endpoints: Vec<_> = hosts.iter().map(|host| endpoint(Some(host), &[])).collect();
        let (index, sets) = index(&endpoints);
        let name = HostName::parse(HOST_ALIAS).unwrap();
        assert_eq!(found(&sets, |union| index.put_name(&name, &sets, union)), [2]);
    }

    #[test]
    fn addresses_and_ranges_match_addresses() {
        let endpoints = [
            endpoint(Some("10.0.0.1"), &[]),
            endpoint(None, &["10.0.0.0/8", "10.0.0.0/24"]),
            endpoint(None, &["2001:db8::/32"]),
            endpoint(Some("x.example"), &["10.0.0.0/8"]),
        ];
        let (index, sets) = index(&endpoints);
        for (address, wanted) in [
            ("10.0.0.1", vec![0, 1]),
            ("::ffff:10.0.0.1", vec![0, 1]),
            ("10.9.0.1", vec![1]),
            ("11.0.0.1", vec![]),
            ("2001:db8:1::", vec![2]),
        ] {
            let parsed: IpAddr = address.parse().unwrap();
            assert_eq!(
                found(&sets, |union| index.put_address(parsed, &sets, union)),
                wanted,
                "{address}"
            );
        }
    }

    /// Label by label, as the page on semantics has it.
    fn fits(pattern: &[&str], name: &[&str]) -> bool {
        match (pattern.split_last(), name.split_last()) {
            (None, None) => true,
            (Some((&"**", rest)), Some((_, names))) => fits(rest, names) || fits(pattern, names),
            (Some((label, rest)), Some((found, names))) => {
                let glob = crate::pattern::Glob::of_text(label);
                (*label == "*" || glob.matches(found)) && fits(rest, names)
            }
            _ => false,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn wildcards_agree_with_a_look_at_each_label(
            hosts in prop::collection::vec("(\\*|\\*\\*|a|ab|a\\*|\\*b|a\\*b)(\\.(\\*|\\*\\*|a|ab)){0,3}\\.example\\.com", 1..20),
            names in prop::collection::vec("(a|b|ab|aab)(\\.(a|b|ab|aab)){0,4}\\.example\\.com", 1..20),
        ) {
            let hosts: Vec<&String> = hosts
                .iter()
                .filter(|host| matches!(HostPattern::parse(host), Ok(HostPattern::Wildcard(_))))
                .collect();
            let endpoints: Vec<_> = hosts.iter().map(|host| endpoint(Some(host), &[])).collect();
            let (index, sets) = index(&endpoints);
            for name in &names {
                let parsed = HostName::parse(name).unwrap();
                let labels: Vec<&str> = name.split('.').collect();
                let wanted: Vec<u32> = (0..)
                    .zip(&hosts)
                    .filter(|(_, host)| fits(&host.split('.').collect::<Vec<_>>(), &labels))
                    .map(|(id, _)| id)
                    .collect();
                prop_assert_eq!(found(&sets, |union| index.put_name(&parsed, &sets, union)), wanted, "{} {:?}", name, hosts);
            }
        }
    }
}
