//! From a profile to its text.

use openshell_policy::yaml::{Key, Layout, Reader, Value};

use super::Profile;
use super::credential::{CredentialSpec, Placement};
use super::refresh::{BEFORE_SECONDS, LIFETIME_SECONDS, Material, Output, Refresh};

pub(super) fn write(profile: &Profile) -> String {
    let mut keys = head(profile);
    keys.parts(profile.fragment.to_entries(Reader::Person));
    keys.into_map(Layout::Block).document(Reader::Person)
}

/// With other endpoints, and with another's programs where one is given.
pub(super) fn write_at(profile: &Profile, endpoints: &Value, programs: Option<&Profile>) -> String {
    let mut keys = head(profile);
    keys.push("endpoints", endpoints.clone());
    let mut parts = programs.unwrap_or(profile).fragment.to_entries(Reader::Person);
    parts.retain(|(key, _)| !matches!(key, Key::Known("endpoints")));
    keys.parts(parts);
    keys.into_map(Layout::Block).document(Reader::Person)
}

/// All but endpoints and binaries.
fn head(profile: &Profile) -> Keys {
    let mut keys = Keys::default();
    keys.text("id", &profile.id);
    if let Some(version) = profile.resource_version {
        keys.push("resource_version", Value::word(&version));
    }
    if !profile.annotations.is_empty() {
        let entries = profile.annotations.iter();
        let entries = entries.map(|(key, value)| (Key::Text(key.clone()), Value::text(value)));
        keys.push("annotations", Value::Map(Layout::Block, entries.collect()));
    }
    keys.text("display_name", &profile.display_name);
    keys.text("description", &profile.description);
    keys.push("category", Value::word(&profile.category.as_str()));
    keys.flag("inference_capable", profile.inference_capable);
    keys.list("credentials", profile.credentials.iter().map(credential));
    if !profile.discovery.is_empty() {
        let mut inner = Keys::default();
        inner.list("credentials", profile.discovery.iter().map(|name| Value::text(name)));
        keys.push("discovery", inner.into_map(Layout::Block));
    }
    keys
}

fn credential(spec: &CredentialSpec) -> Value {
    let mut keys = Keys::default();
    keys.text("name", &spec.name);
    keys.text("description", &spec.description);
    keys.list("env_vars", spec.env_vars.iter().map(|name| Value::text(name.as_str())));
    keys.flag("required", spec.required);
    match &spec.placement {
        None => {}
        Some(Placement::Bearer) => keys.style("bearer"),
        Some(Placement::Basic) => keys.style("basic"),
        Some(Placement::Header { name }) => {
            keys.style("header");
            keys.text("header_name", name);
        }
        Some(Placement::Query { name }) => {
            keys.style("query");
            keys.text("query_param", name);
        }
        Some(Placement::Path { template }) => {
            keys.style("path");
            keys.text("path_template", template);
        }
    }
    keys.flag("in_body", spec.in_body);
    if let Some(of) = &spec.refresh {
        keys.push("refresh", refresh(of));
    }
    keys.flag("stable_placeholder", spec.stable_placeholder);
    keys.into_map(Layout::Item)
}

fn refresh(of: &Refresh) -> Value {
    let mut keys = Keys::default();
    keys.push("strategy", Value::word(&of.strategy.as_str()));
    keys.text("token_url", of.token_url.as_deref().unwrap_or_default());
    keys.list("scopes", of.scopes.iter().map(|scope| Value::text(scope)));
    for (key, seconds, default) in [
        ("refresh_before_seconds", of.before_seconds, BEFORE_SECONDS),
        ("max_lifetime_seconds", of.max_lifetime_seconds, LIFETIME_SECONDS),
    ] {
        if seconds != default {
            keys.push(key, Value::word(&seconds));
        }
    }
    keys.list("material", of.material.iter().map(material));
    keys.list("additional_outputs", of.additional_outputs.iter().map(output));
    keys.into_map(Layout::Block)
}

fn material(of: &Material) -> Value {
    let mut keys = Keys::default();
    keys.text("name", &of.name);
    keys.text("description", &of.description);
    keys.flag("required", of.required);
    keys.flag("secret", of.secret);
    keys.into_map(Layout::Small)
}

fn output(of: &Output) -> Value {
    let mut keys = Keys::default();
    keys.text("output", &of.output);
    keys.text("credential", &of.credential);
    keys.into_map(Layout::Small)
}

/// The keys of a mapping in the making; what is empty is left out.
#[derive(Default)]
struct Keys(Vec<(Key, Value)>);

impl Keys {
    fn push(&mut self, key: &'static str, value: Value) {
        self.0.push((Key::Known(key), value));
    }

    fn text(&mut self, key: &'static str, text: &str) {
        if !text.is_empty() {
            self.push(key, Value::text(text));
        }
    }

    fn flag(&mut self, key: &'static str, on: bool) {
        if on {
            self.push(key, Value::word(&true));
        }
    }

    fn style(&mut self, word: &'static str) {
        self.push("auth_style", Value::word(&word));
    }

    fn list(&mut self, key: &'static str, items: impl Iterator<Item = Value>) {
        let items: Vec<Value> = items.collect();
        if !items.is_empty() {
            self.push(key, Value::List(items));
        }
    }

    fn parts(&mut self, parts: Vec<(Key, Value)>) {
        let is_empty = |value: &Value| matches!(value, Value::List(all) if all.is_empty());
        self.0.extend(parts.into_iter().filter(|(_, value)| !is_empty(value)));
    }

    fn into_map(self, layout: Layout) -> Value {
        Value::Map(layout, self.0)
    }
}
