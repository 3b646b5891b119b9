//! Why a connection goes no further, and the answer that an agent gets.

use std::num::NonZeroU32;

use openshell_audit::{Destination, Reason};
use openshell_codec::http1::HeadError;
use openshell_credential::{Misuse, Unsignable};
use openshell_policy::Explanation;
use openshell_types::{Authority, ModelProtocol};
use rustls::AlertDescription;
use serde::Serialize;

use crate::seams::Unidentified;
use crate::tls::OutwardError;

/// Why a connection was refused or failed: one value for the answer, the audit and people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The status code of the answer.
    status: u16,
    /// The stable word for programs.
    error: &'static str,
    /// The predicate that failed.
    predicate: &'static str,
    /// A sentence for people.
    detail: Box<str>,
    /// The rule that came closest.
    pub(crate) rule: Option<String>,
    line: Option<u32>,
    nearest: Option<Box<str>>,
    /// The request that was refused, where requests are judged.
    request: Option<Box<Asked>>,
    /// What TLS with the upstream failed with.
    alert: Option<AlertDescription>,
    /// Seconds until a budget is whole again; `None`: there is none, or it never is.
    whole_in: Option<NonZeroU32>,
}

/// What a refused request asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    /// As what it was judged: the word of an endpoint's `protocol`.
    pub(crate) protocol: &'static str,
    /// What it asks for beyond that, for the audit.
    pub(crate) operations: Vec<String>,
}

impl Refusal {
    /// The policy said no, in these words.
    pub(crate) fn policy(why: Explanation) -> Self {
        Self {
            rule: why.rule,
            line: why.line,
            nearest: why.nearest.map(Into::into),
            ..Self::new(403, "policy_denied", why.predicate, why.detail)
        }
    }

    /// The same, of this request.
    pub(crate) fn about(self, asked: Asked) -> Self {
        Self { request: Some(Box::new(asked)), ..self }
    }

    /// What the refused request asked for beyond its head.
    pub(crate) fn operations(&self) -> &[String] {
        self.request.as_deref().map_or(&[], |asked| &asked.operations)
    }

    /// A budget of this rule, in this line, has no room.
    pub(crate) fn used_up(rule: &str, line: u32, detail: String) -> Self {
        let (rule, line) = (Some(rule.to_owned()), Some(line));
        Self { rule, line, ..Self::new(403, "policy_denied", USED_UP, detail) }
    }

    /// The budget that the route of this protocol has of these is used up; in so many seconds it is
    /// whole again, if ever.
    pub(crate) fn call_used_up(
        (protocol, what): (ModelProtocol, &str),
        detail: String,
        whole_in: Option<NonZeroU32>,
    ) -> Self {
        let nearest = format!(
            "the person who runs this sandbox gives a larger one with `openshell inference update \
             --protocol {protocol} --budget {what}=NUMBER`"
        );
        let refusal =
            Self::new(429, "budget_used_up", USED_UP, format!("{protocol} calls: {detail}"));
        Self { nearest: Some(nearest.into()), whole_in, ..refusal }
    }

    /// The same, of a call that had taken about so many tokens.
    pub(crate) fn after(self, tokens: u64) -> Self {
        let detail = format!("{}; this call had taken about {tokens} tokens", self.detail);
        Self { detail: detail.into(), ..self }
    }

    /// An endpoint of this rule, in this line, does not admit the request's version of MCP.
    pub(crate) fn mcp_version(rule: &str, line: u32, detail: String) -> Self {
        let (rule, line) = (Some(rule.to_owned()), Some(line));
        Self { rule, line, ..Self::new(403, "policy_denied", MCP_VERSION, detail) }
    }

    /// A credential is used where it must not be.
    pub(crate) fn credential(misuse: &Misuse) -> Self {
        let error = match misuse {
            Misuse::Elsewhere { .. }
            | Misuse::OtherProgram { .. }
            | Misuse::Foreign { .. }
            | Misuse::Unfit { .. } => "credential_endpoint_mismatch",
            Misuse::Unknown { .. } => "invalid_credential_placeholder",
            Misuse::Expired { .. } => "credential_unavailable",
            Misuse::Plain { .. } | Misuse::Unread { .. } | Misuse::Veiled { .. } => {
                "uninspected_credentials"
            }
            // SECURITY: I10.
            Misuse::Unsignable { why: Unsignable::Scope { .. }, .. } => {
                "credential_endpoint_mismatch"
            }
            Misuse::Unsignable { .. } | Misuse::Echoed { .. } => "credential_injection_failed",
        };
        Self::new(403, error, misuse.predicate(), misuse.to_string())
    }

    /// A request where GraphQL is judged that cannot be read as such.
    pub(crate) fn invalid_graphql(detail: String) -> Self {
        Self::new(400, "invalid_graphql_request", "graphql", detail)
    }

    /// A request where calls are judged that cannot be read as such.
    pub(crate) fn invalid_call(detail: String) -> Self {
        Self::new(400, "invalid_jsonrpc_request", "jsonrpc", detail)
    }

    /// The same for a form that may name another method, since it was not looked through.
    pub(crate) fn of_unread_form(self, longest: usize) -> Self {
        let detail = format!(
            "the form was not searched for another method, since it is encoded, without a stated \
             length, or longer than {longest} bytes; so each method must be allowed, and: {}; send \
             it with another Content-Type if it is no form",
            self.detail
        );
        Self { predicate: "form_unread", detail: detail.into(), nearest: None, ..self }
    }

    /// A request that cannot be judged as it is written.
    pub(crate) fn malformed_request(detail: String) -> Self {
        Self::new(400, "invalid_request_target", "bad_request", detail)
    }

    /// Something that is no request, or asks for what is not spoken, where requests are judged.
    pub(crate) fn unsupported(detail: String) -> Self {
        Self::new(403, "unsupported_l7_protocol", "protocol", detail)
    }

    /// A request for another server than the one that the connection was allowed for.
    pub(crate) fn other_authority(to: &Authority) -> Self {
        let detail = format!("the request is for another server than `{to}`");
        Self::new(403, "request_authority_mismatch", "authority", detail)
    }

    /// A request at a door of the router that asks for no model.
    pub(crate) fn no_model_call(detail: String) -> Self {
        Self::new(403, "policy_denied", "not_a_model_call", detail)
    }

    /// A body that is longer than what is judged.
    pub(crate) fn body_too_long(longest: usize) -> Self {
        let detail = format!("the body is longer than the {longest} bytes that are judged");
        Self::new(413, "body_too_large", "body_too_long", detail)
    }

    /// The server's answer cannot be passed on.
    pub(crate) fn bad_answer(detail: String) -> Self {
        Self::new(502, "upstream_unreachable", "bad_response", detail)
    }

    /// A guard said no to an address, in the policy's words.
    pub(crate) fn address(why: Explanation) -> Self {
        Self { error: "ssrf_denied", ..Self::policy(why) }
    }

    /// The address is this host's own.
    pub(crate) fn own_address(address: std::net::IpAddr) -> Self {
        let detail = format!("{address} is an address of this host, which is never reachable");
        Self::new(403, "ssrf_denied", "never_reachable", detail)
    }

    /// Nobody could tell who asked.
    pub(crate) fn unidentified(why: &Unidentified) -> Self {
        let detail = format!("the program behind the connection could not be told: {why}");
        Self::new(403, "policy_denied", "unidentified", detail)
    }

    /// The client's TLS hello does not fit the name that was permitted.
    pub(crate) fn hello(predicate: &'static str, detail: String) -> Self {
        Self::new(403, "policy_denied", predicate, detail)
    }

    /// The head of a request is malformed.
    pub(crate) fn bad_head(why: HeadError) -> Self {
        let error = match why {
            HeadError::Scheme => "unsupported_proxy_scheme",
            HeadError::HostMismatch => "request_authority_mismatch",
            HeadError::TooLong | HeadError::TooManyHeaders => "head_too_large",
            _ => "invalid_request_target",
        };
        Self::new(why.status(), error, "bad_request", why.to_string())
    }

    /// A request for a server, not for a proxy.
    pub(crate) fn not_for_a_proxy() -> Self {
        let detail = "this is a proxy: ask for an absolute http:// target, or use CONNECT";
        Self::new(400, "invalid_request_target", "bad_request", detail.to_owned())
    }

    /// The client went away, or was too slow, before it said what it wants.
    pub(crate) fn no_request(predicate: &'static str, detail: &str) -> Self {
        Self { error: "request_timeout", ..Self::new(408, "", predicate, detail.to_owned()) }
    }

    /// The policy allows it, but there is no verified connection to the other side.
    pub(crate) fn outward(error: &OutwardError) -> Self {
        Self {
            alert: Some(error.alert()),
            ..Self::new(502, "upstream_unreachable", error.predicate(), error.to_string())
        }
    }

    /// What a client is told that speaks TLS and knows no more of it.
    pub(crate) fn alert(&self) -> AlertDescription {
        self.alert.unwrap_or(if self.is_denial() {
            AlertDescription::AccessDenied
        } else {
            AlertDescription::HandshakeFailure
        })
    }

    /// The client closed before it asked for anything.
    pub(crate) fn no_request_at_all() -> Self {
        Self::no_request("no_request", "the client closed before it ended a request head")
    }

    /// The policy allows it, but the other side cannot be reached.
    pub(crate) fn unreachable(predicate: &'static str, detail: String) -> Self {
        Self::new(502, "upstream_unreachable", predicate, detail)
    }

    fn new(status: u16, error: &'static str, predicate: &'static str, detail: String) -> Self {
        Self {
            status,
            error,
            predicate,
            detail: detail.into(),
            rule: None,
            line: None,
            nearest: None,
            request: None,
            alert: None,
            whole_in: None,
        }
    }

    /// In how many seconds the budget that is used up is whole again; `None`: never.
    pub(crate) const fn whole_in(&self) -> Option<NonZeroU32> {
        self.whole_in
    }

    /// Whether policy, a guard or the form of the request said no; otherwise something failed.
    pub(crate) const fn is_denial(&self) -> bool {
        !matches!(self.status, 408 | 502)
    }

    /// Whether a budget has no room for more.
    pub(crate) fn is_of_budget(&self) -> bool {
        self.predicate == USED_UP
    }

    /// The sentence for people.
    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    /// The status code of the answer.
    pub(crate) const fn status(&self) -> u16 {
        self.status
    }

    /// The predicate that failed.
    pub(crate) const fn predicate(&self) -> &'static str {
        self.predicate
    }

    /// The reason as an audit record has it.
    pub(crate) fn to_reason(&self) -> Reason {
        Reason {
            predicate: self.predicate.to_owned(),
            detail: self.detail.to_string(),
            line: self.line,
            nearest: self.nearest.as_deref().map(str::to_owned),
        }
    }

    /// The whole HTTP/1.1 response.
    pub(crate) fn to_response(&self, to: &Destination, binary: Option<&str>) -> Vec<u8> {
        let body = serde_json::to_vec(&self.body(to, binary)).unwrap_or_default();
        let text = match self.status {
            400 => "Bad Request",
            403 => "Forbidden",
            408 => "Request Timeout",
            413 => "Content Too Large",
            429 => "Too Many Requests",
            431 => "Request Header Fields Too Large",
            _ => "Bad Gateway",
        };
        let policy = if self.status == 403 { "X-OpenShell-Policy: denied\r\n" } else { "" };
        let mut response = format!(
            "HTTP/1.1 {} {text}\r\nContent-Type: application/problem+json\r\nContent-Length: {}\r\n\
             {policy}Cache-Control: no-store\r\nConnection: close\r\n\r\n",
            self.status,
            body.len(),
        )
        .into_bytes();
        response.extend_from_slice(&body);
        response
    }

    /// The response for a client of HTTP/2: its head, and the body.
    pub(crate) fn to_parts(
        &self,
        to: &Destination,
        binary: Option<&str>,
    ) -> (http::response::Builder, Vec<u8>) {
        let body = serde_json::to_vec(&self.body(to, binary)).unwrap_or_default();
        let mut head = http::Response::builder()
            .status(self.status)
            .header("content-type", "application/problem+json")
            .header("cache-control", "no-store")
            .header("content-length", body.len());
        if self.status == 403 {
            head = head.header("x-openshell-policy", "denied");
        }
        (head, body)
    }

    /// The response for a client of gRPC, which has codes and one sentence of its own.
    pub(crate) fn to_grpc(&self) -> http::response::Builder {
        const INVALID_ARGUMENT: u32 = 3;
        const PERMISSION_DENIED: u32 = 7;
        const UNAVAILABLE: u32 = 14;
        let status = match self.status {
            403 => PERMISSION_DENIED,
            408 | 502 => UNAVAILABLE,
            _ => INVALID_ARGUMENT,
        };
        http::Response::builder()
            .header("content-type", "application/grpc")
            .header("x-openshell-policy", "denied")
            .header("grpc-status", status)
            .header("grpc-message", percent_encoded(&self.detail))
    }

    fn body<'a>(&'a self, to: &'a Destination, binary: Option<&'a str>) -> Body<'a> {
        let host = to.name.clone().or_else(|| to.address.map(|address| address.to_string()));
        let is_missing = self.error == "policy_denied" && host.is_some();
        let request = self.request.as_deref();
        let is_rule = !["unidentified", USED_UP, MCP_VERSION].contains(&self.predicate);
        let rule_missing = (is_missing && is_rule).then(|| Missing {
            kind: request.map_or("l4_allow", Asked::rule_missing),
            method: request.map(|asked| asked.method.as_str()),
            path: request.map(|asked| asked.path.as_str()),
            host: host.clone(),
            port: to.port,
            binary,
            edit: self.nearest.as_deref(),
        });
        Body {
            error: self.error,
            detail: &self.detail,
            reason: self.predicate,
            policy: self.rule.as_deref(),
            rule: None,
            layer: if request.is_some() { "l7" } else { "l4" },
            protocol: request.map(|asked| asked.protocol),
            method: request.map(|asked| asked.method.as_str()),
            path: request.map(|asked| asked.path.as_str()),
            host,
            port: to.port,
            binary,
            rule_missing,
            next_steps: self.next_steps(),
            agent_guidance: self.guidance(),
        }
    }

    fn next_steps(&self) -> Vec<String> {
        match (self.error, &self.nearest) {
            ("policy_denied" | "ssrf_denied", Some(edit)) => {
                vec![format!("ask the person who runs this sandbox to change its policy: {edit}")]
            }
            ("policy_denied", None) if self.predicate == USED_UP => {
                vec!["ask the person who runs this sandbox for a larger budget".to_owned()]
            }
            ("policy_denied", None) => {
                vec![
                    "ask the person who runs this sandbox whether its policy may allow this"
                        .to_owned(),
                ]
            }
            ("ssrf_denied", None) => Vec::new(),
            ("unsupported_proxy_scheme", _) => {
                vec!["send `CONNECT host:443` and speak TLS in the tunnel".to_owned()]
            }
            ("upstream_unreachable" | "request_timeout", _) => vec!["try again later".to_owned()],
            _ => vec!["correct the request".to_owned()],
        }
    }

    fn guidance(&self) -> &'static str {
        match self.error {
            "policy_denied" if self.predicate == USED_UP => {
                "The sandbox's policy allows only so much, and that is used up. Before the budget is \
                 whole again, trying again or by another way gives the same answer. Go on without \
                 it, wait if that is not long, or ask for a larger budget."
            }
            "policy_denied" if self.request.is_some() => {
                "The sandbox's policy does not allow this request. Trying again, or by another \
                 way, gives the same answer. Go on without it, or ask for the policy to be changed."
            }
            "unsupported_l7_protocol" => {
                "The sandbox's policy judges each request to this server, and this is none that it \
                 can judge. Use plain HTTP requests."
            }
            "policy_denied" => {
                "The sandbox's policy does not allow this connection. Trying again, or by another \
                 way, gives the same answer. Go on without it, or ask for the policy to be changed."
            }
            "ssrf_denied" => {
                "This address is not reachable from the sandbox. Do not look for a way around it."
            }
            "upstream_unreachable" => {
                "The policy allows this connection, but the other side could not be reached."
            }
            _ => "The request was not understood. The policy was not asked.",
        }
    }
}

impl Asked {
    /// What kind of rule would allow it.
    fn rule_missing(&self) -> &'static str {
        match self.protocol {
            "websocket" => "websocket_allow",
            "graphql" => "graphql_allow",
            "json-rpc" => "jsonrpc_allow",
            "mcp" => "mcp_allow",
            "grpc" => "grpc_allow",
            _ => "rest_allow",
        }
    }
}

/// The predicate of a budget that has no room.
const USED_UP: &str = "budget";

/// The predicate of a version of MCP that is not admitted.
const MCP_VERSION: &str = "mcp_version";

/// The answer's body: the keys of the published product, and nothing that an agent cannot use.
#[derive(Serialize)]
struct Body<'a> {
    error: &'a str,
    detail: &'a str,
    reason: &'a str,
    policy: Option<&'a str>,
    rule: Option<&'a str>,
    layer: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    host: Option<String>,
    port: u16,
    binary: Option<&'a str>,
    rule_missing: Option<Missing<'a>>,
    next_steps: Vec<String>,
    agent_guidance: &'a str,
}

/// What a rule would have to say.
#[derive(Serialize)]
struct Missing<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    host: Option<String>,
    port: u16,
    binary: Option<&'a str>,
    edit: Option<&'a str>,
}

/// A sentence as gRPC has it: `%XX` for all but printable ASCII, and for `%`.
fn percent_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
