//! How the model APIs among the built-in profiles are asked.

use openshell_types::ModelProtocol;

/// What a route to the models of a provider needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InferenceProfile {
    /// Which protocols it serves.
    pub protocols: &'static [ModelProtocol],
    /// Where, unless the provider's configuration says otherwise; `None`: it has to.
    pub base_url: Option<&'static str>,
    /// The key of that configuration.
    pub base_url_key: &'static str,
    /// Fields of the caller's request that go on, beside those that always do. In lower case.
    pub passed_headers: &'static [&'static str],
    /// Fields that a request gets when it has none of the name.
    pub default_headers: &'static [(&'static str, &'static str)],
}

pub(super) fn of(id: &str) -> Option<InferenceProfile> {
    PROFILES.into_iter().find(|(name, _)| *name == id).map(|(_, profile)| profile)
}

/// One that speaks the protocol of OpenAI and asks for nothing more.
const fn open_ai(base_url: &'static str, base_url_key: &'static str) -> InferenceProfile {
    InferenceProfile {
        protocols: &[ModelProtocol::OpenAi],
        base_url: Some(base_url),
        base_url_key,
        passed_headers: &[],
        default_headers: &[],
    }
}

const PROFILES: [(&str, InferenceProfile); 7] = [
    (
        "anthropic",
        InferenceProfile {
            protocols: &[ModelProtocol::Anthropic],
            base_url: Some("https://api.anthropic.com/v1"),
            base_url_key: "ANTHROPIC_BASE_URL",
            passed_headers: &["anthropic-version", "anthropic-beta"],
            default_headers: &[("anthropic-version", "2023-06-01")],
        },
    ),
    (
        "openai",
        InferenceProfile {
            passed_headers: &["x-model-id"],
            ..open_ai("https://api.openai.com/v1", "OPENAI_BASE_URL")
        },
    ),
    (
        "gemini",
        InferenceProfile {
            protocols: &[ModelProtocol::Gemini],
            base_url: Some("https://generativelanguage.googleapis.com/v1beta"),
            base_url_key: "GOOGLE_GEMINI_BASE_URL",
            passed_headers: &["x-goog-api-client"],
            default_headers: &[],
        },
    ),
    (
        "openrouter",
        InferenceProfile {
            // By these it tells programs apart in its lists.
            passed_headers: &["http-referer", "x-title"],
            ..open_ai("https://openrouter.ai/api/v1", "OPENROUTER_BASE_URL")
        },
    ),
    ("nvidia", open_ai("https://integrate.api.nvidia.com/v1", "NVIDIA_BASE_URL")),
    ("deepinfra", open_ai("https://api.deepinfra.com/v1/openai", "DEEPINFRA_BASE_URL")),
    ("openai-compatible", InferenceProfile { base_url: None, ..open_ai("", "OPENAI_BASE_URL") }),
];
