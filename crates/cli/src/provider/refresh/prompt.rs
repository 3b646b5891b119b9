//! Asks a person for a secret, or reads it from what is piped in.

use std::io::{self, Read as _, stdin};

use openshell_types::Redacted;
use rustix::stdio;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::config::Config;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{escape, write_error};

/// Bytes of a secret; more is refused, and by the gateway anyway.
const LONGEST: usize = 16 * 1024;

/// One secret: what is typed without being shown, or the next line of standard input.
pub(super) fn secret(name: &str, config: &Config) -> Result<Redacted<String>, CliError> {
    let failed = |error: io::Error| CliError::system("the secret cannot be read", error);
    let line = if config.terminals.input {
        // A terminal that shows nothing still takes input.
        let _ = write_error(&format!("{}: ", escape(name)));
        let quiet = Quiet::enter().map_err(failed)?;
        let line = line(name);
        drop(quiet);
        let _ = write_error("\n");
        line?
    } else {
        line(name)?
    };
    if line.expose().is_empty() {
        return Err(CliError::usage(format!("there is no `{}` on standard input", escape(name)))
            .help("pipe it in, one secret a line in the order of the flags"));
    }
    Ok(line)
}

/// Reads byte by byte: what comes after the line is somebody else's.
fn line(name: &str) -> Result<Redacted<String>, CliError> {
    let mut input = stdin().lock();
    read_line(|| {
        let mut byte = [0];
        // Standard input has a buffer of its own that outlives us; nothing else here holds a copy.
        Ok((input.read(&mut byte)? > 0).then_some(byte[0]))
    })
    .map_err(|error| match error.kind() {
        io::ErrorKind::Interrupted => CliError::new(Exit::FAILED, "it was broken off"),
        io::ErrorKind::InvalidData => {
            CliError::usage(format!("`{}` is not text of at most {LONGEST} bytes", escape(name)))
        }
        _ => CliError::system("the secret cannot be read", error),
    })
}

/// One line with what a person does to correct it.
fn read_line(mut next: impl FnMut() -> io::Result<Option<u8>>) -> io::Result<Redacted<String>> {
    // Room from the start, so that no copy is left behind when it grows.
    let mut text = String::with_capacity(LONGEST);
    let mut part = Vec::with_capacity(4);
    while let Some(byte) = next()? {
        match byte {
            b'\n' | b'\r' | 4 => break,
            3 => return Err(io::ErrorKind::Interrupted.into()),
            8 | 127 => drop(text.pop()),
            byte => {
                part.push(byte);
                match std::str::from_utf8(&part) {
                    Ok(whole) if text.len() + whole.len() <= LONGEST => {
                        text.push_str(whole);
                        part.clear();
                    }
                    Err(error) if error.error_len().is_none() => {}
                    _ => return Err(io::ErrorKind::InvalidData.into()),
                }
            }
        }
    }
    Ok(Redacted::new(text))
}

/// The terminal of standard input without echo, until this is dropped. Keys that would end the
/// program are read as such, so that no way out leaves the terminal silent; nor is a line cut off
/// where the kernel's own editor of lines would.
struct Quiet(Termios);

impl Quiet {
    fn enter() -> io::Result<Self> {
        let before = tcgetattr(stdio::stdin())?;
        let mut quiet = before.clone();
        quiet.local_modes -= LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
        tcsetattr(stdio::stdin(), OptionalActions::Flush, &quiet)?;
        Ok(Self(before))
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        // A terminal that is gone cannot be restored, and nobody would read an error.
        let _ = tcsetattr(stdio::stdin(), OptionalActions::Now, &self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(typed: &[u8]) -> io::Result<String> {
        let mut bytes = typed.iter().copied();
        read_line(|| Ok(bytes.next())).map(|line| line.expose().clone())
    }

    #[test]
    fn a_line_is_read_as_it_was_corrected() {
        assert_eq!(read(b"secret\nnext").unwrap(), "secret");
        assert_eq!(read("g\u{e9}x\u{7f}\r".as_bytes()).unwrap(), "g\u{e9}");
        assert_eq!(read(b"no end").unwrap(), "no end");
        assert_eq!(read(b"").unwrap(), "");
        assert_eq!(read(b"half\x03").unwrap_err().kind(), io::ErrorKind::Interrupted);
        assert_eq!(read(b"\xff\n").unwrap_err().kind(), io::ErrorKind::InvalidData);
        let long = read(&[b'x'; LONGEST + 1]).unwrap_err();
        assert_eq!(long.kind(), io::ErrorKind::InvalidData);
    }
}
