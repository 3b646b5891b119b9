//! Lints: what a document says well-formed, and perhaps not as it was meant. One per file.

mod binary_any_code;
mod binary_literal;
mod empty_rule;
mod guarded_address;
mod host_alias;
mod hostless;
mod shadowed;
mod shared_suffix;
mod wide_range;

use crate::document::Document;
use crate::document::findings::Findings;

/// Runs the lints that find errors; and the others when the text has none, because what they would
/// say about a text that was read in part is noise.
pub(crate) fn run(document: &Document, findings: &mut Findings) {
    guarded_address::check(document, findings);
    if findings.has_errors() {
        return;
    }
    for lint in [
        binary_any_code::check,
        binary_literal::check,
        empty_rule::check,
        host_alias::check,
        hostless::check,
        shadowed::check,
        shared_suffix::check,
        wide_range::check,
    ] {
        lint(document, findings);
    }
}

/// Where the agent can always write, whatever the policy says.
const WRITABLE: [&str; 3] = ["/sandbox", "/tmp", "/dev/shm"];

/// Whether a path lies where every agent can write, so that no rule can name it.
pub(crate) fn is_always_writable(path: &str) -> bool {
    WRITABLE.iter().any(|place| path.strip_prefix(place).is_some_and(|rest| rest.starts_with('/')))
}

/// Every place that the agent can write under this document.
fn writable_places(document: &Document) -> Vec<&str> {
    let named = document.filesystem.read_write.iter().map(String::as_str);
    WRITABLE.into_iter().chain(named).collect()
}
