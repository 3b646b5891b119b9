//! Requests under a rule for method and path: through the egress, through other proxies with a
//! rule of their own, and direct. All ask the same nginx in turns.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::place::{HOST, Place, supervisor_pid};
use super::samples::say;
use crate::run::{Outcome, output};

/// Rounds of each measurement; the median counts.
const ROUNDS: usize = 5;

/// What one round of requests asks of `wrk`.
const LOAD: [&str; 3] = ["-t1", "-c16", "-d3"];

/// Size of the download.
const FILE_BYTES: u64 = 1 << 30;

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
    compare(&mut [
        Subject::inside(place, "OpenShell, ended and judged", &supervisor, &inside, &[]),
        Subject::outside("direct", None, &outside, &[]),
    ])?;
    println!("\none request a connection, within TLS");
    let close = ["-H", "Connection: close"];
    compare(&mut [
        Subject::inside(place, "OpenShell, ended and judged", &supervisor, &inside, &close),
        Subject::outside("direct", None, &outside, &close),
    ])?;
    download(place, &site)?;
    place.run(&["sandbox", "delete", SANDBOX])
}

fn plain(place: &Place, site: &Site, supervisor: &str) -> Outcome {
    let inside = format!("http://{HOST}:{}/", site.plain);
    let mut subjects =
        vec![Subject::inside(place, "OpenShell, method and path", supervisor, &inside, &[])];
    let rivals = Rivals::start(site)?;
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
fn processor_time(pid: &str) -> Outcome<f64> {
    const TICKS_A_SECOND: f64 = 100.0;
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    // The name of the program may hold spaces; behind its bracket come numbers.
    let numbers = text.rsplit(") ").next().unwrap_or_default().split(' ');
    let ticks: f64 = numbers.skip(11).take(2).filter_map(|word| word.parse::<f64>().ok()).sum();
    Ok(ticks / TICKS_A_SECOND)
}

fn median(figures: &[f64]) -> f64 {
    let mut figures = figures.to_vec();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(0.0)
}

fn download(place: &Place, site: &Site) -> Outcome {
    println!("\ndownload of {} MiB", FILE_BYTES >> 20);
    let authority = site.folder.join("ca.pem").display().to_string();
    let get = |host: &str, secure: bool| {
        let (scheme, port) = if secure { ("https", site.secure) } else { ("http", site.plain) };
        format!("{scheme}://{host}:{port}/file")
    };
    for (name, secure) in [("plain", false), ("within TLS", true)] {
        let (inside, outside) = (get(HOST, secure), get("localhost", secure));
        let curl = ["curl", "--http1.1", "-sf", "-o", "/dev/null", "-w", "%{speed_download}"];
        let (mut captured, mut direct) = (Vec::new(), Vec::new());
        for round in 0..=ROUNDS {
            let mut words = vec!["sandbox", "exec", "-n", SANDBOX, "--"];
            words.extend(curl);
            words.extend(["--noproxy", "*", &inside]);
            let through = output(&mut place.openshell(&words))?;
            let mut command = Command::new("curl");
            command.args(curl.iter().skip(1)).args(["--cacert", &authority, &outside]);
            let beside = output(&mut command)?;
            if round > 0 {
                captured.push(megabytes(&through)?);
                direct.push(megabytes(&beside)?);
            }
        }
        let (captured, direct) = (median(&captured), median(&direct));
        let ratio = captured / direct;
        say(name, &format!("{captured:.0} MB/s, direct {direct:.0} MB/s, ratio {ratio:.2}"));
    }
    Ok(())
}

fn megabytes(text: &str) -> Outcome<f64> {
    let bytes: f64 = text.trim().parse().map_err(|_| format!("curl said: {text}"))?;
    Ok(bytes / 1e6)
}

/// nginx with one short answer and one long file, plain and within TLS.
pub struct Site {
    folder: PathBuf,
    pub plain: u16,
    secure: u16,
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
        let places = format!(
            "location / {{ return 200 \"hello world\\n\"; }} location /file {{ root {at}; }}"
        );
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

    fn address(&self) -> SocketAddr {
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

/// Another proxy with a rule for method and path.
struct Rival {
    name: &'static str,
    port: u16,
    script: PathBuf,
    process: Child,
}

impl Rival {
    fn pid(&self) -> String {
        self.process.id().to_string()
    }
}

/// Those that are installed.
struct Rivals(Vec<Rival>);

impl Rivals {
    fn start(site: &Site) -> Outcome<Self> {
        let mut rivals = Self(Vec::new());
        for (name, program, config, arguments) in [
            ("Envoy, dynamic forward proxy with RBAC", "envoy", envoy as Config, &ENVOY as &[&str]),
            ("haproxy, with an ACL", "haproxy", haproxy, &["-f"]),
            ("squid, with an ACL", "squid", squid, &["-N", "-f"]),
        ] {
            if find(program).is_none() {
                println!("  not beside it, since {program} is not installed: {name}");
                continue;
            }
            let port = free_port()?;
            let path = site.folder.join(format!("{program}.conf"));
            // Envoy takes YAML by its file's name.
            let path = if program == "envoy" { path.with_extension("yaml") } else { path };
            let script = site.folder.join(format!("{program}.lua"));
            let (config, lua) = config(site, port);
            let failed = |error| format!("`{}`: {error}", path.display());
            fs::write(&path, config).map_err(failed)?;
            fs::write(&script, lua).map_err(failed)?;
            let process = Command::new(program)
                .args(arguments)
                .arg(&path)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .map_err(|error| format!("{program}: {error}"))?;
            rivals.0.push(Rival { name, port, script, process });
            if let Err(error) = wait_for(port, program) {
                println!("  not beside it, since {error}: {name}");
                rivals.0.pop().iter_mut().for_each(|rival| end(&mut rival.process));
            }
        }
        Ok(rivals)
    }
}

impl Drop for Rivals {
    fn drop(&mut self) {
        self.0.iter_mut().for_each(|rival| end(&mut rival.process));
    }
}

/// The configuration of a proxy on a port, and the script by which `wrk` asks it.
type Config = fn(&Site, u16) -> (String, String);

const ENVOY: [&str; 5] = ["--concurrency", "1", "--log-level", "off", "-c"];

fn haproxy(site: &Site, port: u16) -> (String, String) {
    let to = site.address();
    let text = format!(
        "global\n  nbthread 1\ndefaults\n  mode http\n  timeout client 60s\n  timeout server 60s\n  \
         timeout connect 5s\n  http-reuse always\nfrontend f\n  bind 127.0.0.1:{port}\n  acl m method \
         GET\n  acl p path_beg /\n  http-request deny unless m p\n  default_backend b\nbackend b\n  \
         server s {to}\n"
    );
    (text, String::new())
}

fn squid(site: &Site, port: u16) -> (String, String) {
    let (at, to) = (site.folder.display(), site.address());
    let text = format!(
        "http_port 127.0.0.1:{port}\nacl m method GET\nacl p urlpath_regex ^/\nhttp_access allow m p\n\
         http_access deny all\ncache deny all\naccess_log none\ncache_log {at}/squid.log\npid_filename \
         {at}/squid.pid\ncache_effective_user root\n"
    );
    (text, format!("wrk.path = \"http://{to}/\"\nwrk.headers[\"Host\"] = \"{to}\"\n"))
}

fn envoy(site: &Site, port: u16) -> (String, String) {
    let api = "type.googleapis.com/envoy.extensions";
    let cache = "dns_cache_config: { name: c, dns_lookup_family: V4_ONLY }";
    let text = format!(
        r#"static_resources:
  listeners:
  - address: {{ socket_address: {{ address: 127.0.0.1, port_value: {port} }} }}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": {api}.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: f
          route_config:
            virtual_hosts:
            - {{ name: all, domains: ["*"], routes: [{{ match: {{ prefix: "/" }}, route: {{ cluster: d }} }}] }}
          http_filters:
          - name: envoy.filters.http.rbac
            typed_config:
              "@type": {api}.filters.http.rbac.v3.RBAC
              rules:
                action: ALLOW
                policies:
                  p:
                    principals: [{{ any: true }}]
                    permissions: [{{ and_rules: {{ rules: [{{ header: {{ name: ":method", string_match: {{ exact: GET }} }} }}, {{ url_path: {{ path: {{ prefix: "/" }} }} }}] }} }}]
          - name: envoy.filters.http.dynamic_forward_proxy
            typed_config:
              "@type": {api}.filters.http.dynamic_forward_proxy.v3.FilterConfig
              {cache}
          - name: envoy.filters.http.router
            typed_config:
              "@type": {api}.filters.http.router.v3.Router
  clusters:
  - name: d
    lb_policy: CLUSTER_PROVIDED
    cluster_type:
      name: envoy.clusters.dynamic_forward_proxy
      typed_config:
        "@type": {api}.clusters.dynamic_forward_proxy.v3.ClusterConfig
        {cache}
"#
    );
    (text, format!("wrk.headers[\"Host\"] = \"{}\"\n", site.address()))
}

/// A port that was free a moment ago.
fn free_port() -> Outcome<u16> {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    free.map(|address| address.port()).map_err(|error| format!("no port is free: {error}"))
}

fn wait_for(port: u16, program: &str) -> Outcome {
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
fn end(process: &mut Child) {
    let _ = Command::new("kill").arg(process.id().to_string()).status();
    let _ = process.wait();
}

/// Where a program is installed.
fn find(program: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    let standard = ["/usr/sbin", "/usr/bin"].map(PathBuf::from);
    let mut folders = standard.into_iter().chain(std::env::split_paths(&folders));
    folders.find(|folder| folder.join(program).is_file()).map(|folder| folder.join(program))
}
