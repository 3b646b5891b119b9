//! The profiles that come with the product.

use std::sync::LazyLock;

use crate::profile::Profile;

const TEXTS: [&str; 11] = [
    include_str!("../profiles/anthropic.yaml"),
    include_str!("../profiles/claude-code.yaml"),
    include_str!("../profiles/codex.yaml"),
    include_str!("../profiles/deepinfra.yaml"),
    include_str!("../profiles/gemini.yaml"),
    include_str!("../profiles/generic.yaml"),
    include_str!("../profiles/github.yaml"),
    include_str!("../profiles/gitlab.yaml"),
    include_str!("../profiles/nvidia.yaml"),
    include_str!("../profiles/openai.yaml"),
    include_str!("../profiles/openrouter.yaml"),
];

/// All of them, by id.
pub fn all() -> &'static [Profile] {
    // That each can be read is tested.
    static ALL: LazyLock<Vec<Profile>> =
        LazyLock::new(|| TEXTS.into_iter().filter_map(|text| Profile::parse(text).ok()).collect());
    &ALL
}

/// The one with this id.
pub fn get(id: &str) -> Option<&'static Profile> {
    all().iter().find(|profile| profile.id() == id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_read_without_a_finding() {
        for text in TEXTS {
            let (profile, mut findings) = Profile::read(text);
            // Those for programs of one's own leave it to the policy to name them.
            findings.retain(|finding| finding.code != "P0504");
            assert!(profile.is_some() && findings.is_empty(), "{text}{findings:#?}");
        }
        let ids: Vec<&str> = all().iter().map(Profile::id).collect();
        assert!(ids.is_sorted() && ids.len() == TEXTS.len(), "{ids:?}");
    }

    #[test]
    fn values_are_bound_where_the_vendor_looks_for_them() {
        let placements = |id: &str, variable: &str| -> Vec<String> {
            let bound = get(id).unwrap().bindings_of(variable);
            bound.iter().map(|one| format!("{} {}", one.host, one.placement)).collect()
        };
        assert_eq!(
            placements("claude-code", "ANTHROPIC_API_KEY"),
            ["api.anthropic.com header:x-api-key"]
        );
        assert_eq!(
            placements("gemini", "GEMINI_API_KEY"),
            ["generativelanguage.googleapis.com header:x-goog-api-key"]
        );
        assert_eq!(
            placements("github", "GH_TOKEN"),
            ["api.github.com authorization", "github.com authorization"]
        );
        assert!(placements("github", "OTHER").is_empty());
    }
}
