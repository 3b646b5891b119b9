//! Provider profiles as published clients send them, and as text: conversions both ways.
//!
//! As with policies, the text is what is stored and judged, and the way to it drops nothing: what a
//! profile has no key for becomes one that is refused.

use std::collections::HashMap;

use prost_types::Duration;
use serde_json::Value;

use crate::policy::PolicyTextError;
use crate::policy::message::{self, flag, list, map, text_of, texts};
use crate::policy::text::{self, Keys};
use crate::policy::yaml::Node;
use crate::sandbox::NetworkBinary;
use crate::v1::{
    ProviderCredentialRefresh, ProviderCredentialRefreshMaterial, ProviderCredentialRefreshOutput,
    ProviderCredentialRefreshStrategy as Strategy, ProviderProfile,
    ProviderProfileCategory as Category, ProviderProfileCredential, ProviderProfileDiscovery,
};

/// The profile as text. `source` and `scope` are the gateway's to say, and left out.
pub fn to_text(profile: &ProviderProfile) -> String {
    let mut keys = Keys::new().with_text("id", &profile.id);
    if profile.resource_version > 0 {
        keys.push("resource_version", Node::bare(profile.resource_version));
    }
    keys.map("annotations", &profile.annotations, |value: &String| Node::text(value));
    keys = keys
        .with_text("display_name", &profile.display_name)
        .with_text("description", &profile.description)
        .with_text("category", &word(&CATEGORIES, profile.category))
        .with_flag("inference_capable", profile.inference_capable);
    keys.items("credentials", &profile.credentials, credential);
    let discovery = profile.discovery.iter().filter(|found| !found.credentials.is_empty());
    keys.some(
        "discovery",
        discovery
            .map(|found| Keys::new().with_texts("credentials", &found.credentials).into_node())
            .next(),
    );
    keys.items("endpoints", &profile.endpoints, text::endpoint);
    keys.items("binaries", &profile.binaries, |binary| {
        Keys::new().with_text("path", &binary.path).into_node()
    });
    // Not a key of the schema: a client that sets it is told so.
    keys.items("files", &profile.files, |file| {
        Keys::new().with_text("path", &file.path).into_node()
    });
    keys.into_node().document()
}

fn credential(credential: &ProviderProfileCredential) -> Node {
    let mut keys = Keys::new()
        .with_text("name", &credential.name)
        .with_text("description", &credential.description)
        .with_texts("env_vars", &credential.env_vars)
        .with_flag("required", credential.required)
        .with_text("auth_style", &credential.auth_style)
        .with_text("header_name", &credential.header_name)
        .with_text("query_param", &credential.query_param)
        .with_text("path_template", &credential.path_template);
    keys.some("refresh", credential.refresh.as_ref().map(refresh));
    let grant = credential.token_grant.as_ref();
    keys.some(
        "token_grant",
        grant.map(|grant| {
            Keys::new().with_text("token_endpoint", &grant.token_endpoint).into_node()
        }),
    );
    keys.with_texts("token_grant_owners", &credential.token_grant_owners)
        .with_flag("stable_placeholder", credential.stable_placeholder)
        .into_node()
}

fn refresh(refresh: &ProviderCredentialRefresh) -> Node {
    let mut keys = Keys::new()
        .with_text("strategy", &word(&STRATEGIES, refresh.strategy))
        .with_text("token_url", &refresh.token_url)
        .with_texts("scopes", &refresh.scopes);
    keys.some("refresh_before_seconds", refresh.refresh_before.as_ref().map(seconds));
    keys.some("max_lifetime_seconds", refresh.max_lifetime.as_ref().map(seconds));
    keys.items("material", &refresh.material, |one| {
        Keys::new()
            .with_text("name", &one.name)
            .with_text("description", &one.description)
            .with_flag("required", one.required)
            .with_flag("secret", one.secret)
            .into_node()
    });
    keys.items("additional_outputs", &refresh.additional_outputs, |one| {
        Keys::new()
            .with_text("output", &one.output)
            .with_text("credential", &one.credential)
            .into_node()
    });
    keys.into_node()
}

/// The text of a profile that was judged before, as a message. What the message has no field for is
/// not shown.
pub fn from_text(text: &str) -> Result<ProviderProfile, PolicyTextError> {
    let root = message::root(text)?;
    let id = text_of(&root, "id");
    let display_name = text_of(&root, "display_name");
    Ok(ProviderProfile {
        display_name: if display_name.is_empty() { id.clone() } else { display_name },
        id,
        description: text_of(&root, "description"),
        category: number_of(&CATEGORIES, &text_of(&root, "category"), Category::Other.into()),
        credentials: list(&root, "credentials", credential_of),
        endpoints: list(&root, "endpoints", message::endpoint),
        binaries: list(&root, "binaries", |one| NetworkBinary { path: text_of(one, "path") }),
        inference_capable: flag(&root, "inference_capable"),
        discovery: root
            .get("discovery")
            .map(|found| ProviderProfileDiscovery { credentials: texts(found, "credentials") }),
        resource_version: root.get("resource_version").and_then(Value::as_u64).unwrap_or_default(),
        annotations: annotations(&root),
        ..ProviderProfile::default()
    })
}

fn annotations(root: &Value) -> HashMap<String, String> {
    map(root, "annotations", |value| value.as_str().unwrap_or_default().to_owned())
}

fn credential_of(value: &Value) -> ProviderProfileCredential {
    ProviderProfileCredential {
        name: text_of(value, "name"),
        description: text_of(value, "description"),
        env_vars: texts(value, "env_vars"),
        required: flag(value, "required"),
        auth_style: text_of(value, "auth_style"),
        header_name: text_of(value, "header_name"),
        query_param: text_of(value, "query_param"),
        refresh: value.get("refresh").map(refresh_of),
        path_template: text_of(value, "path_template"),
        stable_placeholder: flag(value, "stable_placeholder"),
        ..ProviderProfileCredential::default()
    }
}

fn refresh_of(value: &Value) -> ProviderCredentialRefresh {
    let duration = |key: &str| {
        let seconds = value.get(key).and_then(Value::as_i64)?;
        Some(Duration { seconds, nanos: 0 })
    };
    ProviderCredentialRefresh {
        strategy: number_of(&STRATEGIES, &text_of(value, "strategy"), Strategy::Unspecified.into()),
        token_url: text_of(value, "token_url"),
        scopes: texts(value, "scopes"),
        material: list(value, "material", |one| ProviderCredentialRefreshMaterial {
            name: text_of(one, "name"),
            description: text_of(one, "description"),
            required: flag(one, "required"),
            secret: flag(one, "secret"),
        }),
        additional_outputs: list(value, "additional_outputs", |one| {
            ProviderCredentialRefreshOutput {
                output: text_of(one, "output"),
                credential: text_of(one, "credential"),
            }
        }),
        refresh_before: duration("refresh_before_seconds"),
        max_lifetime: duration("max_lifetime_seconds"),
    }
}

/// A part of a second is no number that the schema takes, and so is refused.
fn seconds(duration: &Duration) -> Node {
    match duration.nanos {
        0 => Node::bare(duration.seconds),
        nanos => Node::text(&format!("{}.{nanos:09}", duration.seconds)),
    }
}

/// The word of a number; a number that has none stands for itself, to be refused.
fn word(words: &[(&str, i32)], number: i32) -> String {
    if number == 0 {
        return String::new();
    }
    let known = words.iter().find(|(_, own)| *own == number);
    known.map_or_else(|| number.to_string(), |(word, _)| (*word).to_owned())
}

fn number_of(words: &[(&str, i32)], text: &str, default: i32) -> i32 {
    words.iter().find(|(word, _)| *word == text).map_or(default, |(_, number)| *number)
}

const CATEGORIES: [(&str, i32); 7] = [
    ("other", Category::Other as i32),
    ("inference", Category::Inference as i32),
    ("agent", Category::Agent as i32),
    ("source_control", Category::SourceControl as i32),
    ("messaging", Category::Messaging as i32),
    ("data", Category::Data as i32),
    ("knowledge", Category::Knowledge as i32),
];

const STRATEGIES: [(&str, i32); 6] = [
    ("static", Strategy::Static as i32),
    ("external", Strategy::External as i32),
    ("oauth2_refresh_token", Strategy::Oauth2RefreshToken as i32),
    ("oauth2_client_credentials", Strategy::Oauth2ClientCredentials as i32),
    ("google_service_account_jwt", Strategy::GoogleServiceAccountJwt as i32),
    ("aws_sts_assume_role", Strategy::AwsStsAssumeRole as i32),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::NetworkEndpoint;
    use crate::v1::{ProviderCredentialTokenGrant, ProviderProfileFile};

    fn full() -> ProviderProfile {
        ProviderProfile {
            id: "acme".into(),
            display_name: "Acme: models".into(),
            description: "two\nlines".into(),
            category: Category::Agent.into(),
            credentials: vec![ProviderProfileCredential {
                name: "key".into(),
                env_vars: vec!["ACME_KEY".into()],
                required: true,
                auth_style: "header".into(),
                header_name: "x-key".into(),
                refresh: Some(ProviderCredentialRefresh {
                    strategy: Strategy::Oauth2RefreshToken.into(),
                    token_url: "https://acme.test/token".into(),
                    scopes: vec!["read".into()],
                    material: vec![ProviderCredentialRefreshMaterial {
                        name: "refresh_token".into(),
                        secret: true,
                        ..Default::default()
                    }],
                    additional_outputs: vec![ProviderCredentialRefreshOutput {
                        output: "id_token".into(),
                        credential: "key".into(),
                    }],
                    refresh_before: Some(Duration { seconds: 60, nanos: 0 }),
                    max_lifetime: Some(Duration { seconds: 7200, nanos: 0 }),
                }),
                stable_placeholder: true,
                ..Default::default()
            }],
            endpoints: vec![NetworkEndpoint {
                host: "acme.test".into(),
                port: 443,
                protocol: "rest".into(),
                ..Default::default()
            }],
            binaries: vec![NetworkBinary { path: "/usr/bin/acme".into() }],
            inference_capable: true,
            discovery: Some(ProviderProfileDiscovery { credentials: vec!["key".into()] }),
            resource_version: 7,
            annotations: HashMap::from([("note".into(), "12: yes".into())]),
            ..Default::default()
        }
    }

    #[test]
    fn a_profile_goes_to_text_and_comes_back() {
        assert_eq!(from_text(&to_text(&full())).unwrap(), full());
        let small = ProviderProfile { id: "a".into(), ..Default::default() };
        let back = from_text(&to_text(&small)).unwrap();
        assert_eq!((back.display_name.as_str(), back.category()), ("a", Category::Other));
        assert!(from_text("{").is_err());
    }

    #[test]
    fn what_has_no_key_is_told_and_not_dropped() {
        let mut odd = full();
        odd.files = vec![ProviderProfileFile { path: "/a".into(), ..Default::default() }];
        odd.category = 99;
        odd.credentials[0].token_grant = Some(ProviderCredentialTokenGrant::default());
        let text = to_text(&odd);
        for part in ["files:", "category: \"99\"", "token_grant: {}"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
