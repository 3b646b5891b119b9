//! What can be wrong with a request target.

use openshell_types::AuthorityError;
use thiserror::Error;

/// Why a request target was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TargetError {
    /// Longer than [`Target::LONGEST`](super::Target::LONGEST), as written or as forwarded.
    #[error("the request target is longer than 4 KiB")]
    TooLong,
    /// A control character, a space, or a byte that is no ASCII.
    #[error("the request target has a character that must be percent-encoded")]
    Character,
    /// A `#`: fragments stay with the client.
    #[error("the request target has a fragment")]
    Fragment,
    /// A `%` without two hexadecimal digits.
    #[error("the request target has a `%` without two hexadecimal digits")]
    Percent,
    /// Not a form that fits the method.
    #[error("the request target has no form that fits the method")]
    Form,
    /// An absolute form with another scheme than `http` and `https`.
    #[error("the request target has another scheme than http and https")]
    Scheme,
    /// The authority of an absolute form or of `CONNECT` is malformed.
    #[error("the target's authority is malformed: {0}")]
    Authority(AuthorityError),
    /// More `..` than segments before it.
    #[error("the path leads above its root")]
    AboveRoot,
    /// What some servers read as `.` or `..`, such as `..;x` and `%2E%2E%2F`.
    #[error("a segment of the path can be read as a dot segment")]
    DotSegment,
    /// A `\`, raw or encoded.
    #[error("the path has a backslash")]
    Backslash,
    /// A `%2F` at an endpoint that does not want any.
    #[error("the path has an encoded slash, which this endpoint does not take")]
    EncodedSlash,
    /// A raw `;`.
    #[error("the path has a `;`; as data it is written `%3B`")]
    Parameter,
    /// An encoded control character.
    #[error("the request target has an encoded control character")]
    EncodedControl,
    /// Encoded bytes that are not UTF-8, overlong forms among them.
    #[error("the request target has encoded bytes that are not UTF-8")]
    Utf8,
    /// A character hidden behind more than one encoding.
    #[error("the path hides a character behind a second percent-encoding")]
    EncodedTwice,
    /// A raw `;` in a query that a rule looks at.
    #[error("the query has a `;`, which some servers split at; as data it is written `%3B`")]
    QuerySemicolon,
    /// Two keys of a query that a rule looks at, and that some servers take for one.
    #[error("the query has two keys that some servers take for one")]
    QueryKeys,
}
