//! What we pass on, read by servers that are none of ours. Each hostile message goes through the
//! egress, to a recorder and to nginx, haproxy and Envoy, which pass what they understood on to a
//! recorder, too: they must not understand anything else. The table shows also what they make of
//! the message as it was written, where that differs from us.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::hostile_messages::{HIDDEN, corpus};
use super::requests::rest;
use super::world::*;

/// What a server understood: `METHOD target host body`, for each message by its number.
type Understood = BTreeMap<usize, Vec<String>>;

/// A server at the end of a chain, which writes down what comes.
struct Recorder {
    port: u16,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Recorder {
    async fn start() -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&seen);
        let upstream = Upstream::serve(move |stream, _| record(stream, Arc::clone(&shared))).await;
        Self { port: upstream.port, seen }
    }

    /// What came since the last time, by message.
    fn take(&self) -> Understood {
        let mut all = Understood::new();
        for request in std::mem::take(&mut *self.seen.lock().unwrap()) {
            let number = request.split("/m").nth(1).map(|rest| {
                let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
                rest[..digits].parse().unwrap()
            });
            // `*` and paths that lead out of their message stand for no number.
            all.entry(number.unwrap_or(usize::MAX)).or_default().push(request);
        }
        all
    }
}

/// Reads requests in the plainest way; what passes us or a real server is well-formed.
async fn record(mut stream: TcpStream, seen: Arc<Mutex<Vec<String>>>) {
    let mut bytes = Vec::new();
    loop {
        let end = loop {
            match bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                Some(end) => break end,
                None if matches!(stream.read_buf(&mut bytes).await, Ok(1..)) => {}
                None => return,
            }
        };
        let head: Vec<u8> = bytes.drain(..end + 4).collect();
        let head = String::from_utf8_lossy(&head).into_owned();
        let field = |name: &str| {
            let mut lines = head.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
            lines.find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
        };
        let line = head.split("\r\n").next().unwrap();
        let (method, target) = line.split_once(' ').unwrap_or((line, ""));
        let target = target.rsplit_once(' ').map_or(target, |(target, _)| target);
        let host = field("host").unwrap_or("").split(':').next().unwrap().to_owned();
        let uri = field("x-uri").map(str::to_owned);
        let body = if field("transfer-encoding").is_some() {
            chunks(&mut stream, &mut bytes).await
        } else {
            // One that is no number, or too large, is a body that does not end.
            let length = field("content-length").map_or(Some(0), |text| text.parse().ok());
            match length {
                Some(length) => exactly(&mut stream, &mut bytes, length).await,
                None => None,
            }
        };
        let body =
            body.map_or("cut".to_owned(), |body| format!("{:?}", String::from_utf8_lossy(&body)));
        let mut note = format!("{method} {target} {host} {body}");
        if let Some(uri) = uri
            && uri.as_bytes() != decoded(target.split('?').next().unwrap())
        {
            note.push_str(&format!(" read as {uri}"));
        }
        let is_cut = note.contains(" cut");
        seen.lock().unwrap().push(without_ports(&note));
        if is_cut {
            return;
        }
        if stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.is_err() {
            return;
        }
    }
}

/// The ports of the servers differ, which is no other reading.
fn without_ports(note: &str) -> String {
    let mut parts = note.split("internal:");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str("internal");
        out.push_str(part.trim_start_matches(|c: char| c.is_ascii_digit()));
    }
    out
}

async fn exactly(stream: &mut TcpStream, bytes: &mut Vec<u8>, length: usize) -> Option<Vec<u8>> {
    while bytes.len() < length {
        if !matches!(stream.read_buf(bytes).await, Ok(1..)) {
            return None;
        }
    }
    Some(bytes.drain(..length).collect())
}

async fn chunks(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = loop {
            match bytes.windows(2).position(|two| two == b"\r\n") {
                Some(end) => break end,
                None if matches!(stream.read_buf(bytes).await, Ok(1..)) => {}
                None => return None,
            }
        };
        let line = bytes.drain(..end + 2).collect::<Vec<u8>>();
        let line = String::from_utf8_lossy(&line).into_owned();
        let size = usize::from_str_radix(line.split(';').next()?.trim(), 16).ok()?;
        body.extend(exactly(stream, bytes, size).await?);
        exactly(stream, bytes, 2).await?;
        if size == 0 {
            return Some(body);
        }
    }
}

/// A path with its escapes undone.
fn decoded(path: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = path.as_bytes();
    while let [first, after @ ..] = rest {
        if let ([b'%', high, low, after @ ..], true) = (rest, *first == b'%') {
            let text = [*high, *low];
            out.push(u8::from_str_radix(std::str::from_utf8(&text).unwrap(), 16).unwrap());
            rest = after;
        } else {
            out.push(*first);
            rest = after;
        }
    }
    out
}

/// Sends each message over a connection of its own, and waits until nothing more comes.
async fn say<F, T>(messages: &[(String, String)], port: u16, open: F) -> Vec<String>
where
    F: Fn() -> T,
    T: Future<Output = TcpStream>,
{
    let mut answers = Vec::new();
    for (batch, part) in messages.chunks(BATCH).enumerate() {
        let mut tasks = Vec::new();
        for (at, (_, message)) in part.iter().enumerate() {
            let fill = |text: &str| {
                text.replace("{p}", &format!("/m{}", batch * BATCH + at))
                    .replace("{h}", &format!("host.openshell.internal:{port}"))
            };
            let message = fill(&message.replace("{l}", &fill(HIDDEN).len().to_string()));
            let mut stream = open().await;
            tasks.push(tokio::spawn(async move {
                let _ = stream.write_all(message.as_bytes()).await;
                let mut answer = Vec::new();
                while let Ok(Ok(1..)) = timeout(QUIET, stream.read_buf(&mut answer)).await {}
                String::from_utf8_lossy(&answer).split(' ').nth(1).unwrap_or("---").to_owned()
            }));
        }
        for task in tasks {
            answers.push(task.await.unwrap());
        }
    }
    tokio::time::sleep(QUIET).await;
    answers
}

/// A server between us and a recorder. It ends when it is dropped.
struct Server {
    name: &'static str,
    port: u16,
    recorder: Recorder,
    _process: Child,
    _folder: tempfile::TempDir,
}

/// Starts one, unless it is not installed.
async fn start(
    name: &'static str,
    places: &[&str],
    config: &str,
    arguments: &[&str],
) -> Option<Server> {
    let paths = std::env::var("PATH").unwrap_or_default();
    let folders = paths.split(':').chain(places.iter().copied());
    let Some(program) = folders.map(|f| Path::new(f).join(name)).find(|path| path.is_file()) else {
        eprintln!("skipped {name}: it is not installed");
        return None;
    };
    let recorder = Recorder::start().await;
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    let fill = |text: &str| {
        text.replace("@PORT", &port.to_string())
            .replace("@TO", &recorder.port.to_string())
            .replace("@FOLDER", &folder.path().display().to_string())
    };
    std::fs::write(folder.path().join("config.yaml"), fill(config)).unwrap();
    let arguments: Vec<String> = arguments.iter().map(|argument| fill(argument)).collect();
    let log = std::fs::File::create(folder.path().join("log")).unwrap();
    let process = Command::new(program)
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    for _ in 0..300 {
        if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_ok() {
            return Some(Server { name, port, recorder, _process: process, _folder: folder });
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let log = std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
    eprintln!("skipped {name}: it does not start: {log}");
    None
}

async fn servers() -> Vec<Server> {
    let sbin = ["/usr/sbin", "/usr/local/sbin"];
    let nginx = start(
        "nginx",
        &sbin,
        NGINX,
        &["-e", "stderr", "-p", "@FOLDER", "-c", "@FOLDER/config.yaml"],
    );
    let haproxy = start("haproxy", &sbin, HAPROXY, &["-db", "-f", "@FOLDER/config.yaml"]);
    let arguments = ["-c", "@FOLDER/config.yaml", "--use-dynamic-base-id", "-l", "error"];
    let envoy = start("envoy", &[], ENVOY, &arguments);
    [nginx.await, haproxy.await, envoy.await].into_iter().flatten().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e05_real_servers_read_what_we_forward_as_we_do() {
    let messages = corpus();
    let anything = |port| rest(port, "rules: [{ allow: { method: '*', path: '/**' } }]");
    let recorder = Recorder::start().await;
    let world = World::new(&anything(recorder.port)).await;
    let ours = say(&messages, recorder.port, || world.tunnel(recorder.port)).await;
    let forwarded = recorder.take();
    let none = Vec::new();
    let mut wrong = Vec::new();
    let mut columns = Vec::new();
    for server in servers().await {
        let world = World::new(&anything(server.port)).await;
        say(&messages, server.port, || world.tunnel(server.port)).await;
        let understood = server.recorder.take();
        for (number, requests) in &understood {
            let own = forwarded.get(number).unwrap_or(&none);
            // It may refuse some, and read none in another way.
            let mut rest = own.iter();
            if !requests.iter().all(|request| rest.any(|known| known == request)) {
                let name = messages.get(*number).map_or("?", |(name, _)| name);
                let server = server.name;
                wrong.push(format!("{server}: {name}: forwarded {own:?}, read {requests:?}"));
            }
        }
        let port = server.port;
        let open = || async move { TcpStream::connect(("127.0.0.1", port)).await.unwrap() };
        say(&messages, port, open).await;
        columns.push((server.name, understood, server.recorder.take()));
    }
    println!(
        "{} messages; `n` requests were read, `=` as by us, `!` in another way",
        messages.len()
    );
    for (number, (name, _)) in messages.iter().enumerate() {
        let own = forwarded.get(&number).unwrap_or(&none);
        let mut line = format!("{name:<50} we: {} {}", ours[number], own.len());
        for (server, through, raw) in &columns {
            let mark = |read: &Vec<String>| {
                format!("{}{}", read.len(), if read == own { '=' } else { '!' })
            };
            let (through, raw) = (through.get(&number), raw.get(&number));
            let (through, raw) = (mark(through.unwrap_or(&none)), mark(raw.unwrap_or(&none)));
            line.push_str(&format!(" | {server}: {through}, as written {raw}"));
        }
        println!("{line}");
    }
    assert!(forwarded.len() > 40, "{}", forwarded.len());
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Connections at once.
const BATCH: usize = 32;

/// A connection on which nothing comes for so long has ended.
const QUIET: Duration = Duration::from_millis(700);

const NGINX: &str = "daemon off; master_process off; pid @FOLDER/pid; error_log stderr crit;
events { worker_connections 512; }
http {
  access_log off;
  client_body_temp_path @FOLDER/a; proxy_temp_path @FOLDER/b; fastcgi_temp_path @FOLDER/c;
  uwsgi_temp_path @FOLDER/d; scgi_temp_path @FOLDER/e;
  server {
    listen 127.0.0.1:@PORT;
    location / {
      proxy_pass http://127.0.0.1:@TO;
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header X-Uri $uri;
    }
  }
}
";

const HAPROXY: &str = "global
  maxconn 512
defaults
  mode http
  timeout connect 5s
  timeout client 5s
  timeout server 5s
frontend in
  bind 127.0.0.1:@PORT
  default_backend out
backend out
  http-reuse never
  server one 127.0.0.1:@TO
";

const ENVOY: &str = r#"
static_resources:
  listeners:
  - address: { socket_address: { address: 127.0.0.1, port_value: @PORT } }
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: in
          normalize_path: true
          merge_slashes: true
          http_filters:
          - name: envoy.filters.http.router
            typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes: [{ match: { prefix: "/" }, route: { cluster: out } }]
  clusters:
  - name: out
    type: STATIC
    load_assignment:
      cluster_name: out
      endpoints:
      - lb_endpoints:
        - endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: @TO } } }
"#;
