//! The keys that detach: Ctrl-P Ctrl-Q.

const CTRL_P: u8 = 0x10;
const CTRL_Q: u8 = 0x11;

/// Looks for the keys in what is typed. A Ctrl-P is held back until it is known what follows, or
/// until it waited long enough: alone it is "the line before" to most programs.
#[derive(Debug, Default)]
pub(crate) struct DetachKeys {
    held: bool,
}

/// What to do with typed bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Typed {
    /// Pass them on.
    Pass(Vec<u8>),
    /// Pass these on, then leave.
    Leave(Vec<u8>),
}

impl DetachKeys {
    /// Takes what was typed.
    pub fn feed(&mut self, typed: &[u8]) -> Typed {
        let mut pass = Vec::with_capacity(typed.len().saturating_add(1));
        for &byte in typed {
            if self.held && byte == CTRL_Q {
                return Typed::Leave(pass);
            }
            if self.held {
                pass.push(CTRL_P);
            }
            self.held = byte == CTRL_P;
            if !self.held {
                pass.push(byte);
            }
        }
        Typed::Pass(pass)
    }

    /// Whether a Ctrl-P is held back.
    pub const fn is_holding(&self) -> bool {
        self.held
    }

    /// Gives up a Ctrl-P that waited long enough.
    pub fn release(&mut self) -> Option<Vec<u8>> {
        std::mem::take(&mut self.held).then(|| vec![CTRL_P])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_keys_leave_however_they_arrive() {
        let mut keys = DetachKeys::default();
        assert_eq!(keys.feed(b"ab\x10\x11cd"), Typed::Leave(b"ab".to_vec()));
        let mut keys = DetachKeys::default();
        assert_eq!(keys.feed(b"a\x10"), Typed::Pass(b"a".to_vec()));
        assert!(keys.is_holding());
        assert_eq!(keys.feed(b"\x11"), Typed::Leave(Vec::new()));
    }

    #[test]
    fn other_keys_pass_unchanged() {
        let mut keys = DetachKeys::default();
        assert_eq!(keys.feed(b"\x10x\x11"), Typed::Pass(b"\x10x\x11".to_vec()));
        assert_eq!(keys.feed(b"\x10\x10"), Typed::Pass(b"\x10".to_vec()));
        assert_eq!(keys.release(), Some(vec![CTRL_P]));
        assert_eq!(keys.release(), None);
        assert_eq!(keys.feed(b"\x11"), Typed::Pass(b"\x11".to_vec()));
    }
}
