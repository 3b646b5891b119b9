//! P0502 and P0503: literal binary paths that cannot match what they seem to.

use super::writable_places;
use crate::document::Document;
use crate::document::findings::Findings;
use crate::pattern::Glob;

pub(super) fn check(document: &Document, findings: &mut Findings) {
    let places = writable_places(document);
    for binary in document.rules.iter().flat_map(|rule| &rule.binaries) {
        let path = &binary.path.value;
        if path.contains(['{', '?']) || (path.contains('[') && path.contains(']')) {
            findings.warning(
                "P0502",
                binary.path.at,
                format!("`{path}` is read letter by letter: only `*` and `**` are special"),
                Some("write one entry for each path that is meant".to_owned()),
            );
        }
        let beneath = |place: &&&str| {
            path.strip_prefix(place.trim_end_matches('/')).is_some_and(|rest| rest.starts_with('/'))
        };
        if !Glob::is_glob(path)
            && let Some(place) = places.iter().find(beneath)
        {
            findings.warning(
                "P0503",
                binary.path.at,
                format!("`{path}` matches nothing: the agent writes beneath `{place}`, so the path proves nothing"),
                Some("install the program in a place that the agent cannot write".to_owned()),
            );
        }
    }
}
