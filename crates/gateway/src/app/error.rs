//! Why a call was not done.

use std::time::Duration;

use openshell_types::NameError;
use thiserror::Error;

use crate::compose::ComposeError;
use crate::session::{Closed, OpenError};
use crate::store::StoreError;

/// Why a call was not done.
#[derive(Debug, Error)]
pub(crate) enum AppError {
    /// It is not there, or not visible.
    #[error("{kind} '{name}' not found")]
    NotFound { kind: &'static str, name: String },
    /// The name is taken.
    #[error("{kind} '{name}' already exists")]
    AlreadyExists { kind: &'static str, name: String },
    /// The caller's words are wrong.
    #[error("{field}: {message}")]
    Invalid { field: &'static str, message: String },
    /// Not in this state.
    #[error("{0}")]
    Precondition(String),
    /// Somebody else changed it meanwhile.
    #[error("resource version conflict: the current version is {current}")]
    Conflict { current: u64 },
    /// Not by this caller, or not by this way.
    #[error("{0}")]
    Denied(&'static str),
    /// Not offered by this gateway.
    #[error("{0}")]
    Unsupported(String),
    /// Too far back.
    #[error("{0}")]
    OutOfRange(&'static str),
    /// Somebody did not answer in time.
    #[error("{0} took longer than {1:?}")]
    Deadline(&'static str, Duration),
    /// Something is not there right now.
    #[error("{0}")]
    Unavailable(String),
    /// The database failed.
    #[error("the gateway's database failed")]
    Store(#[from] StoreError),
    /// The system has no random numbers.
    #[error("the system has no random numbers")]
    Random(#[from] getrandom::Error),
    /// A file of the gateway's own could not be read.
    #[error("a log could not be read")]
    Io(#[from] std::io::Error),
}

impl AppError {
    pub(crate) fn invalid(field: &'static str, message: impl Into<String>) -> Self {
        Self::Invalid { field, message: message.into() }
    }

    pub(crate) fn name(field: &'static str) -> impl FnOnce(NameError) -> Self {
        move |error| Self::invalid(field, error.to_string())
    }

    pub(crate) fn no_sandbox(name: &str) -> Self {
        Self::NotFound { kind: "sandbox", name: name.to_owned() }
    }
}

impl From<ComposeError> for AppError {
    fn from(error: ComposeError) -> Self {
        match error {
            ComposeError::Store(error) => error.into(),
            error => Self::Precondition(error.to_string()),
        }
    }
}

impl From<OpenError> for AppError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Timeout => Self::Deadline("opening the stream", crate::limits::STREAM_OPEN),
            OpenError::Closed(closed) => closed.into(),
        }
    }
}

impl From<Closed> for AppError {
    fn from(closed: Closed) -> Self {
        match closed {
            Closed::Refused(why) => Self::Precondition(why),
            Closed::Lost | Closed::Overrun => Self::Unavailable(closed.to_string()),
        }
    }
}
