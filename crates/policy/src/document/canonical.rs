//! The one text of each meaning, and the readable text of the same order.

mod trials;

use std::collections::BTreeMap;

use openshell_types::Period;

use super::model::{
    Access, Budget, Clause, Enforcement, OperationChoice, OperationType, Options, PathCase,
    Patterns, PersistedQuery, Protocol, Signing, SigningMode,
};
use super::tree::{Key, Layout, Reader, Value};
use super::{Binary, Document, Endpoint, Rule};
use crate::settings::{Landlock, RunAs};

pub(super) fn write(document: &Document, reader: Reader) -> String {
    let mut root = Keys::default();
    root.known("version", Value::word(&1));
    static_sections(&mut root, document, reader);
    let mut rules: Vec<&Rule> = document.rules.iter().collect();
    rules.sort_by(|a, b| a.key.value.cmp(&b.key.value));
    if !rules.is_empty() {
        let rules = rules
            .into_iter()
            .map(|one| (Key::Text(one.key.value.clone()), rule(one, reader)))
            .collect();
        root.known("network_policies", Value::Map(Layout::Block, rules));
    }
    if !document.trials.is_empty() {
        let trials = document.trials.iter().map(trials::trial);
        root.known("tests", Value::set(trials));
    }
    root.into_map(Layout::Block).document(reader)
}

/// The keys of a mapping in the making.
#[derive(Default)]
pub(super) struct Keys(Vec<(Key, Value)>);

impl Keys {
    fn known(&mut self, key: &'static str, value: Value) {
        self.0.push((Key::Known(key), value));
    }

    fn word(&mut self, key: &'static str, word: impl ToString) {
        self.known(key, Value::word(&word));
    }

    fn text(&mut self, key: &'static str, text: &str) {
        self.known(key, Value::text(text));
    }

    fn flag(&mut self, key: &'static str, on: bool) {
        if on {
            self.word(key, true);
        }
    }

    pub(super) fn into_entries(self) -> Vec<(Key, Value)> {
        self.0
    }

    fn into_map(self, layout: Layout) -> Value {
        Value::Map(layout, self.0)
    }
}

fn static_sections(root: &mut Keys, document: &Document, reader: Reader) {
    let mut filesystem = Keys::default();
    filesystem.word("include_workdir", document.filesystem.include_workdir);
    for (key, paths) in [
        ("read_only", &document.filesystem.read_only),
        ("read_write", &document.filesystem.read_write),
    ] {
        if reader == Reader::Machine || !paths.is_empty() {
            filesystem.known(key, Value::set(paths.iter().map(|path| Value::text(path))));
        }
    }
    root.known("filesystem_policy", filesystem.into_map(Layout::Block));
    let mut landlock = Keys::default();
    landlock.word(
        "compatibility",
        match document.landlock {
            Landlock::BestEffort => "best_effort",
            Landlock::HardRequirement => "hard_requirement",
        },
    );
    root.known("landlock", landlock.into_map(Layout::Block));
    let mut process = Keys::default();
    process.word("run_as_user", run_as(document.process.run_as_user));
    process.word("run_as_group", run_as(document.process.run_as_group));
    root.known("process", process.into_map(Layout::Block));
}

fn run_as(run_as: RunAs) -> String {
    match run_as {
        RunAs::Sandbox => "sandbox".to_owned(),
        RunAs::Id(number) => number.to_string(),
    }
}

/// The endpoints and binaries of a rule.
pub(super) fn parts(keys: &mut Keys, rule: &Rule, reader: Reader) {
    let endpoints = rule.endpoints.iter().map(|one| endpoint(one, reader));
    keys.known("endpoints", Value::set(endpoints));
    keys.known("binaries", Value::set(rule.binaries.iter().map(binary)));
}

fn rule(rule: &Rule, reader: Reader) -> Value {
    let mut keys = Keys::default();
    if rule.name != rule.key.value {
        keys.text("name", &rule.name);
    }
    if let Some(until) = rule.until {
        keys.word("until", format_args!("\"{until}\""));
    }
    parts(&mut keys, rule, reader);
    keys.into_map(Layout::Block)
}

fn binary(binary: &Binary) -> Value {
    let mut keys = Keys::default();
    keys.text("path", &binary.path.value);
    if let Some(digest) = binary.sha256 {
        keys.text("sha256", &digest.to_string());
    }
    keys.flag("descendants", binary.descendants);
    keys.into_map(Layout::Small)
}

fn endpoint(endpoint: &Endpoint, reader: Reader) -> Value {
    let mut keys = Keys::default();
    if let Some(host) = &endpoint.host {
        keys.text("host", &host.value.to_string());
    }
    match endpoint.ports.as_slice() {
        [port] if reader == Reader::Person && port.is_single() => keys.word("port", port),
        ports => {
            let port = |range: &crate::pattern::PortRange| match range.is_single() {
                true => Value::word(range),
                false => Value::Word(format!("\"{range}\"")),
            };
            // In the order of their numbers, as they were merged.
            keys.known("ports", Value::List(ports.iter().map(port).collect()));
        }
    }
    if !endpoint.allowed_ips.is_empty() {
        let ranges = endpoint.allowed_ips.iter().map(|ip| Value::text(&ip.value.to_string()));
        keys.known("allowed_ips", Value::set(ranges));
    }
    if let Some(path) = &endpoint.path {
        keys.text("path", &normal_path(&path.value));
    }
    match endpoint.path_case {
        PathCase::Careful => {}
        PathCase::Sensitive => keys.word("path_case", "sensitive"),
        PathCase::Insensitive => keys.word("path_case", "insensitive"),
    }
    match endpoint.protocol {
        // Said or not, it is TCP.
        Protocol::Tcp => {}
        protocol => {
            if let Some(word) = protocol.as_str() {
                keys.word("protocol", word);
            }
        }
    }
    if endpoint.raw {
        keys.word("tls", "skip");
    }
    if endpoint.enforcement == Enforcement::Audit {
        keys.word("enforcement", "audit");
    }
    match endpoint.access {
        None => {}
        Some(Access::ReadOnly) => keys.word("access", "read-only"),
        Some(Access::ReadWrite) => keys.word("access", "read-write"),
        Some(Access::Full) => keys.word("access", "full"),
    }
    clauses(&mut keys, endpoint);
    options(&mut keys, endpoint.protocol, &endpoint.options);
    keys.into_map(Layout::Item)
}

fn clauses(keys: &mut Keys, endpoint: &Endpoint) {
    if !endpoint.rules.is_empty() {
        let rules = endpoint.rules.iter().map(|one| {
            let mut item = Keys::default();
            item.known("allow", clause(one, endpoint.protocol));
            item.into_map(Layout::Small)
        });
        keys.known("rules", Value::set(rules));
    }
    if !endpoint.deny_rules.is_empty() {
        let rules = endpoint.deny_rules.iter().map(|one| clause(one, endpoint.protocol));
        keys.known("deny_rules", Value::set(rules));
    }
}

/// What a rule says, in one line: the same for rules that say the same.
pub(crate) fn clause_text(one: &Clause, protocol: Protocol) -> String {
    clause(one, protocol).flow(Reader::Machine)
}

/// What a test says, in one line.
pub(crate) fn trial_text(one: &super::trials::Trial) -> String {
    trials::trial(one).flow(Reader::Machine)
}

/// What an endpoint says, in one line.
pub(crate) fn endpoint_text(one: &Endpoint) -> String {
    endpoint(one, Reader::Machine).flow(Reader::Machine)
}

/// What an endpoint covers, in one line: where to, and who.
pub(crate) fn coverage_text(rule: &Rule, one: &Endpoint) -> String {
    let covers = Endpoint {
        at: one.at,
        host: one.host.clone(),
        ports: one.ports.clone(),
        allowed_ips: one.allowed_ips.clone(),
        raw: false,
        path: one.path.clone(),
        path_case: match one.path_case {
            PathCase::Insensitive => PathCase::Insensitive,
            // They differ in denials only.
            PathCase::Careful | PathCase::Sensitive => PathCase::Careful,
        },
        protocol: match one.protocol {
            Protocol::Udp => Protocol::Udp,
            _ => Protocol::Tcp,
        },
        enforcement: Enforcement::Enforce,
        access: None,
        rules: Vec::new(),
        deny_rules: Vec::new(),
        options: Options::default(),
    };
    let mut keys = Keys::default();
    keys.known("endpoints", endpoint(&covers, Reader::Machine));
    keys.known("binaries", Value::set(rule.binaries.iter().map(binary)));
    keys.into_map(Layout::Small).flow(Reader::Machine)
}

/// What an endpoint says beside its rules, in one line.
pub(crate) fn options_text(protocol: Protocol, of: &Options) -> String {
    let mut keys = Keys::default();
    options(&mut keys, protocol, of);
    keys.into_map(Layout::Small).flow(Reader::Machine)
}

/// A rule without the fields that match anything, unless it has no other.
fn clause(clause: &Clause, protocol: Protocol) -> Value {
    let mut keys = Keys::default();
    // A method `*` of HTTP is seven methods, that of a call is any.
    let names_calls = matches!(protocol, Protocol::JsonRpc | Protocol::Mcp | Protocol::Grpc);
    let mut trivial: Option<(&'static str, &'static str)> = None;
    let service = clause.service.as_ref().map(|service| normal(&service.value));
    match service.as_deref() {
        Some("*") => trivial = Some(("method", "*")),
        Some(service) => keys.text("service", service),
        None => {}
    }
    let method = clause.method.as_ref();
    match method
        .map(|method| if names_calls { normal(&method.value) } else { method.value.clone() })
    {
        Some(any) if any == "*" && names_calls => trivial = Some(("method", "*")),
        Some(method) => keys.text("method", &method),
        None => {}
    }
    match clause.path.as_ref().map(|path| normal_path(&path.value)).as_deref() {
        Some("**" | "/**") => trivial = Some(("path", "/**")),
        Some(path) => keys.text("path", path),
        None => {}
    }
    if let Some(tool) = &clause.tool {
        keys.text("tool", &normal(&tool.value));
    }
    for (key, names) in
        [("query", &clause.query), ("headers", &clause.headers), ("params", &clause.params)]
    {
        if !names.is_empty() {
            keys.known(key, matcher(names));
        }
    }
    if let Some(any) = graphql(&mut keys, clause, protocol) {
        trivial = Some(any);
    }
    if let (Some((key, all)), true) = (trivial, keys.0.is_empty()) {
        keys.text(key, all);
    }
    keys.into_map(Layout::Small)
}

/// Writes the fields about GraphQL; gives back what they come to when they match anything.
fn graphql(
    keys: &mut Keys,
    clause: &Clause,
    protocol: Protocol,
) -> Option<(&'static str, &'static str)> {
    let name = clause.operation_name.as_ref().map(|name| normal(&name.value));
    let any_name = name.as_deref() == Some("*");
    let any_type = clause.operation_type == Some(OperationChoice::Any);
    if let Some(OperationChoice::Only(only)) = clause.operation_type {
        keys.word("operation_type", operation_type(only));
    }
    if let Some(name) = name.filter(|_| !any_name) {
        keys.text("operation_name", &name);
    }
    if !clause.fields.is_empty() {
        let fields = clause.fields.iter().map(|field| normal(&field.value));
        keys.known("fields", patterns(fields.collect()));
    }
    if !any_name && !any_type {
        return None;
    }
    // At a websocket any of these fields makes a rule one about operations in messages.
    let told = clause.fields.is_empty()
        && !matches!(clause.operation_type, Some(OperationChoice::Only(_)))
        && (any_name || clause.operation_name.is_none());
    if protocol == Protocol::WebSocket && told {
        keys.text("operation_type", "*");
        return None;
    }
    Some(("operation_type", "*"))
}

pub(super) const fn operation_type(operation_type: OperationType) -> &'static str {
    match operation_type {
        OperationType::Query => "query",
        OperationType::Mutation => "mutation",
        OperationType::Subscription => "subscription",
    }
}

fn matcher(names: &BTreeMap<String, Patterns>) -> Value {
    let entries = names.iter().map(|(name, any)| {
        let all: Vec<String> = any.0.iter().map(|one| normal(&one.value)).collect();
        let value = match patterns(all) {
            Value::List(mut items) if items.len() == 1 => {
                items.pop().unwrap_or(Value::List(Vec::new()))
            }
            list => Value::Map(Layout::Small, vec![(Key::Known("any"), list)]),
        };
        (Key::Text(name.clone()), value)
    });
    Value::Map(Layout::Small, entries.collect())
}

/// Patterns of which one is to match.
fn patterns(all: Vec<String>) -> Value {
    if all.iter().any(|one| one == "*") {
        return Value::List(vec![Value::text("*")]);
    }
    Value::set(all.into_iter().map(Value::Text))
}

/// A pattern over text, where any run of stars is one.
fn normal(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    for character in pattern.chars() {
        if character != '*' || !out.ends_with('*') {
            out.push(character);
        }
    }
    out
}

/// A path with the alternatives of its braces in order; more than two stars are two.
fn normal_path(path: &str) -> String {
    let mut sorted = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((plain, (inside, after))) =
        rest.split_once('{').and_then(|(plain, inside)| Some((plain, inside.split_once('}')?)))
    {
        let mut alternatives: Vec<&str> = inside.split(',').collect();
        alternatives.sort_unstable();
        alternatives.dedup();
        sorted.push_str(plain);
        match alternatives.as_slice() {
            [one] => sorted.push_str(one),
            several => {
                sorted.push('{');
                sorted.push_str(&several.join(","));
                sorted.push('}');
            }
        }
        rest = after;
    }
    sorted.push_str(rest);
    let mut out = String::with_capacity(sorted.len());
    for character in sorted.chars() {
        if character != '*' || !out.ends_with("**") {
            out.push(character);
        }
    }
    out
}

fn options(keys: &mut Keys, protocol: Protocol, options: &Options) {
    keys.flag("allow_encoded_slash", options.allow_encoded_slash);
    keys.flag("websocket_credential_rewrite", options.websocket_credential_rewrite);
    keys.flag("request_body_credential_rewrite", options.request_body_credential_rewrite);
    keys.flag("allow_uninspected_credentials", options.allow_uninspected_credentials);
    if let Some(registered) = &options.persisted_queries {
        keys.word("persisted_queries", "allow_registered");
        let operations =
            registered.iter().map(|(hash, one)| (Key::Text(hash.clone()), operation(one)));
        let map = Value::Map(Layout::Block, operations.collect());
        keys.known("graphql_persisted_queries", map);
    }
    let mut own = Keys::default();
    if let Some(bytes) = options.max_body_bytes {
        match protocol {
            Protocol::JsonRpc | Protocol::Mcp => own.word("max_body_bytes", bytes),
            _ => keys.word("graphql_max_body_bytes", bytes),
        }
    }
    if options.strict_tool_names == Some(false) {
        own.word("strict_tool_names", false);
    }
    own.flag("allow_all_known_mcp_methods", options.allow_all_known_mcp_methods);
    if !options.mcp_versions.is_empty() {
        let versions = options.mcp_versions.iter().map(|version| Value::text(version));
        own.known("versions", Value::set(versions));
    }
    if !own.0.is_empty() {
        let key = if protocol == Protocol::Mcp { "mcp" } else { "json_rpc" };
        keys.known(key, own.into_map(Layout::Small));
    }
    if let Some(signing) = &options.signing {
        write_signing(keys, signing);
    }
    if let Some(provider) = &options.credential_provider {
        let mut binding = Keys::default();
        binding.text("provider", provider);
        keys.known("credential_binding", binding.into_map(Layout::Small));
    }
    if let Some(budget) = options.budget {
        keys.known("budget", write_budget(budget));
    }
}

fn operation(operation: &PersistedQuery) -> Value {
    let mut keys = Keys::default();
    keys.word("operation_type", operation_type(operation.operation_type));
    if !operation.operation_name.is_empty() {
        keys.text("operation_name", &operation.operation_name);
    }
    keys.known("fields", Value::set(operation.fields.iter().map(|field| Value::text(field))));
    keys.into_map(Layout::Small)
}

fn write_signing(keys: &mut Keys, signing: &Signing) {
    let mode = match signing.mode {
        SigningMode::Auto => "sigv4",
        SigningMode::Body => "sigv4:body",
        SigningMode::NoBody => "sigv4:no_body",
    };
    keys.word("credential_signing", mode);
    keys.text("signing_service", &signing.service);
    if let Some(region) = &signing.region {
        keys.text("signing_region", region);
    }
}

fn write_budget(budget: Budget) -> Value {
    let mut keys = Keys::default();
    for (key, amount) in [("requests", budget.requests), ("bytes", budget.bytes)] {
        if let Some(amount) = amount {
            keys.word(key, amount);
        }
    }
    if budget.per != Period::Sandbox {
        keys.word("per", budget.per.as_str());
    }
    keys.into_map(Layout::Small)
}
