//! Programs: literal paths by the files that they are bound to, globs over paths, each with the
//! clauses of the rules that name it.

use std::collections::HashMap;

use foldhash::fast::FixedState;
use openshell_types::{Digest, FileId};
use smallvec::SmallVec;

use super::rule::{BinaryPath, CompiledBinary};
use crate::binary::{BinaryTable, Binding};
use crate::decision::{Caller, Program};
use crate::pattern::{Case, GlobSet, GlobSetBuilder, Piece};
use crate::sets::{SetId, Sets, SetsBuilder, Union};

/// All programs of a policy.
#[derive(Clone, Debug)]
pub(crate) struct BinaryIndex {
    /// The literal paths, each with its number.
    paths: HashMap<Box<str>, u32, FixedState>,
    /// By the number of a literal path.
    literals: Box<[Named]>,
    globs: GlobSet,
    /// By the slot of a glob.
    patterns: Box<[Named]>,
    /// Whether any binary of the policy is for descendants, too.
    descendants: bool,
}

/// What the literal paths of a policy stand for. This alone is made anew when it is bound.
#[derive(Clone, Debug, Default)]
pub(crate) struct Binaries(HashMap<FileId, SmallVec<[u32; 2]>, FixedState>);

/// A policy's binding, for looking at one binary.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound<'a> {
    pub index: &'a BinaryIndex,
    pub binaries: &'a Binaries,
}

/// The clauses of one path or glob.
#[derive(Clone, Debug)]
struct Named {
    /// Of entries without a digest.
    plain: Pair,
    by_digest: HashMap<Digest, Pair, FixedState>,
    /// Of all entries, whatever their digest.
    all: Pair,
}

/// Clauses of entries that match an executable; and of those that match an ancestor.
#[derive(Clone, Copy, Debug)]
struct Pair {
    exe: SetId,
    ancestor: SetId,
}

/// How much of a program must be as the rule says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Match {
    /// Path and digest.
    Full,
    /// The path.
    Path,
}

/// Makes a [`BinaryIndex`].
#[derive(Debug)]
pub(crate) struct BinaryIndexBuilder {
    paths: HashMap<Box<str>, u32, FixedState>,
    literals: Vec<Vec<Entry>>,
    globs: GlobSetBuilder,
    patterns: Vec<Vec<Entry>>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    rule: u32,
    sha256: Option<Digest>,
    descendants: bool,
}

impl BinaryIndexBuilder {
    pub fn new() -> Self {
        Self {
            paths: HashMap::default(),
            literals: Vec::new(),
            globs: GlobSetBuilder::new(Case::Exact, b'/'),
            patterns: Vec::new(),
        }
    }

    pub fn insert(&mut self, rule: u32, binary: &CompiledBinary) {
        let entry = Entry { rule, sha256: binary.sha256, descendants: binary.descendants };
        let (list, at) = match &binary.path {
            BinaryPath::Literal(path) => {
                let next = u32::try_from(self.paths.len()).unwrap_or(u32::MAX);
                let at = *self.paths.entry(path.clone()).or_insert(next);
                (&mut self.literals, at as usize)
            }
            BinaryPath::Glob(glob) => {
                let slot = self.globs.insert(&Piece::of_path(glob.as_str()));
                (&mut self.patterns, slot as usize)
            }
        };
        if at >= list.len() {
            list.resize_with(at.saturating_add(1), Vec::new);
        }
        if let Some(entries) = list.get_mut(at) {
            entries.push(entry);
        }
    }

    /// `rules` are the clauses of each rule.
    pub fn finish(self, rules: &[SetId], sets: &mut SetsBuilder) -> BinaryIndex {
        let mut unions = Unions { rules, sets, known: HashMap::default() };
        let descendants =
            self.literals.iter().chain(&self.patterns).flatten().any(|entry| entry.descendants);
        BinaryIndex {
            paths: self.paths,
            literals: self.literals.iter().map(|entries| unions.named(entries)).collect(),
            globs: self.globs.finish(),
            patterns: self.patterns.iter().map(|entries| unions.named(entries)).collect(),
            descendants,
        }
    }
}

/// The clauses of lists of rules; lists repeat.
struct Unions<'a> {
    rules: &'a [SetId],
    sets: &'a mut SetsBuilder,
    known: HashMap<Vec<u32>, SetId, FixedState>,
}

impl Unions<'_> {
    fn named(&mut self, entries: &[Entry]) -> Named {
        let mut by_digest: HashMap<Digest, Vec<Entry>, FixedState> = HashMap::default();
        for entry in entries {
            if let Some(digest) = entry.sha256 {
                by_digest.entry(digest).or_default().push(*entry);
            }
        }
        Named {
            plain: self.pair(entries, |entry| entry.sha256.is_none()),
            by_digest: by_digest
                .into_iter()
                .map(|(digest, entries)| (digest, self.pair(&entries, |_| true)))
                .collect(),
            all: self.pair(entries, |_| true),
        }
    }

    fn pair(&mut self, entries: &[Entry], takes: impl Fn(&Entry) -> bool) -> Pair {
        let rules = |ancestor: bool| -> Vec<u32> {
            let fits = |entry: &&Entry| takes(entry) && (entry.descendants || !ancestor);
            let mut rules: Vec<u32> = entries.iter().filter(fits).map(|entry| entry.rule).collect();
            rules.dedup();
            rules
        };
        Pair { exe: self.union(rules(false)), ancestor: self.union(rules(true)) }
    }

    fn union(&mut self, rules: Vec<u32>) -> SetId {
        if let Some(known) = self.known.get(&rules) {
            return *known;
        }
        let parts: Vec<SetId> =
            rules.iter().filter_map(|rule| self.rules.get(*rule as usize).copied()).collect();
        let union = self.sets.union(&parts);
        self.known.insert(rules, union);
        union
    }
}

impl BinaryIndex {
    pub fn bind(&self, table: &BinaryTable) -> Binaries {
        let mut files = HashMap::<FileId, SmallVec<[u32; 2]>, FixedState>::default();
        for (path, number) in &self.paths {
            match table.get(path) {
                Some(Binding::Files(found)) => {
                    for file in found {
                        files.entry(*file).or_default().push(*number);
                    }
                }
                // SECURITY: a file that the agent can replace is not an identity.
                Some(Binding::Missing | Binding::Writable) | None => {}
            }
        }
        Binaries(files)
    }

    pub fn bytes(&self) -> usize {
        let paths = self.paths.keys().map(|path| path.len().saturating_add(24)).sum::<usize>();
        let named = self.literals.iter().chain(&self.patterns);
        let digests = named.map(|named| named.by_digest.len().saturating_mul(56)).sum::<usize>();
        paths
            .saturating_add(digests)
            .saturating_add(self.globs.bytes())
            .saturating_add(size_of_val(&*self.literals))
            .saturating_add(size_of_val(&*self.patterns))
    }
}

impl Binaries {
    pub fn bytes(&self) -> usize {
        self.0.len().saturating_mul(size_of::<(FileId, SmallVec<[u32; 2]>)>().saturating_add(1))
    }
}

impl<'a> Bound<'a> {
    /// The clauses that a caller matches.
    pub fn put(&self, by: &Caller, wanted: Match, sets: &Sets, into: &mut Union) {
        let exe = |pair: &Pair| pair.exe;
        self.put_program(&by.exe, wanted, &mut |pair| sets.put(exe(pair), into));
        if self.index.descendants {
            for ancestor in &by.ancestors {
                self.put_program(ancestor, wanted, &mut |pair| sets.put(pair.ancestor, into));
            }
        }
    }

    fn put_program(&self, program: &Program, wanted: Match, put: &mut impl FnMut(&Pair)) {
        let mut visit = |named: &Named| match wanted {
            Match::Path => put(&named.all),
            Match::Full => {
                put(&named.plain);
                if let Some(digest) = program.sha256
                    && let Some(pair) = named.by_digest.get(&digest)
                {
                    put(pair);
                }
            }
        };
        // SECURITY: the inode decides, not the path: a copy, a bind mount over the path or a
        // second file of that name is another program (J1).
        for number in self.binaries.0.get(&program.file).into_iter().flatten() {
            self.index.literals.get(*number as usize).into_iter().for_each(&mut visit);
        }
        if let Some(path) = program.path.as_deref() {
            self.index.globs.walk(path.as_bytes(), &mut |slot| {
                self.index.patterns.get(slot as usize).into_iter().for_each(&mut visit);
            });
        }
    }

    /// Whether a literal path stands for a file.
    pub fn is(&self, path: &str, file: FileId) -> bool {
        let number = self.index.paths.get(path);
        number.is_some_and(|number| {
            self.binaries.0.get(&file).is_some_and(|numbers| numbers.contains(number))
        })
    }
}
