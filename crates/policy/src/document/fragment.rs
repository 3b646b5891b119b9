//! Endpoints and binaries outside of a policy: a provider's profile has them.

use std::ops::RangeInclusive;

use openshell_types::{Host, Payload, Port};

use super::canonical::{self, Keys};
use super::findings::{Findings, Position, Spanned};
use super::model::{Endpoint, Protocol, Rule, Signing, SigningMode};
use super::reader::Fields;
use super::tree::{Key, Reader, Value};
use super::{Document, region, rules};
use crate::check;
use crate::diagnostic::{Diagnostic, Severity};
use crate::pattern::HostPattern;

/// The endpoints and binaries of a text that is no policy: read and checked as those of a rule.
#[derive(Clone, Debug)]
pub struct Fragment(Rule);

/// What an endpoint says about where it leads, and how what goes there is judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointView<'a> {
    /// Where it stands in the text.
    pub at: Position,
    /// The host; `None` for addresses that are dialled without a name.
    pub host: Option<EndpointHost<'a>>,
    /// The ports, in order.
    pub ports: Vec<RangeInclusive<Port>>,
    /// Which part of the host.
    pub path: Option<&'a str>,
    /// What is judged beyond the connection.
    pub protocol: Protocol,
    /// `tls: skip`: relayed as it is.
    pub is_raw: bool,
    /// `allow_uninspected_credentials`.
    pub allows_uninspected: bool,
    /// `credential_binding.provider`: whose credentials are meant for it.
    pub provider: Option<&'a str>,
    /// What its requests are signed for.
    pub signing: Option<SigningView<'a>>,
    /// `request_body_credential_rewrite`.
    pub fills_bodies: bool,
    /// `websocket_credential_rewrite`.
    pub fills_messages: bool,
}

/// `credential_signing` and what belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SigningView<'a> {
    /// `signing_service`.
    pub service: &'a str,
    /// `signing_region`, or the region that the host says; `None`: neither is there.
    pub region: Option<&'a str>,
    /// What is said of the body.
    pub payload: Payload,
}

/// The host of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndpointHost<'a> {
    /// This one alone.
    One(Host),
    /// Each that the pattern matches.
    Wildcard(&'a str),
}

impl Fragment {
    /// Takes `endpoints` and `binaries` out of a mapping. Findings call them the rule of this name.
    pub fn read(name: &Spanned<String>, fields: &mut Fields, findings: &mut Findings) -> Self {
        Self(rules::fragment(name, fields, findings))
    }

    /// Runs the checks of a policy with this one rule; the last step of reading a text.
    pub fn check(&self, findings: &mut Findings) {
        if self.0.endpoints.is_empty() && self.0.binaries.is_empty() {
            findings.admit_remarks();
            return;
        }
        check::run(&Document { rules: vec![self.0.clone()], ..Document::empty() }, findings);
    }

    /// Its endpoints in the order of the text.
    pub fn endpoints(&self) -> impl Iterator<Item = EndpointView<'_>> {
        self.0.endpoints.iter().map(EndpointView::of)
    }

    /// The paths of its binaries in the order of the text.
    pub fn binaries(&self) -> impl Iterator<Item = &str> {
        self.0.binaries.iter().map(|binary| binary.path.value.as_str())
    }

    /// `endpoints` and `binaries`, in the order of the canonical text.
    pub fn to_entries(&self, reader: Reader) -> Vec<(Key, Value)> {
        let mut keys = Keys::default();
        canonical::parts(&mut keys, &self.0, reader);
        keys.into_entries()
    }

    /// A policy with this one rule under `key`, to be joined to another. `None` when nothing leads
    /// anywhere. What requests are signed for is not in it: that goes with the credentials.
    pub fn rule(&self, key: &str) -> Option<Document> {
        if self.0.endpoints.is_empty() {
            return None;
        }
        let key = Spanned { value: key.to_owned(), at: Position::default() };
        let mut rule = Rule { name: key.value.clone(), key, ..self.0.clone() };
        for endpoint in &mut rule.endpoints {
            endpoint.options.signing = None;
        }
        Some(Document { rules: vec![rule], ..Document::empty() })
    }
}

impl Document {
    /// The keys of the rules in the order of the text, and where each stands.
    pub fn rule_keys(&self) -> impl Iterator<Item = (&str, Position)> {
        self.rules.iter().map(|rule| (rule.key.value.as_str(), rule.key.at))
    }

    /// The endpoints with a `credential_binding` in the order of the text, with the keys of their rules.
    pub fn bound_endpoints(&self) -> impl Iterator<Item = (&str, EndpointView<'_>)> {
        self.rules.iter().flat_map(|rule| {
            let all = rule.endpoints.iter().map(EndpointView::of);
            let all = all.filter(|view| view.provider.is_some());
            all.map(|view| (rule.key.value.as_str(), view))
        })
    }

    /// The errors of the endpoints whose `credential_binding` names a provider that cannot be bound.
    /// `why` says of an endpoint what is wrong with its provider, and what would help.
    pub fn unbindable(
        &self,
        why: impl Fn(&EndpointView<'_>) -> Option<(String, String)>,
    ) -> Vec<Diagnostic> {
        let all = self.bound_endpoints().filter_map(|(rule, view)| {
            let (wrong, help) = why(&view)?;
            Some(Diagnostic {
                code: "P0422",
                severity: Severity::Error,
                message: format!("the rule `{rule}` has a `credential_binding`, and {wrong}"),
                line: view.at.line,
                column: view.at.column,
                help: Some(help),
            })
        });
        all.collect()
    }

    /// The endpoints of all rules in the order of the text.
    pub fn endpoint_views(&self) -> impl Iterator<Item = EndpointView<'_>> {
        self.rules.iter().flat_map(|rule| &rule.endpoints).map(EndpointView::of)
    }
}

impl<'a> EndpointView<'a> {
    /// Each port; `None` when there are more than `most`.
    pub fn numbered_ports(&self, most: usize) -> Option<Vec<Port>> {
        let numbers =
            self.ports.iter().flat_map(|range| range.start().number()..=range.end().number());
        let ports: Vec<Port> = numbers.filter_map(Port::new).take(most.saturating_add(1)).collect();
        (ports.len() <= most).then_some(ports)
    }

    pub(crate) fn of(endpoint: &'a Endpoint) -> Self {
        Self {
            at: endpoint.at,
            host: endpoint.host.as_ref().map(|host| match &host.value {
                HostPattern::Exact(name) => EndpointHost::One(Host::Name(name.clone())),
                HostPattern::Address(address) => EndpointHost::One(Host::Address(*address)),
                HostPattern::Wildcard(wildcard) => EndpointHost::Wildcard(wildcard.as_str()),
            }),
            ports: endpoint.ports.iter().map(|range| range.ends().0..=range.ends().1).collect(),
            path: endpoint.path.as_ref().map(|path| path.value.as_str()),
            protocol: endpoint.protocol,
            is_raw: endpoint.raw,
            allows_uninspected: endpoint.options.allow_uninspected_credentials,
            provider: endpoint.options.credential_provider.as_deref(),
            signing: endpoint.options.signing.as_ref().map(|own| SigningView::of(own, endpoint)),
            fills_bodies: endpoint.options.request_body_credential_rewrite,
            fills_messages: endpoint.options.websocket_credential_rewrite,
        }
    }
}

impl<'a> SigningView<'a> {
    fn of(signing: &'a Signing, endpoint: &'a Endpoint) -> Self {
        let of_host = || match &endpoint.host.as_ref()?.value {
            HostPattern::Exact(name) => region::of_host(name.as_str()),
            HostPattern::Address(_) | HostPattern::Wildcard(_) => None,
        };
        Self {
            service: &signing.service,
            region: signing.region.as_deref().or_else(of_host),
            payload: match signing.mode {
                SigningMode::Auto => Payload::AsSaid,
                SigningMode::Body => Payload::Digest,
                SigningMode::NoBody => Payload::Unsigned,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{node, parse};

    const TEXT: &str = "
endpoints:
  - { host: api.example.com, port: 443, protocol: rest, access: read-only, enforcement: enforce }
  - { host: \"*.example.org\", ports: [80, \"8000-8010\"], path: /v1/** , protocol: rest,
      access: full, enforcement: enforce }
binaries: [{ path: /usr/bin/curl, descendants: true }]
";

    fn read(text: &str) -> (Fragment, Vec<crate::Diagnostic>) {
        let mut findings = Findings::default();
        let root = node::read(text, &mut findings).unwrap();
        let mut fields = Fields::of(root, "a text", &mut findings).unwrap();
        let name = Spanned { value: "example".to_owned(), at: Position::START };
        let fragment = Fragment::read(&name, &mut fields, &mut findings);
        fields.refuse_rest(&mut findings);
        fragment.check(&mut findings);
        (fragment, findings.finish())
    }

    #[test]
    fn a_fragment_reads_as_a_rule_does() {
        let (fragment, findings) = read(TEXT);
        assert!(findings.iter().all(|finding| !finding.is_error()), "{findings:#?}");
        let views: Vec<EndpointView<'_>> = fragment.endpoints().collect();
        assert_eq!(views[0].host, Some(EndpointHost::One(Host::parse("api.example.com").unwrap())));
        assert_eq!(views[1].host, Some(EndpointHost::Wildcard("*.example.org")));
        assert_eq!((views[1].at.line, views[1].path), (4, Some("/v1/**")));
        assert_eq!(views[1].ports.len(), 2);
        assert_eq!(fragment.binaries().collect::<Vec<_>>(), ["/usr/bin/curl"]);
        let indented = TEXT.replace('\n', "\n    ");
        let policy = format!("version: 1\nnetwork_policies:\n  _provider_x:{indented}");
        let alone = parse(&policy).document.unwrap();
        assert_eq!(fragment.rule("_provider_x").unwrap().canonical(), alone.canonical());
    }

    #[test]
    fn findings_stand_where_the_text_has_them() {
        let (_, findings) =
            read("endpoints:\n  - { host: \"*\", port: 0 }\nbinaries:\n  - path: x");
        let found: Vec<(&str, u32)> = findings.iter().map(|one| (one.code, one.line)).collect();
        assert_eq!(found, [("P0303", 2), ("P0306", 2), ("P0203", 4)]);
    }

    #[test]
    fn rules_are_joined_as_they_are() {
        let policy = "version: 1\nnetwork_policies: { own: { endpoints: [{ host: a.test, port: 1 }], \
                      binaries: [{ path: /bin/a }] } }\ntests: [{ to: \"api.example.com:443\", by: /usr/bin/curl, \
                      want: deny }]";
        let own = parse(policy).document.unwrap_or_else(|| panic!("{:#?}", parse(policy)));
        let rule = read(TEXT).0.rule("_provider_x").unwrap();
        let joined = own.join([&rule]).unwrap();
        assert_eq!(joined.endpoint_views().count(), 3);
        assert!(joined.canonical().contains("_provider_x"));
        assert!(!joined.canonical().contains("tests"));
        let twice = joined.join([&rule]).unwrap_err();
        assert!(twice.iter().any(|finding| finding.code == "P0004"), "{twice:#?}");
    }
}
