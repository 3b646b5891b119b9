//! Reading and writing texts that are no policies in the way of one: strict, with every finding and
//! its place in one pass. Provider profiles are such texts, and hold a [`Fragment`](crate::Fragment)
//! of a policy.

pub use crate::document::findings::{Findings, Position, Spanned};
pub use crate::document::node::{Entry, Kind, Node, read};
pub use crate::document::reader::{Fields, choice, list, number, shown, text, wrong_type};
pub use crate::document::tree::{Key, Layout, Reader, Value};
