//! GraphQL operations of requests and of WebSocket messages (the GraphQL specification of October
//! 2021; "GraphQL over HTTP"; persisted queries as Apollo and Relay send them).
//!
//! | in the request | what happens |
//! |---|---|
//! | `GET` | its query pairs; a body is refused. The type of the operation is reported, and is the policy's to judge |
//! | `POST` of `application/json` | an object, or a batch of at most [`BATCH`] |
//! | `POST` of `application/graphql` | the body is the document |
//! | `POST` with `query`, `id` and so on in its target | refused: many servers prefer those to the body |
//! | other methods and media types, `multipart/form-data` too | refused |
//! | a pair or member twice, or a pair that some servers take for one of ours (`Query`, `query[]`) | refused |
//! | members that are not ours | refused: they may say which document is meant; pairs of other names are let be |
//! | document and hash | the hash must be the document's; the document is judged |
//! | document and id | the id must be the document's SHA-256, too |
//! | hash or id alone | reported as it is |
//! | several operations, no `operationName` | refused |
//! | directives on root fields, `@skip` and `@include` too | do not matter: the field counts |

mod document;
mod error;
mod message;
mod parameters;
#[cfg(test)]
mod tests;

pub use document::{DEPTH, DOCUMENT_BYTES, TOKENS};
pub use error::GraphqlError;
pub use message::{Message, message};

use self::parameters::Parameters;
use crate::content::MediaType;
use crate::json::Json;

/// Most operations of one batch.
pub const BATCH: usize = 64;

/// What is looked at of an HTTP request.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Its method.
    pub method: &'a str,
    /// Keys and values of its query, decoded, in order.
    pub pairs: &'a [(&'a str, &'a str)],
    /// What its body is, if it says so.
    pub media_type: Option<&'a MediaType>,
    /// Its body, its codings undone.
    pub body: &'a [u8],
}

/// One operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// It came with its document.
    Document {
        /// What kind.
        operation_type: OperationType,
        /// Its name; empty when it has none.
        name: String,
        /// The names of its root fields, not their aliases, each once; fragments are followed.
        fields: Vec<String>,
    },
    /// It came as the hash or id of a document that the server knows.
    Hash(String),
}

/// What kind of operation it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperationType {
    /// It reads.
    Query,
    /// It changes.
    Mutation,
    /// It listens.
    Subscription,
}

/// The operations of a request; at least one.
pub fn operations(request: &Request<'_>) -> Result<Vec<Operation>, GraphqlError> {
    let pairs = Parameters::of_pairs(request.pairs)?;
    match request.method {
        "GET" if request.body.is_empty() => Ok(vec![pairs.operation()?]),
        "GET" => Err(GraphqlError::Body),
        // SECURITY: G10; whether target or body is asked for the document depends on the server.
        "POST" if !pairs.is_empty() => Err(GraphqlError::Target),
        "POST" => of_body(request),
        _ => Err(GraphqlError::Method),
    }
}

fn of_body(request: &Request<'_>) -> Result<Vec<Operation>, GraphqlError> {
    // SECURITY: H3; JSON that says to be text is JSON to some servers, and nothing to others.
    let media_type = request.media_type.ok_or(GraphqlError::MediaType)?;
    if media_type.is_json() {
        return match Json::parse(request.body)? {
            Json::Object(object) => Ok(vec![Parameters::of_object(&object)?.operation()?]),
            Json::Array(items) if items.is_empty() => Err(GraphqlError::EmptyBatch),
            Json::Array(items) if items.len() > BATCH => Err(GraphqlError::LongBatch),
            Json::Array(items) => items
                .iter()
                .map(|item| {
                    let object = item.as_object().ok_or(GraphqlError::Shape)?;
                    Parameters::of_object(object)?.operation()
                })
                .collect(),
            _ => Err(GraphqlError::Shape),
        };
    }
    if media_type.essence() == "application/graphql" && media_type.is_utf8() {
        let text = std::str::from_utf8(request.body).map_err(|_| GraphqlError::Encoding)?;
        return Ok(vec![document::operation(text, None)?]);
    }
    Err(GraphqlError::MediaType)
}
