//! Real programs against a real server whose certificate comes from the authority, each with the
//! variables of a sandbox, which here lead to the files outside of a jail.

use std::io::Write as _;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use openshell_egress::tls::{Alpn, Authority, Leaves, accept};
use openshell_types::Host;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::time::timeout;

use super::*;

/// The files of an authority, and a server for `localhost` with its certificate.
struct World {
    folder: tempfile::TempDir,
    port: u16,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Arc::new(Authority::new().unwrap());
        Trust::make(folder.path(), None).unwrap().fill(authority.pem()).unwrap();
        let leaves = Leaves::new(authority).unwrap();
        let config = leaves.config(&Host::parse("localhost").unwrap(), Alpn::Http1).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let config = Arc::clone(&config);
                tokio::spawn(async move {
                    let Ok(mut stream) = accept(Vec::new(), client, config).await else { return };
                    let mut head = vec![0; 4096];
                    let _ = stream.read(&mut head).await;
                    let line = if head.starts_with(b"GET / ") { "200 OK" } else { "404 Not Found" };
                    let answer = format!(
                        "HTTP/1.1 {line}\r\nContent-Length: 7\r\nConnection: close\r\n\r\nservice"
                    );
                    let _ = stream.write_all(answer.as_bytes()).await;
                    let _ = stream.shutdown().await;
                });
            }
        });
        Self { folder, port }
    }

    /// What `argv` prints; `{url}` is the server, `{folder}` a folder. Nothing when there is no such
    /// program.
    async fn run(&self, argv: &[&str], trusts: bool) -> Option<String> {
        let url = format!("https://localhost:{}/", self.port);
        let folder = self.folder.path().to_str().unwrap();
        let argv: Vec<String> = argv
            .iter()
            .map(|word| word.replace("{url}", &url).replace("{folder}", folder))
            .collect();
        let mut command = Command::new(&argv[0]);
        command.args(&argv[1..]).env_clear().stdin(Stdio::null()).kill_on_drop(true);
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", std::env::var_os("HOME").unwrap_or_default());
        if trusts {
            command.envs(variables(&format!("{folder}/{FOLDER}")));
        }
        let output = match timeout(Duration::from_secs(60), command.output()).await {
            Ok(Ok(output)) => output,
            Ok(Err(error)) => {
                let _ = writeln!(std::io::stdout(), "skipped {}: {error}", argv[0]);
                return None;
            }
            Err(_) => panic!("{argv:?} takes too long"),
        };
        let both = [output.stdout, output.stderr].concat();
        Some(String::from_utf8_lossy(&both).into_owned())
    }

    /// Shows that the program reaches the server with the variables, and not without.
    async fn trusts(&self, argv: &[&str]) {
        let Some(with) = self.run(argv, true).await else { return };
        assert!(with.contains("service"), "{argv:?}: {with}");
        let without = self.run(argv, false).await.unwrap();
        assert!(!without.contains("service"), "{argv:?} trusts anybody: {without}");
    }
}

#[tokio::test]
async fn d08_curl_trusts_the_authority() {
    World::new().await.trusts(&["curl", "-sS", "{url}"]).await;
}

#[tokio::test]
async fn d08_openssl_trusts_the_authority_under_its_strictest_rules() {
    let world = World::new().await;
    let address = format!("localhost:{}", world.port);
    let strict = ["-x509_strict", "-purpose", "sslserver", "-verify_hostname", "localhost"];
    let argv = ["openssl", "s_client", "-brief", "-verify_return_error", "-connect", &address];
    let argv = [&argv[..], &strict].concat();
    let Some(with) = world.run(&argv, true).await else { return };
    assert!(with.contains("Verification: OK"), "{with}");
    let without = world.run(&argv, false).await.unwrap();
    assert!(!without.contains("Verification: OK"), "{without}");
}

#[tokio::test]
async fn d08_python_trusts_the_authority() {
    let world = World::new().await;
    let script = "import ssl, sys, urllib.request as r\n\
                  c = ssl.create_default_context()\n\
                  c.verify_flags |= ssl.VERIFY_X509_STRICT\n\
                  print(r.urlopen(sys.argv[1], context=c).read())";
    world.trusts(&["python3", "-c", script, "{url}"]).await;
}

#[tokio::test]
async fn d08_requests_trusts_the_authority() {
    let world = World::new().await;
    let has_it = world.run(&["python3", "-c", "import requests; print('it is here')"], true).await;
    if has_it.is_none_or(|told| !told.contains("it is here")) {
        let _ = writeln!(std::io::stdout(), "skipped requests: not installed");
        return;
    }
    let script = "import requests, sys; print(requests.get(sys.argv[1]).text)";
    world.trusts(&["python3", "-c", script, "{url}"]).await;
}

#[tokio::test]
async fn d08_git_trusts_the_authority() {
    let world = World::new().await;
    let argv = ["git", "ls-remote", "{url}x.git"];
    let Some(with) = world.run(&argv, true).await else { return };
    let of_trust = |told: &str| told.contains("certificate") || told.contains("SSL");
    assert!(with.contains("not found") && !of_trust(&with), "{with}");
    let without = world.run(&argv, false).await.unwrap();
    assert!(of_trust(&without), "{without}");
}

#[tokio::test]
async fn d08_node_trusts_the_authority() {
    let world = World::new().await;
    let script = "require('https').get(process.argv[1], r => r.pipe(process.stdout))\
                  .on('error', e => console.log(e.code))";
    world.trusts(&["node", "-e", script, "{url}"]).await;
}

#[tokio::test]
async fn d08_java_trusts_the_authority() {
    let world = World::new().await;
    let program = "class Get { public static void main(String[] a) throws Exception { \
                   System.out.println(new String(new java.net.URL(a[0]).openStream().readAllBytes())); } }";
    fs::write(world.folder.path().join("Get.java"), program).unwrap();
    world.trusts(&["java", "{folder}/Get.java", "{url}"]).await;
}

#[tokio::test]
async fn d08_javas_tool_reads_the_list_and_finds_it_whole() {
    let world = World::new().await;
    let store = format!("{{folder}}/{FOLDER}/{JAVA}");
    let argv = ["keytool", "-list", "-storepass", "changeit", "-keystore", &store];
    let Some(told) = world.run(&argv, false).await else { return };
    let bundle = fs::read_to_string(world.folder.path().join(FOLDER).join(BUNDLE)).unwrap();
    let count = bundle.matches("-----BEGIN CERTIFICATE-----").count();
    assert_eq!(told.matches("trustedCertEntry").count(), count, "{told}");
}

#[test]
fn d08_no_file_has_a_key_and_the_next_start_leaves_nothing_of_the_last() {
    let folder = tempfile::tempdir().unwrap();
    let long = format!("{}\n", "x".repeat(4000));
    Trust::make(folder.path(), None).unwrap().fill(&long).unwrap();
    let authority = Authority::new().unwrap();
    Trust::make(folder.path(), None).unwrap().fill(authority.pem()).unwrap();
    let own = folder.path().join(FOLDER);
    assert_eq!(fs::metadata(&own).unwrap().permissions().mode() & 0o777, 0o755);
    assert_eq!(fs::read_to_string(own.join(CERTIFICATE)).unwrap(), authority.pem());
    for name in [CERTIFICATE, BUNDLE, JAVA] {
        let content = fs::read(own.join(name)).unwrap();
        let text = String::from_utf8_lossy(&content);
        assert!(!text.contains("PRIVATE") && !text.contains("xxxx"), "{name}");
        assert_eq!(fs::metadata(own.join(name)).unwrap().permissions().mode() & 0o777, 0o644);
    }
    assert!(fs::read_to_string(own.join(BUNDLE)).unwrap().ends_with(authority.pem()));
}

#[test]
fn an_operators_list_is_trusted_in_the_jail_too() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("corporate.pem");
    let corporate = Authority::new().unwrap();
    // Without a newline at its end.
    fs::write(&file, corporate.pem().trim_end()).unwrap();
    let authority = Authority::new().unwrap();
    Trust::make(folder.path(), Some(&file)).unwrap().fill(authority.pem()).unwrap();
    let bundle = fs::read(folder.path().join(FOLDER).join(BUNDLE)).unwrap();
    let last: Vec<_> = CertificateDer::pem_slice_iter(&bundle).map(Result::unwrap).collect();
    let pem =
        |authority: &Authority| CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap();
    assert_eq!(last[last.len() - 2..], [pem(&corporate), pem(&authority)]);

    fs::write(&file, vec![b'\n'; usize::try_from(AUTHORITIES_BYTES).unwrap() + 1]).unwrap();
    assert!(Trust::make(folder.path(), Some(&file)).is_err());
    let error = Trust::make(folder.path(), Some(Path::new("/not/here"))).unwrap_err();
    assert!(error.to_string().starts_with("`/not/here`: "), "{error}");
}

#[test]
fn a_list_is_covered_once_under_one_of_its_names() {
    let binds = Trust::binds(Path::new("/state"));
    assert_eq!(
        (binds[0].source.as_path(), binds[0].target.as_path()),
        (Path::new("/state/trust"), Path::new(TRUST))
    );
    let mut real: Vec<_> =
        binds[1..].iter().map(|bind| bind.target.canonicalize().unwrap()).collect();
    let count = real.len();
    real.sort();
    real.dedup();
    assert_eq!(real.len(), count);
}

/// How long a start's share takes, for people who look.
#[test]
fn the_files_are_made_in_little_time() {
    let folder = tempfile::tempdir().unwrap();
    let started = Instant::now();
    let trust = Trust::make(folder.path(), None).unwrap();
    let made = started.elapsed();
    trust.fill(Authority::new().unwrap().pem()).unwrap();
    let _ = writeln!(std::io::stdout(), "made {made:?}, filled {:?}", started.elapsed() - made);
    assert!(started.elapsed() < Duration::from_secs(2));
}
