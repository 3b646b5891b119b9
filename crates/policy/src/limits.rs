//! Bounds of a policy text. Beyond each of them the text is refused with an error that names it.

/// Longest text, in bytes: ten thousand rules in lines of some length.
pub const TEXT_BYTES: usize = 4 * 1024 * 1024;
/// Deepest nesting of mappings and lists; the schema needs seven.
pub const DEPTH: usize = 32;
/// Most values in the text: a parsed value takes some hundred bytes.
pub const NODES: usize = 500_000;
/// Most findings that are collected; a last one says that there are more.
pub const DIAGNOSTICS: usize = 200;
/// Most paths of `filesystem_policy` in all.
pub const PATHS: usize = 256;
/// Longest path or path glob, in characters.
pub const PATH_CHARS: usize = 4096;
/// Longest name of a rule, in characters: names stand in every audit event.
pub const NAME_CHARS: usize = 128;
/// Most rules.
pub const RULES: usize = 20_000;
/// Most tests.
pub const TESTS: usize = 1024;
/// Most endpoints, and most binaries, of one rule.
pub const RULE_ITEMS: usize = 1024;
/// Most ports or ranges, and most addresses, of one endpoint.
pub const ENDPOINT_ITEMS: usize = 256;
/// Most allowing, and most denying, rules of one endpoint.
pub const CLAUSES: usize = 16_384;
/// Most names of one `query`, `headers` or `params`.
pub const MATCHER_NAMES: usize = 64;
/// Most patterns for one name, and most `fields`, of one rule.
pub const MATCHER_PATTERNS: usize = 256;
/// Longest pattern, and longest name of a matcher, in characters.
pub const PATTERN_CHARS: usize = 4096;
/// Most paths that the braces of one path stand for.
pub const ALTERNATIVES: usize = 64;
/// Most bytes of patterns in the whole text, each path of a brace counted: what is compiled of it
/// takes some ten times as much memory.
pub const PATTERN_BYTES: usize = 8 * 1024 * 1024;
/// Most registered GraphQL operations of one endpoint.
pub const PERSISTED_QUERIES: usize = 4096;
/// Most protocol versions of one mcp endpoint.
pub const MCP_VERSIONS: usize = 32;
/// Longest body that is parsed unless the endpoint says more, in bytes.
pub const BODY_BYTES: u32 = 64 * 1024;
/// Most that an endpoint may say, in bytes: a body is held in memory while it is judged.
pub const BODY_BYTES_MOST: u32 = 16 * 1024 * 1024;
/// Most ports of one endpoint to which credentials go.
pub const BOUND_PORTS: usize = 32;
/// Largest number of a budget: what every reader of JSON keeps exact.
pub const BUDGET_MOST: u64 = (1 << 53) - 1;
