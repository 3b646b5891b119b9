//! A server in place of a model's, and of one that takes uploads: it answers a call by a stream of
//! events of which the first goes out at once, and whatever else it is sent by a word.

use std::io::{self, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread::{self, sleep};
use std::time::Duration;

use crate::run::Outcome;

/// The size of a piece that is read or written at once.
pub const PIECE: usize = 256 * 1024;

/// How long the rest of a stream waits behind its first event. What holds a stream back shows it.
pub const PAUSE: Duration = Duration::from_millis(5);

/// The path of a call.
pub const CALL: &str = "/v1/chat/completions";

/// The server. It ends with this process.
pub struct Backend {
    /// Where it listens.
    pub port: u16,
}

impl Backend {
    /// Starts it.
    pub fn start() -> Outcome<Self> {
        let failed = |error| format!("a server cannot be started: {error}");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                // A client that went away is none of a server's troubles.
                thread::spawn(move || serve(&stream).ok());
            }
        });
        Ok(Self { port })
    }
}

/// Serves the requests of a connection.
fn serve(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut reader, mut writer) = (BufReader::new(stream), stream);
    let mut piece = vec![0; PIECE];
    while let Some(Asked { path, length }) = head(&mut reader)? {
        let mut left = length;
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
            let part = piece.get_mut(..most).unwrap_or_default();
            match reader.read(part)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => left = left.saturating_sub(u64::try_from(read).unwrap_or(left)),
            }
        }
        if path.starts_with(CALL) {
            let first = event("The first word");
            writer.write_all(format!("{STREAM}{first}").as_bytes())?;
            sleep(PAUSE);
            let rest = [event(" and"), event(" the last one"), chunk("data: [DONE]\n\n")].concat();
            writer.write_all(format!("{rest}{}", chunk("")).as_bytes())?;
        } else {
            writer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\ntaken")?;
        }
    }
    Ok(())
}

const STREAM: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
                      Transfer-Encoding: chunked\r\n\r\n";

fn event(word: &str) -> String {
    chunk(&format!(
        "data: {{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"model\":\"bench\",\"choices\":\
         [{{\"index\":0,\"delta\":{{\"content\":\"{word}\"}}}}]}}\n\n"
    ))
}

fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

/// What a head asks for.
struct Asked {
    path: String,
    length: u64,
}

/// The next head; `None`: the client is done.
fn head(reader: &mut impl io::BufRead) -> io::Result<Option<Asked>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut asked =
        Asked { path: line.split(' ').nth(1).unwrap_or_default().to_owned(), length: 0 };
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match line.trim_end().split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                asked.length = value.trim().parse().map_err(|_| io::ErrorKind::InvalidData)?;
            }
            Some(_) => {}
            None => return Ok(Some(asked)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange(asked: &str) -> String {
        let backend = Backend::start().expect("a server");
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, backend.port)).expect("there");
        stream.write_all(asked.as_bytes()).expect("it reads");
        stream.shutdown(std::net::Shutdown::Write).expect("it is open");
        let mut told = String::new();
        stream.read_to_string(&mut told).expect("it answers");
        told
    }

    #[test]
    fn calls_get_a_stream_and_uploads_a_word() {
        let upload = "PUT /upload HTTP/1.1\r\ncontent-length: 3\r\n\r\nabc";
        let call = format!("POST {CALL}?1 HTTP/1.1\r\nContent-Length: 2\r\n\r\n{{}}");
        let told = exchange(&format!("{upload}{call}"));
        let (first, stream) = told.split_once("taken").expect("an answer to the upload");
        assert!(first.starts_with("HTTP/1.1 200 OK\r\n") && stream.starts_with(STREAM), "{told}");
        assert!(stream.ends_with("data: [DONE]\n\n\r\n0\r\n\r\n"), "{told}");
    }
}
