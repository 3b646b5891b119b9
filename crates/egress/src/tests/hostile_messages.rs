//! HTTP/1 messages that two readers may read in two ways.

/// Each message with its name. `{h}` stands for the authority, `{p}` for the beginning of every
/// path, by which what a server gets is told from the other messages.
pub(super) fn corpus() -> Vec<(String, String)> {
    let mut all = Vec::new();
    lines(&mut all);
    hosts(&mut all);
    framing(&mut all);
    chunks(&mut all);
    fields(&mut all);
    targets(&mut all);
    pipelines(&mut all);
    all
}

type Corpus = Vec<(String, String)>;

fn add(all: &mut Corpus, group: &str, what: &str, message: String) {
    let what: String = what.chars().take(36).collect();
    all.push((format!("{group} {}", what.escape_debug()), message));
}

/// Request lines.
fn lines(all: &mut Corpus) {
    for line in [
        "GET {p} HTTP/1.1",
        "GET {p} HTTP/1.0",
        "GET {p}",
        "GET  {p} HTTP/1.1",
        "GET {p}  HTTP/1.1",
        "GET\t{p} HTTP/1.1",
        "GET {p}\tHTTP/1.1",
        " GET {p} HTTP/1.1",
        "\r\nGET {p} HTTP/1.1",
        "\nGET {p} HTTP/1.1",
        "GET {p} HTTP/1.1 ",
        "GET {p} HTTP/1.2",
        "GET {p} HTTP/2.0",
        "GET {p} HTTP/01.1",
        "GET {p} http/1.1",
        "GET {p} HTTP/1.1\r",
        "GET {p} HTTP/1.10",
        "get {p} HTTP/1.1",
        "Get {p} HTTP/1.1",
        "G\u{1}T {p} HTTP/1.1",
        "GET,POST {p} HTTP/1.1",
        "TRACE {p} HTTP/1.1",
        "PROPFIND {p} HTTP/1.1",
        "CONNECT {h} HTTP/1.1",
        "PRI * HTTP/2.0",
        "GET {p} HTTP/1.1 HTTP/1.1",
        "GET {p} x HTTP/1.1",
        "\u{feff}GET {p} HTTP/1.1",
    ] {
        add(all, "line", line, format!("{line}\r\nHost: {{h}}\r\n\r\n"));
    }
    add(all, "line", "bare LF", "GET {p} HTTP/1.1\nHost: {h}\n\n".to_owned());
    add(all, "line", "bare CR", "GET {p} HTTP/1.1\rHost: {h}\r\r".to_owned());
}

/// What names the server.
fn hosts(all: &mut Corpus) {
    for host in [
        "Host:{h}",
        "Host: {h} ",
        "Host:\t{h}\t",
        "HOST: {h}",
        "Host: {h}\r\nHost: {h}",
        "Host: {h}\r\nHost: evil.example.com",
        "Host: evil.example.com\r\nHost: {h}",
        "Host : {h}",
        " Host: {h}",
        "X: y\r\n Host: evil.example.com\r\nHost: {h}",
        "Host: {h}\r\n evil.example.com",
        "Host: {h},evil.example.com",
        "Host: {h}@evil.example.com",
        "Host: evil.example.com@{h}",
        "Host: {h}/x",
        "Host: {h}?x",
        "Host: {h}#x",
        "Host: http://{h}",
        "Host: [{h}]",
        "Host:",
        "Host: {h}\0",
        "Host: {h}\r\nX-Forwarded-Host: evil.example.com",
        "Host: {h}\r\nX_Forwarded_Host: evil.example.com",
        "Host: {h}\r\nForwarded: host=evil.example.com",
        "X: y",
    ] {
        add(all, "host", host, format!("GET {{p}} HTTP/1.1\r\n{host}\r\n\r\n"));
    }
    add(all, "host", "none in HTTP/1.0", "GET {p} HTTP/1.0\r\n\r\n".to_owned());
}

/// A request where a body should be; `{l}` stands for its length.
pub(super) const HIDDEN: &str = "GET {p}/hidden HTTP/1.1\r\nHost: {h}\r\n\r\n";

/// Lengths. Behind each head stand bytes that are a request to who sees no body.
fn framing(all: &mut Corpus) {
    let chunked = "Transfer-Encoding: chunked";
    for fields in [
        "Content-Length: 0".to_owned(),
        "Content-Length: {l}".to_owned(),
        "Content-Length: 0\r\nContent-Length: {l}".to_owned(),
        "Content-Length: {l}\r\nContent-Length: {l}".to_owned(),
        "Content-Length: {l}, {l}".to_owned(),
        "Content-Length: +{l}".to_owned(),
        "Content-Length: -1".to_owned(),
        "Content-Length: 0{l}".to_owned(),
        "Content-Length: 0x10".to_owned(),
        "Content-Length: {l} 1".to_owned(),
        "Content-Length: {l}.0".to_owned(),
        "Content-Length:".to_owned(),
        "Content-Length : {l}".to_owned(),
        "Content-Length\t: {l}".to_owned(),
        "Content_Length: {l}".to_owned(),
        "Content-Length: 18446744073709551617".to_owned(),
        "Content-Length: 99999999999999999999999".to_owned(),
        "X: y\r\n Content-Length: {l}".to_owned(),
        "Content-Length:\r\n {l}".to_owned(),
        "Content-Length: {l}\r\nConnection: content-length".to_owned(),
        format!("Content-Length: 5\r\n{chunked}"),
        format!("{chunked}\r\nContent-Length: 5"),
        format!("{chunked}\r\n{chunked}"),
        "Transfer-Encoding: chunked, identity".to_owned(),
        "Transfer-Encoding: identity, chunked".to_owned(),
        "Transfer-Encoding: gzip, chunked".to_owned(),
        "Transfer-Encoding: identity\r\nContent-Length: {l}".to_owned(),
        "Transfer-Encoding: xchunked".to_owned(),
        "Transfer-Encoding: chunkedx".to_owned(),
        "Transfer-Encoding: \"chunked\"".to_owned(),
        "Transfer-Encoding: chunked;q=1".to_owned(),
        "Transfer-Encoding:\u{b}chunked".to_owned(),
        "Transfer-Encoding: \tchunked".to_owned(),
        "Transfer-Encoding: Chunked".to_owned(),
        "Transfer-Encoding : chunked".to_owned(),
        "Transfer_Encoding: chunked".to_owned(),
        "Transfer-Encoding:\r\n chunked".to_owned(),
        "X: y\r\n Transfer-Encoding: chunked".to_owned(),
        "Transfer-Encoding: chunked\r\nConnection: transfer-encoding".to_owned(),
        "Transfer\u{2d}Encoding: chunked\0".to_owned(),
    ] {
        let body = if fields.to_lowercase().contains("chunked") { "0\r\n\r\n" } else { "" };
        let message =
            format!("POST {{p}} HTTP/1.1\r\nHost: {{h}}\r\n{fields}\r\n\r\n{body}{HIDDEN}");
        add(all, "framing", &fields, message);
    }
    let old = format!("POST {{p}} HTTP/1.0\r\nHost: {{h}}\r\n{chunked}\r\n\r\n0\r\n\r\n{HIDDEN}");
    add(all, "framing", "chunked in HTTP/1.0", old);
    for method in ["GET", "HEAD", "DELETE", "OPTIONS"] {
        let head = format!("{method} {{p}} HTTP/1.1\r\nHost: {{h}}\r\nContent-Length: {{l}}");
        add(all, "framing", &format!("{method} with a body"), format!("{head}\r\n\r\n{HIDDEN}"));
        let head = format!("{method} {{p}} HTTP/1.1\r\nHost: {{h}}\r\n{chunked}");
        let message = format!("{head}\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
        add(all, "framing", &format!("{method} in chunks"), message);
    }
}

/// Bodies in chunks.
fn chunks(all: &mut Corpus) {
    for body in [
        "3\r\nabc\r\n0\r\n\r\n",
        "03\r\nabc\r\n00\r\n\r\n",
        "0000000000000003\r\nabc\r\n0\r\n\r\n",
        "00000000000000003\r\nabc\r\n0\r\n\r\n",
        "10000000000000003\r\nabc\r\n0\r\n\r\n",
        "ffffffffffffffff\r\nabc\r\n0\r\n\r\n",
        "0x3\r\nabc\r\n0\r\n\r\n",
        "+3\r\nabc\r\n0\r\n\r\n",
        "-3\r\nabc\r\n0\r\n\r\n",
        " 3\r\nabc\r\n0\r\n\r\n",
        "3 \r\nabc\r\n0\r\n\r\n",
        "3\nabc\n0\n\n",
        "3\r\nabc\n0\r\n\r\n",
        "3\nabc\r\n0\r\n\r\n",
        "3\rabc\r\n0\r\n\r\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "3\r\nab\r\n0\r\n\r\n",
        "3;x\r\nabc\r\n0\r\n\r\n",
        "3;x=y\r\nabc\r\n0;z\r\n\r\n",
        "3;x=\"a\r\nb\"\r\nabc\r\n0\r\n\r\n",
        "3;\nx\r\nabc\r\n0\r\n\r\n",
        "3 ;x\r\nabc\r\n0\r\n\r\n",
        "3x\r\nabc\r\n0\r\n\r\n",
        "\r\n3\r\nabc\r\n0\r\n\r\n",
        "3\r\nabc\r\n\r\n0\r\n\r\n",
        "3\r\nabc\r\n0\r\nHost: evil.example.com\r\n\r\n",
        "3\r\nabc\r\n0\r\nContent-Length: 9\r\nX-HTTP-Method-Override: DELETE\r\n\r\n",
        "3\r\nabc\r\n0\r\nno colon\r\n\r\n",
        "3\r\nabc\r\n0\r\n folded\r\n\r\n",
        "3\r\nabc\r\n0\r\nX: y\n\r\n",
        "3\r\nabc\r\n0\r\n\n",
        "3\r\nabc\r\n0\n\r\n",
        "\r\n\r\n",
        "0\r\n\r\n",
    ] {
        let head = "POST {p} HTTP/1.1\r\nHost: {h}\r\nTransfer-Encoding: chunked";
        let next = "GET {p}/next HTTP/1.1\r\nHost: {h}\r\n\r\n";
        add(all, "chunks", body, format!("{head}\r\n\r\n{body}{next}"));
    }
}

/// Other fields.
fn fields(all: &mut Corpus) {
    for field in [
        "X",
        ": x",
        "X\u{1}: y",
        "X: a\u{b}b",
        "X: a\u{7f}b",
        "X: a\rb",
        "X: \u{e9}",
        "X(: y",
        "X: ",
        "Expect: 100-continue",
        "Expect: other",
        "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk",
        "Connection: close, host",
        "Connection: x-a\r\nX-A: b",
        "Connection: keep-alive, close",
        "Proxy-Connection: keep-alive",
        "TE: trailers\r\nTrailer: Host",
        "X-Original-URL: {p}/other",
        "X-HTTP-Method-Override: DELETE",
        "Via: 1.0 a",
    ] {
        let next = "GET {p}/next HTTP/1.1\r\nHost: {h}\r\n\r\n";
        let message = format!("GET {{p}} HTTP/1.1\r\nHost: {{h}}\r\n{field}\r\n\r\n{next}");
        add(all, "field", field, message);
    }
}

/// Targets.
fn targets(all: &mut Corpus) {
    for target in [
        "http://{h}{p}",
        "HTTP://{h}{p}",
        "http://evil.example.com{p}",
        "http://x@{h}{p}",
        "https://{h}{p}",
        "http:{p}",
        "//evil.example.com{p}",
        "{p}//a",
        "{p}/./a/../b",
        "{p}/%2e%2e/x{p}",
        "{p}/%2E./x{p}",
        "{p}/..%2fx{p}",
        "{p}/..;/x",
        "{p}/a;b=c",
        "{p}\\a",
        "{p}/%5ca",
        "{p}/%252e%252e/a",
        "{p}/%c0%ae%c0%ae/a",
        "{p}/%00",
        "{p}/%0d%0aX:%20y",
        "{p}/%",
        "{p}/%zz",
        "{p}/%41%7e%3a",
        "{p}/%3b%3f%23",
        "{p}/a b",
        "{p}/\u{e9}",
        "{p}/%E9",
        "{p}/%C3%A9",
        "{p}#x",
        "{p}?a=%00",
        "{p}?a=b?c=d&/../e",
        "{p}?http://evil.example.com/",
        "{p}/<>\"^`{}|[]",
        "{p}/...",
        "{p}/.%20",
        "*",
        "{h}",
        "?{p}",
        "",
    ] {
        let message = format!("GET {target} HTTP/1.1\r\nHost: {{h}}\r\n\r\n");
        add(all, "target", target, message);
    }
}

/// Several requests in one piece.
fn pipelines(all: &mut Corpus) {
    let next = "GET {p}/next HTTP/1.1\r\nHost: {h}\r\n\r\n";
    for (what, first) in [
        ("HEAD first", "HEAD {p} HTTP/1.1\r\nHost: {h}\r\n\r\n"),
        ("close first", "GET {p} HTTP/1.1\r\nHost: {h}\r\nConnection: close\r\n\r\n"),
        ("HTTP/1.0 first", "GET {p} HTTP/1.0\r\nHost: {h}\r\n\r\n"),
        ("body first", "POST {p} HTTP/1.1\r\nHost: {h}\r\nContent-Length: 3\r\n\r\nabc"),
        ("CR LF between", "POST {p} HTTP/1.1\r\nHost: {h}\r\nContent-Length: 3\r\n\r\nabc\r\n"),
        ("LF between", "GET {p} HTTP/1.1\r\nHost: {h}\r\n\r\n\n"),
        ("a tunnel first", "CONNECT {h} HTTP/1.1\r\nHost: {h}\r\n\r\n"),
        (
            "an expectation first",
            "POST {p} HTTP/1.1\r\nHost: {h}\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
        ),
    ] {
        add(all, "pipeline", what, format!("{first}{next}"));
    }
}
