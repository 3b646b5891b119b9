//! Requests under a rule for method and path: through the egress, through other proxies with a
//! rule of their own, and direct. All ask the same nginx in turns.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::backend::CALL;
use super::place::{HOST, Place, supervisor_pid};
use super::rivals::Rivals;
use super::samples::say;
use crate::run::{Outcome, output};

/// Rounds of each measurement; the median counts.
const ROUNDS: usize = 5;

/// What one round of requests asks of `wrk`.
const LOAD: [&str; 3] = ["-t1", "-c16", "-d3"];

/// Size of the download.
const FILE_BYTES: u64 = 1 << 30;

/// What the site wants to be told before it answers at `/guarded`.
pub const SECRET: &str = "bench-5b2f0c1d9e8a47f3b6c4";

const SANDBOX: &str = "bench-requests";

/// Measures.
pub fn measure(place: &Place) -> Outcome {
    for program in ["nginx", "wrk", "curl", "openssl"] {
        if find(program).is_none() {
            println!("\nnot measured, since {program} is not installed: requests");
            return Ok(());
        }
    }
    place.run(&["gateway", "stop"])?;
    let site = Site::start(place)?;
    let policy = place.policy("requests.yaml", &site.policy())?;
    place.run(&[
        "sandbox", "create", "--detach", "--name", SANDBOX, "--policy", &policy, "--", "sleep",
        "infinity",
    ])?;
    let supervisor = supervisor_pid(place)?;
    println!("\nrequests with a body of 12 bytes, 16 connections that are kept, {ROUNDS} rounds");
    plain(place, &site, &supervisor)?;
    println!("\nthe same within TLS, HTTP/1.1");
    let url = |host: &str| format!("https://{host}:{}/", site.secure);
    let (inside, outside) = (url(HOST), url("127.0.0.1"));
    let rivals = Rivals::secure(&site)?;
    let mut subjects =
        vec![Subject::inside(place, "OpenShell, ended and judged", &supervisor, &inside, &[])];
    subjects.extend(rivals.0.iter().map(|rival| {
        let url = format!("https://127.0.0.1:{}/", rival.port);
        Subject::outside(rival.name, Some(rival.pid()), &url, &[])
    }));
    subjects.push(Subject::outside("direct", None, &outside, &[]));
    compare(&mut subjects)?;
    println!("\none request a connection, within TLS");
    let close = ["-H", "Connection: close"];
    compare(&mut [
        Subject::inside(place, "OpenShell, ended and judged", &supervisor, &inside, &close),
        Subject::outside("direct", None, &outside, &close),
    ])?;
    download(place, &site, &rivals)?;
    place.run(&["sandbox", "delete", SANDBOX])
}

fn plain(place: &Place, site: &Site, supervisor: &str) -> Outcome {
    let inside = format!("http://{HOST}:{}/", site.plain);
    let mut subjects =
        vec![Subject::inside(place, "OpenShell, method and path", supervisor, &inside, &[])];
    let rivals = Rivals::plain(site)?;
    for rival in &rivals.0 {
        let url = format!("http://127.0.0.1:{}/", rival.port);
        let (script, pid) = (rival.script.display().to_string(), rival.pid());
        subjects.push(Subject::outside(rival.name, Some(pid), &url, &["-s", &script]));
    }
    subjects.push(Subject::outside("direct", None, &format!("http://{}/", site.address()), &[]));
    compare(&mut subjects)
}

/// One way to ask.
struct Subject {
    name: String,
    command: Box<dyn Fn() -> Command>,
    /// Whose processor time counts.
    pid: Option<String>,
    rates: Vec<f64>,
    costs: Vec<f64>,
}

impl Subject {
    fn inside(place: &Place, name: &str, pid: &str, url: &str, more: &[&str]) -> Self {
        let mut words = vec!["sandbox", "exec", "-n", SANDBOX, "--", "wrk"];
        words.extend(LOAD);
        words.extend_from_slice(more);
        words.push(url);
        let template = place.openshell(&words);
        Self::new(name, Some(pid.to_owned()), move || copy(&template))
    }

    fn outside(name: &str, pid: Option<String>, url: &str, more: &[&str]) -> Self {
        let mut template = Command::new("wrk");
        template.args(LOAD).args(more).arg(url);
        Self::new(name, pid, move || copy(&template))
    }

    fn new(name: &str, pid: Option<String>, command: impl Fn() -> Command + 'static) -> Self {
        let (rates, costs) = (Vec::new(), Vec::new());
        Self { name: name.to_owned(), command: Box::new(command), pid, rates, costs }
    }
}

fn copy(template: &Command) -> Command {
    let mut command = Command::new(template.get_program());
    command.args(template.get_args()).stdin(Stdio::null());
    for (key, value) in template.get_envs() {
        if let Some(value) = value {
            command.env(key, value);
        }
    }
    command
}

/// Lets all take turns, and prints requests a second and processor time a request.
fn compare(subjects: &mut [Subject]) -> Outcome {
    for round in 0..=ROUNDS {
        for subject in subjects.iter_mut() {
            let before = subject.pid.as_deref().map(processor_time).transpose()?;
            let text = output(&mut (subject.command)())?;
            let after = subject.pid.as_deref().map(processor_time).transpose()?;
            if text.contains("Non-2xx") {
                return Err(format!("{}: not all requests succeeded:\n{text}", subject.name));
            }
            let rate = figure(&text, "Requests/sec:", 1)?;
            let count = figure(&text, "requests in", 0)?;
            // The first round warms up.
            if round > 0 {
                subject.rates.push(rate);
                if let (Some(before), Some(after)) = (before, after) {
                    subject.costs.push((after - before) * 1e6 / count);
                }
            }
        }
    }
    for subject in subjects {
        let cost = match median(&subject.costs) {
            0.0 => String::new(),
            cost => format!(", {cost:.0} µs of processor time a request"),
        };
        say(&subject.name, &format!("{:.0} a second{cost}", median(&subject.rates)));
    }
    Ok(())
}

/// The word at `place` of the line that holds `mark`, as a number.
fn figure(text: &str, mark: &str, place: usize) -> Outcome<f64> {
    let line = text.lines().find(|line| line.contains(mark));
    let word = line.and_then(|line| line.split_whitespace().nth(place));
    word.and_then(|word| word.parse().ok()).ok_or_else(|| format!("wrk said:\n{text}"))
}

/// Seconds that a process was on a processor, with its threads.
pub fn processor_time(pid: &str) -> Outcome<f64> {
    const TICKS_A_SECOND: f64 = 100.0;
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    // The name of the program may hold spaces; behind its bracket come numbers.
    let numbers = text.rsplit(") ").next().unwrap_or_default().split(' ');
    let ticks: f64 = numbers.skip(11).take(2).filter_map(|word| word.parse::<f64>().ok()).sum();
    Ok(ticks / TICKS_A_SECOND)
}

/// The middle one.
pub fn median(figures: &[f64]) -> f64 {
    let mut figures = figures.to_vec();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(0.0)
}

fn download(place: &Place, site: &Site, rivals: &Rivals) -> Outcome {
    println!("\ndownload of {} MiB", FILE_BYTES >> 20);
    let curl = ["curl", "--http1.1", "-sfk", "-o", "/dev/null", "-w", "%{speed_download}"];
    let beside = |url: String| {
        move || output(Command::new("curl").args(curl.iter().skip(1)).arg(&url)).and_then(megabytes)
    };
    for (scheme, port) in [("http", site.plain), ("https", site.secure)] {
        let inside = format!("{scheme}://{HOST}:{port}/file");
        let mut words = vec!["sandbox", "exec", "-n", SANDBOX, "--"];
        words.extend(curl);
        words.extend(["--noproxy", "*", &inside]);
        let through = || output(&mut place.openshell(&words)).and_then(megabytes);
        type Way<'a> = (&'a str, Box<dyn Fn() -> Outcome<f64> + 'a>, Vec<f64>);
        let direct = beside(format!("{scheme}://localhost:{port}/file"));
        let mut ways: Vec<Way<'_>> = vec![
            ("direct", Box::new(direct), Vec::new()),
            ("OpenShell", Box::new(through), Vec::new()),
        ];
        for rival in rivals.0.iter().filter(|_| scheme == "https") {
            let url = format!("https://localhost:{}/file", rival.port);
            ways.push((rival.name, Box::new(beside(url)), Vec::new()));
        }
        for round in 0..=ROUNDS {
            for (_, get, speeds) in &mut ways {
                let speed = get()?;
                if round > 0 {
                    speeds.push(speed);
                }
            }
        }
        let direct = ways.first().map_or(0.0, |(_, _, speeds)| median(speeds));
        for (name, _, speeds) in &ways {
            let speed = median(speeds);
            let ratio = speed / direct;
            say(&format!("{scheme}, {name}"), &format!("{speed:.0} MB/s, ratio {ratio:.2}"));
        }
    }
    Ok(())
}

fn megabytes(text: String) -> Outcome<f64> {
    let bytes: f64 = text.trim().parse().map_err(|_| format!("curl said: {text}"))?;
    Ok(bytes / 1e6)
}

/// nginx with one short answer and one long file, plain and within TLS.
pub struct Site {
    /// Its files, its certificate among them.
    pub folder: PathBuf,
    pub plain: u16,
    pub secure: u16,
    nginx: Child,
}

impl Site {
    pub fn start(place: &Place) -> Outcome<Self> {
        let folder = place.folder("site")?;
        let failed = |error| format!("`{}`: {error}", folder.display());
        let file = fs::File::create(folder.join("file")).map_err(failed)?;
        file.set_len(FILE_BYTES).map_err(failed)?;
        certify(&folder)?;
        place.configure(&format!("[upstream]\nca_file = \"{}/ca.pem\"\n", folder.display()))?;
        let (plain, secure) = (free_port()?, free_port()?);
        let at = folder.display();
        let own = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path {at}/{name};"))
            .join(" ");
        let places = places(&folder)?;
        let text = format!(
            "daemon off; worker_processes 1; pid {at}/nginx.pid; error_log {at}/error.log; user root;\n\
             events {{ worker_connections 4096; }}\n\
             http {{ access_log off; keepalive_requests 100000000; sendfile on; {own}\n\
             server {{ listen 127.0.0.1:{plain} backlog=4096; {places} }}\n\
             server {{ listen 127.0.0.1:{secure} ssl backlog=4096; ssl_certificate {at}/leaf.pem; \
             ssl_certificate_key {at}/leaf.key; {places} }} }}\n"
        );
        let config = folder.join("nginx.conf");
        fs::write(&config, text).map_err(failed)?;
        let nginx = Command::new("nginx")
            .args(["-e", &format!("{at}/error.log"), "-c"])
            .arg(&config)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("nginx: {error}"))?;
        let site = Self { folder, plain, secure, nginx };
        wait_for(plain, "nginx")?;
        Ok(site)
    }

    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.plain))
    }

    fn policy(&self) -> String {
        let rules = "rules: [{ allow: { method: GET, path: /** } }]";
        format!(
            "version: 1\nnetwork_policies:\n  bench:\n    endpoints:\n{}{}    binaries:\n      \
             - {{ path: {} }}\n      - {{ path: {} }}\n",
            endpoint(self.plain, rules),
            endpoint(self.secure, rules),
            find("wrk").unwrap_or_default().display(),
            find("curl").unwrap_or_default().display(),
        )
    }
}

/// What nginx answers, in its language.
fn places(folder: &Path) -> Outcome<String> {
    let call = folder.join(CALL.trim_start_matches('/'));
    let failed = |error| format!("`{}`: {error}", call.display());
    fs::create_dir_all(call.parent().unwrap_or(folder)).map_err(failed)?;
    fs::write(&call, "").map_err(failed)?;
    let at = folder.display();
    // A call's body is to be read before its answer, as models do. Only what is mirrored is, and
    // only then does nginx refuse to take a body for a file.
    Ok(format!(
        "location / {{ return 200 \"hello world\\n\"; }} location /file {{ root {at}; }} location \
         /guarded {{ if ($http_authorization != \"Bearer {SECRET}\") {{ return 401; }} return 200 \
         \"hello world\\n\"; }} location {CALL} {{ root {at}; mirror /mirror; error_page 405 =200 \
         @answer; }} location /mirror {{ internal; return 204; }} location @answer {{ default_type \
         application/json; return 200 '{}'; }}",
        answer(),
    ))
}

/// A model's answer of about a kilobyte.
fn answer() -> String {
    let words = "The last line was changed, since nobody read it. ".repeat(15);
    format!(
        "{{\"id\":\"c\",\"object\":\"chat.completion\",\"model\":\"bench\",\"choices\":[{{\"index\":0,\
         \"message\":{{\"role\":\"assistant\",\"content\":\"{words}\"}},\"finish_reason\":\"stop\"}}],\
         \"usage\":{{\"prompt_tokens\":480,\"completion_tokens\":180,\"total_tokens\":660}}}}"
    )
}

/// An endpoint of this machine whose requests are judged, as a line of a policy.
pub fn endpoint(port: u16, rules: &str) -> String {
    format!("      - {{ host: {HOST}, port: {port}, protocol: rest, {rules} }}\n")
}

impl Drop for Site {
    fn drop(&mut self) {
        end(&mut self.nginx);
    }
}

/// A certificate for the names that are asked for, and its authority.
fn certify(folder: &Path) -> Outcome {
    let names = format!("subjectAltName=DNS:{HOST},DNS:localhost,IP:127.0.0.1");
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    let run = |words: &[&str]| {
        output(Command::new("openssl").args(words).current_dir(folder).stderr(Stdio::null()))
            .map(drop)
    };
    let mut own = vec!["req", "-x509", "-days", "2", "-keyout", "ca.key", "-out", "ca.pem"];
    own.extend(key);
    own.extend(["-subj", "/CN=bench"]);
    run(&own)?;
    let mut leaf = vec!["req", "-x509", "-days", "2", "-keyout", "leaf.key", "-out", "leaf.pem"];
    leaf.extend(key);
    leaf.extend(["-subj", "/CN=server", "-CA", "ca.pem", "-CAkey", "ca.key", "-addext", &names]);
    leaf.extend(["-addext", "basicConstraints=critical,CA:FALSE"]);
    run(&leaf)
}

/// A port that was free a moment ago.
pub fn free_port() -> Outcome<u16> {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    free.map(|address| address.port()).map_err(|error| format!("no port is free: {error}"))
}

pub fn wait_for(port: u16, program: &str) -> Outcome {
    let deadline = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        if Instant::now() >= deadline {
            return Err(format!("{program} does not listen"));
        }
        sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Ends a server that ends its own children when it is asked to.
pub fn end(process: &mut Child) {
    let _ = Command::new("kill").arg(process.id().to_string()).status();
    let _ = process.wait();
}

/// Where a program is installed.
pub fn find(program: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    let standard = ["/usr/sbin", "/usr/bin"].map(PathBuf::from);
    let mut folders = standard.into_iter().chain(std::env::split_paths(&folders));
    folders.find(|folder| folder.join(program).is_file()).map(|folder| folder.join(program))
}
