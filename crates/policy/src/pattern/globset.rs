//! Many globs at once: which of them match a text.
//!
//! The globs share a radix trie over bytes with nodes for stars; the walk follows all of its
//! branches side by side, and no automaton is made of it, so that memory stays linear in the text
//! of the globs. A glob costs nothing until its part before the first star matches. A star is
//! followed once at a time, however often it is reached, so the cost is at most the length of the
//! text times the nodes that are alive at once, whoever wrote the text.
//!
//! What is alive is held in short lists without the heap. With more than 16 stars alive, matches or
//! branches at once, which only odd policies have, a walk takes a few allocations, each of at most
//! a bit for each node of the trie; it is slower then, but as right.

use std::num::NonZeroU32;

use smallvec::SmallVec;

use super::glob::Piece;

/// What fits into a walk without the heap.
const INLINE: usize = 16;

/// How letters compare.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Case {
    /// Each is itself.
    #[default]
    Exact,
    /// Upper and lower case of ASCII letters are one.
    Folded,
}

/// Whether a text is read as it stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Spelling {
    /// It is.
    #[default]
    AsIs,
    /// `%` and two hexadecimal digits are the byte that they stand for. One that stands for the
    /// separator is both: it is equal to it, and `*` runs over it.
    Decoded,
}

/// Many globs. Each has a number, its slot; globs of the same meaning have the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct GlobSet {
    case: Case,
    spelling: Spelling,
    /// The byte that `*` does not cross.
    separator: u8,
    nodes: Box<[Node]>,
    labels: Box<[u8]>,
    /// The first byte of the label of each node.
    firsts: Box<[u8]>,
    slots: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Node {
    /// Where in `labels` the bytes stand that lead here; none lead to a star.
    label: u32,
    label_len: u32,
    /// The first child; the others follow it, in the order of their first bytes.
    children: u32,
    children_len: u32,
    within: Option<NonZeroU32>,
    across: Option<NonZeroU32>,
    /// The slot of the glob that ends here, and 1.
    slot: Option<NonZeroU32>,
}

/// Makes a [`GlobSet`].
#[derive(Debug)]
pub(crate) struct GlobSetBuilder {
    case: Case,
    spelling: Spelling,
    separator: u8,
    nodes: Vec<Draft>,
    slots: u32,
}

#[derive(Debug, Default)]
struct Draft {
    label: Vec<u8>,
    /// In the order of the first bytes of their labels.
    children: Vec<(u8, u32)>,
    within: Option<NonZeroU32>,
    across: Option<NonZeroU32>,
    slot: Option<NonZeroU32>,
}

impl GlobSetBuilder {
    pub fn new(case: Case, separator: u8) -> Self {
        let spelling = Spelling::AsIs;
        Self { case, spelling, separator, nodes: vec![Draft::default()], slots: 0 }
    }

    /// How texts are to be read; the globs are taken as they are.
    pub const fn reading(mut self, spelling: Spelling) -> Self {
        self.spelling = spelling;
        self
    }

    /// Puts a glob in and says its slot. Slots are counted from 0 in the order of first insertion.
    pub fn insert(&mut self, glob: &[Piece]) -> u32 {
        let mut node = 0;
        let mut literal: Vec<u8> = Vec::new();
        for piece in glob {
            match (piece, self.case) {
                (Piece::Byte(byte), Case::Exact) => literal.push(*byte),
                (Piece::Byte(byte), Case::Folded) => literal.push(byte.to_ascii_lowercase()),
                (star, _) => {
                    node = self.literal(node, &literal);
                    literal.clear();
                    node = self.star(node, *star);
                }
            }
        }
        node = self.literal(node, &literal);
        let next = NonZeroU32::MIN.saturating_add(self.slots);
        let Some(draft) = self.node(node) else { return self.slots };
        let slot = *draft.slot.get_or_insert(next);
        if slot == next {
            self.slots = self.slots.saturating_add(1);
        }
        slot.get().wrapping_sub(1)
    }

    fn node(&mut self, node: u32) -> Option<&mut Draft> {
        self.nodes.get_mut(node as usize)
    }

    fn push(&mut self, draft: Draft) -> NonZeroU32 {
        let number = u32::try_from(self.nodes.len()).ok().and_then(NonZeroU32::new);
        self.nodes.push(draft);
        // A text of 2 MiB has no 2^32 nodes.
        number.unwrap_or(NonZeroU32::MAX)
    }

    /// The star beneath `from`.
    fn star(&mut self, from: u32, star: Piece) -> u32 {
        let place = |draft: &mut Draft| match star {
            Piece::Within => draft.within,
            Piece::Across | Piece::Byte(_) => draft.across,
        };
        if let Some(known) = self.node(from).and_then(place) {
            return known.get();
        }
        let new = self.push(Draft::default());
        if let Some(draft) = self.node(from) {
            match star {
                Piece::Within => draft.within = Some(new),
                Piece::Across | Piece::Byte(_) => draft.across = Some(new),
            }
        }
        new.get()
    }

    /// The node beneath `from` that `bytes` lead to.
    fn literal(&mut self, mut from: u32, mut bytes: &[u8]) -> u32 {
        while let Some(first) = bytes.first() {
            let Some(draft) = self.node(from) else { return from };
            let at = match draft.children.binary_search_by_key(first, |(byte, _)| *byte) {
                Ok(at) => at,
                Err(at) => {
                    let new = self.push(Draft { label: bytes.to_vec(), ..Draft::default() });
                    if let Some(draft) = self.node(from) {
                        draft.children.insert(at, (*first, new.get()));
                    }
                    return new.get();
                }
            };
            let Some(child) = draft.children.get(at).map(|(_, child)| *child) else { return from };
            let label = self.node(child).map(|draft| std::mem::take(&mut draft.label));
            let label = label.unwrap_or_default();
            let same = label.iter().zip(bytes).take_while(|(a, b)| a == b).count();
            let (head, tail) = label.split_at_checked(same).unwrap_or((&label, &[]));
            let next = match tail.first() {
                None => child,
                Some(byte) => {
                    let middle = Draft {
                        label: head.to_vec(),
                        children: vec![(*byte, child)],
                        ..Draft::default()
                    };
                    let middle = self.push(middle).get();
                    if let Some((_, place)) =
                        self.node(from).and_then(|draft| draft.children.get_mut(at))
                    {
                        *place = middle;
                    }
                    middle
                }
            };
            let rest = if tail.is_empty() { label.clone() } else { tail.to_vec() };
            if let Some(draft) = self.node(child) {
                draft.label = rest;
            }
            bytes = bytes.get(same..).unwrap_or_default();
            from = next;
        }
        from
    }

    pub fn finish(self) -> GlobSet {
        let number = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        // Children of a node shall stand side by side.
        let mut order = vec![0_u32];
        let mut places = vec![0_u32; self.nodes.len()];
        let mut next = 0;
        while let Some(draft) = order.get(next).and_then(|old| self.nodes.get(*old as usize)) {
            let stars = draft.within.into_iter().chain(draft.across).map(NonZeroU32::get);
            for old in draft.children.iter().map(|(_, child)| *child).chain(stars) {
                if let Some(place) = places.get_mut(old as usize) {
                    *place = number(order.len());
                }
                order.push(old);
            }
            next = next.saturating_add(1);
        }
        let place = |old: u32| places.get(old as usize).copied().unwrap_or_default();
        let star = |old: Option<NonZeroU32>| old.and_then(|old| NonZeroU32::new(place(old.get())));
        let (mut labels, mut firsts) = (Vec::new(), Vec::with_capacity(order.len()));
        let mut nodes = Vec::with_capacity(order.len());
        for draft in order.iter().filter_map(|old| self.nodes.get(*old as usize)) {
            nodes.push(Node {
                label: number(labels.len()),
                label_len: number(draft.label.len()),
                children: draft.children.first().map_or(0, |(_, child)| place(*child)),
                children_len: number(draft.children.len()),
                within: star(draft.within),
                across: star(draft.across),
                slot: draft.slot,
            });
            labels.extend_from_slice(&draft.label);
            firsts.push(draft.label.first().copied().unwrap_or_default());
        }
        GlobSet {
            case: self.case,
            spelling: self.spelling,
            separator: self.separator,
            nodes: nodes.into(),
            labels: labels.into(),
            firsts: firsts.into(),
            slots: self.slots,
        }
    }
}

impl GlobSet {
    /// Whether there is no glob in it.
    pub fn is_empty(&self) -> bool {
        self.slots == 0
    }

    /// Visits the slot of each glob that matches all of `text`, once. Says how many steps it took.
    pub fn walk(&self, text: &[u8], visit: &mut impl FnMut(u32)) -> usize {
        if self.is_empty() {
            return 0;
        }
        let tail = text
            .iter()
            .rposition(|byte| *byte == self.separator)
            .map_or(0, |last| last.saturating_add(1));
        let mut walk = Walk {
            set: self,
            text,
            // Without a `%` both readings are the same, and the plain one is faster.
            decodes: self.spelling == Spelling::Decoded && text.contains(&b'%'),
            tail,
            arrivals: SmallVec::new(),
            across: Seen::default(),
            within: Seen::default(),
            matched: Seen::default(),
            steps: 0,
        };
        walk.run(visit);
        walk.steps
    }

    /// How much of the heap it takes.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.nodes)
            .saturating_add(self.labels.len())
            .saturating_add(self.firsts.len())
    }

    /// The child of `node` for the text from `at` on, and where its label ends.
    fn child(
        &self,
        node: &Node,
        (text, decodes): (&[u8], bool),
        at: usize,
    ) -> Option<(u32, usize)> {
        let byte = if decodes { unit(text, at)?.0 } else { *text.get(at)? };
        let byte = match self.case {
            Case::Exact => byte,
            Case::Folded => byte.to_ascii_lowercase(),
        };
        let start = node.children as usize;
        let firsts = self.firsts.get(start..start.checked_add(node.children_len as usize)?)?;
        // Few are counted without a branch; a search guesses wrong at each of its steps.
        let place = if firsts.len() <= 32 {
            firsts.iter().map(|first| usize::from(*first < byte)).sum()
        } else {
            firsts.partition_point(|first| *first < byte)
        };
        if *firsts.get(place)? != byte {
            return None;
        }
        let child = node.children.checked_add(u32::try_from(place).ok()?)?;
        let node = self.nodes.get(child as usize)?;
        if node.label_len == 1 && !decodes {
            return Some((child, at.checked_add(1)?));
        }
        let start = node.label as usize;
        let label = self.labels.get(start..start.checked_add(node.label_len as usize)?)?;
        if decodes {
            return self.spelled(label, text, at).map(|end| (child, end));
        }
        let end = at.checked_add(label.len())?;
        let found = text.get(at..end)?;
        let same = match self.case {
            Case::Exact => found == label,
            Case::Folded => found.eq_ignore_ascii_case(label),
        };
        same.then_some((child, end))
    }

    /// Where a label ends that the decoded text goes on with.
    fn spelled(&self, label: &[u8], text: &[u8], mut at: usize) -> Option<usize> {
        for wanted in label {
            let (found, next) = unit(text, at)?;
            let same = match self.case {
                Case::Exact => found == *wanted,
                Case::Folded => found.eq_ignore_ascii_case(wanted),
            };
            if !same {
                return None;
            }
            at = next;
        }
        Some(at)
    }
}

/// The byte that is spelled at a place, and the place behind it.
fn unit(text: &[u8], at: usize) -> Option<(u8, usize)> {
    let byte = *text.get(at)?;
    if byte == b'%'
        && let Some([high, low]) = text.get(at.checked_add(1)?..at.checked_add(3)?)
        && let Some(decoded) = super::glob::escaped(*high, *low)
    {
        return Some((decoded, at.checked_add(3)?));
    }
    Some((byte, at.checked_add(1)?))
}

/// One walk. Positions are visited from left to right.
struct Walk<'a> {
    set: &'a GlobSet,
    text: &'a [u8],
    decodes: bool,
    /// From here on there is no separator.
    tail: usize,
    /// Positions at which the label of a node ends, as a heap: the nearest first.
    arrivals: SmallVec<[(u32, u32); INLINE]>,
    /// Stars with something behind them that now take characters.
    across: Seen,
    within: Seen,
    matched: Seen,
    steps: usize,
}

impl Walk<'_> {
    fn run(&mut self, visit: &mut impl FnMut(u32)) {
        let (mut node, mut at) = (0, 0);
        // Before the first star that takes characters there is one branch.
        loop {
            self.arrive(node, at, visit);
            if !(self.across.list.is_empty() && self.within.list.is_empty()) {
                self.step(node, at);
                break;
            }
            let found = self.set.nodes.get(node as usize);
            match found.and_then(|found| self.set.child(found, (self.text, self.decodes), at)) {
                Some(next) => (node, at) = next,
                None => return,
            }
        }
        loop {
            while self.arrivals.first().is_some_and(|(position, _)| *position as usize == at) {
                if let Some((_, node)) = self.pop() {
                    self.arrive(node, at, visit);
                    self.step(node, at);
                }
            }
            let Some(byte) = self.text.get(at) else { return };
            if self.across.list.is_empty() && self.within.list.is_empty() {
                let Some((next, _)) = self.arrivals.first() else { return };
                at = *next as usize;
                continue;
            }
            for place in 0..self.across.list.len() {
                self.step(self.across.list.get(place).copied().unwrap_or_default(), at);
            }
            for place in 0..self.within.list.len() {
                self.step(self.within.list.get(place).copied().unwrap_or_default(), at);
            }
            if *byte == self.set.separator {
                self.within.clear();
            }
            at = match unit(self.text, at) {
                Some((_, next)) if self.decodes => next,
                _ => at.saturating_add(1),
            };
        }
    }

    /// What begins where a node was reached.
    fn arrive(&mut self, node: u32, at: usize, visit: &mut impl FnMut(u32)) {
        self.steps = self.steps.saturating_add(1);
        let set = self.set;
        let Some(found) = set.nodes.get(node as usize) else { return };
        if at == self.text.len() {
            self.matches(found.slot, visit);
        }
        if let Some(star) = found.across
            && let Some(behind) = set.nodes.get(star.get() as usize)
        {
            // The rest of the text is a run, whatever it is.
            self.matches(behind.slot, visit);
            if behind.children_len > 0 {
                self.across.insert(star.get(), set.nodes.len());
            }
        }
        if let Some(star) = found.within
            && let Some(behind) = set.nodes.get(star.get() as usize)
        {
            if at >= self.tail {
                self.matches(behind.slot, visit);
            }
            if behind.children_len > 0 {
                self.within.insert(star.get(), set.nodes.len());
            }
        }
    }

    fn matches(&mut self, slot: Option<NonZeroU32>, visit: &mut impl FnMut(u32)) {
        if let Some(slot) = slot {
            let slot = slot.get().wrapping_sub(1);
            if self.matched.insert(slot, self.set.slots as usize) {
                visit(slot);
            }
        }
    }

    /// Follows the text out of `node`.
    fn step(&mut self, node: u32, at: usize) {
        self.steps = self.steps.saturating_add(1);
        let node = self.set.nodes.get(node as usize);
        if let Some((child, end)) =
            node.and_then(|node| self.set.child(node, (self.text, self.decodes), at))
            && let Ok(end) = u32::try_from(end)
        {
            self.push((end, child));
        }
    }

    fn push(&mut self, arrival: (u32, u32)) {
        let mut at = self.arrivals.len();
        self.arrivals.push(arrival);
        while let Some(above) = at.checked_sub(1).map(|below| below >> 1)
            && self.arrivals.get(above) > self.arrivals.get(at)
        {
            self.arrivals.swap(above, at);
            at = above;
        }
    }

    fn pop(&mut self) -> Option<(u32, u32)> {
        if self.arrivals.is_empty() {
            return None;
        }
        let first = self.arrivals.swap_remove(0);
        let mut at = 0_usize;
        loop {
            let left = at.saturating_mul(2).saturating_add(1);
            let right = left.saturating_add(1);
            let (Some(one), other) = (self.arrivals.get(left), self.arrivals.get(right)) else {
                break;
            };
            let least = if other.is_some_and(|other| other < one) { right } else { left };
            if self.arrivals.get(at) <= self.arrivals.get(least) {
                break;
            }
            self.arrivals.swap(at, least);
            at = least;
        }
        Some(first)
    }
}

/// Numbers in the order in which they were put in, each once.
#[derive(Default)]
struct Seen {
    list: SmallVec<[u32; INLINE]>,
    /// A bit for each number there can be, once the list is long.
    marks: Vec<u64>,
}

impl Seen {
    /// Puts `number` in, which is below `bound`; whether it was not in.
    fn insert(&mut self, number: u32, bound: usize) -> bool {
        if self.marks.is_empty() {
            if self.list.contains(&number) {
                return false;
            }
            if self.list.len() == INLINE {
                self.marks = vec![0; bound.div_ceil(64)];
                for place in 0..INLINE {
                    if let Some(known) = self.list.get(place).copied() {
                        self.flip(known);
                    }
                }
                self.flip(number);
            }
        } else if self.marks.get(number as usize >> 6).is_some_and(|m| m >> (number & 63) & 1 == 1)
        {
            return false;
        } else {
            self.flip(number);
        }
        self.list.push(number);
        true
    }

    fn flip(&mut self, number: u32) {
        if let Some(mark) = self.marks.get_mut(number as usize >> 6) {
            *mark ^= 1 << (number & 63);
        }
    }

    fn clear(&mut self) {
        if !self.marks.is_empty() {
            for place in 0..self.list.len() {
                if let Some(known) = self.list.get(place).copied() {
                    self.flip(known);
                }
            }
        }
        self.list.clear();
    }
}

#[cfg(test)]
mod tests;
