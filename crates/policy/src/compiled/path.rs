//! What is looked up of a request: its path, its method, its calls, and the endpoints that are
//! narrowed to a part of their host.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use foldhash::fast::FixedState;
use smallvec::SmallVec;

use super::clause::{CallPattern, Clause, Decides, Reading, TOOLS_CALL, alternatives};
use super::globs::{Globs, GlobsBuilder};
use super::host::finish;
use crate::pattern::{Case, GlobSet, GlobSetBuilder, Piece, Spelling};
use crate::request::Call;
use crate::sets::{SetId, Sets, SetsBuilder, Span, Union, extend};

/// Clauses of one kind by the request's path.
#[derive(Clone, Debug)]
pub(crate) struct PathIndex {
    any: SetId,
    /// By the way in which paths are read, in the order of [`READINGS`].
    globs: [Globs; READINGS.len()],
}

/// The ways to read a path.
const READINGS: [Reading; 4] = [
    Reading { case: Case::Exact, spelling: Spelling::AsIs },
    Reading { case: Case::Folded, spelling: Spelling::AsIs },
    Reading { case: Case::Exact, spelling: Spelling::Decoded },
    Reading { case: Case::Folded, spelling: Spelling::Decoded },
];

/// Makes a [`PathIndex`].
#[derive(Debug)]
pub(crate) struct PathIndexBuilder {
    any: Vec<Span>,
    globs: [GlobsBuilder; READINGS.len()],
}

impl PathIndexBuilder {
    pub fn new() -> Self {
        let globs = READINGS
            .map(|Reading { case, spelling }| GlobsBuilder::new(case, b'/').reading(spelling));
        Self { any: Vec::new(), globs }
    }

    pub fn insert(&mut self, paths: Option<&[Vec<Piece>]>, reading: Reading, id: &Span) {
        let Some(paths) = paths else { return extend(&mut self.any, id) };
        let globs = READINGS.iter().zip(&mut self.globs).find(|(one, _)| **one == reading);
        let Some((_, globs)) = globs else { return };
        for path in paths {
            match reading.spelling {
                Spelling::AsIs => globs.insert(path, id),
                Spelling::Decoded => globs.insert(&Piece::decoded(path), id),
            }
        }
    }

    pub fn finish(self, sets: &mut SetsBuilder) -> PathIndex {
        PathIndex { any: sets.of(self.any), globs: self.globs.map(|globs| globs.finish(sets)) }
    }
}

impl PathIndex {
    pub fn is_empty(&self) -> bool {
        self.any == SetId::EMPTY && self.globs.iter().all(Globs::is_empty)
    }

    pub fn put(&self, path: &str, sets: &Sets, into: &mut Union) {
        sets.put(self.any, into);
        for globs in &self.globs {
            globs.put(path.as_bytes(), sets, into);
        }
    }

    pub fn bytes(&self) -> usize {
        self.globs.iter().map(Globs::bytes).sum()
    }
}

/// Clauses by the method of HTTP.
#[derive(Clone, Debug)]
pub(crate) struct MethodIndex {
    any: SetId,
    tokens: HashMap<Box<str>, SetId, FixedState>,
}

/// Makes a [`MethodIndex`].
#[derive(Debug, Default)]
pub(crate) struct MethodIndexBuilder {
    any: Vec<Span>,
    tokens: HashMap<Box<str>, Vec<Span>, FixedState>,
}

impl MethodIndexBuilder {
    pub fn insert(&mut self, methods: Option<&[String]>, id: &Span) {
        let Some(methods) = methods else { return extend(&mut self.any, id) };
        for method in methods {
            extend(self.tokens.entry(method.as_str().into()).or_default(), id);
        }
    }

    pub fn finish(self, sets: &mut SetsBuilder) -> MethodIndex {
        MethodIndex { any: sets.of(self.any), tokens: finish(self.tokens, sets) }
    }
}

impl MethodIndex {
    pub fn put(&self, method: &str, sets: &Sets, into: &mut Union) {
        sets.put(self.any, into);
        if let Some(set) = self.tokens.get(method) {
            sets.put(*set, into);
        }
    }
}

/// Clauses by the method or tool of a call.
#[derive(Clone, Debug)]
pub(crate) struct CallIndex {
    any: SetId,
    methods: Globs,
    tools: Globs,
}

/// Makes a [`CallIndex`].
#[derive(Debug)]
pub(crate) struct CallIndexBuilder {
    any: Vec<Span>,
    methods: GlobsBuilder,
    tools: GlobsBuilder,
}

impl CallIndexBuilder {
    pub fn new() -> Self {
        // Their stars cross every byte, so there is nothing that separates.
        let globs = || GlobsBuilder::new(Case::Exact, 0);
        Self { any: Vec::new(), methods: globs(), tools: globs() }
    }

    pub fn insert(&mut self, calls: &[CallPattern], id: &Span) {
        if calls.is_empty() {
            extend(&mut self.any, id);
        }
        for call in calls {
            match call {
                CallPattern::Method(method) => self.methods.insert(method, id),
                CallPattern::Tool(tool) => self.tools.insert(tool, id),
            }
        }
    }

    pub fn finish(self, sets: &mut SetsBuilder) -> CallIndex {
        CallIndex {
            any: sets.of(self.any),
            methods: self.methods.finish(sets),
            tools: self.tools.finish(sets),
        }
    }
}

impl CallIndex {
    /// The clauses that ask for no call.
    pub fn put_any(&self, sets: &Sets, into: &mut Union) {
        sets.put(self.any, into);
    }

    pub fn put(&self, call: &Call<'_>, sets: &Sets, into: &mut Union) {
        sets.put(self.any, into);
        self.methods.put(call.method.as_bytes(), sets, into);
        if call.method == TOOLS_CALL {
            self.tools.put(call.tool.unwrap_or_default().as_bytes(), sets, into);
        }
    }

    pub fn bytes(&self) -> usize {
        self.methods.bytes().saturating_add(self.tools.bytes())
    }
}

/// Endpoints by the part of their host that they are narrowed to.
#[derive(Clone, Debug)]
pub(crate) struct SelectorIndex {
    /// Those that are not narrowed.
    pub whole: SetId,
    exact: Selectors,
    folded: Selectors,
}

/// A text that endpoints are narrowed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Selector {
    /// The most specific has the smallest.
    pub rank: u32,
    pub set: SetId,
}

#[derive(Clone, Debug, Default)]
struct Selectors {
    globs: GlobSet,
    /// By slot: texts that differ in their stars, or in their letter case, share one.
    selectors: Box<[Box<[Selector]>]>,
}

/// Makes a [`SelectorIndex`].
#[derive(Debug, Default)]
pub(crate) struct SelectorIndexBuilder {
    whole: Vec<Span>,
    exact: BTreeMap<Rank, Vec<Span>>,
    folded: BTreeMap<Rank, Vec<Span>>,
}

/// The order of specificity.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    before_star: Reverse<usize>,
    without_stars: Reverse<usize>,
    text: String,
}

impl Rank {
    fn of(text: String) -> Self {
        let stars = text.bytes().filter(|byte| *byte == b'*').count();
        Self {
            before_star: Reverse(text.find('*').unwrap_or(text.len())),
            without_stars: Reverse(text.len().saturating_sub(stars)),
            text,
        }
    }
}

impl SelectorIndexBuilder {
    pub fn insert(&mut self, path: Option<&str>, case: Case, span: &Span) {
        let Some(path) = path else { return extend(&mut self.whole, span) };
        let texts = match case {
            Case::Exact => &mut self.exact,
            Case::Folded => &mut self.folded,
        };
        for text in alternatives(path) {
            extend(texts.entry(Rank::of(text)).or_default(), span);
        }
    }

    pub fn finish(self, sets: &mut SetsBuilder) -> SelectorIndex {
        let mut ranks: Vec<&Rank> = self.exact.keys().chain(self.folded.keys()).collect();
        ranks.sort_unstable();
        ranks.dedup();
        let ranks: BTreeMap<Rank, u32> = ranks.into_iter().cloned().zip(0_u32..).collect();
        SelectorIndex {
            whole: sets.of(self.whole),
            exact: selectors(self.exact, Case::Exact, &ranks, sets),
            folded: selectors(self.folded, Case::Folded, &ranks, sets),
        }
    }
}

fn selectors(
    texts: BTreeMap<Rank, Vec<Span>>,
    case: Case,
    ranks: &BTreeMap<Rank, u32>,
    sets: &mut SetsBuilder,
) -> Selectors {
    let mut globs = GlobSetBuilder::new(case, b'/');
    let mut selectors: Vec<Vec<Selector>> = Vec::new();
    for (rank, spans) in texts {
        let slot = globs.insert(&Piece::of_path(&rank.text)) as usize;
        if slot >= selectors.len() {
            selectors.resize_with(slot.saturating_add(1), Vec::new);
        }
        let rank = ranks.get(&rank).copied().unwrap_or(u32::MAX);
        if let Some(list) = selectors.get_mut(slot) {
            list.push(Selector { rank, set: sets.of(spans) });
        }
    }
    Selectors { globs: globs.finish(), selectors: selectors.into_iter().map(Into::into).collect() }
}

impl SelectorIndex {
    /// Whether no endpoint is narrowed.
    pub fn is_empty(&self) -> bool {
        self.exact.globs.is_empty() && self.folded.globs.is_empty()
    }

    /// The texts that match a path, the most specific first.
    pub fn matching(&self, path: &str) -> SmallVec<[Selector; 8]> {
        let mut found = SmallVec::<[Selector; 8]>::new();
        for selectors in [&self.exact, &self.folded] {
            selectors.globs.walk(path.as_bytes(), &mut |slot| {
                let of_slot = selectors.selectors.get(slot as usize);
                found.extend(of_slot.into_iter().flatten().copied());
            });
        }
        found.sort_unstable_by_key(|selector| selector.rank);
        found
    }

    pub fn bytes(&self) -> usize {
        [&self.exact, &self.folded]
            .into_iter()
            .map(|selectors| {
                let lists = selectors.selectors.len().saturating_mul(24);
                selectors.globs.bytes().saturating_add(lists)
            })
            .sum()
    }
}

/// Whether a clause of this kind is found by path at all.
pub(crate) fn insert_clause(
    (allow, deny): (&mut PathIndexBuilder, &mut PathIndexBuilder),
    clause: &Clause,
    reading: Reading,
    id: &Span,
) {
    match clause.decides {
        Decides::Allow => allow.insert(clause.paths.as_deref(), reading, id),
        Decides::Deny => deny.insert(clause.paths.as_deref(), reading, id),
        Decides::Nothing => {}
    }
}
