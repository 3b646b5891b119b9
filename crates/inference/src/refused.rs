//! A call that does not go to a backend.

use http::StatusCode;
use openshell_types::{ModelProtocol, Route};
use thiserror::Error;

use crate::limits;

/// Why a call does not go to a backend. Nothing of its content is told.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refused {
    /// The request is none of the operations that are known at this door.
    #[error(
        "the request is no call of a model that is routed here; known are {}", known(*.0)
    )]
    Unknown(Option<ModelProtocol>),
    /// Nobody said where calls of this protocol go.
    #[error(
        "no backend is set for calls of the `{0}` protocol; the person who runs this sandbox sets one \
         with `openshell inference set --provider NAME --model MODEL`"
    )]
    NoRoute(ModelProtocol),
    /// The credential of the backend has ended to be good.
    #[error("the credential of the provider `{0}` has expired")]
    Expired(String),
    /// The body is longer than what is taken.
    #[error("the body is longer than {} MiB", limits::BODY / (1024 * 1024))]
    TooLong,
    /// The body has a coding that cannot be undone.
    #[error("the body's Content-Encoding: {0}")]
    Coding(String),
    /// The body is not the JSON that it has to be.
    #[error("the body is not the JSON object of a call: {0}")]
    Json(String),
    /// The body asks for what is not granted.
    #[error("`{member}` in the body: {why}")]
    Member {
        /// The member of the object.
        member: &'static str,
        /// Why not.
        why: &'static str,
    },
}

impl Refused {
    /// The status of the answer.
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::Unknown(_) | Self::Member { .. } => StatusCode::FORBIDDEN,
            Self::NoRoute(_) | Self::Expired(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Coding(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Json(_) => StatusCode::BAD_REQUEST,
        }
    }

    /// The word for programs.
    pub const fn predicate(&self) -> &'static str {
        match self {
            Self::Unknown(_) => "not_a_model_call",
            Self::NoRoute(_) => "no_route",
            Self::Expired(_) => "credential_expired",
            Self::TooLong => "body_too_long",
            Self::Coding(_) => "body_coding",
            Self::Json(_) => "body_json",
            Self::Member { .. } => "body_member",
        }
    }

    /// Checks that the credential of a route is good at this time.
    pub fn check_expiry(route: &Route, now_ms: i64) -> Result<(), Self> {
        match route.expires_ms {
            Some(end) if end <= now_ms => Err(Self::Expired(route.provider.clone())),
            _ => Ok(()),
        }
    }
}

fn known(protocol: Option<ModelProtocol>) -> &'static str {
    match protocol {
        Some(ModelProtocol::OpenAi) => {
            "POST chat/completions, completions, responses and embeddings, GET models and models/ID"
        }
        Some(ModelProtocol::Anthropic) => "POST messages and messages/count_tokens",
        Some(ModelProtocol::Gemini) => {
            "POST models/MODEL:generateContent, :streamGenerateContent and :countTokens"
        }
        None => {
            "those of OpenAI (/v1/chat/completions, /v1/completions, /v1/responses, /v1/embeddings, \
             /v1/models), Anthropic (/v1/messages, /v1/messages/count_tokens) and Gemini \
             (/v1beta/models/MODEL:generateContent, :streamGenerateContent, :countTokens)"
        }
    }
}
