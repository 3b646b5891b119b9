//! P0515: an endpoint that judges no requests beside one that does (M2). P0419: endpoints of the
//! same requests that differ in how these are read or changed.

use std::collections::BTreeMap;

use super::cover::{Stars, Work, pattern_covers};
use crate::document::findings::{Findings, Position};
use crate::document::model::{Binary, Endpoint, Rule};
use crate::document::{Document, options_text, shown};

struct Site<'a> {
    rule: &'a Rule,
    endpoint: &'a Endpoint,
}

impl Site<'_> {
    fn at(&self) -> Position {
        self.endpoint.at
    }

    fn ports_meet(&self, other: &Self) -> bool {
        self.endpoint.ports.iter().any(|one| other.endpoint.ports.iter().any(|two| one.meets(two)))
    }

    /// Whether some program is plainly meant by both rules.
    fn programs_meet(&self, other: &Self, work: &mut Work) -> bool {
        std::ptr::eq(self.rule, other.rule)
            || self.rule.binaries.iter().any(|one| {
                other.rule.binaries.iter().any(|two| work.spend(1) && same_program(one, two, work))
            })
    }
}

fn same_program(one: &Binary, other: &Binary, work: &mut Work) -> bool {
    let (left, right) = (one.path.value.as_str(), other.path.value.as_str());
    let digests = one.sha256.is_none() || other.sha256.is_none() || one.sha256 == other.sha256;
    digests
        && (pattern_covers(left, right, Stars::Path, work)
            || pattern_covers(right, left, Stars::Path, work))
}

fn sites(document: &Document) -> impl Iterator<Item = Site<'_>> {
    document
        .rules
        .iter()
        .flat_map(|rule| rule.endpoints.iter().map(move |endpoint| Site { rule, endpoint }))
}

/// The lint: whole connections beside judged ones.
pub(super) fn check(document: &Document, findings: &mut Findings) {
    let mut work = Work::new();
    let mut judged: BTreeMap<String, Vec<Site>> = BTreeMap::new();
    for site in sites(document).filter(|site| site.endpoint.protocol.judges_requests()) {
        // One with a path is more specific, and decides there alone.
        if let (Some(host), None) = (&site.endpoint.host, &site.endpoint.path) {
            judged.entry(host.value.to_string()).or_default().push(site);
        }
    }
    for open in sites(document).filter(|site| !site.endpoint.protocol.judges_requests()) {
        let Some(host) = &open.endpoint.host else { continue };
        if open.endpoint.protocol == crate::document::Protocol::Udp {
            continue;
        }
        let name = host.value.to_string();
        let of_name = judged.get(&name).into_iter().flatten();
        let of_wildcard = judged
            .iter()
            .filter(|(other, _)| **other != name && host_covers(&name, other, &mut work))
            .flat_map(|(_, sites)| sites);
        let beside: Vec<&Site> = of_name.chain(of_wildcard).collect();
        let opened = beside
            .into_iter()
            .filter(|one| {
                work.spend(1) && one.ports_meet(&open) && one.programs_meet(&open, &mut work)
            })
            .min_by_key(|one| one.at());
        if let Some(one) = opened {
            findings.warning(
                "P0515",
                open.at(),
                format!(
                    "this lets every request to `{}` through, whatever line {} says",
                    one.endpoint
                        .host
                        .as_ref()
                        .map(|host| host.value.to_string())
                        .unwrap_or_default(),
                    one.at().line
                ),
                Some("remove it, or give it the same `protocol` and rules".to_owned()),
            );
        }
    }
}

/// Whether all names of one host pattern are names of another. With their labels as segments they
/// are paths.
fn host_covers(wide: &str, narrow: &str, work: &mut Work) -> bool {
    work.spend(1)
        && wide.contains('*')
        && pattern_covers(&wide.replace('.', "/"), &narrow.replace('.', "/"), Stars::Path, work)
}

/// The error: nobody could say which of two endpoints is to be followed.
pub(super) fn check_options(document: &Document, findings: &mut Findings) {
    let mut work = Work::new();
    let mut groups: BTreeMap<_, Vec<(String, Site)>> = BTreeMap::new();
    for site in sites(document) {
        let Some(host) = &site.endpoint.host else { continue };
        let Some(protocol) = site.endpoint.protocol.as_str() else { continue };
        let path = site.endpoint.path.as_ref().map(|path| path.value.as_str());
        let mut options = site.endpoint.options.clone();
        // These add up: the budgets are each their own.
        options.budget = None;
        options.allow_all_known_mcp_methods = false;
        let text = options_text(site.endpoint.protocol, &options);
        groups.entry((host.value.to_string(), protocol, path)).or_default().push((text, site));
    }
    for group in groups.into_values() {
        let Some((first, _)) = group.first() else { continue };
        if group.iter().all(|(text, _)| text == first) {
            continue;
        }
        for (number, (text, site)) in group.iter().enumerate() {
            let other = group.iter().take(number).find(|(other, earlier)| {
                work.spend(1)
                    && other != text
                    && earlier.ports_meet(site)
                    && earlier.programs_meet(site, &mut work)
            });
            if let Some((other, earlier)) = other {
                findings.error_with_help(
                    "P0419",
                    site.at(),
                    format!(
                        "for the same requests line {} says `{}`, and this endpoint `{}`",
                        earlier.at().line,
                        shown(other),
                        shown(text)
                    ),
                    "say the same at both, or narrow one by `path`".to_owned(),
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_which_hosts_a_wildcard_covers() {
        for (wildcard, name, matches) in [
            ("*.a.com", "x.a.com", true),
            ("*.a.com", "x.y.a.com", false),
            ("*.a.com", "a.com", false),
            ("**.a.com", "x.y.a.com", true),
            ("**.a.com", "a.com", false),
            ("x.**.a.com", "x.1.2.a.com", true),
            ("api-*.a.com", "api-1.a.com", true),
            ("api-*.a.com", "web.a.com", false),
            ("**.a.com", "*.a.com", true),
            ("*.a.com", "**.a.com", false),
            ("a.com", "a.com", false),
        ] {
            assert_eq!(host_covers(wildcard, name, &mut Work::new()), matches, "{wildcard} {name}");
        }
    }
}
