//! Text messages of the WebSocket subprotocols `graphql-transport-ws` and `graphql-ws`.

use super::Operation;
use super::parameters::Parameters;
use crate::json::{Json, Object};

/// What a client's text message carries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// Its operations; none when it carries none, or is none of the subprotocols'.
    pub operations: Vec<Operation>,
    /// Whether it is a control message, such as a ping.
    pub control: bool,
}

/// Reads a client's text message. One that is not plainly of the subprotocols is no error, but
/// carries nothing and controls nothing: only rules that do not ask for GraphQL let it pass.
pub fn message(text: &str) -> Message {
    let json = Json::parse(text.as_bytes()).ok();
    json.as_ref().and_then(Json::as_object).and_then(read).unwrap_or_default()
}

fn read(object: &Object) -> Option<Message> {
    if object.iter().any(|(name, _)| !matches!(name, "type" | "id" | "payload")) {
        return None;
    }
    // Older clients write null for none.
    let payload = object.get("payload").filter(|payload| **payload != Json::Null);
    let payload = payload.map(|payload| payload.as_object().ok_or(())).transpose().ok()?;
    let id = object.get("id").map(|id| id.as_str().filter(|id| !id.is_empty()).ok_or(()));
    let id = id.transpose().ok()?;
    let control = match (object.get("type")?.as_str()?, id, payload) {
        ("subscribe" | "start", Some(_), Some(payload)) => {
            let operation = Parameters::of_object(payload).and_then(Parameters::operation).ok()?;
            return Some(Message { operations: vec![operation], control: false });
        }
        ("connection_init" | "ping" | "pong", None, _)
        | ("complete" | "stop", Some(_), None)
        | ("connection_terminate", None, None) => true,
        _ => false,
    };
    Some(Message { operations: Vec::new(), control })
}
