//! The one place where an error becomes a status.

use tonic::Status;

use crate::app::AppError;

impl From<AppError> for Status {
    fn from(error: AppError) -> Self {
        let message = error.to_string();
        match error {
            AppError::NotFound { .. } => Self::not_found(message),
            AppError::AlreadyExists { .. } => Self::already_exists(message),
            AppError::Invalid { .. } => Self::invalid_argument(message),
            AppError::Precondition(_) => Self::failed_precondition(message),
            AppError::Conflict { .. } => Self::aborted(message),
            AppError::Denied(_) => Self::permission_denied(message),
            AppError::Unsupported(_) => Self::unimplemented(message),
            AppError::OutOfRange(_) => Self::out_of_range(message),
            AppError::Deadline(..) => Self::deadline_exceeded(message),
            AppError::Unavailable(_) => Self::unavailable(message),
            AppError::Store(cause) => internal(message, &cause),
            AppError::Random(cause) => internal(message, &cause),
            AppError::Io(cause) => internal(message, &cause),
        }
    }
}

/// What broke inside is for the log, not for the caller.
fn internal(message: String, cause: &dyn std::error::Error) -> Status {
    tracing::error!(%cause, message, "Call failed");
    Status::internal(message)
}
