//! A credential that is used where it must not be.

use std::fmt;

use crate::sigv4::Unsignable;

/// Why a request is denied for the credentials in it. Names are told, values never.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Misuse {
    /// A placeholder stands where its credential is not bound to.
    Elsewhere {
        /// Of which credential.
        name: String,
        /// Where it stands.
        place: Place,
    },
    /// A placeholder stands in a request of a program, or to a path, that the policy does not bind its
    /// credential to at this server.
    OtherProgram {
        /// Of which credential.
        name: String,
        /// Where it stands.
        place: Place,
        /// The key of the rule that binds it.
        rule: String,
    },
    /// A placeholder of this gateway that is not this sandbox's, or no longer.
    Unknown {
        /// Where it stands.
        place: Place,
    },
    /// Another credential than the bound one, at a server to which one is bound.
    Foreign {
        /// Where it stands.
        place: Place,
    },
    /// The value has ended to be good.
    Expired {
        /// Which.
        name: String,
    },
    /// The request is not encrypted.
    Plain {
        /// Which credential it would carry.
        name: String,
    },
    /// A placeholder stands in a body, and its value cannot be put there.
    Unfit {
        /// Of which credential.
        name: String,
        /// What the body is.
        why: &'static str,
    },
    /// A body cannot be searched, at a server to which some credential is bound.
    Unread {
        /// What hinders it.
        why: String,
    },
    /// The server's answer has the value in it.
    Echoed {
        /// Of which credential.
        name: String,
        /// What was done about it.
        how: Disclosure,
    },
    /// The server's answer cannot be searched for values, at a server to which some credential is
    /// bound.
    Veiled {
        /// What hinders it.
        why: String,
    },
    /// It is to be signed, and cannot be or must not.
    Unsignable {
        /// With which credential, where that is known.
        name: Option<String>,
        /// What is wrong with it.
        why: Unsignable,
    },
}

/// What becomes of an answer with a value in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disclosure {
    /// It passed, and something else in the place of the value.
    Masked,
    /// It was broken off before the value.
    BrokenOff,
}

/// A place in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A field of the head.
    Field(String),
    /// The path.
    Path,
    /// The query.
    Query,
    /// The body.
    Body,
}

impl Misuse {
    /// The word for programs.
    pub const fn predicate(&self) -> &'static str {
        match self {
            Self::Elsewhere { .. } => "credential_elsewhere",
            Self::OtherProgram { .. } => "credential_program",
            Self::Unknown { .. } => "credential_unknown",
            Self::Foreign { .. } => "credential_foreign",
            Self::Expired { .. } => "credential_expired",
            Self::Plain { .. } => "credential_unencrypted",
            Self::Unfit { .. } => "credential_unfit",
            Self::Unread { .. } => "credential_unread",
            Self::Echoed { .. } => "credential_echoed",
            Self::Veiled { .. } => "credential_unsearched",
            Self::Unsignable { why: Unsignable::Scope { .. }, .. } => "credential_scope",
            Self::Unsignable { .. } => "credential_signature",
        }
    }
}

impl From<Unsignable> for Misuse {
    fn from(why: Unsignable) -> Self {
        Self::Unsignable { name: None, why }
    }
}

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Elsewhere { name, place } => {
                write!(f, "the placeholder of `{name}` stands in {place}, where it is not bound to")
            }
            Self::OtherProgram { name, place, rule } => write!(
                f,
                "the placeholder of `{name}` stands in {place}; the policy's rule `{rule}` binds it to \
                 this server for its own programs and paths, and this is another"
            ),
            Self::Unknown { place } => write!(
                f,
                "a placeholder in {place} is none of this sandbox's providers, or no longer"
            ),
            Self::Foreign { place } => write!(
                f,
                "{place} has a credential that no provider gave to this sandbox; at this server only \
                 the provider's own may be used"
            ),
            Self::Expired { name } => write!(f, "the value of `{name}` has expired"),
            Self::Plain { name } => {
                write!(f, "`{name}` would be sent without encryption")
            }
            Self::Unfit { name, why } => write!(
                f,
                "the value of `{name}` cannot be put into this body: {why}; values are put into the \
                 strings of JSON, into forms and into plain text"
            ),
            Self::Unread { why } => write!(
                f,
                "the body cannot be searched for placeholders, as it must be at a server to which a \
                 credential is bound: {why}; send it without a Content-Encoding"
            ),
            Self::Echoed { name, how: Disclosure::Masked } => {
                write!(f, "the server's answer has the value of `{name}` in it, which was masked")
            }
            Self::Echoed { name, how: Disclosure::BrokenOff } => write!(
                f,
                "the server's answer has the value of `{name}` in it, within a content coding, and \
                 was broken off; asked for with `Accept-Encoding: identity` it would be masked"
            ),
            Self::Veiled { why } => write!(
                f,
                "the server's answer cannot be searched for values, as it must be where a credential \
                 is bound: {why}; ask for it with `Accept-Encoding: identity`"
            ),
            Self::Unsignable { name: Some(name), why } => write!(f, "`{name}`: {why}"),
            Self::Unsignable { name: None, why } => why.fmt(f),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, "the field `{name}`"),
            Self::Path => f.write_str("the path"),
            Self::Query => f.write_str("the query"),
            Self::Body => f.write_str("the body"),
        }
    }
}
