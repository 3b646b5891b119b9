//! The one text of each meaning.

use std::fmt::Write as _;

use super::{Binary, Document, Endpoint, Rule};
use crate::settings::{Landlock, RunAs};

pub(super) fn write(document: &Document) -> String {
    let mut out = String::from("version: 1\n");
    static_sections(&mut out, document);
    let mut rules: Vec<&Rule> = document.rules.iter().collect();
    rules.sort_by(|a, b| a.key.value.cmp(&b.key.value));
    if !rules.is_empty() {
        out.push_str("network_policies:\n");
    }
    for rule in rules {
        write_rule(&mut out, rule);
    }
    out
}

// Writing to a String cannot fail, so results of `writeln!` are dropped here.
fn static_sections(out: &mut String, document: &Document) {
    let filesystem = &document.filesystem;
    out.push_str("filesystem_policy:\n");
    let _ = writeln!(out, "  include_workdir: {}", filesystem.include_workdir);
    for (key, paths) in
        [("read_only", &filesystem.read_only), ("read_write", &filesystem.read_write)]
    {
        let _ = writeln!(
            out,
            "  {key}: [{}]",
            sorted(paths.iter().map(|path| quoted(path))).join(", ")
        );
    }
    let landlock = match document.landlock {
        Landlock::BestEffort => "best_effort",
        Landlock::HardRequirement => "hard_requirement",
    };
    let _ = writeln!(out, "landlock:\n  compatibility: {landlock}");
    let _ = writeln!(
        out,
        "process:\n  run_as_user: {}\n  run_as_group: {}",
        run_as(document.process.run_as_user),
        run_as(document.process.run_as_group)
    );
}

fn run_as(run_as: RunAs) -> String {
    match run_as {
        RunAs::Sandbox => "sandbox".to_owned(),
        RunAs::Id(number) => number.to_string(),
    }
}

fn write_rule(out: &mut String, rule: &Rule) {
    let _ = writeln!(out, "  {}:", quoted(&rule.key.value));
    if rule.name != rule.key.value {
        let _ = writeln!(out, "    name: {}", quoted(&rule.name));
    }
    if let Some(until) = rule.until {
        let _ = writeln!(out, "    until: \"{until}\"");
    }
    write_items(out, "endpoints", sorted(rule.endpoints.iter().map(endpoint)));
    write_items(out, "binaries", sorted(rule.binaries.iter().map(binary)));
}

fn write_items(out: &mut String, key: &str, items: Vec<String>) {
    if items.is_empty() {
        let _ = writeln!(out, "    {key}: []");
        return;
    }
    let _ = writeln!(out, "    {key}:");
    for item in items {
        let _ = writeln!(out, "      - {{ {item} }}");
    }
}

fn endpoint(endpoint: &Endpoint) -> String {
    let mut fields = Vec::new();
    if let Some(host) = &endpoint.host {
        fields.push(format!("host: {}", quoted(&host.value.to_string())));
    }
    let ports: Vec<String> = endpoint
        .ports
        .iter()
        .map(|range| if range.is_single() { range.to_string() } else { format!("\"{range}\"") })
        .collect();
    fields.push(format!("ports: [{}]", ports.join(", ")));
    if !endpoint.allowed_ips.is_empty() {
        let ranges = sorted(endpoint.allowed_ips.iter().map(|ip| quoted(&ip.value.to_string())));
        fields.push(format!("allowed_ips: [{}]", ranges.join(", ")));
    }
    if endpoint.raw {
        fields.push("tls: skip".to_owned());
    }
    fields.join(", ")
}

fn binary(binary: &Binary) -> String {
    let mut fields = vec![format!("path: {}", quoted(&binary.path.value))];
    if let Some(digest) = binary.sha256 {
        fields.push(format!("sha256: \"{digest}\""));
    }
    if binary.descendants {
        fields.push("descendants: true".to_owned());
    }
    fields.join(", ")
}

fn sorted(items: impl Iterator<Item = String>) -> Vec<String> {
    let mut items: Vec<String> = items.collect();
    items.sort_unstable();
    items.dedup();
    items
}

/// A string as a double-quoted YAML scalar.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len().saturating_add(2));
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            // Line separators, invisible marks and the like: as their number.
            c if c.is_ascii_graphic() || c == ' ' || c.is_alphanumeric() => out.push(c),
            c => {
                let _ = write!(out, "\\U{:08x}", u32::from(c));
            }
        }
    }
    out.push('"');
    out
}
