//! Questions that aim at a document: an endpoint is drawn, then a connection and a request that it
//! would allow or deny, then often one part of them is changed.

use std::net::IpAddr;

use jiff::Timestamp;

use super::alphabet as words;
use crate::choices::Choices;
use crate::connect::{World, is_listed};
use crate::model::{Clause, Endpoint, Patterns, Protocol, Rule};
use crate::question::{
    Answer, Asked, Call, Carried, Connection, Kind, Operation, Program, Question, Target,
};
use crate::text;

type Aim<'a> = (&'a Rule, &'a Endpoint);

/// A question to a policy: of four, one about a connection and three about requests.
pub fn question(choices: &mut Choices<'_>, world: &World) -> Question {
    let rules = world.file.network_policies.values();
    let all: Vec<Aim<'_>> = rules
        .flat_map(|rule| rule.endpoints.iter().map(move |endpoint| (rule, endpoint)))
        .collect();
    let of = |wanted: fn(Protocol) -> bool| -> Vec<Aim<'_>> {
        all.iter().filter(|(_, endpoint)| wanted(endpoint.protocol)).copied().collect()
    };
    let kind = choices.below(20);
    if kind < 4 {
        let tcp = of(|protocol| protocol != Protocol::Udp);
        let aims = if choices.chance(97) { tcp } else { all };
        return Question::Connect(connection(choices, &aims));
    }
    if kind < 5 {
        let udp = of(|protocol| protocol == Protocol::Udp);
        let aims = if choices.chance(85) && !udp.is_empty() { udp } else { all };
        return Question::Datagram(connection(choices, &aims));
    }
    let judging = of(|protocol| protocol >= Protocol::Rest);
    let aims = if judging.is_empty() || choices.chance(8) { all } else { judging };
    let mut draw = || {
        let aim = choices.pick(&aims).copied();
        let connection = match aim {
            Some(aim) => aimed(choices, aim, 4),
            None => connection(choices, &[]),
        };
        (aim, connection)
    };
    let (mut aim, mut connection) = draw();
    let asked = Question::Connect(connection.clone());
    if !matches!(world.answer(&asked), Answer::Allow { .. }) {
        (aim, connection) = draw();
    }
    let asked = request(choices, aim.map(|(_, endpoint)| endpoint));
    Question::Request(connection, asked)
}

/// A connection to one of these endpoints, or nearly, or anywhere.
pub fn connection(choices: &mut Choices<'_>, aims: &[Aim<'_>]) -> Connection {
    match choices.pick(aims).copied() {
        Some(aim) if choices.chance(88) => aimed(choices, aim, 35),
        _ => Connection {
            to: anywhere(choices),
            port: any_port(choices),
            exe: program(choices),
            ancestors: ancestors(choices),
            now: moment(choices.word(words::MOMENTS)),
        },
    }
}

/// A connection that the endpoint covers; of a hundred, so many have one part changed.
fn aimed(choices: &mut Choices<'_>, (rule, endpoint): Aim<'_>, changed: usize) -> Connection {
    let by = caller_of(choices, rule);
    let mut connection = Connection {
        to: target_of(choices, endpoint),
        port: port_of(choices, endpoint),
        exe: by.0,
        ancestors: by.1,
        now: moment(words::EARLY),
    };
    if choices.chance(changed) {
        match choices.below(7) {
            0 => connection.to = anywhere(choices),
            1 => connection.port = any_port(choices),
            2 => connection.exe = program(choices),
            3 => connection.exe.sha256 = digest(choices),
            4 => connection.ancestors = ancestors(choices),
            _ => connection.now = moment(choices.word(words::MOMENTS)),
        }
    }
    connection
}

fn moment(text: &str) -> Timestamp {
    text.parse().unwrap_or_default()
}

fn anywhere(choices: &mut Choices<'_>) -> Target {
    if choices.chance(30) {
        address(choices)
    } else {
        Target::Name(choices.word(words::NAMES).to_owned())
    }
}

fn address(choices: &mut Choices<'_>) -> Target {
    let text = choices.word(words::ADDRESSES);
    text.parse().map_or_else(|_| Target::Name("a.x.com".to_owned()), Target::Address)
}

fn target_of(choices: &mut Choices<'_>, endpoint: &Endpoint) -> Target {
    let Some(host) = &endpoint.host else {
        let all: Vec<IpAddr> =
            words::ADDRESSES.iter().filter_map(|text| text.parse().ok()).collect();
        let listed = all.into_iter().filter(|address| is_listed(endpoint, *address));
        let listed: Vec<IpAddr> = listed.collect();
        let drawn = choices.pick(&listed).copied();
        return drawn.map_or_else(|| address(choices), Target::Address);
    };
    if let Ok(address) = host.parse() {
        return Target::Address(address);
    }
    let fitting: Vec<&str> =
        words::NAMES.iter().filter(|name| text::host(host, name)).copied().collect();
    let name = choices.pick(&fitting).copied().unwrap_or("a.x.com");
    Target::Name(name.to_owned())
}

fn any_port(choices: &mut Choices<'_>) -> u16 {
    choices.pick(words::DIALLED).copied().unwrap_or(443)
}

fn port_of(choices: &mut Choices<'_>, endpoint: &Endpoint) -> u16 {
    let written: Vec<_> = endpoint.port.iter().chain(&endpoint.ports).collect();
    let drawn = choices.pick(&written).and_then(|ports| ports.bounds());
    let Some((first, last)) = drawn else { return any_port(choices) };
    if choices.chance(50) { first } else { last }
}

fn digest(choices: &mut Choices<'_>) -> Option<String> {
    let drawn = choices.pick(words::DIGESTS).copied();
    drawn.filter(|_| choices.chance(70)).map(str::to_owned)
}

fn program(choices: &mut Choices<'_>) -> Program {
    let (inode, path) = choices.pick(words::PROGRAMS).copied().unwrap_or_default();
    let path = Some(path.to_owned()).filter(|path| !path.is_empty());
    Program { inode, path, sha256: digest(choices) }
}

fn ancestors(choices: &mut Choices<'_>) -> Vec<Program> {
    let count = choices.below(3);
    (0..count).map(|_| program(choices)).collect()
}

/// A caller that a binary of the rule covers, itself or by an ancestor.
fn caller_of(choices: &mut Choices<'_>, rule: &Rule) -> (Program, Vec<Program>) {
    let Some(binary) = choices.pick(&rule.binaries) else {
        return (program(choices), ancestors(choices));
    };
    let fitting: Vec<(u64, &str)> = words::PROGRAMS
        .iter()
        .filter(|(inode, path)| {
            let files = words::BOUND.iter().find(|(bound, _)| *bound == binary.path);
            files.is_some_and(|(_, files)| files.contains(inode))
                || binary.path.contains('*') && text::glob(&binary.path, path, text::Star::Segment)
        })
        .copied()
        .collect();
    let (inode, path) = choices.pick(&fitting).copied().unwrap_or_default();
    let path = Some(path.to_owned()).filter(|path| !path.is_empty());
    let sha256 = binary.sha256.clone().or_else(|| digest(choices));
    let fitting = Program { inode, path, sha256 };
    let mut others = ancestors(choices);
    if binary.descendants && choices.chance(60) || choices.chance(5) {
        let at = choices.below(others.len().saturating_add(1));
        others.insert(at, fitting);
        return (program(choices), others);
    }
    (fitting, others)
}

/// A request that a rule of the endpoint would match, or nearly.
fn request(choices: &mut Choices<'_>, endpoint: Option<&Endpoint>) -> Asked {
    let clause = endpoint.and_then(|endpoint| {
        let allowing: Vec<&Clause> = endpoint.rules.iter().map(|rule| &rule.allow).collect();
        let denying: Vec<&Clause> = endpoint.deny_rules.iter().collect();
        let drawn = choices.below(100);
        match drawn {
            0..15 => choices.pick(&denying).copied(),
            15..90 => choices.pick(&allowing).copied(),
            _ => None,
        }
    });
    let protocol = endpoint.map_or(Protocol::Absent, |endpoint| endpoint.protocol);
    let mut asked = Asked {
        method: "POST".to_owned(),
        path: path_of(choices, endpoint, clause),
        query: Vec::new(),
        headers: Vec::new(),
        content: Carried::Plain,
    };
    if let Some(clause) = clause {
        asked.query = pairs_of(choices, &clause.query);
        for (key, _) in &mut asked.query {
            if choices.chance(12) {
                *key = choices.word(words::KEY_SPELLINGS).replace('q', key);
            }
        }
        let headers = pairs_of(choices, &clause.headers).into_iter();
        asked.headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
    }
    let protocol = if choices.chance(5) { any_protocol(choices) } else { protocol };
    fill(choices, protocol, clause, &mut asked);
    if choices.chance(25) {
        change(choices, &mut asked);
    }
    asked
}

fn any_protocol(choices: &mut Choices<'_>) -> Protocol {
    let all = [
        Protocol::Rest,
        Protocol::WebSocket,
        Protocol::GraphQl,
        Protocol::JsonRpc,
        Protocol::Mcp,
        Protocol::Grpc,
    ];
    choices.pick(&all).copied().unwrap_or_default()
}

/// Method and content by the protocol.
fn fill(choices: &mut Choices<'_>, protocol: Protocol, clause: Option<&Clause>, asked: &mut Asked) {
    match protocol {
        Protocol::GraphQl => asked.content = Carried::Graphql(operations(choices, clause)),
        Protocol::JsonRpc | Protocol::Mcp => {
            let count = batch(choices);
            let mcp = protocol == Protocol::Mcp;
            asked.content = Carried::Rpc((0..count).map(|_| call(choices, mcp, clause)).collect());
        }
        Protocol::WebSocket => {
            let method = clause.and_then(|clause| clause.method.as_deref()).unwrap_or("*");
            let graphql = clause.is_some_and(Clause::names_operations);
            let upgrade = match method.to_ascii_uppercase().as_str() {
                "GET" => choices.chance(95),
                "WEBSOCKET_TEXT" => choices.chance(5),
                _ => choices.chance(if graphql { 10 } else { 50 }),
            };
            if upgrade {
                let others = ["GET", "GET", "GET", "GET", "GET", "POST", "HEAD", "WEBSOCKET_TEXT"];
                asked.method = choices.word(&others).to_owned();
                return;
            }
            asked.method = "WEBSOCKET_TEXT".to_owned();
            let carries = choices.chance(if graphql { 80 } else { 30 });
            let operations = if carries { operations(choices, clause) } else { Vec::new() };
            let control = operations.is_empty() && choices.chance(50);
            asked.content = Carried::Message { operations, control };
        }
        Protocol::Grpc => {
            if choices.chance(92) {
                let part = |pattern: Option<&String>, from, choices: &mut Choices<'_>| {
                    fitting(choices, pattern.map(String::as_str), from)
                };
                let service = part(
                    clause.and_then(|clause| clause.service.as_ref()),
                    words::SERVICES,
                    choices,
                );
                let method = part(
                    clause.and_then(|clause| clause.method.as_ref()),
                    words::GRPC_METHODS,
                    choices,
                );
                let tail = if choices.chance(3) { "/" } else { "" };
                asked.path = format!("/{service}/{method}{tail}");
            }
        }
        Protocol::Absent | Protocol::Tcp | Protocol::Udp | Protocol::Rest => {
            let method = clause.and_then(|clause| clause.method.as_deref()).unwrap_or("*");
            asked.method = match method.to_ascii_uppercase().as_str() {
                "*" => choices.word(words::SENT).to_owned(),
                "GET" if choices.chance(30) => "HEAD".to_owned(),
                named => named.to_owned(),
            };
        }
    }
}

/// Changes one part.
fn change(choices: &mut Choices<'_>, asked: &mut Asked) {
    let name = |choices: &mut Choices<'_>, from| choices.word(from).to_ascii_lowercase();
    match choices.below(6) {
        0 => asked.path = any_path(choices),
        1 if asked.content == Carried::Plain => {
            asked.method = choices.word(words::SENT).to_owned();
        }
        2 => asked.query.clear(),
        3 => {
            let value = choices.word(words::VALUES).to_owned();
            asked.query.push((name(choices, words::QUERY_KEYS), value));
        }
        4 => {
            let value = choices.word(words::VALUES).to_owned();
            asked.headers.push((name(choices, words::HEADERS), value));
        }
        _ => {
            asked.path = match choices.below(5) {
                0 | 1 => asked.path.to_ascii_uppercase(),
                2 => asked.path.replace(':', "%3A"),
                3 => asked.path.replace("%2F", "/"),
                _ => format!("{}/b", asked.path),
            };
        }
    }
}

fn any_path(choices: &mut Choices<'_>) -> String {
    let count = choices.below(3).saturating_add(1);
    (0..count).map(|_| format!("/{}", choices.word(words::SEGMENTS))).collect()
}

/// A path that fits the rule, the endpoint, or with luck both.
fn path_of(
    choices: &mut Choices<'_>,
    endpoint: Option<&Endpoint>,
    clause: Option<&Clause>,
) -> String {
    let narrow = endpoint.and_then(|endpoint| endpoint.path.as_ref());
    let ruled = clause.and_then(|clause| clause.path.as_ref());
    let pattern = match (narrow, ruled) {
        (Some(narrow), Some(ruled)) => {
            for _ in 0..12 {
                let path = instance(choices, ruled);
                let fits = |one: &String| text::glob(one, &path, text::Star::Segment);
                if text::alternatives(narrow).iter().any(fits) {
                    return path;
                }
            }
            narrow
        }
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => return any_path(choices),
    };
    let path = instance(choices, pattern);
    if choices.chance(8) { path.to_ascii_uppercase() } else { path }
}

/// A path that a pattern matches.
fn instance(choices: &mut Choices<'_>, pattern: &str) -> String {
    let alternatives = text::alternatives(pattern);
    let pattern = choices.pick(&alternatives).cloned().unwrap_or_default();
    if pattern == "**" {
        return any_path(choices);
    }
    let mut path = pattern;
    while let Some((before, after)) = path.split_once("**") {
        let run = choices.word(&["a", "b", "a/b", "b/c/A", ""]);
        path = format!("{before}{run}{after}");
    }
    while let Some((before, after)) = path.split_once('*') {
        path = format!("{before}{}{after}", choices.word(words::SEGMENTS));
    }
    path
}

/// A word that the pattern matches, or any.
fn fitting(choices: &mut Choices<'_>, pattern: Option<&str>, from: &[&'static str]) -> String {
    let fits = |word: &&&str| {
        pattern.is_none_or(|pattern| text::glob(pattern, word, text::Star::Anywhere))
    };
    let fitting: Vec<&str> = from.iter().filter(fits).copied().collect();
    let from = if fitting.is_empty() || choices.chance(10) { from } else { &fitting };
    choices.pick(from).copied().unwrap_or_default().to_owned()
}

/// Values that the patterns match, now and then with others beside them.
fn pairs_of(
    choices: &mut Choices<'_>,
    patterns: &std::collections::BTreeMap<String, Patterns>,
) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    for (name, patterns) in patterns {
        if choices.chance(7) {
            continue;
        }
        let pattern = choices.pick(patterns.all()).map(String::as_str);
        pairs.push((name.clone(), fitting(choices, pattern, words::VALUES)));
        if choices.chance(35) {
            pairs.push((name.clone(), fitting(choices, pattern, words::VALUES)));
        }
    }
    pairs
}

/// How many of a batch: mostly one.
fn batch(choices: &mut Choices<'_>) -> usize {
    choices.pick(&[1, 1, 1, 1, 2, 2, 3, 0]).copied().unwrap_or(1)
}

fn operations(choices: &mut Choices<'_>, clause: Option<&Clause>) -> Vec<Operation> {
    let count = batch(choices);
    (0..count).map(|_| operation(choices, clause)).collect()
}

fn operation(choices: &mut Choices<'_>, clause: Option<&Clause>) -> Operation {
    if choices.chance(15) {
        let unknown = "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc";
        let known = choices.word(words::DIGESTS);
        return Operation::Hash(if choices.chance(85) { known } else { unknown }.to_owned());
    }
    let wanted = clause.and_then(|clause| clause.operation_type.as_deref());
    let any = choices.word(words::OPERATION_TYPES);
    let kind = match wanted.filter(|kind| *kind != "*").unwrap_or(any) {
        "mutation" => Kind::Mutation,
        "subscription" => Kind::Subscription,
        _ => Kind::Query,
    };
    let name = clause.and_then(|clause| clause.operation_name.as_deref());
    let name = fitting(choices, name, words::OPERATIONS);
    let count = choices.pick(&[1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 3, 0]).copied().unwrap_or(1);
    let fields = (0..count).map(|_| {
        let patterns = clause.map(|clause| clause.fields.as_slice()).unwrap_or_default();
        let pattern = choices.pick(patterns).map(String::as_str);
        fitting(choices, pattern, words::FIELDS)
    });
    let fields = fields.collect();
    Operation::Document { kind, name, fields }
}

fn call(choices: &mut Choices<'_>, mcp: bool, clause: Option<&Clause>) -> Call {
    let wanted = clause.and_then(|clause| clause.method.as_deref());
    let method = fitting(choices, wanted, if mcp { words::MCP_CALLS } else { words::CALLS });
    let tool = (mcp && method == "tools/call" && choices.chance(93)).then(|| {
        let wanted = clause.and_then(|clause| clause.tool.as_deref());
        fitting(choices, wanted, words::TOOLS)
    });
    let mut params = clause.map(|clause| pairs_of(choices, &clause.params)).unwrap_or_default();
    if choices.chance(15) {
        let name = choices.word(words::PARAMS).to_owned();
        params.push((name, choices.word(words::VALUES).to_owned()));
    }
    Call { method, tool, params }
}
