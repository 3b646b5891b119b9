//! A real proxy. Skipped where squid is not installed.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::*;

struct Squid {
    /// Where it speaks plainly, and within TLS.
    ports: [u16; 2],
    folder: TempDir,
    process: Child,
}

/// Starts one that lets `ada` in, and everybody to the paths beneath `/open`.
async fn squid(certifier: &Certifier) -> Option<Squid> {
    let program = ["/usr/sbin/squid", "/usr/local/sbin/squid"].into_iter().find(|path| {
        let is_there = Path::new(path).exists();
        // Only some builds of it take TLS.
        let version = || std::process::Command::new(path).arg("-v").output().unwrap().stdout;
        is_there && String::from_utf8_lossy(&version()).contains("--with-openssl")
    });
    let Some(program) = program else {
        eprintln!("skipped: squid with OpenSSL is not installed");
        return None;
    };
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str, mode: u32| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    // Started by root, it goes on as another user.
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let (key, certificate) = certifier.certify("localhost");
    put("tls.pem", &format!("{}{}", key.serialize_pem(), certificate.pem()), 0o644);
    let helper = "#!/bin/sh\nwhile read -r user password; do\n  \
                  [ \"$user $password\" = 'ada s3cret' ] && echo OK || echo ERR\ndone\n";
    put("helper", helper, 0o755);
    let ports = [0; 2].map(|_| {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap().port()
    });
    let config = CONFIG
        .replace("@FOLDER", &folder.path().display().to_string())
        .replace("@PLAIN", &ports[0].to_string())
        .replace("@SECURE", &ports[1].to_string());
    put("squid.conf", &config, 0o644);
    let log = std::fs::File::create(folder.path().join("log")).unwrap();
    let mut process = Command::new(program)
        // Its name tells its shared memory from that of others.
        .args(["-N", "-d", "1", "-n", &format!("openshell{}", ports[0]), "-f"])
        .arg(folder.path().join("squid.conf"))
        .stdout(Stdio::null())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    for port in ports {
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_err() {
            let log = || std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
            assert!(process.try_wait().unwrap().is_none(), "squid does not start: {}", log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    Some(Squid { ports, folder, process })
}

impl Squid {
    /// What it let through and what not, once it has written so many lines, which it does when a
    /// connection ends. Then it is ended, so that it cleans up.
    async fn log(mut self, lines: usize) -> String {
        let read = || std::fs::read_to_string(self.folder.path().join("access")).unwrap();
        for _ in 0..500 {
            if read().lines().count() >= lines {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let pid = rustix::process::Pid::from_raw(self.process.id().unwrap() as i32).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.process.wait().await.unwrap();
        std::fs::read_to_string(self.folder.path().join("access")).unwrap()
    }
}

fn as_ada(settings: UpstreamProxy) -> UpstreamProxy {
    let credentials = Some(Credentials::basic(&Redacted::new("ada:s3cret".to_owned())));
    UpstreamProxy { credentials, ..settings }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn squid_lets_every_way_in_through() {
    let certifier = Certifier::new();
    let Some(squid) = squid(&certifier).await else { return };
    let trusted = Some(certifier.pem.clone());
    let [plain, secure] = squid.ports;
    let mut expected = 0;
    for url in [format!("http://127.0.0.1:{plain}"), format!("https://localhost:{secure}")] {
        let ways = Ways::new(&certifier).await;
        let world = world_with(&ways.endpoints(), as_ada(through(&url)), trusted.clone()).await;
        ways.go(&world, &certifier).await;
        expected += ways.all().map(Upstream::connections).iter().sum::<usize>();
    }
    let log = squid.log(expected).await;
    let tunnelled = log.lines().filter(|line| line.ends_with("CONNECT 200 ada"));
    assert_eq!(tunnelled.count(), expected, "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn squid_forwards_plain_requests_and_its_refusal_stays_here() {
    let certifier = Certifier::new();
    let Some(squid) = squid(&certifier).await else { return };
    let upstream = mirror().await;
    let settings = UpstreamProxy { plain: PlainHttp::Forward, ..at(squid.ports[0]) };
    // Squid resolves the name of the request itself, so it has to be one that it finds.
    let outer = outer_address();
    let endpoint =
        format!("{{ host: \"{outer}\", port: {}, protocol: rest, access: full }}", upstream.port);
    let world = world(&endpoint, settings).await;
    let to = format!("{outer}:{}", upstream.port);
    let request = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: {to}\r\n\r\n");
    let mut client = tunnel(&world, &to).await;
    for path in ["/open/one", "/open/two"] {
        let answer = ask(&mut client, &request(path)).await;
        assert!(answer.ends_with(&format!("get {path} http/1.1")), "{answer}");
    }
    let answer = ask(&mut client, &request("/closed")).await;
    assert!(answer.starts_with("HTTP/1.1 502 ") && answer.contains("407"), "{answer}");
    assert!(!answer.to_lowercase().contains("squid"), "{answer}");
    assert!(!upstream.bytes().contains("/closed"));
    let log = squid.log(3).await;
    assert_eq!(log.matches("GET 200 -").count(), 2, "{log}");
    assert!(!log.contains("CONNECT"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn squid_refuses_a_wrong_password_and_a_port() {
    let certifier = Certifier::new();
    let Some(squid) = squid(&certifier).await else { return };
    let upstream = Upstream::echo("").await;
    let to = format!("{NAME}:{}", upstream.port);
    let settings = at(squid.ports[0]);
    let wrong = Credentials::basic(&Redacted::new("ada:wrong".to_owned()));
    for credentials in [None, Some(wrong)] {
        let settings = UpstreamProxy { credentials, ..settings.clone() };
        let world = world(&endpoint(upstream.port, ""), settings).await;
        let answer = world.ask(&connect_to(&to)).await;
        assert!(answer.contains("upstream_proxy_refused") && answer.contains("407"), "{answer}");
        assert!(!answer.contains("wrong"), "{answer}");
    }
    // A port below 1024 that its configuration does not list.
    let world = world(&endpoint(25, ""), as_ada(settings)).await;
    let answer = world.ask(&connect_to(&format!("{NAME}:25"))).await;
    assert!(answer.contains("upstream_proxy_refused") && answer.contains("403"), "{answer}");
    assert_eq!(upstream.connections(), 0);
    squid.log(3).await;
}

const CONFIG: &str = "
http_port 127.0.0.1:@PLAIN
https_port 127.0.0.1:@SECURE tls-cert=@FOLDER/tls.pem
auth_param basic program @FOLDER/helper
auth_param basic children 1 startup=1
acl ada proxy_auth REQUIRED
acl open urlpath_regex ^/open
acl usual port 443 1024-65535
acl connect method CONNECT
http_access deny connect !usual
http_access allow !connect open
http_access allow ada
http_access deny all
cache deny all
cache_log @FOLDER/cache.log
logformat short %rm %>Hs %un
access_log stdio:@FOLDER/access short
pid_filename none
coredump_dir @FOLDER
shutdown_lifetime 0 seconds
";
