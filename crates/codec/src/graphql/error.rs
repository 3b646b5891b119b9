//! What can be wrong with a GraphQL request.

use thiserror::Error;

use crate::json::JsonError;

/// Why a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum GraphqlError {
    /// Neither `GET` nor `POST`.
    #[error("a GraphQL request is sent with GET or POST")]
    Method,
    /// A `GET` with a body.
    #[error("a GraphQL request with GET has a body")]
    Body,
    /// A `POST` whose target says something about the operation.
    #[error("the target of a GraphQL request with POST names an operation")]
    Target,
    /// Neither `application/json` nor `application/graphql`, or not in UTF-8.
    #[error("the content type is not one of GraphQL requests")]
    MediaType,
    /// `application/graphql` that is not UTF-8.
    #[error("the GraphQL document is not UTF-8")]
    Encoding,
    /// A part that should be JSON is not.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// No object, or no batch of objects.
    #[error("the GraphQL request is no object and no batch of objects")]
    Shape,
    /// A batch without operations.
    #[error("the GraphQL batch is empty")]
    EmptyBatch,
    /// More than [`BATCH`](super::BATCH) operations.
    #[error("the GraphQL batch has more than {} operations", super::BATCH)]
    LongBatch,
    /// A member that is not known.
    #[error("the GraphQL request has a member that is not known")]
    Member,
    /// A key of the query twice, or one that some servers take for another.
    #[error("a parameter of the GraphQL request can be read in two ways")]
    Ambiguous,
    /// A member or parameter of a wrong type.
    #[error("a part of the GraphQL request has a wrong type")]
    Type,
    /// Neither a document nor a hash or id.
    #[error("the GraphQL request has no document")]
    NoDocument,
    /// A hash or id that is empty, longer than 256 bytes, or not all visible ASCII.
    #[error("the hash or id of the document is malformed")]
    Hash,
    /// A hash or id that is not that of the document, or that differs from another.
    #[error("the hash or id is not that of the document")]
    OtherHash,
    /// Longer, or of more tokens, or nested deeper, than is read.
    #[error("the GraphQL document is too large")]
    TooLarge,
    /// No GraphQL.
    #[error("the GraphQL document is malformed")]
    Syntax,
    /// Something else than operations and fragments.
    #[error("the GraphQL document defines types")]
    Definition,
    /// A name twice, or an operation without a name beside others.
    #[error("the GraphQL document has two definitions of one name")]
    Duplicate,
    /// None of that name, or several and none was named.
    #[error("it is not plain which operation of the GraphQL document is meant")]
    Operation,
    /// A fragment that is not there.
    #[error("the GraphQL document has no fragment of a name that it uses")]
    UnknownFragment,
    /// A fragment that contains itself.
    #[error("a fragment of the GraphQL document contains itself")]
    FragmentCycle,
}
