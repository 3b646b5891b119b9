//! Compares what is said about `diagnostics/*.yaml` with the `.txt` beside each. `UPDATE=1` writes
//! the texts anew.

use std::fs;
use std::path::PathBuf;

use openshell_policy::parse;

#[test]
fn every_finding_is_worded_and_placed_as_recorded() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/diagnostics");
    let mut ran = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).unwrap();
        let parsed = parse(&text);
        assert_eq!(
            parsed.document.is_none(),
            parsed.diagnostics.iter().any(|finding| finding.is_error()),
            "{name}: a document is there exactly when no error is"
        );
        let found: Vec<String> =
            parsed.diagnostics.iter().map(|finding| finding.render(&name, &text)).collect();
        let found = found.join("\n");
        let golden = path.with_extension("txt");
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&golden, &found).unwrap();
        }
        let wanted = fs::read_to_string(&golden).unwrap_or_default();
        assert_eq!(found, wanted, "{name}");
        ran += 1;
    }
    assert!(ran >= 8, "only {ran} files were found");
}
