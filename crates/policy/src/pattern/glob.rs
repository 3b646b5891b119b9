//! Path globs: `*` is any run of characters without `/`, `**` any run at all. Nothing else is
//! special.

/// A compiled glob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    text: Box<str>,
    pieces: Box<[Piece]>,
}

/// A part of a glob. Two stars never stand side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Byte(u8),
    /// `*`.
    Within,
    /// `**`; more stars in a row mean the same.
    Across,
}

impl Piece {
    /// The parts of a pattern over paths.
    pub fn of_path(text: &str) -> Vec<Self> {
        Self::read(text, Self::Within)
    }

    /// The parts of a pattern over any other text, where `*` means the same as `**`.
    pub fn of_text(text: &str) -> Vec<Self> {
        Self::read(text, Self::Across)
    }

    /// The same parts with each `%` and two digits as the byte that they stand for.
    pub fn decoded(pieces: &[Self]) -> Vec<Self> {
        let mut out = Vec::with_capacity(pieces.len());
        let mut rest = pieces;
        while let Some((first, after)) = rest.split_first() {
            let byte = match rest {
                [Self::Byte(b'%'), Self::Byte(high), Self::Byte(low), ..] => escaped(*high, *low),
                _ => None,
            };
            out.push(byte.map_or(*first, Self::Byte));
            rest = if byte.is_some() { rest.get(3..).unwrap_or_default() } else { after };
        }
        out
    }

    /// `star` is what one star means.
    fn read(text: &str, star: Self) -> Vec<Self> {
        let mut pieces: Vec<Self> = Vec::with_capacity(text.len());
        for byte in text.bytes() {
            match (byte, pieces.last_mut()) {
                (b'*', Some(last @ (Self::Within | Self::Across))) => *last = Self::Across,
                (b'*', _) => pieces.push(star),
                _ => pieces.push(Self::Byte(byte)),
            }
        }
        pieces
    }
}

/// The byte of two hexadecimal digits.
pub(crate) fn escaped(high: u8, low: u8) -> Option<u8> {
    let digit =
        |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(high)?.wrapping_shl(4) | digit(low)?)
}

impl Glob {
    /// Whether `text` is a glob at all.
    pub fn is_glob(text: &str) -> bool {
        text.contains('*')
    }

    /// A pattern over paths.
    pub fn new(text: &str) -> Self {
        Self { text: text.into(), pieces: Piece::of_path(text).into() }
    }

    /// A pattern over any other text, where `*` means the same as `**`.
    pub fn of_text(text: &str) -> Self {
        Self { text: text.into(), pieces: Piece::of_text(text).into() }
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// How much of the heap it takes.
    pub fn bytes(&self) -> usize {
        self.text.len().saturating_add(size_of_val(&*self.pieces))
    }

    /// Whether all of `path` matches. Greedy with two points of return, one for the last `*` and
    /// one for the last `**`: an earlier star never needs another try, because the later one could
    /// have taken the same run. So the cost is at most length times length.
    pub fn matches(&self, path: &str) -> bool {
        let path = path.as_bytes();
        let (mut at, mut piece) = (0_usize, 0_usize);
        let mut within: Option<(usize, usize)> = None;
        let mut across: Option<(usize, usize)> = None;
        loop {
            match (self.pieces.get(piece), path.get(at)) {
                (None, None) => return true,
                (Some(Piece::Across), _) => {
                    piece = piece.saturating_add(1);
                    across = Some((at, piece));
                    within = None;
                    continue;
                }
                (Some(Piece::Within), _) => {
                    piece = piece.saturating_add(1);
                    within = Some((at, piece));
                    continue;
                }
                (Some(Piece::Byte(wanted)), Some(found)) if wanted == found => {
                    at = at.saturating_add(1);
                    piece = piece.saturating_add(1);
                    continue;
                }
                _ => {}
            }
            // Let the last star take one more character.
            if let Some((from, next)) = within
                && path.get(from).is_some_and(|byte| *byte != b'/')
            {
                at = from.saturating_add(1);
                piece = next;
                within = Some((at, next));
            } else if let Some((from, next)) = across
                && from < path.len()
            {
                at = from.saturating_add(1);
                piece = next;
                across = Some((at, next));
                within = None;
            } else {
                return false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_star_stays_in_a_segment_and_two_cross() {
        for (glob, path, matches) in [
            ("/usr/bin/*", "/usr/bin/curl", true),
            ("/usr/bin/*", "/usr/bin/", true),
            ("/usr/bin/*", "/usr/bin/x/curl", false),
            ("/usr/bin/**", "/usr/bin/x/curl", true),
            ("/usr/**/curl", "/usr/x/y/curl", true),
            ("/usr/**/curl", "/usr/curl", false),
            ("/usr/**/curl", "/usr/x/curly", false),
            ("/**", "/", true),
            ("/x/**", "/x", false),
            ("/opt/*/bin/node*", "/opt/a/bin/node20", true),
            ("/opt/*/bin/node*", "/opt/a/b/bin/node20", false),
            ("/opt/*/bin/node*", "/opt/a/bin/node/20", false),
            ("/a*b*c/**/d*", "/axbxc/q/d1", true),
            ("/a*b*c/**/d*", "/axbxc/q/r/s/d", true),
            ("/a*b*c/**/d*", "/axb/c/q/d", false),
            ("/**/b/*/c", "/a/b/x/b/y/c", true),
            ("***", "/any/thing", true),
            ("/usr/bin/[", "/usr/bin/[", true),
        ] {
            assert_eq!(Glob::new(glob).matches(path), matches, "{glob} {path}");
        }
    }

    #[test]
    fn outside_of_paths_every_star_crosses() {
        assert!(Glob::of_text("a*c").matches("a/b.c"));
        assert!(Glob::of_text("*").matches(""));
        assert!(!Glob::of_text("a*c").matches("a/b.cd"));
    }

    #[test]
    fn many_stars_cost_little() {
        let glob = Glob::new(&"/*a**".repeat(200));
        assert!(!glob.matches(&format!("{}b", "/a".repeat(199))));
    }
}
