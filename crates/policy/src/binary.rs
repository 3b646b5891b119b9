//! Which files the literal binary paths of a policy stand for.

use std::collections::BTreeMap;

use openshell_types::FileId;

/// What one literal path was resolved to, beneath the jail's root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Binding {
    /// It names these files: usually one; several when layers of the jail's root disagree.
    Files(Vec<FileId>),
    /// There is no such file. Nothing matches.
    Missing,
    /// The file lies on a mount that the jail can write, so its path proves nothing. Nothing
    /// matches.
    Writable,
}

/// The literal binary paths of a policy and what each was resolved to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BinaryTable(BTreeMap<Box<str>, Binding>);

impl BinaryTable {
    /// A table without entries: every literal path counts as missing.
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Notes what `path` was resolved to.
    pub fn insert(&mut self, path: &str, binding: Binding) {
        self.0.insert(path.into(), binding);
    }

    /// What `path` was resolved to.
    pub fn get(&self, path: &str) -> Option<&Binding> {
        self.0.get(path)
    }
}
