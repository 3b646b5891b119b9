//! Settings make endpoints and bindings, and nothing else.

use super::*;

fn config(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn of(id: &str, pairs: &[(&str, &str)]) -> Result<Vec<Cow<'static, Profile>>, ConfigError> {
    configured(&builtin::get(id).unwrap().profile, &config(pairs))
}

/// Where the values of a variable go: host, port and path.
fn places(profiles: &[Cow<'_, Profile>], variable: &str) -> Vec<String> {
    let bindings = profiles.iter().flat_map(|profile| profile.bindings_of(variable));
    bindings
        .map(|one| format!("{}:{}{}", one.host, one.port, one.path.unwrap_or_default()))
        .collect()
}

#[test]
fn without_settings_a_profile_is_what_its_file_says() {
    let has_place = |id| id == registry::TYPE || id == s3::TYPE;
    for one in builtin::all().iter().filter(|one| !has_place(one.profile.id())) {
        let all = configured(&one.profile, &BTreeMap::new()).unwrap();
        assert!(matches!(all.as_slice(), [Cow::Borrowed(_)]), "{}", one.profile.id());
    }
}

#[test]
fn i02_a_base_url_moves_the_endpoint_and_the_bindings() {
    for one in builtin::all() {
        let Some(inference) = &one.inference else { continue };
        let key = inference.base_url_key;
        let all =
            of(one.profile.id(), &[(key, "https://models.example.com:8443/api/v1/")]).unwrap();
        let [profile] = all.as_slice() else { panic!("{key}") };
        let variable = profile.credentials()[0].env_vars[0].to_string();
        assert_eq!(places(&all, &variable), ["models.example.com:8443/api/v1/**"], "{key}");
        assert_eq!(profile.endpoints().count(), 1, "{key}");
        assert!(profile.policy_rule("_provider_x").is_some() && profile.binaries().count() > 0);
        assert_eq!(profile.credentials(), one.profile.credentials());
        let seen = environment(profile, &config(&[(key, "https://a.test/v1")]), &BTreeMap::new());
        assert_eq!(seen, config(&[(key, "https://a.test/v1")]));
    }
    let all = of("openai-compatible", &[("OPENAI_BASE_URL", "http://192.0.2.7:8000")]).unwrap();
    assert_eq!(places(&all, "OPENAI_API_KEY"), ["192.0.2.7:8000/**"]);
    assert!(all[0].policy_rule("_provider_x").unwrap().formatted().contains("192.0.2.7"));
    let all = of("openai-compatible", &[("OPENAI_BASE_URL", "https://[2001:db8::1]/v1")]).unwrap();
    assert_eq!(places(&all, "OPENAI_API_KEY"), ["[2001:db8::1]:443/v1/**"]);
    // Another type's key is a setting like any other.
    let all = of("anthropic", &[("OPENAI_BASE_URL", "https://a.test/v1")]).unwrap();
    assert_eq!(places(&all, "ANTHROPIC_API_KEY"), ["api.anthropic.com:443/v1/**"]);
}

#[test]
fn urls_that_would_lead_elsewhere_are_refused_and_not_quoted() {
    for bad in [
        "",
        "a.test/v1",
        "ftp://a.test/",
        "https://",
        "https:///v1",
        "https://*.a.test/v1",
        "https://a.test/v1/*",
        "https://a.test/{x}",
        "https://a.test/a/../b",
        "https://a.test/a//b",
        "https://a.test/v1?x=1",
        "https://a.test/v1#x",
        "https://a.test:0/",
        "https://a.test\\@b.test/",
        "https://a.test/%2e%2e/",
        "https://a.test/ ",
        "https://a.test/\nb",
        "https://user:hunter2@a.test/v1",
        "https://user@a.test/v1",
        "http://localhost:8000/v1",
        "https://169.254.169.254/v1",
    ] {
        let error = of("openai-compatible", &[("OPENAI_BASE_URL", bad)]).expect_err(bad);
        assert!(error.to_string().starts_with("`OPENAI_BASE_URL`: "), "{error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}

#[test]
fn i02_each_registry_has_its_own_credential_and_its_own_programs() {
    let settings = [
        ("PIP_INDEX_URL", "https://build@pip.example.com/simple"),
        ("PIP_INDEX_URL_2", "http://mirror.example.com:8081/simple"),
        ("NPM_REGISTRY", "https://npm.example.com/repo/npm"),
        ("CARGO_REGISTRIES_OWN_INDEX", "sparse+https://crates.example.com/index/"),
    ];
    let all = of(registry::TYPE, &settings).unwrap();
    assert_eq!(all.len(), 4);
    assert_eq!(places(&all, "PIP_PASSWORD"), ["pip.example.com:443"]);
    assert_eq!(places(&all, "NPM_TOKEN"), ["npm.example.com:443"]);
    assert_eq!(places(&all, "CARGO_REGISTRIES_OWN_TOKEN"), ["crates.example.com:443"]);
    // Nothing goes there without encryption.
    assert_eq!(places(&all, "PIP_PASSWORD_2"), [""; 0]);
    let empty = openshell_policy::parse("version: 1").document.unwrap();
    let rules: Vec<_> = all
        .iter()
        .map(|one| one.policy_rule(&format!("_provider_x:{}", one.id())).unwrap())
        .collect();
    let text = empty.join(&rules).unwrap().formatted();
    openshell_policy::Policy::compile(&text).unwrap_or_else(|found| panic!("{found:#?}\n{text}"));
    assert!(text.contains("access: read-only") && !text.contains("read-write"), "{text}");
    let npm = all.iter().find(|one| one.id() == "npm").unwrap();
    assert!(npm.binaries().all(|path| path.ends_with("node")));

    let placeholders =
        config(&[("PIP_PASSWORD", "stand-in"), ("CARGO_REGISTRIES_OWN_TOKEN", "other")]);
    let profile = &builtin::get(registry::TYPE).unwrap().profile;
    assert_eq!(
        environment(profile, &config(&settings), &placeholders),
        config(&[
            ("PIP_INDEX_URL", "https://build:stand-in@pip.example.com/simple"),
            ("PIP_EXTRA_INDEX_URL", "http://mirror.example.com:8081/simple"),
            ("npm_config_registry", "https://npm.example.com/repo/npm"),
            ("CARGO_REGISTRIES_OWN_INDEX", "sparse+https://crates.example.com/index/"),
        ])
    );
}

#[test]
fn settings_that_are_no_registry_are_refused() {
    for bad in [
        "PIP_INDEX_URL_",
        "PIP_INDEX_URL_02",
        "PIP_INDEX_URL_X",
        "pip_index_url",
        "CARGO_REGISTRIES__INDEX_",
        "CARGO_REGISTRIES_a_INDEX",
        "OTHER",
    ] {
        assert!(of(registry::TYPE, &[(bad, "https://a.test")]).is_err(), "{bad}");
    }
    assert!(of(registry::TYPE, &[("NPM_REGISTRY", "https://*.a.test")]).is_err());
    assert!(of(registry::TYPE, &[("NPM_REGISTRY", "sparse+https://a.test/")]).is_err());
    let profile = |id| &builtin::get(id).unwrap().profile;
    assert!(missing(profile(registry::TYPE), &BTreeMap::new()).is_some());
    assert!(missing(profile("openai-compatible"), &BTreeMap::new()).is_some());
    assert!(missing(profile("openai"), &BTreeMap::new()).is_none());
    let set = config(&[("OPENAI_BASE_URL", "https://a.test/v1")]);
    assert!(missing(profile("openai-compatible"), &set).is_none());
}

#[test]
fn names_of_registries_become_those_of_variables() {
    assert_eq!(Registry::numbered(Client::Pip, 1).setting, "PIP_INDEX_URL");
    assert_eq!(Registry::numbered(Client::Npm, 3).variable, "NPM_TOKEN_3");
    let own = Registry::named(Client::Cargo, "my-own");
    assert_eq!(own.setting, "CARGO_REGISTRIES_MY_OWN_INDEX");
    assert_eq!(Registry::of_setting(&own.setting), Some(own));
}
