//! Finding the endpoints that a destination can match, without looking at the others.

use std::collections::HashMap;
use std::net::IpAddr;

use openshell_types::HostName;

use crate::HOST_ALIAS;
use crate::address::canonical;
use crate::decision::Grant;
use crate::document::Endpoint;
use crate::pattern::{HostPattern, Label, Wildcard, label_matches, masked};

/// All hosts of a policy: names and addresses by hash, wildcards in a trie of labels from the
/// right, ranges by prefix length.
#[derive(Clone, Debug, Default)]
pub(crate) struct HostIndex {
    names: HashMap<Box<str>, Vec<Grant>>,
    wildcards: TrieNode,
    addresses: HashMap<IpAddr, Vec<Grant>>,
    ranges: HashMap<(IpAddr, u8), Vec<Grant>>,
    /// The prefix lengths that occur in `ranges`: (IPv4?, length).
    prefixes: Vec<(bool, u8)>,
}

#[derive(Clone, Debug, Default)]
struct TrieNode {
    /// Endpoints whose pattern ends here.
    ends: Vec<Grant>,
    exact: HashMap<Box<str>, TrieNode>,
    one: Option<Box<TrieNode>>,
    many: Option<Box<TrieNode>>,
    partial: Vec<(Box<str>, Vec<Grant>)>,
}

impl HostIndex {
    pub fn insert(&mut self, endpoint: &Endpoint, grant: Grant) {
        match endpoint.host.as_ref().map(|host| &host.value) {
            Some(HostPattern::Exact(name)) => {
                self.names.entry(name.as_str().into()).or_default().push(grant);
            }
            Some(HostPattern::Address(address)) => {
                self.addresses.entry(*address).or_default().push(grant);
            }
            Some(HostPattern::Wildcard(wildcard)) => self.wildcards.insert(wildcard, grant),
            None => {
                for range in &endpoint.allowed_ips {
                    let (base, prefix) = (range.value.base(), range.value.prefix());
                    let grants = self.ranges.entry((base, prefix)).or_default();
                    if grants.last() != Some(&grant) {
                        grants.push(grant);
                    }
                    let kind = (base.is_ipv4(), prefix);
                    if !self.prefixes.contains(&kind) {
                        self.prefixes.push(kind);
                    }
                }
            }
        }
    }

    /// Visits every endpoint whose host matches a name. One may be visited twice.
    pub fn visit_name(&self, name: &HostName, visit: &mut impl FnMut(Grant)) {
        if let Some(grants) = self.names.get(name.as_str()) {
            grants.iter().copied().for_each(&mut *visit);
        }
        // SECURITY: the host's own loopback is opened by its exact name only, never by a wildcard
        // that happens to cover it.
        if name.as_str() != HOST_ALIAS {
            self.wildcards.visit(name.as_str().rsplit('.'), visit);
        }
    }

    /// Visits every endpoint whose address or range matches.
    pub fn visit_address(&self, address: IpAddr, visit: &mut impl FnMut(Grant)) {
        let address = canonical(address);
        if let Some(grants) = self.addresses.get(&address) {
            grants.iter().copied().for_each(&mut *visit);
        }
        for (v4, prefix) in &self.prefixes {
            if *v4 == address.is_ipv4()
                && let Some(grants) = self.ranges.get(&(masked(address, *prefix), *prefix))
            {
                grants.iter().copied().for_each(&mut *visit);
            }
        }
    }
}

impl TrieNode {
    fn insert(&mut self, wildcard: &Wildcard, grant: Grant) {
        let mut node = self;
        for label in wildcard.labels().iter().rev() {
            node = match label {
                Label::Exact(text) => node.exact.entry(text.clone()).or_default(),
                Label::One => node.one.get_or_insert_default(),
                Label::Many => node.many.get_or_insert_default(),
                // The leftmost label, so the last here.
                Label::Partial(text) => {
                    match node.partial.iter_mut().find(|(other, _)| other == text) {
                        Some((_, grants)) => grants.push(grant),
                        None => node.partial.push((text.clone(), vec![grant])),
                    }
                    return;
                }
            };
        }
        node.ends.push(grant);
    }

    /// `labels` are those to the left of this node, the nearest first. As a pattern holds at most
    /// one `**`, the cost is at most the number of labels squared.
    fn visit<'a>(
        &self,
        mut labels: impl Iterator<Item = &'a str> + Clone,
        visit: &mut impl FnMut(Grant),
    ) {
        let Some(label) = labels.next() else {
            self.ends.iter().copied().for_each(visit);
            return;
        };
        if let Some(next) = self.exact.get(label) {
            next.visit(labels.clone(), visit);
        }
        if let Some(next) = &self.one {
            next.visit(labels.clone(), visit);
        }
        if let Some(next) = &self.many {
            let mut rest = labels.clone();
            loop {
                next.visit(rest.clone(), visit);
                if rest.next().is_none() {
                    break;
                }
            }
        }
        if labels.next().is_none() {
            for (pattern, grants) in &self.partial {
                if label_matches(pattern, label) {
                    grants.iter().copied().for_each(&mut *visit);
                }
            }
        }
    }
}
