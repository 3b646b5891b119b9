//! Classes of texts that no pattern of a list tells apart, each with a shortest text of it.
//!
//! Every pattern is a row of letters and repeated letters, so a set of positions in the rows is a
//! state of all of them at once. States are explored breadth first, so the first text that reaches
//! a combination of matching patterns is a shortest one. Letters that no pattern names are one.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::rc::Rc;

use super::budget::{Budget, Exhausted};
use crate::compiled::clause::Reading;
use crate::pattern::{Case, HostPattern, Piece, Spelling};

/// A pattern as a row.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Row(Vec<Cell>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Cell {
    letter: Letter,
    /// Any number of times, none too.
    repeated: bool,
    /// What `%` and two digits do here.
    escape: Escape,
}

/// What an escape does at a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Escape {
    /// The row takes it as three letters.
    Letters,
    /// No escape stands for this letter.
    None,
    /// This one does.
    Of(u8),
    /// Any does.
    Any,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Letter {
    Is(char),
    /// Either case of an ASCII letter.
    Folded(char),
    Any,
    /// None: only an escape leads on.
    Never,
    Not(char),
    /// A digit of an escape.
    Digit,
    /// What a plain name of a tool is made of.
    Plain,
}

impl Letter {
    fn matches(self, character: char) -> bool {
        match self {
            Self::Is(own) => own == character,
            Self::Folded(own) => own.eq_ignore_ascii_case(&character),
            Self::Any => true,
            Self::Never => false,
            Self::Digit => digit(character).is_some(),
            Self::Not(other) => other != character,
            Self::Plain => {
                character.is_ascii_alphanumeric() || matches!(character, '_' | '-' | '.')
            }
        }
    }
}

/// The value of a digit of an escape, which are upper-case.
fn digit(character: char) -> Option<u8> {
    let value = character.to_digit(16).filter(|_| !character.is_ascii_lowercase())?;
    u8::try_from(value).ok()
}

/// The digits of an escape.
fn digits(byte: u8) -> [char; 2] {
    let digit = |value: u8| char::from_digit(value.into(), 16).unwrap_or('0').to_ascii_uppercase();
    [digit(byte >> 4), digit(byte & 15)]
}

/// Whether a byte is never escaped in a path, and one that a path may have as it is.
fn spelling_of(byte: u8) -> (bool, bool) {
    let unreserved = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    (unreserved, unreserved || b"!$&'()*+,;=:@/".contains(&byte))
}

impl Row {
    fn of(text: &str, (one, several): (Letter, Letter), fold: bool) -> Self {
        let mut cells: Vec<Cell> = Vec::new();
        let mut characters = text.chars().peekable();
        while let Some(character) = characters.next() {
            if character != '*' {
                let letter = if fold { Letter::Folded(character) } else { Letter::Is(character) };
                cells.push(Cell { letter, repeated: false, escape: Escape::Letters });
                continue;
            }
            let mut letter = one;
            while characters.next_if_eq(&'*').is_some() {
                letter = several;
            }
            cells.push(Cell { letter, repeated: true, escape: Escape::Letters });
        }
        Self(cells)
    }

    /// A path: `*` stays in a segment.
    pub fn path(text: &str, reading: Reading) -> Self {
        let fold = reading.case == Case::Folded;
        match reading.spelling {
            Spelling::AsIs => Self::of(text, (Letter::Not('/'), Letter::Any), fold),
            Spelling::Decoded => {
                let pieces = Piece::decoded(&Piece::of_path(text));
                Self(pieces.into_iter().map(|piece| Self::decoded(piece, fold)).collect())
            }
        }
    }

    fn decoded(piece: Piece, fold: bool) -> Cell {
        let star = |letter| Cell { letter, repeated: true, escape: Escape::Any };
        let byte = match piece {
            Piece::Within => return star(Letter::Not('/')),
            Piece::Across => return star(Letter::Any),
            Piece::Byte(byte) => byte,
        };
        let (unreserved, plain) = spelling_of(byte);
        let letter = match char::from(byte) {
            _ if !plain => Letter::Never,
            character if fold => Letter::Folded(character),
            character => Letter::Is(character),
        };
        let escape = if unreserved { Escape::None } else { Escape::Of(byte) };
        Cell { letter, repeated: false, escape }
    }

    /// A binary: `*` stays in a segment.
    pub fn program(text: &str) -> Self {
        Self::of(text, (Letter::Not('/'), Letter::Any), false)
    }

    /// Any other text: `*` is any run.
    pub fn text(text: &str) -> Self {
        Self::of(text, (Letter::Any, Letter::Any), false)
    }

    /// A text that stands for itself.
    pub fn literal(text: &str) -> Self {
        let cell = |letter| Cell { letter, repeated: false, escape: Escape::Letters };
        Self(text.chars().map(|character| cell(Letter::Is(character))).collect())
    }

    /// The path of a gRPC call.
    pub fn grpc(service: &str, method: &str) -> Self {
        Self::of(&format!("/{service}/{method}"), (Letter::Not('/'), Letter::Not('/')), false)
    }

    /// The plain names of tools.
    pub fn plain_tool() -> Self {
        let cell = |repeated| Cell { letter: Letter::Plain, repeated, escape: Escape::Letters };
        Self(vec![cell(false), cell(true)])
    }

    /// A host. Labels are never empty, so a star over a label need not say so.
    pub fn host(host: &HostPattern) -> Self {
        match host {
            HostPattern::Wildcard(wildcard) => {
                Self::of(wildcard.as_str(), (Letter::Not('.'), Letter::Any), false)
            }
            HostPattern::Exact(_) | HostPattern::Address(_) => Self::literal(&host.to_string()),
        }
    }

    fn letters(&self, into: &mut BTreeSet<char>) {
        for cell in &self.0 {
            if let Escape::Of(byte) = cell.escape {
                into.insert('%');
                into.extend(digits(byte));
            }
            match cell.letter {
                Letter::Is(own) | Letter::Not(own) => drop(into.insert(own)),
                Letter::Folded(own) => {
                    into.extend([own.to_ascii_lowercase(), own.to_ascii_uppercase()]);
                }
                // One that it has and one that it has not.
                Letter::Plain => into.extend(['x', ' ']),
                Letter::Any | Letter::Never | Letter::Digit => {}
            }
        }
    }
}

/// Which texts there are at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Universe {
    /// Host names.
    Host,
    /// Paths of requests: from a slash on, without `.` and `..`.
    Path,
    /// Paths of programs: no empty segments, either.
    Program,
    /// Any text.
    Text,
}

impl Universe {
    const fn start(self) -> u8 {
        0
    }

    /// States: 0 before the first letter, 1 after a separator, 2 and 3 after as many dots, or 2
    /// after a hyphen, 4 within a segment or label; 5 after a `%`, 8 and more after its first digit.
    /// Of requests only what cannot stand as it is is escaped.
    fn step(self, state: u8, character: char) -> Option<u8> {
        match self {
            Self::Text => Some(0),
            Self::Host => match (state, character) {
                (0 | 1, '.' | '-') | (2, '.') => None,
                (4, '.') => Some(1),
                (_, '-') => Some(2),
                _ => Some(4),
            },
            Self::Path if state >= 8 => {
                let byte = digit(character)? | (state - 8).wrapping_shl(4);
                let never = spelling_of(byte).0 || byte.is_ascii_control();
                (!never).then_some(4)
            }
            Self::Path if state == 5 => digit(character).map(|digit| digit.saturating_add(8)),
            Self::Path if character == '%' => (state > 0).then_some(5),
            Self::Path | Self::Program => match (state, character) {
                (0, '/') => Some(1),
                (0, _) | (2 | 3, '/') => None,
                (1, '/') if self == Self::Program => None,
                (_, '/') => Some(1),
                (1, '.') => Some(2),
                (2, '.') => Some(3),
                _ => Some(4),
            },
        }
    }

    const fn accepts(self, state: u8) -> bool {
        match self {
            Self::Text => true,
            Self::Host | Self::Program => state == 4,
            Self::Path => matches!(state, 1 | 4),
        }
    }

    /// Whether a text is one of them.
    pub fn holds(self, text: &str) -> bool {
        let mut state = self.start();
        for character in text.chars() {
            match self.step(state, character) {
                Some(next) if self.has(character) => state = next,
                _ => return false,
            }
        }
        self.accepts(state)
    }

    fn has(self, character: char) -> bool {
        match self {
            Self::Host => {
                character.is_ascii_lowercase()
                    || character.is_ascii_digit()
                    || matches!(character, '-' | '_' | '.')
            }
            Self::Path => {
                let byte = u8::try_from(character).ok();
                character == '%' || byte.is_some_and(|byte| spelling_of(byte).1)
            }
            Self::Program => character != '\0',
            Self::Text => true,
        }
    }

    /// The letters to explore: those that patterns name, and one that none does.
    fn alphabet(self, rows: &[Row]) -> Vec<char> {
        let mut named = BTreeSet::new();
        rows.iter().for_each(|row| row.letters(&mut named));
        match self {
            Self::Path | Self::Program => drop(named.insert('/')),
            Self::Host => drop(named.insert('.')),
            Self::Text => {}
        }
        named.retain(|character| self.has(*character));
        let plain = ('a'..='z').rev().chain('0'..='9').chain(['_', '-']).chain('A'..='Z');
        let beyond = '\u{100}'..='\u{24f}';
        // What occurs to a person first comes first.
        let fresh = ['x', 'y', 'z']
            .into_iter()
            .chain(plain)
            .chain(beyond)
            .find(|character| self.has(*character) && !named.contains(character));
        fresh.into_iter().chain(named).collect()
    }
}

/// A class of texts.
#[derive(Clone, Debug)]
pub(super) struct Atom {
    /// The positions of the patterns that match, in order.
    pub matched: Vec<usize>,
    /// A shortest text of the class.
    pub text: String,
}

/// All classes that the patterns make of the texts of a universe.
pub(super) fn atoms(
    rows: &[Row],
    universe: Universe,
    budget: &mut Budget,
) -> Result<Vec<Atom>, Exhausted> {
    atoms_that(rows, universe, budget, (|_| true, |_| true))
}

/// The classes that are `relevant`. `valid` says which texts there are beyond what the universe
/// says; when the shortest of a class are none, it is not known whether it is empty.
pub(super) fn atoms_that(
    rows: &[Row],
    universe: Universe,
    budget: &mut Budget,
    (valid, relevant): (impl Fn(&str) -> bool, impl Fn(&[usize]) -> bool),
) -> Result<Vec<Atom>, Exhausted> {
    let alphabet = universe.alphabet(rows);
    let mut explorer = Explorer::new(rows);
    let mut found: HashMap<Vec<usize>, Option<String>> = HashMap::new();
    let mut order = Vec::new();
    let mut queue = VecDeque::new();
    let start = explorer.start();
    queue.push_back((start, universe.start(), Rc::new(Trail { before: None, last: '\0' })));
    while let Some((positions, state, trail)) = queue.pop_front() {
        if universe.accepts(state) {
            let matched = explorer.matched(&positions);
            let known = found.get(&matched);
            if known.is_none_or(Option::is_none) {
                let text = trail.text();
                if known.is_none() {
                    order.push(matched.clone());
                }
                found.insert(matched, valid(&text).then_some(text));
            }
        }
        for character in &alphabet {
            let Some(state) = universe.step(state, *character) else { continue };
            let next = explorer.step(&positions, *character);
            if explorer.seen.insert((next.clone(), state)) {
                budget.take_states(next.len())?;
                let trail = Trail { before: Some(Rc::clone(&trail)), last: *character };
                queue.push_back((next, state, Rc::new(trail)));
            }
        }
    }
    order
        .into_iter()
        .filter(|matched| relevant(matched))
        .map(|matched| match found.remove(&matched).flatten() {
            Some(text) => Ok(Atom { matched, text }),
            None => Err(Exhausted::new("a class of texts has no example that could exist")),
        })
        .collect()
}

/// How a state was reached.
struct Trail {
    before: Option<Rc<Trail>>,
    last: char,
}

impl Trail {
    fn text(&self) -> String {
        let mut letters = Vec::new();
        let mut at = self;
        while let Some(before) = &at.before {
            letters.push(at.last);
            at = before;
        }
        letters.iter().rev().collect()
    }
}

/// Positions in all rows, numbered one after the other, in order.
type Positions = Box<[u32]>;

/// All rows as one.
struct Explorer {
    /// The cell at a position; none at the end of a row.
    cells: Vec<Option<Cell>>,
    /// The row of a position.
    rows: Vec<usize>,
    starts: Vec<u32>,
    /// Where an escape begins that stands for the letter at a position, and where one that ends
    /// leads.
    escapes: HashMap<u32, u32>,
    jumps: HashMap<u32, u32>,
    seen: HashSet<(Positions, u8)>,
}

impl Explorer {
    fn new(rows: &[Row]) -> Self {
        let mut all = Self {
            cells: Vec::new(),
            rows: Vec::new(),
            starts: Vec::new(),
            escapes: HashMap::new(),
            jumps: HashMap::new(),
            seen: HashSet::new(),
        };
        for (number, row) in rows.iter().enumerate() {
            let start = all.end();
            all.starts.push(start);
            all.cells.extend(row.0.iter().cloned().map(Some));
            all.cells.push(None);
            for (cell, position) in row.0.iter().zip(start..) {
                let letters = match cell.escape {
                    Escape::Letters | Escape::None => continue,
                    Escape::Of(byte) => digits(byte).map(Letter::Is),
                    Escape::Any => [Letter::Digit, Letter::Digit],
                };
                all.escapes.insert(position, all.end());
                let cell_of = |letter| Cell { letter, repeated: false, escape: Escape::Letters };
                all.cells.extend(letters.map(|letter| Some(cell_of(letter))));
                let to = if cell.repeated { position } else { position.saturating_add(1) };
                all.jumps.insert(all.end().saturating_sub(1), to);
            }
            all.rows.resize(all.cells.len(), number);
        }
        all
    }

    fn end(&self) -> u32 {
        u32::try_from(self.cells.len()).unwrap_or(u32::MAX)
    }

    fn cell(&self, position: u32) -> Option<&Cell> {
        self.cells.get(usize::try_from(position).ok()?)?.as_ref()
    }

    fn start(&self) -> Positions {
        let mut all = Vec::new();
        self.starts.iter().for_each(|start| self.enter(*start, &mut all));
        sorted(all)
    }

    /// A position and those that are reached from it without a letter.
    fn enter(&self, position: u32, into: &mut Vec<u32>) {
        let mut position = position;
        into.push(position);
        while self.cell(position).is_some_and(|cell| cell.repeated) {
            position = position.saturating_add(1);
            into.push(position);
        }
    }

    fn step(&self, positions: &[u32], character: char) -> Positions {
        let mut next = Vec::with_capacity(positions.len());
        for position in positions {
            let Some(cell) = self.cell(*position) else { continue };
            if character == '%' && cell.escape != Escape::Letters {
                next.extend(self.escapes.get(position));
            } else if cell.letter.matches(character) {
                let after = if cell.repeated { *position } else { position.saturating_add(1) };
                self.enter(self.jumps.get(position).copied().unwrap_or(after), &mut next);
            }
        }
        sorted(next)
    }

    fn matched(&self, positions: &[u32]) -> Vec<usize> {
        let ends = positions.iter().filter(|position| self.cell(**position).is_none());
        ends.filter_map(|position| self.rows.get(usize::try_from(*position).ok()?).copied())
            .collect()
    }
}

fn sorted(mut positions: Vec<u32>) -> Positions {
    positions.sort_unstable();
    positions.dedup();
    positions.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::Glob;

    fn classes(rows: &[Row], universe: Universe) -> Vec<(Vec<usize>, String)> {
        let atoms = atoms(rows, universe, &mut Budget::default()).unwrap();
        atoms.into_iter().map(|atom| (atom.matched, atom.text)).collect()
    }

    fn path(text: &str) -> Row {
        Row::path(text, Reading::AS_IS)
    }

    #[test]
    fn a_denial_takes_both_spellings_of_a_letter() {
        let decoded = Reading { case: Case::Exact, spelling: Spelling::Decoded };
        let rows = [path("/a:b"), path("/a%3Ab"), path("/a/b"), Row::path("/a:b", decoded)];
        let found = classes(&rows, Universe::Path);
        assert!(found.contains(&(vec![0, 3], "/a:b".to_owned())), "{found:?}");
        assert!(found.contains(&(vec![1, 3], "/a%3Ab".to_owned())), "{found:?}");
        assert!(!found.iter().any(|(matched, _)| matched == &[3]), "{found:?}");
        let rows = [path("/a/*/*"), path("/a/*"), Row::path("/a/*/b", decoded)];
        let found = classes(&rows, Universe::Path);
        assert!(found.contains(&(vec![1, 2], "/a/%2Fb".to_owned())), "{found:?}");
    }

    #[test]
    fn each_combination_has_a_shortest_text() {
        let folded = Reading { case: Case::Folded, ..Reading::AS_IS };
        let rows = [path("/a/*"), path("/a/**"), Row::path("/A/b", folded)];
        assert_eq!(
            classes(&rows, Universe::Path),
            [
                (vec![], "/".to_owned()),
                (vec![0, 1], "/a/".to_owned()),
                (vec![2], "/A/B".to_owned()),
                (vec![1], "/a//".to_owned()),
                (vec![0, 1, 2], "/a/B".to_owned()),
            ]
        );
    }

    #[test]
    fn hosts_and_programs_have_their_own_texts() {
        let host = |text: &str| Row::host(&HostPattern::parse(text).unwrap());
        let rows = [host("*.e.com"), host("**.e.com"), host("a-*.e.com")];
        assert_eq!(
            classes(&rows, Universe::Host),
            [
                (vec![], "x".to_owned()),
                (vec![0, 1], "x.e.com".to_owned()),
                (vec![1], "x.x.e.com".to_owned()),
                (vec![0, 1, 2], "a-x.e.com".to_owned()),
            ]
        );
        let rows = [Row::program("/b/*"), Row::program("/b/**")];
        let texts: Vec<String> =
            classes(&rows, Universe::Program).into_iter().map(|(_, text)| text).collect();
        assert_eq!(texts, ["/x", "/b/x", "/b/x/x"]);
    }

    #[test]
    fn every_text_of_a_small_alphabet_is_in_a_class_that_was_found() {
        let patterns = ["/a*", "/*b", "/**a", "/a/**", "/ab", "/a/*/b", "**b*"];
        let rows: Vec<Row> = patterns.iter().map(|text| path(text)).collect();
        let found: HashSet<Vec<usize>> =
            classes(&rows, Universe::Path).into_iter().map(|(matched, _)| matched).collect();
        let mut seen = HashSet::new();
        let mut texts = vec!["/".to_owned()];
        for _ in 0..6 {
            texts = texts
                .iter()
                .flat_map(|text| ["a", "b", "/", "c"].map(|more| format!("{text}{more}")))
                .collect();
            for text in &texts {
                let matching = |at: &usize| Glob::new(patterns[*at]).matches(text);
                let matched: Vec<usize> = (0..patterns.len()).filter(matching).collect();
                assert!(found.contains(&matched), "{text}");
                seen.insert(matched);
            }
        }
        assert!(found.len() - seen.len() <= 1, "only `/` is shorter: {found:?} {seen:?}");
    }
}
