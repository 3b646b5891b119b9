//! Documents: a few rules that speak of a few places, with every key of the page.

use super::alphabet as words;
use crate::choices::Choices;
use crate::tree::Node;

/// What is drawn once for a document, so that its rules meet at the same places.
struct Theme {
    hosts: Vec<&'static str>,
    protocols: Vec<&'static str>,
    paths: Vec<&'static str>,
}

const PROTOCOLS: &[&str] = &[
    "rest",
    "rest",
    "rest",
    "websocket",
    "websocket",
    "graphql",
    "graphql",
    "json-rpc",
    "mcp",
    "mcp",
    "grpc",
    "tcp",
    "",
];

/// A document: a map of rules.
pub fn document(choices: &mut Choices<'_>) -> Node {
    let theme = Theme {
        hosts: (0..2).map(|_| choices.word(words::HOSTS)).collect(),
        protocols: (0..2).map(|_| choices.word(PROTOCOLS)).collect(),
        paths: paths(choices),
    };
    let keys = ["r1", "r2", "R3", "r10"];
    let count = choices.below(keys.len()).saturating_add(1);
    let rules = keys.iter().take(count).enumerate();
    let mut rules: Vec<(String, Node)> =
        rules.map(|(at, key)| ((*key).to_owned(), rule(choices, &theme, at))).collect();
    if choices.chance(50) {
        rules.reverse();
    }
    Node::Map(rules)
}

/// Two paths; often such that only their text makes one of them more specific.
fn paths(choices: &mut Choices<'_>) -> Vec<&'static str> {
    let first = choices.word(words::PATHS);
    let like = |other: &&&str| other.replace('*', "") == first.replace('*', "");
    let likes: Vec<&str> = words::PATHS.iter().filter(like).copied().collect();
    let from = if choices.chance(40) { &likes } else { words::PATHS };
    vec![first, choices.word(from)]
}

fn rule(choices: &mut Choices<'_>, theme: &Theme, at: usize) -> Node {
    let mut fields = Vec::new();
    if choices.chance(30) {
        // Such names sort the other way round than the keys do.
        let name = ["z rule", "y rule", "x rule", "w rule"].get(at).copied().unwrap_or("rule");
        fields.push(("name".to_owned(), Node::text(name)));
    }
    if choices.chance(30) {
        fields.push(("until".to_owned(), Node::text(choices.word(words::UNTIL))));
    }
    if !choices.chance(3) {
        let count = choices.below(3).saturating_add(1);
        let endpoints = (0..count).map(|_| endpoint(choices, theme)).collect();
        fields.push(("endpoints".to_owned(), Node::List(endpoints)));
    }
    if !choices.chance(3) {
        let count = choices.below(2).saturating_add(1);
        let mut binaries: Vec<Node> = Vec::new();
        for _ in 0..count {
            let binary = binary(choices);
            if !binaries.contains(&binary) {
                binaries.push(binary);
            }
        }
        fields.push(("binaries".to_owned(), Node::List(binaries)));
    }
    Node::Map(fields)
}

fn binary(choices: &mut Choices<'_>) -> Node {
    let mut fields = vec![("path".to_owned(), Node::text(choices.word(words::BINARIES)))];
    if choices.chance(25) {
        fields.push(("sha256".to_owned(), Node::text(choices.word(words::DIGESTS))));
    }
    if choices.chance(30) {
        let descendants = choices.word(&["true", "true", "false"]);
        fields.push(("descendants".to_owned(), Node::Plain(descendants.to_owned())));
    }
    Node::Map(fields)
}

fn endpoint(choices: &mut Choices<'_>, theme: &Theme) -> Node {
    let mut fields = Fields::default();
    place(choices, theme, &mut fields);
    let protocol = if choices.chance(7) {
        "udp"
    } else if choices.chance(75) {
        choices.pick(&theme.protocols).copied().unwrap_or_default()
    } else {
        choices.word(PROTOCOLS)
    };
    if !protocol.is_empty() {
        fields.text("protocol", protocol);
    }
    match protocol {
        "" if choices.chance(20) => fields.text("tls", "skip"),
        "" | "tcp" | "udp" => {}
        _ => {
            if choices.chance(40) {
                let of_theme = choices.pick(&theme.paths).copied().filter(|_| choices.chance(60));
                fields.text("path", of_theme.unwrap_or_else(|| choices.word(words::PATHS)));
            }
            inspected(choices, protocol, &mut fields);
        }
    }
    Node::Map(fields.0)
}

/// Host, addresses and ports.
fn place(choices: &mut Choices<'_>, theme: &Theme, fields: &mut Fields) {
    let hostless = choices.chance(10);
    if !hostless {
        let of_theme = choices.pick(&theme.hosts).copied().filter(|_| choices.chance(75));
        fields.text("host", of_theme.unwrap_or_else(|| choices.word(words::HOSTS)));
    }
    if hostless || choices.chance(15) {
        let count = choices.below(2).saturating_add(1);
        let networks = distinct(choices, count, words::NETWORKS);
        fields.put("allowed_ips", Node::texts(&networks));
    }
    let count = choices.below(2).saturating_add(1);
    let ports = distinct(choices, count, words::PORTS);
    match ports.as_slice() {
        [one] if choices.chance(50) => fields.put("port", Node::Plain((*one).to_owned())),
        _ => {
            let ports = ports.iter().map(|port| Node::Plain((*port).to_owned())).collect();
            fields.put("ports", Node::List(ports));
        }
    }
}

/// What an endpoint says that judges requests.
fn inspected(choices: &mut Choices<'_>, protocol: &str, fields: &mut Fields) {
    if choices.chance(30) {
        fields.text("path_case", choices.word(&["sensitive", "insensitive"]));
    }
    if choices.chance(35) {
        fields.text("enforcement", choices.word(&["audit", "audit", "enforce"]));
    }
    let all_known = protocol == "mcp" && choices.chance(40);
    let presets: &[&str] = match protocol {
        "json-rpc" | "mcp" | "grpc" => &["full"],
        _ => &["read-only", "read-only", "read-write", "full"],
    };
    if !all_known && choices.chance(25) {
        fields.text("access", choices.word(presets));
    } else if !all_known || choices.chance(60) {
        let clauses = clauses(choices, protocol);
        let allow = |clause| Node::Map(vec![("allow".to_owned(), clause)]);
        fields.put("rules", Node::List(clauses.into_iter().map(allow).collect()));
    }
    if choices.chance(45) {
        fields.put("deny_rules", Node::List(clauses(choices, protocol)));
    }
    if protocol == "graphql" && choices.chance(40) {
        fields.text("persisted_queries", "allow_registered");
        fields.put("graphql_persisted_queries", registered(choices));
    }
    if protocol == "mcp" {
        let mut mcp = Fields::default();
        if all_known {
            mcp.plain("allow_all_known_mcp_methods", "true");
        }
        if choices.chance(40) {
            mcp.plain("strict_tool_names", choices.word(&["true", "false"]));
        }
        if !mcp.0.is_empty() {
            fields.put("mcp", Node::Map(mcp.0));
        }
    }
}

fn registered(choices: &mut Choices<'_>) -> Node {
    let count = choices.below(2).saturating_add(1);
    let known = words::DIGESTS.iter().take(count).map(|hash| {
        let mut query = Fields::default();
        query.text("operation_type", choices.word(&["query", "query", "mutation"]));
        query.text("operation_name", choices.word(&["Get", "GetUser", "Set"]));
        let count = choices.below(2).saturating_add(1);
        query.put("fields", Node::texts(&distinct(choices, count, words::FIELDS)));
        ((*hash).to_owned(), Node::Map(query.0))
    });
    Node::Map(known.collect())
}

/// One to three rules, all different.
fn clauses(choices: &mut Choices<'_>, protocol: &str) -> Vec<Node> {
    let count = choices.below(3).saturating_add(1);
    let mut all: Vec<Node> = Vec::new();
    for _ in 0..count {
        let clause = Node::Map(clause(choices, protocol).0);
        if !all.contains(&clause) {
            all.push(clause);
        }
    }
    all
}

fn clause(choices: &mut Choices<'_>, protocol: &str) -> Fields {
    let mut fields = Fields::default();
    match protocol {
        "websocket" => websocket(choices, &mut fields),
        "graphql" => operations(choices, &mut fields),
        "json-rpc" => {
            if choices.chance(85) {
                fields.text("method", choices.word(words::CALL_PATTERNS));
            }
            if fields.0.is_empty() || choices.chance(35) {
                fields.put("params", values(choices, words::PARAMS));
            }
        }
        "mcp" => mcp(choices, &mut fields),
        "grpc" => {
            if choices.chance(80) {
                fields.text("service", choices.word(words::SERVICE_PATTERNS));
            }
            if fields.0.is_empty() || choices.chance(60) {
                fields.text("method", choices.word(words::GRPC_PATTERNS));
            }
        }
        _ => {
            if choices.chance(60) {
                fields.text("method", choices.word(words::METHODS));
            }
            if fields.0.is_empty() || choices.chance(70) {
                fields.text("path", choices.word(words::PATHS));
            }
            head(choices, &mut fields);
        }
    }
    fields
}

fn websocket(choices: &mut Choices<'_>, fields: &mut Fields) {
    let graphql = choices.chance(40);
    if choices.chance(60) {
        let methods: &[&str] = match graphql {
            true => &["WEBSOCKET_TEXT", "websocket_text"],
            false => &["GET", "get", "WEBSOCKET_TEXT", "*"],
        };
        fields.text("method", choices.word(methods));
    }
    if (fields.0.is_empty() && !graphql) || choices.chance(50) {
        fields.text("path", choices.word(words::PATHS));
    }
    head(choices, fields);
    if graphql {
        operations(choices, fields);
    }
}

/// Query and headers.
fn head(choices: &mut Choices<'_>, fields: &mut Fields) {
    if choices.chance(15) {
        fields.put("query", values(choices, words::QUERY_KEYS));
    }
    if choices.chance(15) {
        fields.put("headers", values(choices, &["X-Team", "accept"]));
    }
}

fn operations(choices: &mut Choices<'_>, fields: &mut Fields) {
    let before = fields.0.len();
    if choices.chance(60) {
        fields.text("operation_type", choices.word(words::OPERATION_TYPES));
    }
    if choices.chance(30) {
        fields.text("operation_name", choices.word(words::OPERATION_PATTERNS));
    }
    if fields.0.len() == before || choices.chance(40) {
        let count = choices.below(2).saturating_add(1);
        fields.put("fields", Node::texts(&distinct(choices, count, words::FIELD_PATTERNS)));
    }
}

fn mcp(choices: &mut Choices<'_>, fields: &mut Fields) {
    let method = choices.word(words::MCP_PATTERNS);
    let named = choices.chance(90);
    if named {
        fields.text("method", method);
    }
    if named && method == "tools/call" && choices.chance(70) {
        fields.text("tool", choices.word(words::TOOL_PATTERNS));
    }
    if fields.0.is_empty() || choices.chance(25) {
        fields.put("params", values(choices, words::PARAMS));
    }
}

/// A mapping of names to patterns.
fn values(choices: &mut Choices<'_>, names: &[&'static str]) -> Node {
    let count = choices.below(names.len()).saturating_add(1);
    let names = distinct(choices, count, names);
    let fields = names.iter().map(|name| {
        let patterns = if choices.chance(40) {
            let any = Node::texts(&distinct(choices, 2, words::VALUE_PATTERNS));
            Node::Map(vec![("any".to_owned(), any)])
        } else {
            Node::text(choices.word(words::VALUE_PATTERNS))
        };
        ((*name).to_owned(), patterns)
    });
    Node::Map(fields.collect())
}

/// At most so many words, none twice.
fn distinct(choices: &mut Choices<'_>, count: usize, from: &[&'static str]) -> Vec<&'static str> {
    let mut drawn: Vec<&str> = Vec::new();
    for _ in 0..count {
        let word = choices.word(from);
        if !drawn.contains(&word) {
            drawn.push(word);
        }
    }
    drawn
}

/// The fields of a map, in the order of writing.
#[derive(Default)]
struct Fields(Vec<(String, Node)>);

impl Fields {
    fn put(&mut self, name: &str, value: Node) {
        self.0.push((name.to_owned(), value));
    }

    fn text(&mut self, name: &str, value: &str) {
        self.put(name, Node::text(value));
    }

    fn plain(&mut self, name: &str, value: &str) {
        self.put(name, Node::Plain(value.to_owned()));
    }
}
