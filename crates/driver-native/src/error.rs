//! Short ways to a [`DriverError`].

use std::io;

use openshell_driver::DriverError;

/// `map_err(io_error("opening the folder"))`.
pub(crate) fn io_error<E: Into<io::Error>>(
    context: impl Into<String>,
) -> impl FnOnce(E) -> DriverError {
    move |source| DriverError::Io { context: context.into(), source: source.into() }
}
