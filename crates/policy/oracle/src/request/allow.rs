//! What an endpoint allows: presets, rules, and all known methods of MCP.

use super::item::Item;
use super::{Side, World};
use crate::model::{Access, Endpoint, Protocol};
use crate::mutant::Mutant;
use crate::question::{Asked, Call, Carried, Kind};
use crate::text::{self, Star};

/// The method whose rules may narrow all known methods.
const TOOLS_CALL: &str = "tools/call";

/// What a client may call by the published versions of the protocol.
const KNOWN_MCP_METHODS: [&str; 24] = [
    "completion/complete",
    "initialize",
    "logging/setLevel",
    "notifications/cancelled",
    "notifications/initialized",
    "notifications/progress",
    "notifications/roots/list_changed",
    "notifications/tasks/status",
    "ping",
    "prompts/get",
    "prompts/list",
    "resources/list",
    "resources/read",
    "resources/subscribe",
    "resources/templates/list",
    "resources/unsubscribe",
    "server/discover",
    "subscriptions/listen",
    "tasks/cancel",
    "tasks/get",
    "tasks/list",
    "tasks/result",
    TOOLS_CALL,
    "tools/list",
];

impl World {
    /// Whether an endpoint allows a request, and by which of its rules.
    pub(super) fn allows(&self, endpoint: &Endpoint, asked: &Asked) -> Option<Option<usize>> {
        let items = self.items(endpoint, asked);
        if items.is_empty() {
            let passes = self.is(Mutant::EmptyBatchPasses) && self.judges(endpoint, asked);
            return passes.then_some(None);
        }
        let strict: Vec<&Item<'_>> =
            items.iter().filter(|item| self.has_good_name(endpoint, item)).collect();
        if strict.len() < items.len() {
            return None;
        }
        if let Some(access) = endpoint.access {
            let passes = |item: &Item<'_>| self.preset(access, endpoint.protocol, asked, item);
            let all = if self.is(Mutant::OneOfBatchIsEnough) {
                items.iter().any(passes)
            } else {
                items.iter().all(passes)
            };
            return all.then_some(None);
        }
        if self.is(Mutant::OneRuleForBatch) && items.len() > 1 && !endpoint.rules.is_empty() {
            let whole = |(_, rule): &(usize, &crate::model::Allowing)| {
                items
                    .iter()
                    .all(|item| self.matches(endpoint, (&rule.allow, Side::Allow), asked, item))
            };
            return endpoint.rules.iter().enumerate().find(whole).map(|(number, _)| Some(number));
        }
        let mut found = items.iter().map(|item| self.allows_item(endpoint, asked, item));
        if self.is(Mutant::OneOfBatchIsEnough) {
            return found.flatten().next();
        }
        let first = found.next()??;
        found.all(|other| other.is_some()).then_some(first)
    }

    /// By which rule an item is allowed; `Some(None)` when by no single one.
    fn allows_item(
        &self,
        endpoint: &Endpoint,
        asked: &Asked,
        item: &Item<'_>,
    ) -> Option<Option<usize>> {
        let mut matching = endpoint
            .rules
            .iter()
            .enumerate()
            .filter(|(_, rule)| self.matches(endpoint, (&rule.allow, Side::Allow), asked, item))
            .map(|(number, _)| number);
        let named =
            if self.is(Mutant::LastClauseNamed) { matching.next_back() } else { matching.next() };
        if let Some(number) = named {
            return Some(Some(number));
        }
        match item {
            Item::Call(call) if self.is_known(endpoint, call) => Some(None),
            _ => None,
        }
    }

    /// Whether a call passes as one of all known methods.
    fn is_known(&self, endpoint: &Endpoint, call: &Call) -> bool {
        if endpoint.protocol != Protocol::Mcp || !endpoint.mcp.allow_all_known_mcp_methods {
            return false;
        }
        let about_tools = |pattern: &Option<String>| match pattern.as_deref() {
            None => !self.is(Mutant::NarrowedByLiteralOnly),
            Some(method) if self.is(Mutant::NarrowedByLiteralOnly) => method == TOOLS_CALL,
            Some(method) => text::glob(method, TOOLS_CALL, Star::Anywhere),
        };
        let narrowed = call.method == TOOLS_CALL
            && endpoint.rules.iter().any(|rule| about_tools(&rule.allow.method))
            && !self.is(Mutant::KnownIncludesNarrowed);
        let known = KNOWN_MCP_METHODS.contains(&call.method.as_str());
        (known || self.is(Mutant::KnownIsEvery)) && !narrowed
    }

    /// Whether a tool has a name that the endpoint lets pass.
    fn has_good_name(&self, endpoint: &Endpoint, item: &Item<'_>) -> bool {
        const LONGEST: usize = 128;
        let Item::Call(Call { method, tool, .. }) = item else { return true };
        let strict = endpoint.mcp.strict_tool_names.unwrap_or(true);
        let strict =
            (strict || self.is(Mutant::ToolNamesStrict)) && !self.is(Mutant::ToolNamesLoose);
        if endpoint.protocol != Protocol::Mcp || method != TOOLS_CALL || !strict {
            return true;
        }
        let Some(tool) = tool else { return self.is(Mutant::NoToolIsGoodName) };
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        (1..=LONGEST).contains(&tool.len()) && tool.chars().all(good)
    }

    /// The table of presets.
    fn preset(&self, access: Access, protocol: Protocol, asked: &Asked, item: &Item<'_>) -> bool {
        let writes = access >= Access::ReadWrite;
        let full = access == Access::Full;
        match protocol {
            Protocol::Rest => match asked.method.as_str() {
                "GET" => true,
                "HEAD" | "OPTIONS" => writes || !self.is(Mutant::ReadOnlyIsGet),
                "POST" | "PUT" | "PATCH" => writes,
                "DELETE" => full || writes && self.is(Mutant::ReadWriteDeletes),
                _ => full && self.is(Mutant::StarIsEveryMethod),
            },
            Protocol::WebSocket => match asked.content {
                Carried::Plain => {
                    asked.method == "GET" || self.is(Mutant::WebSocketJudgesEveryMethod)
                }
                _ => writes || self.is(Mutant::ReadOnlySends),
            },
            Protocol::GraphQl => match item {
                Item::Operation { kind: Kind::Query, .. } => true,
                Item::Operation { kind: Kind::Mutation, .. } => {
                    writes || self.is(Mutant::ReadOnlyMutates)
                }
                Item::Operation { kind: Kind::Subscription, .. } => {
                    full || writes && self.is(Mutant::ReadWriteSubscribes)
                }
                _ => false,
            },
            Protocol::Grpc => {
                super::clause::grpc_call(&asked.path).is_some() || self.is(Mutant::FullTakesAnyPath)
            }
            Protocol::JsonRpc | Protocol::Mcp => full,
            Protocol::Absent | Protocol::Tcp | Protocol::Udp => false,
        }
    }
}
