//! A server's messages where a credential is bound: they are searched for its value while they pass,
//! and written anew, since what may be the beginning of a value waits for the next frame.

use openshell_codec::websocket::{Passed, Piece, ServerReader, Violation, encode};
use openshell_credential::EchoSearch;

use crate::http::echo::Echo;

/// What looks through one server's messages.
pub(super) struct Echoed<'a> {
    echo: Echo<'a>,
    /// Through all messages, as if they were one.
    search: EchoSearch,
    /// Of the message whose first part has not passed: whether it is a text.
    begins: Option<bool>,
    /// What passes.
    out: Vec<u8>,
}

impl<'a> Echoed<'a> {
    pub(super) fn new(echo: Echo<'a>) -> Self {
        let search = EchoSearch::new(echo.current());
        Self { echo, search, begins: None, out: Vec::new() }
    }

    /// Looks at the next octets: how many were taken. What passes of them is
    /// [`passing`](Self::passing) until the next call.
    pub(super) fn pass(
        &mut self,
        reader: &mut ServerReader,
        bytes: &[u8],
    ) -> Result<Passed, Violation> {
        self.out.clear();
        self.search.look_for(&self.echo.current());
        let mut taken = 0;
        loop {
            match reader.piece(bytes.get(taken..).unwrap_or_default()) {
                Ok(Some((piece, length))) => {
                    taken = taken.saturating_add(length);
                    self.put(piece);
                }
                Err(violation) if taken == 0 => return Err(violation),
                Ok(None) | Err(_) => {
                    return Ok(Passed { bytes: taken, closed: reader.is_closed() });
                }
            }
        }
    }

    /// What passes.
    pub(super) fn passing(&self) -> &[u8] {
        &self.out
    }

    fn put(&mut self, piece: Piece<'_>) {
        match piece {
            Piece::Control { header, payload } => {
                self.out.extend_from_slice(header);
                let begin = self.out.len();
                self.out.extend_from_slice(payload);
                self.echo.mask(self.out.get_mut(begin..).unwrap_or_default());
            }
            Piece::Message { begins, payload, ends } => {
                self.begins = begins.or(self.begins);
                let passing = match ends {
                    // SECURITY: I3; a server that passes on what it reads cuts that where it likes.
                    true => self.search.pass_end(payload),
                    false => self.search.pass(payload, false),
                };
                if ends || !passing.is_empty() {
                    encode::part_to_client(self.begins.take(), ends, &passing, &mut self.out);
                }
                if let Some(name) = self.search.found() {
                    self.echo.tell(name);
                }
            }
        }
    }
}
