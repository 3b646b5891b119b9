//! Lints: what a document says well-formed, and perhaps not as it was meant. One per file.

mod binary_any_code;
mod binary_literal;
mod broad_rule;
mod cover;
mod covered_rule;
mod credential_binding;
mod empty_rule;
mod guarded_address;
mod host_alias;
mod hostless;
mod idle_denial;
mod overlap;
pub(crate) mod published_reading;
mod shadowed;
mod shared_suffix;
mod unheard;
mod unlikely;
mod wide_range;

use crate::document::Document;
use crate::document::findings::Findings;

/// Runs the lints that find errors; and the others when the text has none, because what they would
/// say about a text that was read in part is noise.
pub(crate) fn run(document: &Document, findings: &mut Findings) {
    guarded_address::check(document, findings);
    overlap::check_options(document, findings);
    credential_binding::check(document, findings);
    if findings.has_errors() {
        return;
    }
    // What weighs most comes first: a text with very many findings shows only some of them.
    for lint in [
        overlap::check,
        binary_any_code::check,
        published_reading::check,
        shared_suffix::check,
        unlikely::check,
        idle_denial::check,
        binary_literal::check,
        unheard::check,
        empty_rule::check,
        host_alias::check,
        wide_range::check,
        credential_binding::check_plain,
        shadowed::check,
        covered_rule::check,
        hostless::check,
        broad_rule::check,
    ] {
        lint(document, findings);
    }
    findings.admit_remarks();
}

/// Where the agent can always write, whatever the policy says.
const WRITABLE: [&str; 3] = ["/sandbox", "/tmp", "/dev/shm"];

/// Whether a path lies where every agent can write, so that no rule can name it.
pub(crate) fn is_always_writable(path: &str) -> bool {
    WRITABLE.iter().any(|place| path.strip_prefix(place).is_some_and(|rest| rest.starts_with('/')))
}

/// Every place that the agent can write under this document.
pub(crate) fn writable_places(document: &Document) -> Vec<&str> {
    let named = document.filesystem.read_write.iter().map(String::as_str);
    WRITABLE.into_iter().chain(named).collect()
}
