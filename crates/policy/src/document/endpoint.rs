//! One endpoint of a rule.

use super::Endpoint;
use super::findings::{Findings, Position, Spanned};
use super::node::{Kind, Node};
use super::reader::{Fields, choice, list, listed, shown, text, wrong_type};
use crate::limits::ENDPOINT_ITEMS;
use crate::pattern::{HostPattern, Network, PortRange};

pub(super) fn read(node: Node, findings: &mut Findings) -> Option<Endpoint> {
    let mut fields = Fields::of(node, "an endpoint", findings)?;
    let at = fields.at;
    let host_given = fields.take("host");
    let ips_given = fields.take("allowed_ips");
    if host_given.is_none() && ips_given.is_none() {
        findings.error_with_help(
            "P0302",
            at,
            "an endpoint needs a `host`".to_owned(),
            "or `allowed_ips`, to allow addresses that are dialled without a name".to_owned(),
        );
    }
    let host = host_given.and_then(|node| host(node, findings));
    let allowed_ips = ips_given.map(|node| allowed_ips(node, findings)).unwrap_or_default();
    let ports = ports(&mut fields, findings);
    let raw = tls(&mut fields, findings);
    enforcement(&mut fields, findings);
    refuse_request_rules(&mut fields, findings);
    fields.refuse_rest(findings);
    Some(Endpoint { at, host, ports, allowed_ips, raw })
}

fn host(node: Node, findings: &mut Findings) -> Option<Spanned<HostPattern>> {
    let text = text(node, "host", findings)?;
    match HostPattern::parse(&text.value) {
        Ok(value) => Some(Spanned { value, at: text.at }),
        Err(why) => {
            let message = format!("`{}` cannot be a host: {why}", shown(&text.value));
            match host_help(&text.value) {
                Some(help) => findings.error_with_help("P0303", text.at, message, help),
                None => findings.error("P0303", text.at, message),
            }
            None
        }
    }
}

/// What was probably meant by a host that is none.
fn host_help(text: &str) -> Option<String> {
    let bare = text.split_once("://").map_or(text, |(_, rest)| rest);
    let bare = bare.split('/').next().unwrap_or(bare);
    let (host, port) = match bare.rsplit_once(':') {
        Some((host, port)) => (host, PortRange::parse(port)),
        None => (bare, None),
    };
    if host == text || HostPattern::parse(host).is_err() {
        return None;
    }
    Some(match port {
        Some(port) => format!("write `host: {host}` and `port: {port}`"),
        None => format!("write `host: {host}`"),
    })
}

fn ports(fields: &mut Fields, findings: &mut Findings) -> Vec<PortRange> {
    let at = fields.at;
    let single = fields.take_entry("port").filter(|entry| !entry.value.is_null());
    let several = fields.take_entry("ports").filter(|entry| !entry.value.is_null());
    let nodes = match (single, several) {
        (Some(_), Some(several)) => {
            findings.error_with_help(
                "P0304",
                several.at,
                "`port` and `ports` stand side by side".to_owned(),
                "list them all in `ports`".to_owned(),
            );
            return Vec::new();
        }
        (None, None) => {
            findings.error_with_help(
                "P0103",
                at,
                "an endpoint needs a `port` or `ports`".to_owned(),
                "for HTTPS: `port: 443`".to_owned(),
            );
            return Vec::new();
        }
        (Some(entry), None) => vec![entry.value],
        (None, Some(entry)) => match entry.value.kind {
            Kind::List(items) if items.len() <= ENDPOINT_ITEMS => items,
            Kind::List(_) => {
                findings.error("P0002", entry.at, format!("more than {ENDPOINT_ITEMS} ports"));
                return Vec::new();
            }
            // One range is as good as a list of one.
            Kind::Scalar { .. } => vec![entry.value],
            _ => {
                wrong_type(&entry.value, "ports", "a list of ports", findings);
                return Vec::new();
            }
        },
    };
    if nodes.is_empty() {
        findings.error("P0305", at, "`ports` is empty: the endpoint matches nothing".to_owned());
    }
    PortRange::merged(nodes.into_iter().filter_map(|node| port(&node, findings)).collect())
}

fn port(node: &Node, findings: &mut Findings) -> Option<PortRange> {
    let Kind::Scalar { text, plain } = &node.kind else {
        wrong_type(node, "port", "a number from 1 to 65535, or a range", findings);
        return None;
    };
    let range = PortRange::parse(text);
    match range {
        Some(range) if *plain || !range.is_single() => return Some(range),
        Some(_) => findings.error_with_help(
            "P0102",
            node.at,
            format!("the port `{}` is a number, and stands in quotes", shown(text)),
            format!("write `{}` without quotes", shown(text)),
        ),
        None => findings.error_with_help(
            "P0306",
            node.at,
            format!("`{}` is not a port", shown(text)),
            "a port is a number from 1 to 65535, a range is `8000-8100`".to_owned(),
        ),
    }
    None
}

fn allowed_ips(node: Node, findings: &mut Findings) -> Vec<Spanned<Network>> {
    let Some(list) = list(node, "allowed_ips", ENDPOINT_ITEMS, findings) else {
        return Vec::new();
    };
    if list.value.is_empty() {
        let message = "`allowed_ips` is empty: the endpoint matches nothing".to_owned();
        findings.error_with_help("P0305", list.at, message, "remove it".to_owned());
    }
    list.value.into_iter().filter_map(|node| network(node, findings)).collect()
}

fn network(node: Node, findings: &mut Findings) -> Option<Spanned<Network>> {
    let text = text(node, "allowed_ips", findings)?;
    match Network::parse(&text.value) {
        Ok(value) => Some(Spanned { value, at: text.at }),
        Err(why) => {
            let message = format!("`{}` is not an address range: {why}", shown(&text.value));
            findings.error("P0307", text.at, message);
            None
        }
    }
}

/// Whether `tls: skip` is set.
fn tls(fields: &mut Fields, findings: &mut Findings) -> bool {
    let Some(word) = fields.text("tls", findings) else { return false };
    let choices = [("skip", true), ("terminate", false), ("passthrough", false)];
    match choice(&word, "tls", &choices, findings) {
        Some(true) => true,
        Some(false) => {
            let message = format!("`tls: {}` has no meaning any more", word.value);
            let help = "remove it: TLS is terminated where a rule needs it".to_owned();
            findings.warning("P0105", word.at, message, Some(help));
            false
        }
        None => false,
    }
}

fn enforcement(fields: &mut Fields, findings: &mut Findings) {
    let Some(word) = fields.text("enforcement", findings) else { return };
    let choices = [("enforce", true), ("audit", false)];
    if choice(&word, "enforcement", &choices, findings) == Some(false) {
        findings.error_with_help(
            "P0402",
            word.at,
            "`enforcement: audit` lets violations through, and this endpoint has no request \
             rules that it could only log"
                .to_owned(),
            "remove it: the default is `enforce`".to_owned(),
        );
    }
}

/// Keys that say how requests within a connection are judged or changed, or how credentials are
/// put in.
const REQUEST_KEYS: [&str; 15] = [
    "path",
    "rules",
    "deny_rules",
    "allow_encoded_slash",
    "websocket_credential_rewrite",
    "request_body_credential_rewrite",
    "allow_uninspected_credentials",
    "persisted_queries",
    "graphql_persisted_queries",
    "graphql_max_body_bytes",
    "json_rpc",
    "mcp",
    "credential_signing",
    "signing_service",
    "signing_region",
];

// SECURITY: an endpoint whose request rules were read over would allow every request.
fn refuse_request_rules(fields: &mut Fields, findings: &mut Findings) {
    let mut found: Vec<(&'static str, Position)> = Vec::new();
    let protocol = fields.text("protocol", findings);
    if let Some(word) = protocol {
        let choices = [
            ("tcp", false),
            ("rest", true),
            ("websocket", true),
            ("graphql", true),
            ("json-rpc", true),
            ("mcp", true),
            ("sql", true),
        ];
        if choice(&word, "protocol", &choices, findings) == Some(true) {
            found.push(("protocol", word.at));
        }
    }
    if let Some(word) = fields.text("access", findings) {
        let choices = [("full", false), ("read-only", true), ("read-write", true)];
        if choice(&word, "access", &choices, findings) == Some(true) {
            found.push(("access", word.at));
        }
    }
    for key in REQUEST_KEYS.into_iter().chain(["credential_binding"]) {
        let Some(entry) = fields.take_entry(key) else { continue };
        let off = match &entry.value.kind {
            Kind::Null => true,
            Kind::Scalar { text, plain } => *plain && text == "false",
            _ => false,
        };
        if !off {
            found.push((key, entry.at));
        }
    }
    let Some((_, at)) = found.iter().min_by_key(|(_, at)| *at) else { return };
    let keys: Vec<&str> = found.iter().map(|(key, _)| *key).collect();
    findings.error_with_help(
        "P0401",
        *at,
        format!(
            "this build does not judge requests yet, and the endpoint asks for {}",
            listed(&keys)
        ),
        "remove these keys to allow the whole connection, or the endpoint to allow nothing"
            .to_owned(),
    );
}
