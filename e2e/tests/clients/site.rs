//! A web server of the world, which is nginx.

use std::fmt::Write as _;
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use openshell_e2e::eventually;
use openshell_testkit::World;
use tempfile::TempDir;

/// Where its package puts it.
const NGINX: &str = "/usr/sbin/nginx";

/// What a server is that is being set up.
pub struct Plan<'w> {
    world: &'w World,
    folder: TempDir,
    servers: String,
    last: Option<SocketAddr>,
}

/// A running one.
pub struct Site {
    folder: TempDir,
    child: Child,
}

/// Why it cannot run here.
pub fn cannot_run() -> Option<String> {
    (!Path::new(NGINX).exists()).then(|| format!("there is no {NGINX}"))
}

impl<'w> Plan<'w> {
    /// One without hosts or files.
    pub fn new(world: &'w World) -> Self {
        let folder = tempfile::tempdir().expect("/tmp is writable");
        for name in ["www", "keys", "tmp"] {
            fs::create_dir(folder.path().join(name)).expect("our own folder is writable");
        }
        Self { world, folder, servers: String::new(), last: None }
    }

    /// The folder of the files that every host serves.
    pub fn files(&self) -> std::path::PathBuf {
        self.folder.path().join("www")
    }

    /// Adds a file.
    pub fn file(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let path = self.files().join(path);
        let folder = path.parent().expect("it is in a folder");
        fs::create_dir_all(folder).expect("our own folder is writable");
        fs::write(path, bytes).expect("our own folder is writable");
    }

    /// Adds a host at port 443 of an address of its own, with a certificate for its name and
    /// `settings` in nginx's words.
    pub fn host(&mut self, name: &str, settings: &str) {
        let identity = self.world.identity(name, openshell_testkit::Flaw::None);
        self.host_with(name, settings, identity);
    }

    /// Adds one that speaks HTTP/2 too.
    pub fn host_of_http2(&mut self, name: &str, settings: &str) {
        let identity = self.world.identity(name, openshell_testkit::Flaw::None);
        self.listen(name, "ssl http2", settings, identity);
    }

    /// Adds one with the given certificate and key.
    pub fn host_with(&mut self, name: &str, settings: &str, identity: (String, String)) {
        self.listen(name, "ssl", settings, identity);
    }

    fn listen(&mut self, name: &str, how: &str, settings: &str, identity: (String, String)) {
        let address = self.world.fresh_v4();
        self.world.add_address(address);
        self.world.dns().set(name, &[address]);
        let keys = self.folder.path().join("keys");
        for (kind, pem) in [("crt", identity.0), ("key", identity.1)] {
            fs::write(keys.join(format!("{name}.{kind}")), pem).expect("our own folder");
        }
        self.last = Some(SocketAddr::new(address, 443));
        let keys = keys.display();
        let added = writeln!(
            self.servers,
            "server {{ listen {address}:443 {how}; server_name {name};\n\
             ssl_certificate {keys}/{name}.crt; ssl_certificate_key {keys}/{name}.key;\n\
             {settings} }}"
        );
        added.expect("a String takes all");
    }

    /// Starts it.
    pub fn start(self) -> Site {
        let Self { world, folder, servers, last } = self;
        let at = folder.path().display().to_string();
        let kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let temporary: String =
            kinds.iter().map(|kind| format!("{kind}_temp_path {at}/tmp/{kind};\n")).collect();
        let text = format!(
            "user root; daemon off; master_process off; pid {at}/pid; worker_rlimit_nofile 4096;\n\
             error_log {at}/error.log warn;\n\
             events {{ worker_connections 2048; }}\n\
             http {{ root {at}/www; {temporary}\
             types {{ text/html html; text/plain txt; application/json json; }}\n\
             log_format told '$host $request_method $request_uri $status $server_protocol $connection';\n\
             access_log {at}/access.log told;\n{servers} }}\n"
        );
        let configuration = folder.path().join("nginx.conf");
        fs::write(&configuration, text).expect("our own folder is writable");
        let mut command = Command::new(NGINX);
        command.arg("-c").arg(&configuration).arg("-e").arg(folder.path().join("error.log"));
        let child = world.spawn(command.stdin(Stdio::null()));
        let site = Site { folder, child };
        let address = last.expect("it has a host");
        eventually("nginx listens", || TcpStream::connect(address).ok());
        site
    }
}

impl Site {
    /// Where a file of it is.
    pub fn path(&self, path: &str) -> std::path::PathBuf {
        self.folder.path().join("www").join(path)
    }

    /// What it was asked for, a line each: host, method, target, status, version, number of
    /// the connection.
    pub fn asked(&self) -> String {
        fs::read_to_string(self.folder.path().join("access.log")).unwrap_or_default()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.folder.path().join("error.log");
            eprintln!("{}\n{}", self.asked(), fs::read_to_string(log).unwrap_or_default());
        }
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a child can be waited for");
    }
}
