//! One endpoint of a rule, and where it leads.

use super::findings::{Findings, Spanned};
use super::node::{Kind, Node};
use super::reader::{Fields, list, shown, text, wrong_type};
use super::{Endpoint, options, requests};
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
    let requests = requests::read(&mut fields, findings);
    let options = options::read(&mut fields, &requests, findings);
    requests.require_allowing(&options, at, findings);
    fields.refuse_rest(findings);
    Some(Endpoint {
        at,
        host,
        ports,
        allowed_ips,
        raw: requests.raw,
        path: requests.path,
        path_case: requests.path_case,
        protocol: requests.protocol.unwrap_or_default(),
        enforcement: requests.enforcement,
        access: requests.access,
        rules: requests.rules,
        deny_rules: requests.deny_rules,
        options,
    })
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
