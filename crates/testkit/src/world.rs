//! A machine and the Internet that it is plugged into.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use rustls::ServerConfig;
use tempfile::TempDir;

use crate::dns::Dns;
use crate::http::{Request, Response};
use crate::internet::{HOST_V4, HOST_V6, Internet};
use crate::serve::{self, Connection, Server};
use crate::tls::{self, Authority, Flaw};

/// The world's name server.
const RESOLVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(9, 9, 9, 9)), 53);

/// What a test stands in: this machine, with its own resolv.conf, hosts file and trust store, and
/// an Internet at the other end of its only cable.
///
/// Made by [`crate::world`]. An address is on the Internet once something serves at it or
/// [`World::add_address`] was called; packets to any other are counted too, and dropped there.
#[derive(Debug)]
pub struct World {
    internet: Internet,
    dns: Dns,
    authority: Arc<Authority>,
    files: TempDir,
    next: AtomicU8,
}

impl World {
    pub(crate) fn new() -> Self {
        let world = Self {
            internet: Internet::new(),
            dns: Dns::default(),
            authority: Arc::new(Authority::new()),
            files: tempfile::Builder::new().prefix("world").tempdir().expect("/tmp is writable"),
            next: AtomicU8::new(34),
        };
        // Any user may read the certificate.
        let readable = fs::Permissions::from_mode(0o755);
        fs::set_permissions(world.files.path(), readable).expect("it is ours");
        world.dns.serve(world.internet.datagrams(RESOLVER));
        world.replace("/etc/resolv.conf", &format!("nameserver {}\n", RESOLVER.ip()));
        world.replace("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n");
        let hosts = format!("127.0.0.1 localhost\n::1 localhost\n{HOST_V4} machine.test\n");
        world.replace("/etc/hosts", &hosts);
        let trusted = "/etc/ssl/certs/ca-certificates.crt";
        let others = fs::read_to_string(trusted).unwrap_or_default();
        world.replace(trusted, &format!("{others}\n{}", world.authority.pem()));
        fs::write(world.ca_file(), world.authority.pem()).expect("our own folder is writable");
        world
    }

    /// The Internet's name server.
    pub fn dns(&self) -> &Dns {
        &self.dns
    }

    /// Where the name server listens.
    pub fn resolver(&self) -> SocketAddr {
        RESOLVER
    }

    /// The certificate of the authority that signs for this world's HTTPS servers, as PEM. The
    /// machine's trust store has it too.
    pub fn ca_file(&self) -> PathBuf {
        self.files.path().join("world-ca.pem")
    }

    /// The machine's own addresses, besides loopback.
    pub fn host_addresses(&self) -> [IpAddr; 2] {
        [HOST_V4, HOST_V6].map(|text| text.parse().expect("a constant address"))
    }

    /// A public address that nothing has used yet.
    pub fn fresh_v4(&self) -> IpAddr {
        Ipv4Addr::new(93, 184, 216, self.next()).into()
    }

    /// A public address that nothing has used yet.
    pub fn fresh_v6(&self) -> IpAddr {
        Ipv6Addr::new(0x2606, 0x2800, 0x220, 1, 0, 0, 0, u16::from(self.next())).into()
    }

    /// Puts an address of any kind on the Internet: public, private or `169.254.169.254`.
    pub fn add_address(&self, address: IpAddr) {
        self.internet.add_address(address);
    }

    /// Serves HTTP at port 80 of a fresh address that gets `name`.
    pub fn serve_http(
        &self,
        name: &str,
        handler: impl Fn(&Request) -> Response + Send + Sync + 'static,
    ) -> Server {
        let address = self.fresh_v4();
        self.dns.set(name, &[address]);
        self.serve_http_at(SocketAddr::new(address, 80), handler)
    }

    /// Serves HTTP at an address of the Internet.
    pub fn serve_http_at(
        &self,
        address: SocketAddr,
        handler: impl Fn(&Request) -> Response + Send + Sync + 'static,
    ) -> Server {
        Server::http(self.internet.listen(address), handler)
    }

    /// Serves HTTPS at port 443 of a fresh address that gets `name`, with a certificate for it.
    pub fn serve_https(
        &self,
        name: &str,
        handler: impl Fn(&Request) -> Response + Send + Sync + 'static,
    ) -> Server {
        let address = self.fresh_v4();
        self.dns.set(name, &[address]);
        self.serve_https_at(SocketAddr::new(address, 443), name, handler)
    }

    /// Serves HTTPS at an address of the Internet, with a certificate for `name`.
    pub fn serve_https_at(
        &self,
        address: SocketAddr,
        name: &str,
        handler: impl Fn(&Request) -> Response + Send + Sync + 'static,
    ) -> Server {
        let config = self.authority.server(name);
        serve::tcp(self.internet.listen(address), move |stream, tally| {
            serve::http(tls::accept(&config, stream)?, tally, &handler)
        })
    }

    /// Gives each connection to an address of the Internet to `session`, on a thread of its own.
    pub fn serve_tcp(
        &self,
        address: SocketAddr,
        session: impl Fn(Connection) -> io::Result<()> + Send + Sync + 'static,
    ) -> Server {
        serve::tcp(self.internet.listen(address), move |stream, _| session(stream))
    }

    /// A listener at an address of the Internet, for a server of the test's own.
    pub fn listen(&self, address: SocketAddr) -> TcpListener {
        self.internet.listen(address)
    }

    /// What a TLS server for `name` needs; its ALPN offers HTTP/1.1.
    pub fn tls_config(&self, name: &str) -> Arc<ServerConfig> {
        self.authority.server(name)
    }

    /// A certificate for `name` and its key, both as PEM, for a server of the test's own.
    pub fn identity(&self, name: &str, flaw: Flaw) -> (String, String) {
        self.authority.identity(name, flaw)
    }

    /// Starts a program on the Internet. It ends with the test.
    pub fn spawn(&self, command: &mut Command) -> Child {
        let started = self.internet.within(|| command.spawn());
        started.unwrap_or_else(|error| panic!("{command:?}: {error}"))
    }

    /// Serves TCP that sends back what it gets.
    pub fn serve_echo(&self, address: SocketAddr) -> Server {
        serve::tcp(self.internet.listen(address), serve::echo)
    }

    /// Serves UDP that sends back what it gets.
    pub fn serve_udp(&self, address: SocketAddr) -> Server {
        serve::datagrams(self.internet.datagrams(address))
    }

    /// Serves HTTP on this machine itself, such as at a port of 127.0.0.1.
    pub fn serve_http_on_host(
        &self,
        address: SocketAddr,
        handler: impl Fn(&Request) -> Response + Send + Sync + 'static,
    ) -> Server {
        let listener = TcpListener::bind(address).expect("nothing else listens there");
        Server::http(listener, handler)
    }

    /// IP packets that have arrived on the Internet for `address`.
    pub fn packets_to(&self, address: IpAddr) -> u64 {
        let packets = self.packets();
        packets.into_iter().find(|(to, _)| *to == address).map_or(0, |(_, count)| count)
    }

    /// IP packets that have arrived on the Internet, by destination; those to the name server are
    /// among them. Neighbour discovery is not counted.
    pub fn packets(&self) -> Vec<(IpAddr, u64)> {
        self.internet.packets()
    }

    fn next(&self) -> u8 {
        let number = self.next.fetch_add(1, Ordering::SeqCst);
        assert!(number < 250, "a test needs fewer addresses");
        number
    }

    /// Mounts a file with `text` over `path`, if that exists.
    fn replace(&self, path: &str, text: &str) {
        let Ok(target) = fs::canonicalize(path) else { return };
        let name = Path::new(path).file_name().expect("a constant path to a file");
        let source = self.files.path().join(name);
        fs::write(&source, text).expect("our own folder is writable");
        rustix::mount::mount_bind(&source, &target)
            .unwrap_or_else(|error| panic!("nothing forbids a mount over {path}: {error}"));
    }
}
