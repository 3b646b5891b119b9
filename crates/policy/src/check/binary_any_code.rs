//! P0501: a glob over a place that the agent can write names any code that it puts there (J11).

use super::writable_places;
use crate::document::Document;
use crate::document::findings::Findings;
use crate::pattern::Glob;

pub(super) fn check(document: &Document, findings: &mut Findings) {
    let places = writable_places(document);
    for binary in document.rules.iter().flat_map(|rule| &rule.binaries) {
        let path = &binary.path.value;
        // With a digest it is that one content, wherever it lies.
        if !Glob::is_glob(path) || binary.sha256.is_some() {
            continue;
        }
        let Some(place) = places.iter().find(|place| can_lie_beneath(path, place)) else {
            continue;
        };
        findings.warning(
            "P0501",
            binary.path.at,
            format!(
                "`{path}` reads: any code; it matches beneath `{place}`, which the agent writes"
            ),
            Some("name the binary by its path in a place that the agent cannot write".to_owned()),
        );
    }
}

/// Whether a glob can match something beneath `place`, segment by segment.
fn can_lie_beneath(glob: &str, place: &str) -> bool {
    let mut segments = glob.split('/').filter(|part| !part.is_empty());
    for part in place.split('/').filter(|part| !part.is_empty()) {
        match segments.next() {
            None => return false,
            Some(segment) if segment.contains("**") => return true,
            Some(segment) if !Glob::new(segment).matches(part) => return false,
            Some(_) => {}
        }
    }
    segments.next().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_which_globs_reach_beneath_a_place() {
        for (glob, reaches) in [
            ("/sandbox/**", true),
            ("/sandbox/bin/*", true),
            ("/**", true),
            ("/*/bin/tool", true),
            ("/s*/x", true),
            ("/*", false),
            ("/usr/**", false),
            ("/sandbox*", false),
            ("/sandboxed/**", false),
        ] {
            assert_eq!(can_lie_beneath(glob, "/sandbox"), reaches, "{glob}");
        }
    }
}
