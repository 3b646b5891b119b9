//! A server of events that says nothing for a while.

use std::io::{self, Read, Write};

use openshell_testkit::Connection;

use crate::web::SILENCE;

/// Answers one request with three events.
pub fn session(mut stream: Connection) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")?;
    for event in ["one", "two", "three"] {
        stream.write_all(format!("data: {event}\n\n").as_bytes())?;
        std::thread::sleep(SILENCE);
    }
    Ok(())
}
