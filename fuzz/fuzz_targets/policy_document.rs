//! Any text is read without a panic, and a document that it gives says the same when it is written
//! and read again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use openshell_policy::{Policy, parse};

fuzz_target!(|text: &str| {
    let parsed = parse(text);
    for finding in &parsed.diagnostics {
        assert!(!finding.render("policy.yaml", text).is_empty());
    }
    let Some(document) = parsed.document else {
        assert!(parsed.diagnostics.iter().any(|finding| finding.is_error()), "refused unsaid");
        return;
    };
    let canonical = document.canonical();
    for written in [&canonical, &document.formatted()] {
        let again = parse(written);
        let again = again.document.unwrap_or_else(|| panic!("{written}\n{:#?}", again.diagnostics));
        assert_eq!(again.canonical(), canonical);
    }
    let policy = Policy::compile(text).map(|(policy, _)| policy.digest());
    assert_eq!(policy.ok(), Some(document.digest()));
    assert!(document.run_tests().iter().all(|outcome| outcome.passed));
});
