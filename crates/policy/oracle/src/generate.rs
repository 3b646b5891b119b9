//! Documents and questions over small alphabets, so that matches are frequent.

mod alphabet;
mod document;
mod question;

pub use alphabet::BOUND;
pub use document::document;
pub use question::{connection, question};
