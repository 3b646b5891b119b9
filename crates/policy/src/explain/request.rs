//! Verdicts on requests in words.

use super::{Explanation, Place, Words, allowed, host_text, scalar};
use crate::decision::{Caller, Decision, Destination};
use crate::document::{METHODS, OperationType, Protocol, quoted};
use crate::policy::Policy;
use crate::request::{
    Call, Content, GraphqlOperation, Refused, Request, RequestDenial, RequestGrant, Verdict,
};

/// Longest text of a request that is repeated in an explanation, in bytes.
const SHOWN: usize = 256;
/// Most rules that one explanation proposes.
const PROPOSED: usize = 3;

impl Policy {
    /// Puts the verdict on a request into words. `by` is `None` when the caller could not be told.
    pub fn explain_request(
        &self,
        to: &Destination<'_>,
        by: Option<&Caller>,
        request: &Request<'_>,
        verdict: &Verdict,
    ) -> Explanation {
        match verdict {
            Verdict::Allow(grant) => self.allowed_request(to, request, grant),
            Verdict::Deny(denial) => self.denied_request(to, by, request, denial),
            Verdict::Audit(denial) => {
                let mut words = self.denied_request(to, by, request, denial);
                words.detail.push_str("; it is only noted, as the endpoint asks");
                words
            }
        }
    }

    fn allowed_request(
        &self,
        to: &Destination<'_>,
        request: &Request<'_>,
        grant: &RequestGrant,
    ) -> Explanation {
        let endpoint = grant.endpoint();
        let place = self.rule(endpoint).zip(self.endpoint(endpoint));
        let line = place.map(|(_, endpoint)| {
            let clause = grant.clause().and_then(|at| endpoint.rules.get(at as usize));
            clause.copied().unwrap_or(endpoint.line)
        });
        let judged = place.is_some_and(|(_, endpoint)| endpoint.protocol.judges_requests());
        let detail = match place {
            Some((rule, _)) if judged => {
                format!("the rule `{}` allows {} there", rule.name, asked(request))
            }
            place => format!("{}, whatever is asked there", allowed(to, place)),
        };
        Explanation {
            predicate: "allowed",
            rule: place.map(|(rule, _)| rule.name.to_string()),
            line,
            detail,
            nearest: None,
        }
    }

    fn denied_request(
        &self,
        to: &Destination<'_>,
        by: Option<&Caller>,
        request: &Request<'_>,
        denial: &RequestDenial,
    ) -> Explanation {
        let predicate = denial.refused.as_str();
        let place =
            denial.endpoint().and_then(|grant| Some((self.rule(grant)?, self.endpoint(grant)?)));
        let (Some(place), false) = (place, denial.refused == Refused::Connection) else {
            // The words of the connection's own denial say why.
            let denial = by.map(|by| self.closest(to, by));
            return match denial {
                Some(denial) => {
                    Explanation { predicate, ..self.explain(to, by, &Decision::Deny(denial)) }
                }
                None => Explanation {
                    predicate,
                    rule: None,
                    line: None,
                    detail: format!("no rule allows a connection to {}", host_text(to)),
                    nearest: None,
                },
            };
        };
        let (rule, endpoint) = place;
        let denying = denial.clause().and_then(|at| endpoint.deny_rules.get(at as usize)).copied();
        let (detail, nearest) = match denial.refused {
            Refused::DenyRule => deny_rule(request, place, denying),
            Refused::Path => path(to, request, place),
            Refused::Protocol => protocol(to, request, place),
            Refused::Rule | Refused::Connection => no_rule(request, place),
        };
        Explanation {
            predicate,
            rule: Some(rule.name.to_string()),
            line: Some(denying.unwrap_or(endpoint.line)),
            detail,
            nearest,
        }
    }
}

/// A request as people name it.
fn asked(request: &Request<'_>) -> String {
    let head = format!("{} {}", shown(request.method), shown(request.path));
    match request.content {
        Content::Plain | Content::Message { .. } => head,
        Content::Graphql([GraphqlOperation::Document { operation_type, name, .. }]) => {
            format!("the GraphQL {} `{}`", word(*operation_type), shown(name))
        }
        Content::Graphql([GraphqlOperation::Hash(hash)]) => {
            format!("the GraphQL operation with the hash {}", shown(hash))
        }
        Content::Graphql(operations) => format!("{} GraphQL operations", operations.len()),
        Content::Rpc([Call { method, tool: Some(tool), .. }]) => {
            format!("{} of the tool `{}`", shown(method), shown(tool))
        }
        Content::Rpc([Call { method, .. }]) => format!("the call {}", shown(method)),
        Content::Rpc(calls) => format!("{} calls", calls.len()),
    }
}

const fn word(kind: OperationType) -> &'static str {
    match kind {
        OperationType::Query => "query",
        OperationType::Mutation => "mutation",
        OperationType::Subscription => "subscription",
    }
}

/// A part of a request, on one line and not too long.
fn shown(text: &str) -> String {
    let short: String = text.chars().take(SHOWN).map(printable).collect();
    if short.len() < text.len() && text.chars().nth(SHOWN).is_some() {
        format!("{short}…")
    } else {
        short
    }
}

fn printable(character: char) -> char {
    if character.is_control() { '\u{fffd}' } else { character }
}

fn deny_rule(request: &Request<'_>, (rule, endpoint): Place<'_>, line: Option<u32>) -> Words {
    let line = line.unwrap_or(endpoint.line);
    (
        format!("the rule `{}` denies {} in `deny_rules` (line {line})", rule.name, asked(request)),
        Some(format!("remove or narrow the denying rule in line {line}")),
    )
}

fn path(to: &Destination<'_>, request: &Request<'_>, (rule, endpoint): Place<'_>) -> Words {
    let detail = format!(
        "the endpoints of {} are narrowed to other paths than {}; the first, of rule `{}`, to `{}`",
        host_text(to),
        shown(request.path),
        rule.name,
        endpoint.path.as_deref().unwrap_or("**"),
    );
    (detail, beside(to, request, (rule, endpoint)))
}

fn protocol(to: &Destination<'_>, request: &Request<'_>, (rule, endpoint): Place<'_>) -> Words {
    let detail = format!(
        "the rule `{}` judges `protocol: {}` there, and {} is none of it",
        rule.name,
        endpoint.protocol.as_str().unwrap_or_default(),
        asked(request),
    );
    (detail, beside(to, request, (rule, endpoint)))
}

/// One more endpoint, for requests such as this one.
fn beside(
    to: &Destination<'_>,
    request: &Request<'_>,
    (rule, endpoint): Place<'_>,
) -> Option<String> {
    let protocol = match request.content {
        Content::Plain if endpoint.protocol == Protocol::Grpc => Protocol::Grpc,
        Content::Plain => Protocol::Rest,
        Content::Message { .. } => Protocol::WebSocket,
        Content::Graphql(_) => Protocol::GraphQl,
        Content::Rpc(_) if endpoint.protocol == Protocol::Mcp => Protocol::Mcp,
        Content::Rpc(_) => Protocol::JsonRpc,
    };
    let rules: Vec<String> = fields(request, protocol, &[])?
        .iter()
        .map(|fields| format!("{{ allow: {fields} }}"))
        .collect();
    Some(format!(
        "add `- {{ host: {}, port: {}, path: {}, protocol: {}, rules: [{}] }}` to `endpoints` of \
         rule `{}` (line {})",
        quoted(&host_text(to)),
        to.port(),
        scalar(literal(request.path)?),
        protocol.as_str()?,
        rules.join(", "),
        rule.name,
        rule.line,
    ))
}

fn no_rule(request: &Request<'_>, (rule, endpoint): Place<'_>) -> Words {
    let keys = &endpoint.query_keys;
    let detail = format!(
        "no rule of `{}` (endpoint in line {}) allows {}{}",
        rule.name,
        endpoint.line,
        asked(request),
        named_pairs(request, keys)
            .map(|(key, value)| format!(" with `{key}={}`", shown(value)))
            .collect::<String>(),
    );
    let Some(fields) = fields(request, endpoint.protocol, keys) else { return (detail, None) };
    let rules: Vec<String> = fields.iter().map(|fields| format!("`- allow: {fields}`")).collect();
    let rules = rules.join(" and ");
    let place = format!("of the endpoint of rule `{}` (line {})", rule.name, endpoint.line);
    let nearest = if endpoint.preset {
        match wider_preset(request, endpoint.protocol) {
            Some(access) => format!("write `access: {access}` in place of the one {place}"),
            None => format!("put `rules` in place of `access` {place}, with {rules} among them"),
        }
    } else {
        format!("add {rules} to `rules` {place}")
    };
    (detail, Some(nearest))
}

/// The smallest preset that allows what another one did not.
fn wider_preset(request: &Request<'_>, protocol: Protocol) -> Option<&'static str> {
    let reaches = |kind: OperationType| match kind {
        OperationType::Query => 0_u8,
        OperationType::Mutation => 1,
        OperationType::Subscription => 2,
    };
    let rank = match (protocol, request.content) {
        (Protocol::Rest, _) => match request.method {
            "POST" | "PUT" | "PATCH" => 1,
            method if METHODS.contains(&method) => 2,
            _ => return None,
        },
        (Protocol::WebSocket, _) => 1,
        (Protocol::GraphQl, Content::Graphql(operations)) => {
            let ranks = operations.iter().map(|operation| match operation {
                GraphqlOperation::Document { operation_type, .. } => Some(reaches(*operation_type)),
                GraphqlOperation::Hash(_) => None,
            });
            ranks.collect::<Option<Vec<u8>>>()?.into_iter().max()?
        }
        _ => return None,
    };
    match rank {
        0 => Some("read-only"),
        1 => Some("read-write"),
        _ => Some("full"),
    }
}

/// The fields of rules that would allow a request; `None` when no rule could, or none that names
/// just this.
fn fields(request: &Request<'_>, protocol: Protocol, keys: &[Box<str>]) -> Option<Vec<String>> {
    let head = || {
        Some(format!(
            "{{ method: {}, path: {}{} }}",
            word_of(request.method)?,
            scalar(literal(request.path)?),
            query(request, keys)?
        ))
    };
    let mut rules = match (protocol, request.content) {
        (Protocol::Rest, _) => vec![head()?],
        (Protocol::WebSocket, Content::Message { operations: [_, ..], .. }) => {
            return operations(request.content).map(|found| {
                found
                    .iter()
                    .map(|fields| format!("{{ method: WEBSOCKET_TEXT, {fields} }}"))
                    .collect()
            });
        }
        (Protocol::WebSocket, _) => vec![head()?],
        (Protocol::GraphQl, Content::Graphql([_, ..])) => {
            let found = operations(request.content)?;
            found.iter().map(|fields| format!("{{ {fields} }}")).collect()
        }
        (Protocol::JsonRpc | Protocol::Mcp, Content::Rpc(calls @ [_, ..])) => {
            calls.iter().map(|found| call(found, protocol)).collect::<Option<Vec<_>>>()?
        }
        (Protocol::Grpc, Content::Plain) => {
            let (service, method) = literal(request.path)?.strip_prefix('/')?.split_once('/')?;
            vec![format!("{{ service: {}, method: {} }}", quoted(service), quoted(method))]
        }
        _ => return None,
    };
    rules.dedup();
    (rules.len() <= PROPOSED).then_some(rules)
}

/// The pairs of the query whose keys the endpoint's rules name.
fn named_pairs<'a>(
    request: &Request<'a>,
    keys: &[Box<str>],
) -> impl Iterator<Item = (&'a str, &'a str)> {
    let pairs: &'a [(&'a str, &'a str)] = request.query;
    pairs.iter().copied().filter(move |(key, _)| keys.iter().any(|named| &**named == *key))
}

/// The field for these pairs; `None` when a rule cannot name just them. SECURITY: where the rules
/// tell requests apart by a key, one without it would allow every value.
fn query(request: &Request<'_>, keys: &[Box<str>]) -> Option<String> {
    let mut found: Vec<(&str, &str)> = named_pairs(request, keys).collect();
    found.dedup();
    if keys.is_empty() {
        return Some(String::new());
    }
    let repeats = found.iter().any(|(key, _)| found.iter().filter(|(k, _)| k == key).count() > 1);
    if found.is_empty() || repeats || found.len() > PROPOSED {
        return None;
    }
    let pairs: Option<Vec<String>> = found
        .iter()
        .map(|(key, value)| Some(format!("{}: {}", scalar(key), quoted(literal(value)?))))
        .collect();
    Some(format!(", query: {{ {} }}", pairs?.join(", ")))
}

fn call(call: &Call<'_>, protocol: Protocol) -> Option<String> {
    let method = literal(call.method)?;
    match (protocol, call.tool) {
        (Protocol::Mcp, Some(tool)) => {
            Some(format!("{{ method: {method}, tool: {} }}", quoted(literal(tool)?)))
        }
        _ => Some(format!("{{ method: {} }}", quoted(method))),
    }
}

fn operations(content: Content<'_>) -> Option<Vec<String>> {
    let (Content::Graphql(operations) | Content::Message { operations, .. }) = content else {
        return None;
    };
    let one = |operation: &GraphqlOperation<'_>| match operation {
        GraphqlOperation::Document { operation_type, fields, .. } => {
            let fields: Option<Vec<String>> =
                fields.iter().map(|field| literal(field).map(quoted)).collect();
            Some(format!(
                "operation_type: {}, fields: [{}]",
                word(*operation_type),
                fields?.join(", ")
            ))
        }
        GraphqlOperation::Hash(_) => None,
    };
    let mut found = operations.iter().map(one).collect::<Option<Vec<String>>>()?;
    found.dedup();
    (found.len() <= PROPOSED).then_some(found)
}

/// A text that a pattern can name letter by letter.
fn literal(text: &str) -> Option<&str> {
    let special = |c: char| matches!(c, '*' | '{' | '}' | '?' | '[' | ']' | '\\' | '#');
    (text.len() <= SHOWN && !text.is_empty() && !text.contains(special)).then_some(text)
}

/// A method that a rule can name.
fn word_of(method: &str) -> Option<&str> {
    let upper = |b: u8| b.is_ascii_uppercase() || b == b'_' || b == b'-';
    let never = ["CONNECT", "TRACE", "PRI"].contains(&method);
    (!never && method.len() <= 32 && !method.is_empty() && method.bytes().all(upper))
        .then_some(method)
}
