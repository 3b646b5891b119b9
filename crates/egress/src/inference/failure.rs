//! A call that gets no answer of a backend, and what its caller is told.

use std::num::NonZeroU32;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use openshell_audit::{Destination, Outcome, Reason};
use openshell_inference::Refused;
use openshell_types::ModelProtocol;
use serde_json::{Value, json};

use crate::refusal::Refusal;

/// Why a call gets no answer of a backend.
#[derive(Debug)]
pub(super) enum Failure {
    /// It is none that is routed.
    Refused(Refused),
    /// The policy does not let its caller, or the backend cannot be reached.
    Refusal(Refusal),
    /// There is no room for its body.
    NoRoom,
    /// The backend broke off before its answer began.
    Broken(String),
    /// The backend was silent for this many seconds.
    Silent(u64),
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refusal(refusal)
    }
}

impl Failure {
    pub(super) fn outcome(&self) -> Outcome {
        match self {
            Self::Refused(Refused::NoRoute(_) | Refused::Expired(_)) => Outcome::Failed,
            Self::Refused(_) => Outcome::Denied,
            Self::Refusal(refusal) if refusal.is_denial() => Outcome::Denied,
            Self::Refusal(_) | Self::NoRoom | Self::Broken(_) | Self::Silent(_) => Outcome::Failed,
        }
    }

    /// Whether the budget of its route has no room for more.
    pub(super) fn is_of_budget(&self) -> bool {
        matches!(self, Self::Refusal(refusal) if refusal.is_of_budget())
    }

    /// In how many seconds that budget is whole again; `None`: never, or it is something else.
    const fn whole_in(&self) -> Option<NonZeroU32> {
        match self {
            Self::Refusal(refusal) => refusal.whole_in(),
            _ => None,
        }
    }

    pub(super) fn reason(&self) -> Reason {
        let (predicate, detail) = match self {
            Self::Refused(refused) => (refused.predicate(), refused.to_string()),
            Self::Refusal(refusal) => return refusal.to_reason(),
            Self::NoRoom => {
                let detail = "too many bodies of calls are on their way; try again";
                ("too_many_bodies", detail.to_owned())
            }
            Self::Broken(why) => ("backend_broke", format!("the backend broke off: {why}")),
            Self::Silent(seconds) => {
                ("backend_silent", format!("the backend was silent for {seconds} seconds"))
            }
        };
        Reason { predicate: predicate.to_owned(), detail, line: None, nearest: None }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Refused(refused) => refused.status(),
            Self::Refusal(refusal) => {
                StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::BAD_GATEWAY)
            }
            Self::NoRoom => StatusCode::SERVICE_UNAVAILABLE,
            Self::Broken(_) => StatusCode::BAD_GATEWAY,
            Self::Silent(_) => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// The answer for the caller, in the form of its protocol's errors, which its library shows to
    /// people; of what belongs to no protocol, the body of every other denial.
    pub(super) fn response(
        &self,
        protocol: Option<ModelProtocol>,
        (to, binary): (&Destination, Option<&str>),
    ) -> Response<Bytes> {
        let (status, reason) = (self.status(), self.reason());
        let Some(protocol) = protocol else {
            let refusal = match self {
                Self::Refusal(refusal) => refusal.clone(),
                _ => Refusal::no_model_call(reason.detail),
            };
            let (head, body) = refusal.to_parts(to, binary);
            return head.body(body.into()).unwrap_or_default();
        };
        let detail = match &reason.nearest {
            Some(edit) => format!("OpenShell: {}; {edit}", reason.detail),
            None => format!("OpenShell: {}", reason.detail),
        };
        let predicate = match self.whole_in() {
            // The words that OpenAI's clients know: of the first they try again.
            Some(_) => "rate_limit_exceeded",
            None if self.is_of_budget() => "insufficient_quota",
            None => &reason.predicate,
        };
        let body = error(protocol, status, predicate, &detail);
        let mut response = Response::new(Bytes::from(body.to_string()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.whole_in() {
            headers.insert(RETRY_AFTER, seconds.get().into());
        }
        if self.outcome() == Outcome::Denied {
            headers.insert("x-openshell-policy", HeaderValue::from_static("denied"));
        }
        response
    }
}

fn error(protocol: ModelProtocol, status: StatusCode, predicate: &str, detail: &str) -> Value {
    match protocol {
        ModelProtocol::OpenAi => {
            let kind =
                if status == StatusCode::TOO_MANY_REQUESTS { predicate } else { "openshell" };
            json!({
                "error": { "message": detail, "type": kind, "param": null, "code": predicate }
            })
        }
        ModelProtocol::Anthropic => {
            let kind = match status.as_u16() {
                400 | 415 => "invalid_request_error",
                403 => "permission_error",
                413 => "request_too_large",
                429 => "rate_limit_error",
                _ => "api_error",
            };
            json!({ "type": "error", "error": { "type": kind, "message": detail } })
        }
        ModelProtocol::Gemini => {
            let word = match status.as_u16() {
                400 | 413 | 415 => "INVALID_ARGUMENT",
                403 => "PERMISSION_DENIED",
                429 => "RESOURCE_EXHAUSTED",
                504 => "DEADLINE_EXCEEDED",
                _ => "UNAVAILABLE",
            };
            json!({ "error": { "code": status.as_u16(), "message": detail, "status": word } })
        }
    }
}
