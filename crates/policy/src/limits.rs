//! Bounds of a policy text. Beyond each of them the text is refused with an error that names it.

/// Longest text, in bytes.
pub const TEXT_BYTES: usize = 2 * 1024 * 1024;
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
/// Most endpoints, and most binaries, of one rule.
pub const RULE_ITEMS: usize = 1024;
/// Most ports or ranges, and most addresses, of one endpoint.
pub const ENDPOINT_ITEMS: usize = 256;
