//! Where the generator's choices come from: first the bytes of a fuzzer, then a seeded sequence.

/// A reproducible source of choices.
#[derive(Clone, Debug)]
pub struct Choices<'a> {
    bytes: &'a [u8],
    state: u64,
}

impl Choices<'static> {
    /// The choices of a seed.
    pub const fn seeded(seed: u64) -> Self {
        Self { bytes: &[], state: seed }
    }
}

impl<'a> Choices<'a> {
    /// The choices that these bytes make, one each; what follows when they are used up depends on
    /// nothing.
    pub const fn of_bytes(bytes: &'a [u8]) -> Self {
        Self { bytes, state: 0 }
    }

    /// A number below `bound`; 0 when that is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        let drawn = match self.bytes.split_first() {
            Some((first, rest)) => {
                self.bytes = rest;
                u64::from(*first)
            }
            None => self.next(),
        };
        let bound = u64::try_from(bound).unwrap_or(u64::MAX);
        usize::try_from(drawn.checked_rem(bound).unwrap_or(0)).unwrap_or(0)
    }

    /// True so many times in a hundred.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of these; `None` when there are none.
    pub fn pick<'b, T>(&mut self, from: &'b [T]) -> Option<&'b T> {
        let at = self.below(from.len());
        from.get(at)
    }

    /// One of these words.
    pub fn word(&mut self, from: &[&'static str]) -> &'static str {
        self.pick(from).copied().unwrap_or_default()
    }

    /// The next of a fixed sequence of 64-bit numbers that look random (splitmix).
    const fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}
