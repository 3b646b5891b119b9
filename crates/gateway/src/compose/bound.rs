//! Credentials that a person's policy binds: `credential_binding` at its endpoints.

use std::borrow::Cow;

use openshell_credential::Profile;
use openshell_policy::{Document, EndpointView, parse};
use openshell_types::Binding;

use super::profiles;
use crate::store::rows::provider::Provider;

/// The endpoints of a policy that bind credentials.
pub(crate) struct Bound(Option<Document>);

/// What is wrong with a provider that an endpoint names, and what would help.
pub(crate) type Unbindable = (String, String);

impl Bound {
    /// Those of a policy's text; none of one with errors.
    pub(crate) fn of(text: &str) -> Self {
        // Without either in its text there is no such key: large policies are not read once more.
        let has_some = text.contains("credential_binding") || text.contains('\\');
        Self(has_some.then(|| parse(text).document).flatten())
    }

    /// The policy, when it binds something.
    pub(crate) fn document(&self) -> Option<&Document> {
        self.0.as_ref().filter(|own| own.bound_endpoints().next().is_some())
    }

    /// Where the value of a provider's variable may be put. SECURITY: I2; a provider that cannot be
    /// bound is bound nowhere.
    pub(super) fn bindings(&self, provider: &Provider, variable: &str) -> Vec<Binding> {
        let Some(document) = self.document() else { return Vec::new() };
        let Ok(profiles) = bindable(provider) else { return Vec::new() };
        let named = document
            .bound_endpoints()
            .filter(|(_, view)| view.provider == Some(provider.name.as_str()));
        named
            .flat_map(|(rule, view)| {
                let of = |profile: &Cow<'_, Profile>| profile.bindings_by(variable, (rule, &view));
                profiles.iter().flat_map(of).collect::<Vec<_>>()
            })
            .collect()
    }
}

/// Why an endpoint cannot bind the credentials of a provider that is attached.
pub(crate) fn unbindable(provider: &Provider, view: &EndpointView<'_>) -> Option<Unbindable> {
    if let Err(why) = bindable(provider) {
        return Some(why);
    }
    let lacks = |variable: &&&str| !provider.credentials.contains_key(**variable);
    let missing = SIGNING.iter().find(lacks).filter(|_| view.signing.is_some())?;
    let name = &provider.name;
    Some((
        format!("the provider `{name}` has no `{missing}`, with which requests are signed"),
        format!("`openshell provider update {name} --credential {missing}`"),
    ))
}

/// What there has to be to sign a request.
const SIGNING: [&str; 2] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];

/// The profiles of a provider that has no endpoints of its own.
fn bindable(provider: &Provider) -> Result<Vec<Cow<'static, Profile>>, Unbindable> {
    let Provider { name, kind, .. } = provider;
    let all = profiles(provider)
        .map_err(|error| (error.to_string(), format!("mend the provider `{name}`")))?;
    if all.is_empty() || all.iter().any(|profile| profile.endpoints().next().is_some()) {
        return Err((
            format!("the credentials of the provider `{name}` go where its type `{kind}` says"),
            "remove the `credential_binding`, or name a provider of type `generic`".to_owned(),
        ));
    }
    Ok(all)
}
