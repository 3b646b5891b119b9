//! A small HTTP/1.1 server side: enough to be an upstream in tests.

use std::io::{self, Read, Write};

/// What an HTTP server of the test world answers with.
pub type Handler = dyn Fn(&Request) -> Response + Send + Sync;

/// The longest head that is read.
const HEAD: usize = 64 * 1024;
const HEADERS: usize = 128;

/// A request, read to its end.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// As it was sent.
    pub method: String,
    /// The request target as it was sent.
    pub target: String,
    /// In order, names as they were sent.
    pub headers: Vec<(String, String)>,
    /// Without the chunked framing, if it had that.
    pub body: Vec<u8>,
}

impl Request {
    /// The first header of that name, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Beside the framing, which is ours.
    pub headers: Vec<(String, String)>,
    /// The body, or the chunks of it.
    pub body: Body,
}

/// How a body is sent.
#[derive(Clone, Debug)]
pub enum Body {
    /// With a `Content-Length`.
    Whole(Vec<u8>),
    /// Chunked: one chunk and one write for each.
    Chunks(Vec<Vec<u8>>),
}

impl Response {
    /// 200 with a text.
    pub fn text(body: impl Into<String>) -> Self {
        Self::new(200, "text/plain; charset=utf-8", body.into())
    }

    /// 200 with JSON.
    pub fn json(body: impl Into<String>) -> Self {
        Self::new(200, "application/json", body.into())
    }

    /// 200 with server-sent events, each an own chunk.
    pub fn events(data: &[&str]) -> Self {
        let chunks = data.iter().map(|data| format!("data: {data}\n\n").into_bytes()).collect();
        let headers = vec![("Content-Type".to_owned(), "text/event-stream".to_owned())];
        Self { status: 200, headers, body: Body::Chunks(chunks) }
    }

    /// Any status with a body of any type.
    pub fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let headers = vec![("Content-Type".to_owned(), content_type.to_owned())];
        Self { status, headers, body: Body::Whole(body.into()) }
    }

    /// Adds a header.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// Answers requests until the client closes, asks for the end, or says what is not HTTP.
pub(crate) fn converse(
    mut stream: impl Read + Write,
    mut handler: impl FnMut(&Request) -> Response,
) -> io::Result<()> {
    let mut waiting = Vec::new();
    while let Some(request) = read_request(&mut stream, &mut waiting)? {
        write_response(&mut stream, &request, &handler(&request))?;
        if request.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
            break;
        }
    }
    Ok(())
}

fn read_request(
    stream: &mut (impl Read + Write),
    waiting: &mut Vec<u8>,
) -> io::Result<Option<Request>> {
    let mut request = loop {
        if let Some((request, length)) = parse_head(waiting)? {
            waiting.drain(..length);
            break request;
        }
        if waiting.len() > HEAD {
            return Err(malformed("a head that does not end"));
        }
        if !more(stream, waiting)? {
            return Ok(None);
        }
    };
    if request.header("expect").is_some() {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let chunked = request.header("transfer-encoding").is_some();
    let length = request.header("content-length").map(str::parse).transpose();
    let length: Option<usize> = length.map_err(|_| malformed("a length that is no number"))?;
    request.body = match (chunked, length) {
        (true, _) => read_chunks(stream, waiting)?,
        (false, Some(length)) => take(stream, waiting, length)?,
        (false, None) => Vec::new(),
    };
    Ok(Some(request))
}

fn parse_head(bytes: &[u8]) -> io::Result<Option<(Request, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut head = httparse::Request::new(&mut headers);
    let status = head.parse(bytes).map_err(|_| malformed("not an HTTP head"))?;
    let httparse::Status::Complete(length) = status else { return Ok(None) };
    let headers = head
        .headers
        .iter()
        .map(|header| (header.name.to_owned(), String::from_utf8_lossy(header.value).into_owned()));
    let request = Request {
        method: head.method.unwrap_or_default().to_owned(),
        target: head.path.unwrap_or_default().to_owned(),
        headers: headers.collect(),
        body: Vec::new(),
    };
    Ok(Some((request, length)))
}

fn read_chunks(stream: &mut impl Read, waiting: &mut Vec<u8>) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let size = line(stream, waiting)?;
        let digits = size.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(digits, 16).map_err(|_| malformed("a chunk's size"))?;
        if size == 0 {
            while !line(stream, waiting)?.is_empty() {}
            return Ok(body);
        }
        body.extend(take(stream, waiting, size)?);
        line(stream, waiting)?;
    }
}

fn line(stream: &mut impl Read, waiting: &mut Vec<u8>) -> io::Result<String> {
    loop {
        if let Some(end) = waiting.windows(2).position(|pair| pair == b"\r\n") {
            let line: Vec<u8> = waiting.drain(..end + 2).take(end).collect();
            return String::from_utf8(line).map_err(|_| malformed("a line that is no text"));
        }
        if !more(stream, waiting)? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn take(stream: &mut impl Read, waiting: &mut Vec<u8>, length: usize) -> io::Result<Vec<u8>> {
    while waiting.len() < length {
        if !more(stream, waiting)? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(waiting.drain(..length).collect())
}

/// Reads once; `false` at the end.
fn more(stream: &mut impl Read, waiting: &mut Vec<u8>) -> io::Result<bool> {
    let mut chunk = [0u8; 16 * 1024];
    let length = stream.read(&mut chunk)?;
    waiting.extend_from_slice(chunk.get(..length).unwrap_or_default());
    Ok(length > 0)
}

fn write_response(
    stream: &mut impl Write,
    request: &Request,
    response: &Response,
) -> io::Result<()> {
    let mut head = format!("HTTP/1.1 {} Test\r\n", response.status);
    for (name, value) in &response.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    match &response.body {
        Body::Whole(body) => {
            head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
            let mut out = head.into_bytes();
            if request.method != "HEAD" {
                out.extend_from_slice(body);
            }
            stream.write_all(&out)?;
        }
        Body::Chunks(chunks) => {
            head.push_str("Transfer-Encoding: chunked\r\n\r\n");
            stream.write_all(head.as_bytes())?;
            for chunk in chunks.iter().filter(|chunk| !chunk.is_empty()) {
                let framed = [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat();
                stream.write_all(&framed)?;
                stream.flush()?;
            }
            stream.write_all(b"0\r\n\r\n")?;
        }
    }
    stream.flush()
}

fn malformed(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Script {
        input: io::Cursor<Vec<u8>>,
        output: Vec<u8>,
    }

    impl Read for Script {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            let few = buf.len().min(3);
            self.input.read(&mut buf[..few])
        }
    }

    impl Write for Script {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            self.output.write(buf)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn answers_pipelined_requests_with_both_framings() {
        let input = b"POST /a HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi\
            PUT /b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
        let mut script = Script { input: io::Cursor::new(input.to_vec()), output: Vec::new() };
        let mut bodies = Vec::new();
        converse(&mut script, |request| {
            bodies.push((request.target.clone(), request.body.clone()));
            Response::text("ok")
        })
        .unwrap();
        assert_eq!(bodies, [("/a".to_owned(), b"hi".to_vec()), ("/b".to_owned(), b"abc".to_vec())]);
        assert_eq!(String::from_utf8(script.output).unwrap().matches("HTTP/1.1 200").count(), 2);
    }
}
