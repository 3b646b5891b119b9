//! Why a request is not signed.

use thiserror::Error;

/// What is wrong with a request that is to be signed anew, and how it is mended.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unsignable {
    /// It is signed for something else than its key is bound to.
    #[error(
        "the request is signed for {signed}, and the key is bound to {bound}; set the region of the \
         program, as with AWS_DEFAULT_REGION, or the key's: `signing_region` where a policy binds it, \
         else AWS_REGION in the provider's configuration"
    )]
    Scope {
        /// For which service and region.
        signed: String,
        /// To which.
        bound: String,
    },
    /// It is not signed.
    #[error(
        "the request is not signed; at this server each is to be, in `authorization`, with the keys \
         that the sandbox has in its environment"
    )]
    Absent,
    /// It is signed in its query.
    #[error("the request is signed in its query; sign it in `authorization`")]
    Presigned,
    /// Signed in another way.
    #[error("the request is signed with another algorithm than AWS4-HMAC-SHA256")]
    Algorithm,
    /// Not readable as a signature.
    #[error("`authorization` is no signature of version 4: {0}")]
    Malformed(&'static str),
    /// A field that there is to be once.
    #[error("the field `{0}` stands twice")]
    Twice(&'static str),
    /// A field that has to be signed is not.
    #[error("the field `{0}` is not among the signed ones")]
    NotSigned(String),
    /// A signed field is not there.
    #[error("the field `{0}` is signed, and not in the request")]
    NotSent(String),
    /// It reads something else than its path says.
    #[error(
        "the request copies or moves what another path has, about which the policy was not asked; \
         get it and put it instead"
    )]
    Source,
    /// No time, or none that can be read.
    #[error("the field `x-amz-date` has to be there, as in `20130524T000000Z`")]
    Date,
    /// Another time than now.
    #[error("`x-amz-date` is more than 15 minutes from now; set the clock")]
    Clock,
    /// Nothing is said of the body.
    #[error(
        "the field `x-amz-content-sha256` is missing; without it a body cannot be signed before it \
         is there"
    )]
    NoDigest,
    /// What is said of the body is nothing known.
    #[error("`x-amz-content-sha256` is neither a digest nor UNSIGNED-PAYLOAD")]
    Digest,
    /// The body has signatures, too.
    #[error(
        "the chunks of the body are signed one by one, which cannot be done anew; turn chunked \
         signing off in the program, as with `chunkedEncodingEnabled(false)` of the AWS SDK for \
         Java, so that it sends a digest or UNSIGNED-PAYLOAD"
    )]
    Chunks,
    /// The body has a content coding, which would be undone.
    #[error(
        "the body is to be signed by its digest, and has a Content-Encoding; send it without one"
    )]
    Coded,
    /// There is nothing to sign with.
    #[error("the provider has no AWS_SECRET_ACCESS_KEY")]
    NoSecret,
    /// The token that goes with the key is not sent.
    #[error(
        "the provider has an AWS_SESSION_TOKEN, and the request no `x-amz-security-token`; start \
         the program again with the environment that the sandbox has now"
    )]
    NoToken,
}

impl Unsignable {
    /// A field that is signed, and not in the request.
    pub(super) fn not_sent(name: &str) -> Self {
        Self::NotSent(shown(name))
    }

    /// A field that is not signed.
    pub(super) fn not_signed(name: &str) -> Self {
        Self::NotSigned(shown(name))
    }
}

/// The beginning of a name that a program chose.
fn shown(name: &str) -> String {
    name.chars().take(64).collect()
}
