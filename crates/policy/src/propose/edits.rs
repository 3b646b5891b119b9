//! The edits that could allow an intent.

use super::{Intent, requests, text};
use crate::decision::Destination;
use crate::document::findings::Position;
use crate::document::model::{Clause, Enforcement, Options, PathCase, Protocol};
use crate::document::{Binary, Document, Endpoint, Rule};
use crate::merge::operation::placed;
use crate::merge::{NewRule, Operation};
use crate::pattern::{HostPattern, PortRange, port_set};
use crate::words;

/// One edit, to be tried.
pub(super) struct Candidate {
    pub operations: Vec<Operation>,
    pub words: String,
    pub widening: Vec<String>,
}

/// The edits, those that add to a rule that is there before those that make one.
pub(super) fn candidates(
    intent: &Intent<'_>,
    path: &str,
    descendants: bool,
) -> Result<Vec<Candidate>, String> {
    let binary = Binary { path: placed(path.to_owned()), sha256: None, descendants };
    let wanted = intent.request.map(requests::wanted).transpose()?;
    let mut all = Vec::new();
    // What names host and port already is closer than what names the program.
    for rule in rules_for(intent.document, intent.to) {
        all.extend(add_binary(intent, rule, &binary));
    }
    for rule in rules_for(intent.document, intent.to) {
        match &wanted {
            None => all.extend(add_port(intent, rule, &binary)),
            Some(wanted) => all.extend(add_clauses(intent, rule, &binary, wanted)),
        }
    }
    all.extend(new_rules(intent, &binary, wanted.as_ref()));
    if descendants {
        let more = format!("every program that {path} starts, and {path} itself");
        all.iter_mut().for_each(|candidate| candidate.widening.push(more.clone()));
    }
    Ok(all)
}

/// The lasting rules that name exactly this host or address.
pub(super) fn rules_for<'a>(
    document: &'a Document,
    to: &'a Destination<'a>,
) -> impl Iterator<Item = &'a Rule> {
    document
        .rules
        .iter()
        .filter(|rule| rule.until.is_none())
        .filter(|rule| rule.endpoints.iter().any(|endpoint| names(endpoint, to)))
}

fn names(endpoint: &Endpoint, to: &Destination<'_>) -> bool {
    match (endpoint.host.as_ref().map(|host| &host.value), to) {
        (Some(HostPattern::Exact(name)), Destination::Name(wanted, _)) => name == *wanted,
        (Some(HostPattern::Address(address)), Destination::Address(wanted, _)) => {
            *address == wanted.to_canonical()
        }
        _ => false,
    }
}

/// The program joins a rule that has this one endpoint alone: with several it would get them all.
fn add_binary(intent: &Intent<'_>, rule: &Rule, binary: &Binary) -> Option<Candidate> {
    let [endpoint] = rule.endpoints.as_slice() else { return None };
    if !port_set::covers(&endpoint.ports, &one_port(intent)) || endpoint.protocol == Protocol::Udp {
        return None;
    }
    let mut widening = Vec::new();
    let more = port_set::without(&endpoint.ports, &one_port(intent));
    if !more.is_empty() {
        widening.push(format!("port {} of {}, too", port_set::words(&more), words::host(endpoint)));
    }
    if intent.request.is_some() {
        widening.push(match endpoint.protocol.judges_requests() {
            true => format!("the other requests that rule `{}` allows", rule.name),
            false => format!("every request to {}", words::host(endpoint)),
        });
    }
    let addition = Rule { binaries: vec![binary.clone()], ..rule.clone() };
    Some(Candidate {
        operations: vec![Operation::AddRule(NewRule(addition))],
        words: text::add_binary(rule, binary),
        widening,
    })
}

/// The port joins an endpoint of a rule that is for this program alone.
fn add_port(intent: &Intent<'_>, rule: &Rule, binary: &Binary) -> Option<Candidate> {
    if !is_only(rule, binary) {
        return None;
    }
    let endpoint = rule
        .endpoints
        .iter()
        .find(|endpoint| names(endpoint, intent.to) && endpoint.protocol != Protocol::Udp)?;
    let addition = Rule {
        endpoints: vec![Endpoint { ports: one_port(intent), ..endpoint.clone() }],
        ..rule.clone()
    };
    Some(Candidate {
        operations: vec![Operation::AddRule(NewRule(addition))],
        words: text::add_port(rule, endpoint, intent.to.port()),
        widening: Vec::new(),
    })
}

fn is_only(rule: &Rule, binary: &Binary) -> bool {
    matches!(rule.binaries.as_slice(), [one] if words::binary(one) == words::binary(binary))
}

/// The request joins those that a rule for this program alone allows at such an endpoint.
fn add_clauses(
    intent: &Intent<'_>,
    rule: &Rule,
    binary: &Binary,
    wanted: &requests::Wanted,
) -> Option<Candidate> {
    if !is_only(rule, binary) {
        return None;
    }
    let endpoint = rule.endpoints.iter().find(|endpoint| {
        names(endpoint, intent.to)
            && wanted.fits(endpoint.protocol)
            && port_set::covers(&endpoint.ports, &one_port(intent))
    })?;
    let list = wanted.clauses.clone();
    let addition = Rule {
        endpoints: vec![Endpoint {
            ports: one_port(intent),
            rules: list.clone(),
            deny_rules: Vec::new(),
            access: None,
            ..endpoint.clone()
        }],
        ..rule.clone()
    };
    Some(Candidate {
        operations: vec![Operation::AddRule(NewRule(addition))],
        words: text::add_clauses(rule, endpoint, &list),
        widening: wanted.widening.clone(),
    })
}

/// A rule of its own: for the whole connection, or for the request at an endpoint like those that
/// are there (of endpoints narrowed to a path only the most specific decide), or at a plain one.
fn new_rules(
    intent: &Intent<'_>,
    binary: &Binary,
    wanted: Option<&requests::Wanted>,
) -> Vec<Candidate> {
    let plain = plain_endpoint(intent);
    let Some(wanted) = wanted else {
        return vec![new_rule(intent, binary, plain, Vec::new())];
    };
    let mut like: Vec<Endpoint> = Vec::new();
    let all = intent.document.rules.iter().flat_map(|rule| &rule.endpoints);
    for endpoint in all.filter(|endpoint| may_cover(endpoint, intent)) {
        like.push(Endpoint {
            path: endpoint.path.clone(),
            path_case: endpoint.path_case,
            protocol: if wanted.fits(endpoint.protocol) {
                endpoint.protocol
            } else {
                wanted.protocol
            },
            options: if wanted.fits(endpoint.protocol) {
                endpoint.options.clone()
            } else {
                Options::default()
            },
            ..plain.clone()
        });
    }
    like.push(Endpoint { protocol: wanted.protocol, ..plain });
    let mut seen: Vec<String> = Vec::new();
    let mut all = Vec::new();
    // An endpoint without a path first: it says less.
    like.sort_by_key(|endpoint| endpoint.path.is_some());
    for endpoint in like {
        let list = wanted.clauses.clone();
        // More is granted by the options of an MCP server than by rules.
        let mut endpoint = Endpoint { rules: list, ..endpoint };
        endpoint.options.allow_all_known_mcp_methods = false;
        endpoint.options.credential_provider = None;
        endpoint.options.signing = None;
        let text = words::endpoint(&endpoint);
        if !seen.contains(&text) {
            seen.push(text);
            all.push(new_rule(intent, binary, endpoint, wanted.widening.clone()));
        }
    }
    all
}

/// Whether an endpoint may have a say in the request: whatever its host pattern, for the trial
/// decides.
fn may_cover(endpoint: &Endpoint, intent: &Intent<'_>) -> bool {
    let host = match endpoint.host.as_ref().map(|host| &host.value) {
        Some(HostPattern::Wildcard(_)) => matches!(intent.to, Destination::Name(..)),
        Some(_) => names(endpoint, intent.to),
        None => matches!(intent.to, Destination::Address(..)),
    };
    host && port_set::covers(&endpoint.ports, &one_port(intent))
        && endpoint.protocol != Protocol::Udp
}

fn new_rule(
    intent: &Intent<'_>,
    binary: &Binary,
    endpoint: Endpoint,
    widening: Vec<String>,
) -> Candidate {
    let base: String = host_text(intent.to)
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .take(100)
        .collect();
    let taken = |key: &String| intent.document.rules.iter().any(|rule| rule.key.value == *key);
    let more = (2_u32..).map(|number| format!("{base}_{number}"));
    let key = std::iter::once(base.clone()).chain(more).find(|key| !taken(key)).unwrap_or_default();
    let rule = Rule {
        name: key.clone(),
        key: placed(key),
        until: None,
        endpoints: vec![endpoint],
        binaries: vec![binary.clone()],
    };
    let words = text::new_rule(&rule);
    Candidate { operations: vec![Operation::AddRule(NewRule(rule))], words, widening }
}

pub(super) fn host_text(to: &Destination<'_>) -> String {
    match to {
        Destination::Name(name, _) => name.to_string(),
        Destination::Address(address, _) => address.to_canonical().to_string(),
    }
}

fn plain_endpoint(intent: &Intent<'_>) -> Endpoint {
    let host = match intent.to {
        Destination::Name(name, _) => HostPattern::Exact((*name).clone()),
        Destination::Address(address, _) => HostPattern::Address(address.to_canonical()),
    };
    Endpoint {
        at: Position::default(),
        host: Some(placed(host)),
        ports: one_port(intent),
        allowed_ips: Vec::new(),
        raw: false,
        path: None,
        path_case: PathCase::default(),
        protocol: Protocol::default(),
        enforcement: Enforcement::default(),
        access: None,
        rules: Vec::<Clause>::new(),
        deny_rules: Vec::new(),
        options: Options::default(),
    }
}

fn one_port(intent: &Intent<'_>) -> Vec<PortRange> {
    let port = intent.to.port();
    PortRange::new(port, port).into_iter().collect()
}
