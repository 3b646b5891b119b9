//! What can go wrong between a caller and a gateway, by what the caller can do about it.

use std::path::PathBuf;

use openshell_wire::native;
use thiserror::Error;
use tonic::{Code, Status};

/// Why a call failed. The texts are lower-case fragments without a final stop; what came from the
/// gateway is not escaped.
#[derive(Debug, Error)]
pub enum ClientError {
    /// No such sandbox, revision or workspace, or none that this caller may see.
    #[error("{0}")]
    NotFound(String),
    /// The name is taken.
    #[error("{0}")]
    AlreadyExists(String),
    /// The caller may not do this.
    #[error("{0}")]
    Denied(String),
    /// The gateway or the sandbox cannot be reached now.
    #[error("{0}")]
    Unavailable(String),
    /// What was asked for makes no sense.
    #[error("{message}")]
    BadInput {
        /// What is wrong.
        message: String,
        /// Where it is wrong, when it is a policy.
        diagnostics: Vec<Diagnostic>,
    },
    /// It makes sense, but not in the present state.
    #[error("{0}")]
    Precondition(String),
    /// The thing changed meanwhile.
    #[error("{0}")]
    Conflict(String),
    /// It took longer than the deadline.
    #[error("{0}")]
    TimedOut(String),
    /// The gateway does not know this call, or speaks another version.
    #[error("the gateway is version {gateway}, this program is {client}")]
    VersionMismatch {
        /// Version of the gateway.
        gateway: String,
        /// Version of this program.
        client: String,
    },
    /// The gateway does not know this call.
    #[error("the gateway does not know this call: {0}")]
    Unsupported(String),
    /// The record of a gateway is missing or cannot be used.
    #[error("{message}")]
    Config {
        /// What is wrong.
        message: String,
        /// Where it stands.
        path: Option<PathBuf>,
    },
    /// The gateway could not be started.
    #[error("the gateway did not start: {message}")]
    Start {
        /// What it said last, or what the system said.
        message: String,
        /// Its log.
        log: PathBuf,
    },
    /// The gateway went away under an attached client and did not come back.
    #[error("the gateway went away: {0}")]
    Lost(String),
    /// Anything else that the gateway reports.
    #[error("{0}")]
    Failed(String),
}

impl ClientError {
    pub(crate) fn config(message: impl Into<String>, path: impl Into<Option<PathBuf>>) -> Self {
        Self::Config { message: message.into(), path: path.into() }
    }

    /// A peer that breaks the protocol: a message without a part that it must have.
    pub(crate) fn malformed(what: &str) -> Self {
        Self::Failed(format!("the gateway's answer has no {what}"))
    }
}

impl From<Status> for ClientError {
    fn from(status: Status) -> Self {
        let message = match status.message() {
            "" => status.code().description().to_lowercase(),
            text => text.to_owned(),
        };
        // The connection broke under the call: the status is not the gateway's, and has a cause.
        if std::error::Error::source(&status).is_some() {
            return Self::Unavailable(message);
        }
        match status.code() {
            Code::NotFound => Self::NotFound(message),
            Code::AlreadyExists => Self::AlreadyExists(message),
            Code::PermissionDenied | Code::Unauthenticated => Self::Denied(message),
            Code::Unavailable => Self::Unavailable(message),
            Code::InvalidArgument | Code::OutOfRange => {
                Self::BadInput { message, diagnostics: Vec::new() }
            }
            Code::FailedPrecondition => Self::Precondition(message),
            Code::Aborted => Self::Conflict(message),
            Code::DeadlineExceeded => Self::TimedOut(message),
            Code::Unimplemented => Self::Unsupported(message),
            Code::Ok
            | Code::Cancelled
            | Code::Unknown
            | Code::ResourceExhausted
            | Code::Internal
            | Code::DataLoss => Self::Failed(message),
        }
    }
}

/// What is wrong in a policy, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The stable code, such as `P0103`.
    pub code: String,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// Line in the policy text, counted from 1.
    pub line: Option<u32>,
    /// Column in that line, counted from 1.
    pub column: Option<u32>,
    /// What to do about it.
    pub help: Option<String>,
}

/// How bad a diagnostic is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The policy cannot be used.
    Error,
    /// It can, but does not do what its author may think.
    Warning,
    /// For information.
    Note,
}

impl From<native::Diagnostic> for Diagnostic {
    fn from(wire: native::Diagnostic) -> Self {
        let severity = match wire.severity.as_str() {
            "warning" => Severity::Warning,
            "note" => Severity::Note,
            _ => Severity::Error,
        };
        Self {
            code: wire.code,
            severity,
            message: wire.message,
            line: (wire.line > 0).then_some(wire.line),
            column: (wire.column > 0).then_some(wire.column),
            help: (!wire.help.is_empty()).then_some(wire.help),
        }
    }
}

/// All diagnostics of an answer.
pub(crate) fn diagnostics(wire: Vec<native::Diagnostic>) -> Vec<Diagnostic> {
    wire.into_iter().map(Diagnostic::from).collect()
}
