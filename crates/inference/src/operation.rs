//! What a call asks for: the paths that are known, and no other.

use http::Method;
use openshell_types::ModelProtocol;

use crate::door::Door;
use crate::limits;
use crate::refused::Refused;

/// What a call asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// `POST /chat/completions` of OpenAI.
    ChatCompletions,
    /// `POST /completions` of OpenAI.
    Completions,
    /// `POST /responses` of OpenAI.
    Responses,
    /// `POST /embeddings` of OpenAI.
    Embeddings,
    /// `GET /models` of OpenAI.
    Models,
    /// `GET /models/MODEL` of OpenAI.
    Model,
    /// `POST /messages` of Anthropic.
    Messages,
    /// `POST /messages/count_tokens` of Anthropic.
    CountMessageTokens,
    /// `POST /models/MODEL:generateContent` of Gemini.
    GenerateContent,
    /// `POST /models/MODEL:streamGenerateContent` of Gemini.
    StreamGenerateContent,
    /// `POST /models/MODEL:countTokens` of Gemini.
    CountTokens,
}

use Operation::{
    ChatCompletions, Completions, CountMessageTokens, CountTokens, Embeddings, GenerateContent,
    Messages, Model, Models, Responses, StreamGenerateContent,
};

impl Operation {
    /// What a request asks for that came in by `door`.
    /// SECURITY: H9; files, batches, fine-tuning and all else that a key can do are not calls.
    pub fn recognise(door: &Door, method: &Method, path: &str) -> Result<Self, Refused> {
        let found = (path.len() <= limits::PATH).then(|| {
            candidates(door)
                .find_map(|(protocol, base)| of(protocol, method, path.strip_prefix(base)?))
        });
        found.flatten().ok_or(Refused::Unknown(door.protocol()))
    }

    /// The protocol that it belongs to.
    pub const fn protocol(self) -> ModelProtocol {
        match self {
            ChatCompletions | Completions | Responses | Embeddings | Models | Model => {
                ModelProtocol::OpenAi
            }
            Messages | CountMessageTokens => ModelProtocol::Anthropic,
            GenerateContent | StreamGenerateContent | CountTokens => ModelProtocol::Gemini,
        }
    }

    /// The word for the audit.
    pub const fn as_str(self) -> &'static str {
        match self {
            ChatCompletions => "chat.completions",
            Completions => "completions",
            Responses => "responses",
            Embeddings => "embeddings",
            Models => "models",
            Model => "models.get",
            Messages => "messages",
            CountMessageTokens => "messages.count_tokens",
            GenerateContent => "generate_content",
            StreamGenerateContent => "stream_generate_content",
            CountTokens => "count_tokens",
        }
    }

    /// Whether a body comes with it.
    pub const fn has_body(self) -> bool {
        !matches!(self, Models | Model)
    }

    /// Whether a backend takes tokens for it.
    pub const fn costs(self) -> bool {
        !matches!(self, Models | Model | CountMessageTokens | CountTokens)
    }

    /// The members with text in the events of a streamed answer: what is said for the first time, and
    /// not what is said again at an end.
    pub(crate) const fn text(self) -> &'static [&'static str] {
        match self {
            ChatCompletions => {
                &["content", "refusal", "reasoning", "reasoning_content", "arguments"]
            }
            Completions | GenerateContent | StreamGenerateContent => &["text"],
            Responses => &["delta"],
            Messages => &["text", "partial_json", "thinking"],
            Embeddings | Models | Model | CountMessageTokens | CountTokens => &[],
        }
    }

    /// The path behind the base of a backend, with this model, which is encoded already.
    pub(crate) fn path(self, model: &str) -> String {
        match self {
            ChatCompletions => "/chat/completions".to_owned(),
            Completions => "/completions".to_owned(),
            Responses => "/responses".to_owned(),
            Embeddings => "/embeddings".to_owned(),
            Models => "/models".to_owned(),
            Model => format!("/models/{model}"),
            Messages => "/messages".to_owned(),
            CountMessageTokens => "/messages/count_tokens".to_owned(),
            GenerateContent => format!("/models/{model}:generateContent"),
            StreamGenerateContent => format!("/models/{model}:streamGenerateContent"),
            CountTokens => format!("/models/{model}:countTokens"),
        }
    }
}

/// The protocols that are spoken at a door, each with the path before those of its operations.
fn candidates(door: &Door) -> impl Iterator<Item = (ModelProtocol, &'static str)> {
    let (vendor, own) = match *door {
        Door::Vendor(vendor) => (Some((vendor.protocol, vendor.path)), None),
        Door::Own => (None, Some(None)),
        Door::OwnOf(protocol) => (None, Some(Some(protocol))),
    };
    let is_spoken = move |protocol| own.is_some_and(|only| only.is_none_or(|one| one == protocol));
    let own = OWN.into_iter().filter(move |(protocol, _)| is_spoken(*protocol));
    vendor.into_iter().chain(own)
}

/// The paths before those of operations at our own doors, as the vendors' clients have them.
const OWN: [(ModelProtocol, &str); 4] = [
    (ModelProtocol::OpenAi, "/v1"),
    (ModelProtocol::Anthropic, "/v1"),
    (ModelProtocol::Gemini, "/v1beta"),
    (ModelProtocol::Gemini, "/v1"),
];

fn of(protocol: ModelProtocol, method: &Method, path: &str) -> Option<Operation> {
    let (get, post) = (*method == Method::GET, *method == Method::POST);
    match protocol {
        ModelProtocol::OpenAi => match path {
            "/chat/completions" if post => Some(ChatCompletions),
            "/completions" if post => Some(Completions),
            "/responses" if post => Some(Responses),
            "/embeddings" if post => Some(Embeddings),
            "/models" if get => Some(Models),
            _ if get => path.strip_prefix("/models/").filter(|id| !id.is_empty()).map(|_| Model),
            _ => None,
        },
        ModelProtocol::Anthropic => match path {
            "/messages" if post => Some(Messages),
            "/messages/count_tokens" if post => Some(CountMessageTokens),
            _ => None,
        },
        ModelProtocol::Gemini if post => {
            let (model, verb) = path.strip_prefix("/models/")?.rsplit_once(':')?;
            match verb {
                _ if model.is_empty() || model.contains('/') => None,
                "generateContent" => Some(GenerateContent),
                "streamGenerateContent" => Some(StreamGenerateContent),
                "countTokens" => Some(CountTokens),
                _ => None,
            }
        }
        ModelProtocol::Gemini => None,
    }
}

#[cfg(test)]
mod tests {
    use openshell_types::Authority;

    use super::*;

    fn at(door: &Door, method: &Method, path: &str) -> Option<Operation> {
        Operation::recognise(door, method, path).ok()
    }

    fn vendor(host: &str) -> Door {
        Door::vendor(&Authority::parse(&format!("{host}:443")).expect(host)).expect(host)
    }

    #[test]
    fn our_own_door_speaks_all_protocols() {
        let (get, post) = (Method::GET, Method::POST);
        for (method, path, operation) in [
            (&post, "/v1/chat/completions", ChatCompletions),
            (&post, "/v1/completions", Completions),
            (&post, "/v1/responses", Responses),
            (&post, "/v1/embeddings", Embeddings),
            (&get, "/v1/models", Models),
            (&get, "/v1/models/meta/any-model", Model),
            (&post, "/v1/messages", Messages),
            (&post, "/v1/messages/count_tokens", CountMessageTokens),
            (&post, "/v1beta/models/any:generateContent", GenerateContent),
            (&post, "/v1/models/any:streamGenerateContent", StreamGenerateContent),
            (&post, "/v1beta/models/any:countTokens", CountTokens),
        ] {
            assert_eq!(at(&Door::Own, method, path), Some(operation), "{path}");
            let only = Door::OwnOf(operation.protocol());
            assert_eq!(at(&only, method, path), Some(operation), "{path}");
        }
    }

    #[test]
    fn a_door_of_one_protocol_speaks_no_other() {
        let post = Method::POST;
        assert_eq!(at(&Door::OwnOf(ModelProtocol::OpenAi), &post, "/v1/messages"), None);
        assert_eq!(at(&vendor("api.anthropic.com"), &post, "/v1/messages"), Some(Messages));
        assert_eq!(at(&vendor("api.anthropic.com"), &post, "/v1/chat/completions"), None);
        let gemini = vendor("generativelanguage.googleapis.com");
        assert_eq!(at(&gemini, &post, "/v1beta/models/m:generateContent"), Some(GenerateContent));
        assert_eq!(
            at(&vendor("openrouter.ai"), &post, "/api/v1/chat/completions"),
            Some(ChatCompletions)
        );
        assert_eq!(at(&vendor("openrouter.ai"), &post, "/v1/chat/completions"), None);
    }

    #[test]
    fn h09_what_else_a_key_can_do_is_no_call() {
        let methods = [Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::PATCH];
        for path in [
            "/v1/files",
            "/v1/files/x/content",
            "/v1/batches",
            "/v1/fine_tuning/jobs",
            "/v1/responses/resp_1",
            "/v1/messages/batches",
            "/v1/organizations/me",
            "/v1/chat/completions/",
            "/v1//chat/completions",
            "/v1/chat/../files",
            "/v1/chat%2fcompletions",
            "/v1/models/",
            "/v1beta/tunedModels/m:generateContent",
            "/v1beta/models/a/b:generateContent",
            "/v1beta/models/m:batchGenerateContent",
            "/v1beta/files",
            "/v1beta/cachedContents",
            "/upload/v1beta/files",
            "/",
            "",
        ] {
            for method in &methods {
                assert_eq!(at(&Door::Own, method, path), None, "{method} {path}");
            }
        }
        assert_eq!(at(&Door::Own, &Method::DELETE, "/v1/models/m"), None);
        assert_eq!(at(&Door::Own, &Method::GET, "/v1/chat/completions"), None);
    }
}
