//! Path globs: `*` is any run of characters without `/`, `**` any run at all. Nothing else is
//! special.

/// A compiled glob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Glob {
    text: Box<str>,
    pieces: Box<[Piece]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    Byte(u8),
    /// `*`.
    Within,
    /// `**`; more stars in a row mean the same.
    Across,
}

impl Glob {
    /// Whether `text` is a glob at all.
    pub fn is_glob(text: &str) -> bool {
        text.contains('*')
    }

    pub fn new(text: &str) -> Self {
        let mut pieces: Vec<Piece> = Vec::with_capacity(text.len());
        for byte in text.bytes() {
            match (byte, pieces.last_mut()) {
                (b'*', Some(last @ (Piece::Within | Piece::Across))) => *last = Piece::Across,
                (b'*', _) => pieces.push(Piece::Within),
                _ => pieces.push(Piece::Byte(byte)),
            }
        }
        Self { text: text.into(), pieces: pieces.into() }
    }

    pub fn as_str(&self) -> &str {
        &self.text
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
    fn many_stars_cost_little() {
        let glob = Glob::new(&"/*a**".repeat(200));
        assert!(!glob.matches(&format!("{}b", "/a".repeat(199))));
    }
}
