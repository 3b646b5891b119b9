//! The schema of a policy for editors.

/// A JSON Schema (draft 2020-12) of policy texts. It knows the keys, their kinds and their words;
/// what depends on several keys only [`crate::parse`] knows.
pub const SCHEMA: &str = include_str!("../schema.json");
