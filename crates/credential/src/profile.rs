//! Provider profiles: which credentials a provider has, under which variables programs look for them,
//! where on the wire they stand, and which endpoints and programs they are for.
//!
//! A profile is YAML that is read as strictly as a policy, and its `endpoints` and `binaries` are
//! those of a policy's rule ([`openshell_policy::Fragment`]). Findings of its own have these codes:
//!
//! | code | about |
//! |---|---|
//! | C0101 | an id, a name or another text that is malformed |
//! | C0102 | `auth_style` and what belongs to it |
//! | C0103 | a name or a variable that stands twice, or none that is there |
//! | C0104 | how a credential is renewed |
//! | C0105 | what this build does not have |
//! | C0106 | an id that another profile has |
//! | C0201 | a credential that no program gets |
//! | C0202 | an endpoint to which no credential goes, because its requests are not read |
//! | C0203 | a credential for a wildcard, or for too many ports |
//! | C0204 | a credential that would go out without encryption |
//! | C0205 | a credential that no request has |
//! | C0206 | signatures for no region |
//! | C0207 | a `credential_binding` where a profile binds its own |
//!
//! An endpoint with `credential_signing` has its requests signed with the credentials whose variables
//! are `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`.

mod binding;
mod check;
mod credential;
mod explanation;
mod library;
mod read;
mod refresh;
#[cfg(test)]
mod tests;
mod write;

use std::collections::BTreeMap;

use openshell_policy::yaml::{self, Position};
use openshell_policy::{Diagnostic, Document, EndpointView, Fragment};

pub use binding::Binding;
pub use credential::{CredentialSpec, Placement};
pub use explanation::explanation;
pub use library::{Checked, read_all};
pub use refresh::{Material, Output, Refresh, Strategy};

/// A provider's profile.
#[derive(Clone, Debug)]
pub struct Profile {
    id: String,
    resource_version: Option<u64>,
    annotations: BTreeMap<String, String>,
    display_name: String,
    description: String,
    category: Category,
    inference_capable: bool,
    credentials: Vec<CredentialSpec>,
    discovery: Vec<String>,
    fragment: Fragment,
}

/// What kind of provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Category {
    /// None of the others.
    #[default]
    Other,
    /// Models.
    Inference,
    /// An agent with all that it needs.
    Agent,
    /// Repositories.
    SourceControl,
    /// Chats and mail.
    Messaging,
    /// Databases and storage.
    Data,
    /// Documents and search.
    Knowledge,
}

impl Category {
    const WORDS: [(&str, Self); 7] = [
        ("other", Self::Other),
        ("inference", Self::Inference),
        ("agent", Self::Agent),
        ("source_control", Self::SourceControl),
        ("messaging", Self::Messaging),
        ("data", Self::Data),
        ("knowledge", Self::Knowledge),
    ];

    /// The word in the text.
    pub fn as_str(self) -> &'static str {
        Self::WORDS.iter().find(|(_, one)| *one == self).map_or("other", |(word, _)| word)
    }
}

impl Profile {
    /// Reads a profile; when it is refused, with everything that was found.
    pub fn parse(text: &str) -> Result<Self, Vec<Diagnostic>> {
        let (profile, findings) = Self::read(text);
        profile.ok_or(findings)
    }

    /// Reads a profile, and says what was found in any case: the profile is there when no finding is
    /// an error.
    pub fn read(text: &str) -> (Option<Self>, Vec<Diagnostic>) {
        read::read(text)
    }

    /// The profile as text: one for each meaning, which reads the same again.
    pub fn to_yaml(&self) -> String {
        write::write(self)
    }

    /// Its text with other endpoints; and with the programs of another profile, where one is given.
    pub(crate) fn to_yaml_at(&self, endpoints: &yaml::Value, programs: Option<&Self>) -> String {
        write::write_at(self, endpoints, programs)
    }

    /// The same as this version of a stored profile, or as one that is not stored.
    pub fn with_resource_version(mut self, version: Option<u64>) -> Self {
        self.resource_version = version;
        self
    }

    /// Its id: small letters and digits, with hyphens between.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Which version of a stored profile it is.
    pub const fn resource_version(&self) -> Option<u64> {
        self.resource_version
    }

    /// What its owner noted.
    pub const fn annotations(&self) -> &BTreeMap<String, String> {
        &self.annotations
    }

    /// Its name for people; the id when it has none.
    pub fn display_name(&self) -> &str {
        if self.display_name.is_empty() { &self.id } else { &self.display_name }
    }

    /// What it is for, or nothing.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// What kind of provider it is for.
    pub const fn category(&self) -> Category {
        self.category
    }

    /// Whether it serves models.
    pub const fn inference_capable(&self) -> bool {
        self.inference_capable
    }

    /// Its credentials in the order of the text.
    pub fn credentials(&self) -> &[CredentialSpec] {
        &self.credentials
    }

    /// The credential of this name.
    pub fn credential(&self, name: &str) -> Option<&CredentialSpec> {
        self.credentials.iter().find(|one| one.name == name)
    }

    /// The credentials that are looked for on the user's own machine, by name.
    pub fn discovery(&self) -> &[String] {
        &self.discovery
    }

    /// Its endpoints in the order of the text.
    pub fn endpoints(&self) -> impl Iterator<Item = EndpointView<'_>> {
        self.fragment.endpoints()
    }

    /// The paths of its binaries in the order of the text.
    pub fn binaries(&self) -> impl Iterator<Item = &str> {
        self.fragment.binaries()
    }

    /// A policy that has its endpoints and binaries as the rule of this key, such as
    /// `_provider_NAME`, for [`Document::join`]. `None` when it has no endpoints.
    pub fn policy_rule(&self, key: &str) -> Option<Document> {
        self.fragment.rule(key)
    }

    /// The credentials that this variable holds.
    pub fn of_variable<'a>(
        &'a self,
        variable: &'a str,
    ) -> impl Iterator<Item = &'a CredentialSpec> {
        self.credentials
            .iter()
            .filter(move |spec| spec.env_vars.iter().any(|own| own.as_str() == variable))
    }

    /// Where the value of a variable may be put, one port each.
    pub fn bindings_of(&self, variable: &str) -> Vec<openshell_types::Binding> {
        let names: Vec<&str> = self.of_variable(variable).map(|spec| spec.name.as_str()).collect();
        let mut all = self.bindings();
        all.retain(|bound| names.contains(&bound.credential.as_str()));
        all.iter().flat_map(Binding::by_port).collect()
    }

    /// Where an endpoint of a person's policy, which names its provider, binds the value of a variable,
    /// one port each. `rule` is the key of the endpoint's rule.
    pub fn bindings_by(
        &self,
        variable: &str,
        (rule, endpoint): (&str, &EndpointView<'_>),
    ) -> Vec<openshell_types::Binding> {
        let specs: Vec<&CredentialSpec> = self.of_variable(variable).collect();
        binding::by_policy(&specs, (variable, rule), endpoint)
    }

    /// Where the values of its credentials may be put.
    pub fn bindings(&self) -> Vec<Binding> {
        binding::bindings(&self.credentials, &self.fragment)
    }
}

/// A profile in the making.
struct Draft {
    profile: Profile,
    /// Where each credential stands.
    places: Vec<Position>,
}
