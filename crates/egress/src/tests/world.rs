//! A sandbox's egress, its client side, and upstreams that remember what they saw.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use openshell_audit::{Event, Network};
use openshell_credential::Credentials;
use openshell_inference::Routes;
use openshell_policy::{BinaryTable, Binding, Caller, Policy, Program};
use openshell_types::{CredentialSet, FileId, Generation, HostName, Port, Redacted, Route};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::accept::{self, Egress};
use crate::names::Pool;
use crate::seams::{HostAddresses, Identified, Identify, PolicyInForce, Report, Unidentified};
use crate::sending::Sending;
use crate::settings::{ResolverConfig, Seams, Settings};
use crate::tls::{Authority, Outward, Tls};
use crate::upstream_proxy::UpstreamProxy;

pub(crate) const CURL: FileId = FileId { device: 1, inode: 10 };

/// Says that curl asked, or that nobody can tell.
pub(super) struct Curl {
    pub(super) is_known: bool,
}

#[async_trait]
impl Identify for Curl {
    async fn caller(
        &self,
        _: BorrowedFd<'_>,
        _: SocketAddr,
        _: SocketAddr,
    ) -> Result<Identified, Unidentified> {
        if self.is_known { Ok(curl()) } else { Err(Unidentified::NoRecord) }
    }

    /// Curl's sockets are marked with 1.
    fn sender(&self, mark: u32) -> Result<Identified, Unidentified> {
        match mark {
            0 => Err(Unidentified::NotConnected),
            1 => Ok(curl()),
            _ => Err(Unidentified::NoRecord),
        }
    }
}

fn curl() -> Identified {
    let exe = Program { file: CURL, path: Some("/usr/bin/curl".into()), sha256: None };
    Identified {
        caller: Arc::new(Caller { exe, ancestors: Vec::new() }),
        pid: 7,
        argv: vec!["curl".to_owned()],
    }
}

#[derive(Default)]
pub(super) struct Events(Mutex<Vec<Event>>, AtomicBool);

impl Report for Events {
    fn record(&self, event: Event) -> bool {
        let has_room = !self.1.load(Ordering::SeqCst);
        if has_room {
            self.0.lock().unwrap().push(event);
        }
        has_room
    }
}

pub(super) struct Own(pub(super) Vec<IpAddr>);

impl HostAddresses for Own {
    fn current(&self) -> io::Result<Arc<[IpAddr]>> {
        Ok(self.0.clone().into())
    }
}

/// How a world differs from the usual one.
pub(super) struct Options {
    pub(super) is_known: bool,
    pub(super) resolver: Vec<SocketAddr>,
    pub(super) own: Vec<IpAddr>,
    pub(super) max_connections: usize,
    /// Whom the egress trusts besides this machine's list, in PEM.
    pub(super) ca_file: Option<Vec<u8>>,
    /// The second that it is for budgets; else they go by the clock.
    pub(super) second: Option<Arc<AtomicI64>>,
    /// The proxy through which upstreams are reached.
    pub(super) proxy: Option<UpstreamProxy>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            is_known: true,
            resolver: Vec::new(),
            own: Vec::new(),
            max_connections: 1000,
            ca_file: None,
            second: None,
            proxy: None,
        }
    }
}

/// One egress with its proxy listening on loopback.
pub(super) struct World {
    pub(super) egress: Egress,
    pub(super) proxy: SocketAddr,
    events: Arc<Events>,
    policy: watch::Sender<Arc<PolicyInForce>>,
    generation: AtomicU64,
    pub(super) shutdown: CancellationToken,
    /// Whom the sandbox's programs trust.
    pub(super) authority: Arc<Authority>,
}

/// An ordinary user's 1,024 open files are too few for these tests side by side.
fn raise_descriptors() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let maximum = getrlimit(Resource::Nofile).maximum;
        setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
    });
}

/// A policy that lets curl connect to these endpoints.
pub(crate) fn policy(endpoints: &str) -> Policy {
    policy_with(endpoints, "")
}

/// The same with these rules, too.
fn policy_with(endpoints: &str, rules: &str) -> Policy {
    let text = format!(
        "version: 1\nnetwork_policies:\n  api:\n    endpoints: [{endpoints}]\n    \
         binaries: [{{ path: /usr/bin/curl }}]\n{rules}"
    );
    let (policy, _) = Policy::compile(&text).unwrap_or_else(|errors| panic!("{errors:?}"));
    let mut table = BinaryTable::new();
    table.insert("/usr/bin/curl", Binding::Files(vec![CURL]));
    policy.bind(&table)
}

/// The endpoint of a service of this host.
pub(super) fn host_endpoint(port: u16) -> String {
    format!("{{ host: host.openshell.internal, port: {port} }}")
}

impl World {
    pub(super) async fn new(endpoints: &str) -> Self {
        Self::with(endpoints, Options::default()).await
    }

    pub(super) async fn with(endpoints: &str, options: Options) -> Self {
        raise_descriptors();
        let listener = listen(Ipv4Addr::LOCALHOST);
        let proxy = listener.local_addr().unwrap();
        let in_force = PolicyInForce::new(policy(endpoints), Generation::new(1), Arc::default());
        let (sender, receiver) = watch::channel(Arc::new(in_force));
        let settings = Settings {
            resolver: ResolverConfig::Servers(options.resolver),
            proxy: options.proxy,
            own_addresses: [Ipv4Addr::LOCALHOST.into(), crate::settings::OWN_V6.into()],
            proxy_port: Port::new(proxy.port()).unwrap(),
            max_connections: options.max_connections,
        };
        let events = Arc::new(Events::default());
        let authority = Arc::new(Authority::new().unwrap());
        let outward = Outward::new(options.ca_file.as_deref()).unwrap();
        let tls = Arc::new(Tls::new(Arc::clone(&authority), outward).unwrap());
        let seams = Seams {
            identify: Arc::new(Curl { is_known: options.is_known }),
            report: Arc::clone(&events) as Arc<dyn Report>,
            host: Arc::new(Own(options.own)),
            tls: Arc::clone(&tls),
        };
        let egress = match options.second {
            Some(second) => {
                let now = move || Timestamp::from_second(second.load(Ordering::SeqCst)).unwrap();
                Egress::with_clock(settings, receiver, seams, Box::new(now))
            }
            None => Egress::new(settings, receiver, seams),
        };
        let shutdown = CancellationToken::new();
        let (serving, token) = (egress.clone(), shutdown.clone());
        tokio::spawn(async move { serving.serve_tcp(listener, token).await });
        let generation = AtomicU64::new(1);
        Self { egress, proxy, events, policy: sender, generation, shutdown, authority }
    }

    /// Puts another policy in force.
    pub(super) fn enforce(&self, endpoints: &str) {
        self.generation.fetch_add(1, Ordering::SeqCst);
        self.authenticate(endpoints, Arc::default());
    }

    /// Puts a policy with these credentials in force; returns what counts the requests that were
    /// sent under the one before.
    pub(super) fn authenticate(&self, endpoints: &str, credentials: Arc<Credentials>) -> Sending {
        self.authenticate_beside(endpoints, "", credentials)
    }

    /// The same with these rules, too.
    pub(super) fn authenticate_beside(
        &self,
        endpoints: &str,
        rules: &str,
        credentials: Arc<Credentials>,
    ) -> Sending {
        let generation = Generation::new(self.generation.load(Ordering::SeqCst));
        let in_force = PolicyInForce::new(policy_with(endpoints, rules), generation, credentials);
        self.policy.send_replace(Arc::new(in_force)).sending.clone()
    }

    /// Puts these routes of model calls in force, in a state of this number, for every program.
    pub(super) fn route(&self, endpoints: &str, epoch: u64, routes: Vec<Route>) -> Sending {
        self.route_for("/**", endpoints, epoch, routes)
    }

    /// The same for one program.
    pub(super) fn route_for(
        &self,
        program: &str,
        endpoints: &str,
        epoch: u64,
        routes: Vec<Route>,
    ) -> Sending {
        let rule = |Route { protocol, .. }: &Route| {
            format!(
                "  {}{protocol}:\n    endpoints: [{{ host: {protocol}.inference.local, port: 443 }}]\n    \
                 binaries: [{{ path: {program} }}]\n",
                Route::RULE_PREFIX
            )
        };
        let rules: String = routes.iter().map(rule).collect();
        let generation = Generation::new(self.generation.load(Ordering::SeqCst));
        let set = CredentialSet { epoch, mark: Redacted::new([0; 32]), all: Vec::new() };
        let credentials = Arc::new(Credentials::new(set));
        let in_force = PolicyInForce::new(policy_with(endpoints, &rules), generation, credentials)
            .with_routes(Arc::new(Routes::new(routes)));
        self.policy.send_replace(Arc::new(in_force)).sending.clone()
    }

    /// What is on record once nothing more comes.
    pub(super) async fn some_events(&self) -> Vec<Event> {
        tokio::time::sleep(Duration::from_millis(100)).await;
        self.events.0.lock().unwrap().clone()
    }

    /// From now on no event is kept, or again each.
    pub(super) fn fill_the_log(&self, is_full: bool) {
        self.events.1.store(is_full, Ordering::SeqCst);
    }

    /// A connection to the proxy.
    pub(super) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.proxy).await.unwrap()
    }

    /// A tunnel to a service of this host, with the proxy's answer read.
    pub(super) async fn tunnel(&self, port: u16) -> TcpStream {
        let mut client = self.connect().await;
        let to = format!("host.openshell.internal:{port}");
        let request = format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n");
        client.write_all(request.as_bytes()).await.unwrap();
        let mut answer = [0; 39];
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200 Connection established\r\n\r\n");
        client
    }

    /// Sends one request to the proxy and reads the answer to its end.
    pub(super) async fn ask(&self, request: &str) -> String {
        let mut client = self.connect().await;
        client.write_all(request.as_bytes()).await.unwrap();
        read_all(&mut client).await
    }

    /// A captured connection that dialled `dialled`.
    pub(super) async fn transparent(&self, dialled: SocketAddr) -> TcpStream {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (accepted, from) = listener.accept().await.unwrap();
        let egress = self.egress.clone();
        tokio::spawn(async move {
            accept::serve(egress.context(), accepted, from, dialled).await;
        });
        client
    }

    /// A captured connection to the synthetic address of a name.
    pub(super) async fn transparent_to(&self, name: &str, port: u16) -> TcpStream {
        let synthetic =
            self.egress.context().names.bind(&HostName::parse(name).unwrap(), Pool::Tcp).unwrap();
        self.transparent(SocketAddr::new(synthetic.v4.into(), port)).await
    }

    /// Waits until so many events were reported, and a moment more for one too many.
    pub(super) async fn events(&self, count: usize) -> Vec<Event> {
        for _ in 0..500 {
            if self.events.0.lock().unwrap().len() >= count {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
        let events = self.events.0.lock().unwrap().clone();
        assert_eq!(events.len(), count, "{events:#?}");
        events
    }

    /// What was reported until now.
    pub(super) fn seen(&self) -> Vec<Event> {
        self.events.0.lock().unwrap().clone()
    }

    /// The one event about a connection.
    pub(super) async fn one_network(&self) -> Network {
        match self.events(1).await.remove(0) {
            Event::Network(network) => network,
            other => panic!("{other:?}"),
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// A listener whose backlog holds a whole flood: what the kernel drops is no attempt.
fn listen(address: Ipv4Addr) -> TcpListener {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(address.into(), 0)).unwrap();
    socket.listen(4096).unwrap()
}

/// All that comes until the end; a reset ends it too.
pub(super) async fn read_all(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    read_to_its_end(stream, &mut bytes).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads until the end or a reset. A connection that neither side ends fails the test by name
/// instead of hanging it.
pub(super) async fn read_to_its_end(stream: &mut TcpStream, bytes: &mut Vec<u8>) {
    const LONGEST: Duration = Duration::from_secs(30);
    let ended = tokio::time::timeout(LONGEST, stream.read_to_end(bytes)).await;
    assert!(ended.is_ok(), "the connection was not ended");
}

/// A server that remembers how many connections it got, and all their bytes.
pub(super) struct Upstream {
    pub(super) port: u16,
    seen: Arc<Mutex<(usize, Vec<u8>)>>,
}

impl Upstream {
    /// A server that sends `greeting`, then echoes until the client's end, then says `bye`.
    pub(super) async fn echo(greeting: &'static str) -> Self {
        Self::serve(move |mut stream, seen| async move {
            let _ = stream.write_all(greeting.as_bytes()).await;
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                seen.lock().unwrap().1.extend_from_slice(&buffer[..read]);
                let _ = stream.write_all(&buffer[..read]).await;
            }
            let _ = stream.write_all(b"bye").await;
        })
        .await
    }

    /// A server that reads `length` octets, or fewer if they end, and answers `response`.
    pub(super) async fn http(length: usize, response: &'static str) -> Self {
        Self::serve(move |mut stream, seen| async move {
            let mut buffer = vec![0; length];
            let mut read = 0;
            while read < length {
                match stream.read(&mut buffer[read..]).await {
                    Ok(0) | Err(_) => break,
                    Ok(more) => read += more,
                }
            }
            seen.lock().unwrap().1.extend_from_slice(&buffer[..read]);
            // A moment, so that anything that should not come would be seen.
            tokio::time::sleep(Duration::from_millis(50)).await;
            let mut excess = [0; 1024];
            if let Ok(read) = stream.try_read(&mut excess) {
                seen.lock().unwrap().1.extend_from_slice(&excess[..read]);
            }
            let _ = stream.write_all(response.as_bytes()).await;
        })
        .await
    }

    /// A server that serves each connection so.
    pub(super) async fn serve<F, T>(serve: F) -> Self
    where
        F: Fn(TcpStream, Arc<Mutex<(usize, Vec<u8>)>>) -> T + Send + 'static,
        T: Future<Output = ()> + Send + 'static,
    {
        // All addresses: a name may lead here by one that is not loopback.
        let listener = listen(Ipv4Addr::UNSPECIFIED);
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new((0, Vec::new())));
        let shared = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                shared.lock().unwrap().0 += 1;
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self { port, seen }
    }

    /// How many connections came.
    pub(super) fn connections(&self) -> usize {
        self.seen.lock().unwrap().0
    }

    /// All bytes that came, as they came.
    pub(super) fn raw(&self) -> Vec<u8> {
        self.seen.lock().unwrap().1.clone()
    }

    /// All bytes that came.
    pub(super) fn bytes(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().unwrap().1).into_owned()
    }
}
