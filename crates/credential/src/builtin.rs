//! The profiles that come with OpenShell: the files in `profiles/`, and what is known of the model
//! APIs among them.

mod agent;
mod inference;
#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use openshell_types::{Authority, BaseUrl};

use crate::profile::Profile;
pub use agent::{Agent, agent};
pub use inference::InferenceProfile;

/// A profile that comes with OpenShell.
#[derive(Clone, Debug)]
pub struct Builtin {
    /// The profile.
    pub profile: Profile,
    /// Its file.
    pub text: &'static str,
    /// How models are asked; `None` when it serves none.
    pub inference: Option<InferenceProfile>,
}

/// All of them, in the order of their ids.
pub fn all() -> &'static [Builtin] {
    &ALL
}

/// The one of this id.
pub fn get(id: &str) -> Option<&'static Builtin> {
    all().iter().find(|one| one.profile.id() == id)
}

/// Whether the models of a vendor are asked there, by one of the profiles that serve them.
pub fn serves_models(to: &Authority) -> bool {
    MODELS.contains(to)
}

static MODELS: LazyLock<Vec<Authority>> = LazyLock::new(|| {
    let urls = all().iter().filter_map(|one| one.inference.as_ref()?.base_url);
    urls.filter_map(|url| Some(BaseUrl::parse(url).ok()?.authority)).collect()
});

/// A test reads each of them, so none is left out.
static ALL: LazyLock<Vec<Builtin>> = LazyLock::new(|| {
    let read = TEXTS.into_iter().filter_map(|text| {
        let profile = Profile::parse(text).ok()?;
        let inference = inference::of(profile.id());
        Some(Builtin { profile, text, inference })
    });
    read.collect()
});

const TEXTS: [&str; 14] = [
    include_str!("../profiles/anthropic.yaml"),
    include_str!("../profiles/aws-s3.yaml"),
    include_str!("../profiles/claude-code.yaml"),
    include_str!("../profiles/codex.yaml"),
    include_str!("../profiles/deepinfra.yaml"),
    include_str!("../profiles/gemini.yaml"),
    include_str!("../profiles/generic.yaml"),
    include_str!("../profiles/github.yaml"),
    include_str!("../profiles/gitlab.yaml"),
    include_str!("../profiles/nvidia.yaml"),
    include_str!("../profiles/openai.yaml"),
    include_str!("../profiles/openai-compatible.yaml"),
    include_str!("../profiles/openrouter.yaml"),
    include_str!("../profiles/package-registries.yaml"),
];
