//! Any text is read without a panic, and a profile that it gives says the same when it is written
//! and read again, and as a rule of a policy.

#![no_main]

use libfuzzer_sys::fuzz_target;
use openshell_credential::Profile;
use openshell_policy::parse;

fuzz_target!(|text: &str| {
    let (profile, findings) = Profile::read(text);
    for finding in &findings {
        assert!(!finding.render("profile.yaml", text).is_empty());
    }
    let Some(profile) = profile else {
        assert!(findings.iter().any(|finding| finding.is_error()), "refused unsaid");
        return;
    };
    let written = profile.to_yaml();
    let again = Profile::parse(&written).unwrap_or_else(|found| panic!("{written}\n{found:#?}"));
    assert_eq!(again.to_yaml(), written);
    assert_eq!(again.credentials(), profile.credentials());
    assert_eq!(again.bindings().len(), profile.bindings().len());
    if let Some(rule) = profile.policy_rule("_provider_x") {
        let empty = parse("version: 1").document.expect("an empty policy");
        let joined = empty.join([&rule]).unwrap_or_else(|found| panic!("{written}\n{found:#?}"));
        assert_eq!(joined.canonical(), rule.canonical());
    }
});
