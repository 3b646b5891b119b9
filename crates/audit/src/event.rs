//! The closed set of security events.

use std::net::IpAddr;

use jiff::Timestamp;
use openshell_types::{Digest, Generation, SandboxId, SandboxName};
use serde::{Deserialize, Serialize};

/// One line of `audit.jsonl`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Version of this format.
    pub v: u32,
    /// Position in the sandbox's log: 1, 2, 3 …
    pub seq: u64,
    /// Digest of the line before, [`Digest::ZERO`] for the first.
    pub prev: Digest,
    /// When it happened, by the supervisor's clock.
    pub time: Timestamp,
    /// The sandbox's name.
    pub sandbox: SandboxName,
    /// The sandbox's id.
    pub sandbox_id: SandboxId,
    /// What happened.
    pub event: Event,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Event {
    /// A connection attempt was decided.
    Network(Network),
    /// A request, or a message, over an allowed connection was decided.
    Http(Http),
    /// A call of a model was answered by its backend, or was not.
    Inference(Inference),
    /// A DNS question was refused.
    Dns(Dns),
    /// Something tried to go around the egress.
    Bypass(Bypass),
    /// The main command or an exec started or ended.
    Process(Process),
    /// A policy came into force, or was refused.
    Config(Config),
    /// The sandbox itself changed state.
    Lifecycle(Lifecycle),
}

/// The decision of one connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// By which way it came in.
    pub way: Way,
    /// What was decided and came of it.
    pub outcome: Outcome,
    /// Where it wanted to go.
    pub destination: Destination,
    /// Who asked; `None` only when that could not be told, which is itself a denial.
    pub caller: Option<Caller>,
    /// The rule that allowed it or came closest.
    pub rule: Option<String>,
    /// Why it was not allowed, or did not succeed.
    pub reason: Option<Reason>,
    /// The policy in force.
    pub generation: Generation,
}

/// The decision of one request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// By which way its connection came in.
    pub way: Way,
    /// What was decided and came of it.
    pub outcome: Outcome,
    /// Where it went, or wanted to go.
    pub destination: Destination,
    /// Who asked.
    pub caller: Option<Caller>,
    /// The method; empty when it is none. `WEBSOCKET_TEXT` for a message.
    pub method: String,
    /// The canonical path, without its query; empty when it is none.
    pub path: String,
    /// What it asks for beyond that: the GraphQL fields, or the calls with their tools.
    pub operations: Vec<String>,
    /// The credentials that were put into it, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub credentials: Vec<String>,
    /// The rule that allowed it or came closest.
    pub rule: Option<String>,
    /// Why it was not allowed, did not succeed, or was only noted.
    pub reason: Option<Reason>,
    /// The policy in force.
    pub generation: Generation,
}

/// One call of a model. Nothing of its content is in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inference {
    /// By which way its connection came in.
    pub way: Way,
    /// What was decided and came of it.
    pub outcome: Outcome,
    /// Which name the caller asked.
    pub destination: Destination,
    /// Who asked.
    pub caller: Option<Caller>,
    /// What was asked for, such as `messages`; of what is no call, the method and the path.
    pub operation: String,
    /// The protocol whose backend the call is for.
    pub route: Option<String>,
    /// The provider whose credentials the backend has.
    pub provider: Option<String>,
    /// The model that answers.
    pub model: Option<String>,
    /// The status of the backend's answer.
    pub status: Option<u16>,
    /// What it cost, as far as the backend said it.
    pub tokens: Option<Tokens>,
    /// From the call's head until the backend's answer began, in milliseconds.
    pub first_byte_ms: Option<u64>,
    /// From the call's head until its end, in milliseconds.
    pub duration_ms: u64,
    /// Why it was not allowed, or did not succeed.
    pub reason: Option<Reason>,
    /// The policy in force.
    pub generation: Generation,
}

/// What a call cost, in tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tokens {
    /// Of the question, with those that were cached.
    pub input: Option<u64>,
    /// Of the answer, with those of thinking.
    pub output: Option<u64>,
    /// Of the question, those that were read from the backend's cache.
    pub cached: Option<u64>,
}

/// How a connection reached the egress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// `CONNECT host:port` to the proxy.
    Connect,
    /// An absolute-form HTTP request to the proxy.
    Forward,
    /// Captured on its way to the address it dialled.
    Transparent,
    /// Datagrams of UDP, captured on their way.
    Datagram,
}

/// What came of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Allowed, and the upstream answered.
    Allowed,
    /// Denied by policy or by a guard.
    Denied,
    /// Allowed, but the upstream could not be reached.
    Failed,
    /// What had been allowed was cut off: by a policy change, or by a budget that is used up.
    Revoked,
    /// A request that is denied was let through, since its endpoint only asks for a note.
    Noted,
}

/// Where a connection wanted to go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Destination {
    /// The name, when there was one.
    pub name: Option<String>,
    /// The address: the dialled one of an allowed connection, else the one asked for.
    pub address: Option<IpAddr>,
    /// The port, 0 when the request did not carry a valid one.
    pub port: u16,
}

/// The program behind an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Caller {
    /// Process id within the jail.
    pub pid: u32,
    /// Path of the executable within the jail.
    pub binary: String,
    /// Digest of the executable, when it was computed.
    pub sha256: Option<Digest>,
    /// Arguments, bounded and lossy.
    pub argv: Vec<String>,
    /// Paths of the ancestors' executables, the parent first.
    pub ancestors: Vec<String>,
}

/// Why something was not allowed, or did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// A stable word for the predicate that failed, such as `host`, `binary` or `sni_mismatch`.
    pub predicate: String,
    /// A sentence for people.
    pub detail: String,
    /// Line of the rule in the policy text, when a rule came close.
    pub line: Option<u32>,
    /// The smallest policy edit that would allow it, when there is one.
    pub nearest: Option<String>,
}

/// A DNS question that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dns {
    /// The name asked for, escaped and bounded; empty when the message was malformed.
    pub name: String,
    /// The record type, such as `A`.
    pub record_type: String,
    /// Why: `not_in_policy`, `malformed`, `pool_exhausted`, `unsupported_type`.
    pub predicate: String,
    /// How many of the same were folded into this event.
    pub count: u64,
}

/// An attempt to go around the egress, aggregated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bypass {
    /// The protocol, such as `udp` or `icmp`.
    pub protocol: String,
    /// Where it wanted to go.
    pub address: IpAddr,
    /// The port, 0 when the protocol has none.
    pub port: u16,
    /// How many packets this event stands for.
    pub count: u64,
}

/// A command of the sandbox started or ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Process {
    /// `main` or `exec`.
    pub role: String,
    /// `started` or `exited`.
    pub activity: String,
    /// Process id within the jail.
    pub pid: u32,
    /// The command, bounded.
    pub argv: Vec<String>,
    /// The exit code, 128+n for a signal, once it ended.
    pub exit_code: Option<i32>,
}

/// A policy came into force, or was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `enforced` or `refused`.
    pub activity: String,
    /// The generation in question.
    pub generation: Generation,
    /// Digest of its canonical document.
    pub digest: Digest,
    /// What was wrong with it, when refused.
    pub detail: Option<String>,
}

/// The sandbox changed state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lifecycle {
    /// `ready`, `completed` or `failed`.
    pub activity: String,
    /// More, for people: layers in force, or the error.
    pub detail: String,
}
