//! Globs and the clauses of each.

use crate::pattern::{Case, GlobSet, GlobSetBuilder, Piece, Spelling};
use crate::sets::{SetId, Sets, SetsBuilder, Span, Union, extend};

/// Many globs, and for each the set of its clauses.
#[derive(Clone, Debug, Default)]
pub(crate) struct Globs {
    globs: GlobSet,
    sets: Box<[SetId]>,
}

/// Makes a [`Globs`].
#[derive(Debug)]
pub(crate) struct GlobsBuilder {
    globs: GlobSetBuilder,
    spans: Vec<Vec<Span>>,
}

impl GlobsBuilder {
    pub fn new(case: Case, separator: u8) -> Self {
        Self { globs: GlobSetBuilder::new(case, separator), spans: Vec::new() }
    }

    /// How texts are to be read; the globs are taken as they are.
    pub fn reading(self, spelling: Spelling) -> Self {
        Self { globs: self.globs.reading(spelling), ..self }
    }

    pub fn insert(&mut self, glob: &[Piece], span: &Span) {
        let slot = self.globs.insert(glob) as usize;
        if slot >= self.spans.len() {
            self.spans.resize_with(slot.saturating_add(1), Vec::new);
        }
        if let Some(spans) = self.spans.get_mut(slot) {
            extend(spans, span);
        }
    }

    pub fn finish(self, sets: &mut SetsBuilder) -> Globs {
        Globs {
            globs: self.globs.finish(),
            sets: self.spans.into_iter().map(|spans| sets.of(spans)).collect(),
        }
    }
}

impl Globs {
    pub fn is_empty(&self) -> bool {
        self.globs.is_empty()
    }

    /// The clauses of all globs that match `text`.
    pub fn put(&self, text: &[u8], sets: &Sets, into: &mut Union) {
        self.globs.walk(text, &mut |slot| {
            if let Some(set) = self.sets.get(slot as usize) {
                sets.put(*set, into);
            }
        });
    }

    pub fn bytes(&self) -> usize {
        self.globs.bytes().saturating_add(size_of_val(&*self.sets))
    }
}
