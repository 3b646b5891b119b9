//! Immutable sets of small numbers, many of them in one store, and the members that several have
//! in common.
//!
//! A set keeps only those of its 64-bit words that are not zero, and a bit for each word that says
//! which these are, so memory goes with the members. Finding the next word costs a few operations
//! wherever it lies. An intersection skips from word to word and is led by its sparsest part; only
//! parts that are all dense and have little in common cost a visit of every word, a 64th of the
//! numbers.

use std::collections::HashMap;
use std::hash::BuildHasher as _;
use std::ops::Range;

use foldhash::fast::FixedState;
use smallvec::SmallVec;

/// Names a set of a [`Sets`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SetId(u32);

/// Immutable sets.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sets {
    headers: Vec<Set>,
    blocks: Vec<Block>,
    words: Vec<u64>,
}

/// Where a set stands in its store.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Set {
    /// Number of the first block that the set keeps.
    first: u32,
    /// Its place in `blocks`, and how many there are.
    blocks: u32,
    count: u32,
    /// Place of the first word in `words`.
    words: u32,
}

/// 64 words, which are 4096 numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Block {
    /// Which of the words are not zero.
    present: u64,
    /// Words that the set keeps before this block.
    before: u32,
}

/// The union of a few sets, never built.
pub(crate) type Union = SmallVec<[Set; 8]>;

/// Numbers in a row.
pub(crate) type Span = Range<u32>;

/// Adds a span to others, and to the last of them where it goes on.
pub(crate) fn extend(spans: &mut Vec<Span>, more: &Span) {
    match spans.last_mut() {
        Some(last) if last.end == more.start => last.end = more.end,
        _ => spans.push(more.clone()),
    }
}

/// Makes a [`Sets`]; equal sets are kept once.
#[derive(Debug)]
pub(crate) struct SetsBuilder {
    sets: Sets,
    known: HashMap<u64, Vec<SetId>, FixedState>,
}

impl SetId {
    /// The set without members, in every store.
    pub const EMPTY: Self = Self(0);
}

impl SetsBuilder {
    pub fn new() -> Self {
        let mut builder = Self { sets: Sets::default(), known: HashMap::default() };
        builder.add(&[]);
        builder
    }

    /// A set of the numbers of these spans, in any order.
    pub fn of(&mut self, mut spans: Vec<Span>) -> SetId {
        spans.sort_unstable_by_key(|span| span.start);
        let mut words: Vec<(u32, u64)> = Vec::new();
        let mut done = 0;
        for span in spans {
            let mut at = span.start.max(done);
            done = done.max(span.end);
            while at < span.end {
                let word = at >> 6;
                let next = (word.saturating_add(1) << 6).min(span.end);
                let upper = u64::MAX >> (63 - (next.wrapping_sub(1) & 63));
                let bits = (u64::MAX << (at & 63)) & upper;
                match words.last_mut() {
                    Some((last, found)) if *last == word => *found |= bits,
                    _ => words.push((word, bits)),
                }
                at = next;
            }
        }
        self.add(&words)
    }

    /// A set of the members of all of these.
    pub fn union(&mut self, sets: &[SetId]) -> SetId {
        if let [only] = sets {
            return *only;
        }
        let mut parts = Union::new();
        sets.iter().for_each(|id| self.sets.put(*id, &mut parts));
        let mut all: Vec<(u32, u64)> = parts.iter().flat_map(|set| self.sets.words(*set)).collect();
        all.sort_unstable_by_key(|(word, _)| *word);
        let mut words: Vec<(u32, u64)> = Vec::with_capacity(all.len());
        for (word, bits) in all {
            match words.last_mut() {
                Some((last, found)) if *last == word => *found |= bits,
                _ => words.push((word, bits)),
            }
        }
        self.add(&words)
    }

    pub fn finish(mut self) -> Sets {
        self.sets.headers.shrink_to_fit();
        self.sets.blocks.shrink_to_fit();
        self.sets.words.shrink_to_fit();
        self.sets
    }

    /// `words` are in order, and none is zero.
    fn add(&mut self, words: &[(u32, u64)]) -> SetId {
        if words.is_empty() && !self.sets.headers.is_empty() {
            return SetId::EMPTY;
        }
        let hash = FixedState::default().hash_one(words);
        let is_same = |id: &&SetId| {
            let set = self.sets.headers.get(id.0 as usize);
            set.is_some_and(|set| self.sets.words(*set).eq(words.iter().copied()))
        };
        if let Some(same) = self.known.get(&hash).into_iter().flatten().find(is_same) {
            return *same;
        }
        let sets = &mut self.sets;
        let number = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        let first = words.first().map_or(0, |(word, _)| word >> 6);
        let start = number(sets.blocks.len());
        for ((word, bits), before) in words.iter().zip(0_u32..) {
            // Blocks without words stand in between, so that a block is found by its number.
            while number(sets.blocks.len()).saturating_sub(start)
                <= (word >> 6).saturating_sub(first)
            {
                sets.blocks.push(Block { present: 0, before });
            }
            if let Some(block) = sets.blocks.last_mut() {
                block.present |= 1 << (word & 63);
            }
            sets.words.push(*bits);
        }
        let id = SetId(number(sets.headers.len()));
        sets.headers.push(Set {
            first,
            blocks: start,
            count: number(sets.blocks.len()).saturating_sub(start),
            words: number(sets.words.len().saturating_sub(words.len())),
        });
        self.known.entry(hash).or_default().push(id);
        id
    }
}

impl Sets {
    /// Puts a set into a union.
    pub fn put(&self, id: SetId, into: &mut Union) {
        if let Some(set) = self.headers.get(id.0 as usize)
            && set.count > 0
        {
            into.push(*set);
        }
    }

    /// The first word of a set from `word` on that is not zero: its number and its bits.
    fn next(&self, set: &Set, word: u32) -> Option<(u32, u64)> {
        let (mut at, mut mask) = match (word >> 6).checked_sub(set.first) {
            Some(at) => (at, u64::MAX << (word & 63)),
            None => (0, u64::MAX),
        };
        while at < set.count {
            let block = self.blocks.get(set.blocks.wrapping_add(at) as usize)?;
            let rest = block.present & mask;
            if rest != 0 {
                let bit = rest.trailing_zeros();
                let below = block.present & (1_u64 << bit).wrapping_sub(1);
                let place = set.words.wrapping_add(block.before).wrapping_add(below.count_ones());
                let bits = *self.words.get(place as usize)?;
                return Some(((set.first.wrapping_add(at) << 6) | bit, bits));
            }
            at = at.wrapping_add(1);
            mask = u64::MAX;
        }
        None
    }

    fn words(&self, set: Set) -> impl Iterator<Item = (u32, u64)> + '_ {
        let mut at = 0;
        std::iter::from_fn(move || {
            let (word, bits) = self.next(&set, at)?;
            at = word.saturating_add(1);
            Some((word, bits))
        })
    }

    /// The first word from `word` on that is not zero in some set of a union.
    fn next_of(&self, union: &[Set], word: u32) -> Option<(u32, u64)> {
        if let [only] = union {
            return self.next(only, word);
        }
        let mut best: Option<(u32, u64)> = None;
        for set in union {
            let Some((at, bits)) = self.next(set, word) else { continue };
            best = match best {
                Some((first, found)) if first == at => Some((at, found | bits)),
                Some((first, _)) if first < at => best,
                _ => Some((at, bits)),
            };
        }
        best
    }

    /// The numbers from `from` on that are in every union, in order; none when there is no union.
    /// The union that is likely the smallest should come first.
    pub fn common<'a>(&'a self, unions: &'a [&'a Union], from: u32) -> Common<'a> {
        Common { sets: self, unions, word: from >> 6, bits: 0, mask: u64::MAX << (from & 63) }
    }

    /// How much of the heap it takes.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.headers)
            .saturating_add(size_of_val(&*self.blocks))
            .saturating_add(size_of_val(&*self.words))
    }
}

/// See [`Sets::common`].
pub(crate) struct Common<'a> {
    sets: &'a Sets,
    unions: &'a [&'a Union],
    /// The word that is next to be looked for.
    word: u32,
    /// Members of the word before it that were not given yet.
    bits: u64,
    /// What counts of the word `word`.
    mask: u64,
}

impl Common<'_> {
    /// Goes on with the numbers from `from` on, which is not before the last that was given.
    pub fn skip_to(&mut self, from: u32) {
        (self.word, self.bits, self.mask) = (from >> 6, 0, u64::MAX << (from & 63));
    }

    /// The first word from `self.word` on in which all have something in common.
    fn advance(&mut self) -> Option<(u32, u64)> {
        let (first, others) = self.unions.split_first()?;
        let mut word = self.word;
        'again: loop {
            let (at, mut bits) = self.sets.next_of(first, word)?;
            for other in others {
                let (found, more) = self.sets.next_of(other, at)?;
                if found > at {
                    word = found;
                    continue 'again;
                }
                bits &= more;
            }
            if at == self.word {
                bits &= self.mask;
            }
            if bits != 0 {
                return Some((at, bits));
            }
            word = at.checked_add(1)?;
        }
    }
}

impl Iterator for Common<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        if self.bits == 0 {
            let (at, bits) = self.advance()?;
            self.word = at.checked_add(1)?;
            self.mask = u64::MAX;
            self.bits = bits;
        }
        let bit = self.bits.trailing_zeros();
        self.bits &= self.bits.wrapping_sub(1);
        Some((self.word.wrapping_sub(1) << 6) | bit)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn of(builder: &mut SetsBuilder, numbers: &[u32]) -> SetId {
        builder.of(numbers.iter().map(|number| *number..*number + 1).collect())
    }

    fn union_of(sets: &Sets, ids: &[SetId]) -> Union {
        let mut union = Union::new();
        ids.iter().for_each(|id| sets.put(*id, &mut union));
        union
    }

    /// Some numbers close together, some far apart.
    fn numbers() -> impl Strategy<Value = Vec<u32>> {
        let one = prop_oneof![0_u32..100, 0_u32..20_000, 4000_u32..4200, Just(63), Just(64)];
        prop::collection::vec(one, 0..200)
    }

    fn wide() -> impl Strategy<Value = Vec<u32>> {
        (1_u32..70, 0_u32..64)
            .prop_map(|(step, from)| (from..20_000).step_by(step as usize).collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn has_in_common_what_trees_have(
            unions in prop::collection::vec(
                prop::collection::vec(prop_oneof![numbers(), wide()], 1..4), 1..5),
            from in 0_u32..10_000,
        ) {
            let mut builder = SetsBuilder::new();
            let ids: Vec<Vec<SetId>> = unions
                .iter()
                .map(|sets| sets.iter().map(|set| of(&mut builder, set)).collect())
                .collect();
            let merged: Vec<SetId> = ids.iter().map(|sets| builder.union(sets)).collect();
            let sets = builder.finish();
            let trees: Vec<BTreeSet<u32>> =
                unions.iter().map(|sets| sets.iter().flatten().copied().collect()).collect();
            let wanted: Vec<u32> = trees[0]
                .iter()
                .copied()
                .filter(|n| *n >= from && trees.iter().all(|tree| tree.contains(n)))
                .collect();
            let lazy: Vec<Union> = ids
                .iter()
                .map(|ids| union_of(&sets, ids))
                .collect();
            let built: Vec<Union> =
                merged.iter().map(|id| union_of(&sets, &[*id])).collect();
            for unions in [lazy, built] {
                let unions: Vec<&Union> = unions.iter().collect();
                prop_assert_eq!(sets.common(&unions, from).collect::<Vec<_>>(), wanted.clone());
            }
        }
    }

    #[test]
    fn equal_sets_are_kept_once() {
        let mut builder = SetsBuilder::new();
        let one = of(&mut builder, &[1, 5000, 9]);
        assert_eq!(of(&mut builder, &[9, 1, 5000, 9]), one);
        let (left, right) = (of(&mut builder, &[1, 9]), of(&mut builder, &[5000]));
        assert_eq!(builder.union(&[left, right]), one);
        assert_eq!(builder.of(Vec::new()), SetId::EMPTY);
        assert!(union_of(&builder.finish(), &[SetId::EMPTY]).is_empty());
    }

    #[test]
    fn spans_may_overlap_and_touch() {
        let mut builder = SetsBuilder::new();
        for (spans, wanted) in [
            (vec![0..64, 64..64], (0..64).collect::<Vec<_>>()),
            (vec![63..65, 0..3], vec![0, 1, 2, 63, 64]),
            (vec![10..200, 20..30, 150..201], (10..201).collect()),
            (vec![5..5, 7..7], vec![]),
        ] {
            let id = builder.of(spans.clone());
            assert_eq!(of(&mut builder, &wanted), id, "{spans:?}");
        }
    }

    #[test]
    fn skips_to_a_number() {
        let mut builder = SetsBuilder::new();
        let id = builder.of(vec![0..10, 10..10_000]);
        let sets = builder.finish();
        let union = union_of(&sets, &[id]);
        let unions = [&union];
        let mut all = sets.common(&unions, 3);
        assert_eq!(all.next(), Some(3));
        all.skip_to(70);
        assert_eq!(all.next(), Some(70));
        all.skip_to(9999);
        assert_eq!((all.next(), all.next()), (Some(9999), None));
    }

    #[test]
    fn memory_goes_with_the_members() {
        let mut builder = SetsBuilder::new();
        for number in 0..10_000 {
            of(&mut builder, &[number]);
        }
        let bytes = builder.finish().bytes();
        assert!(bytes < 10_001 * 48, "{bytes}");
    }
}
