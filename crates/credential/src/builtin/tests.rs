//! The files are good, and what is said of them fits.

use std::fs;

use openshell_policy::parse;

use super::*;

#[test]
fn every_file_is_a_profile_without_findings() {
    for text in TEXTS {
        let (profile, findings) = Profile::read(text);
        assert_eq!(findings, [], "{text}");
        assert!(profile.is_some(), "{text}");
    }
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/profiles");
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort_unstable_by_key(|name| name.replace(".yaml", ""));
    let ids: Vec<String> = all().iter().map(|one| format!("{}.yaml", one.profile.id())).collect();
    assert_eq!(ids, names);
    assert!(get("claude-code").is_some() && get("nobody").is_none());
}

#[test]
fn those_that_serve_models_say_how() {
    for one in all() {
        let id = one.profile.id();
        assert_eq!(one.inference.is_some(), one.profile.inference_capable(), "{id}");
        let Some(inference) = &one.inference else { continue };
        assert!(inference.base_url_key.ends_with("_BASE_URL"), "{id}");
        let Some(base) = inference.base_url else { continue };
        // Requests to the model API go where the credential goes, too.
        let rest = base.strip_prefix("https://").unwrap();
        let (host, path) = rest.split_once('/').unwrap();
        let fits = |binding: &crate::profile::Binding| {
            let before = binding.path.as_deref().unwrap_or("/").trim_end_matches("**");
            binding.host.to_string() == host && format!("/{path}/").starts_with(before)
        };
        assert!(one.profile.bindings().iter().any(fits), "{id}");
    }
}

#[test]
fn each_that_has_endpoints_makes_a_rule() {
    let empty = parse("version: 1").document.unwrap();
    let rules: Vec<_> = all()
        .iter()
        .filter_map(|one| one.profile.policy_rule(&format!("_provider_{}", one.profile.id())))
        .collect();
    assert_eq!(rules.len(), 11);
    assert!(empty.join(&rules).unwrap().endpoint_views().count() >= 12);
}

#[test]
fn i15_at_each_host_a_credential_is_bound_and_by_tls_alone() {
    for one in all() {
        let bindings = one.profile.bindings();
        for endpoint in one.profile.endpoints() {
            assert!(endpoint.protocol.judges_requests(), "{}", one.profile.id());
        }
        for binding in bindings {
            let ports: Vec<u16> = binding.ports.iter().map(|port| port.number()).collect();
            assert_eq!(ports, [443], "{}", one.profile.id());
        }
    }
}

#[test]
fn written_and_read_again_they_are_the_same() {
    for one in all() {
        let written = one.profile.to_yaml();
        let again = Profile::parse(&written).unwrap();
        assert_eq!(again.to_yaml(), written);
        assert_eq!(again.credentials(), one.profile.credentials());
    }
}
