//! Accepting connections and questions, for as long as the sandbox lives.

use std::net::SocketAddr;
use std::sync::{Arc, Weak};

use jiff::Timestamp;
use openshell_audit::{Destination, Event, Network, Outcome, Reason, Way};
use openshell_types::ModelProtocol;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::dns::{self, Refused};
use crate::http::line::Lines;
use crate::inference::Backends;
use crate::ledger::{Clock, Ledger, Meter, Place};
use crate::names::Names;
use crate::resolve::Resolve;
use crate::seams::{DnsSocket, PolicyInForce, UdpSocket};
use crate::settings::{Seams, Settings};
use crate::{connection, exchange, limits, udp};

/// The egress of one sandbox. Cheap to clone; all clones are the same egress.
#[derive(Clone)]
pub struct Egress(Arc<Context>);

/// What every connection of a sandbox shares.
pub(crate) struct Context {
    /// Itself, for what outlives the connection that began it.
    pub(crate) own: Weak<Self>,
    pub(crate) settings: Settings,
    pub(crate) policy: watch::Receiver<Arc<PolicyInForce>>,
    pub(crate) seams: Seams,
    pub(crate) names: Names,
    pub(crate) resolve: Resolve,
    pub(crate) refused: Refused,
    pub(crate) lines: Lines,
    pub(crate) backends: Backends,
    pub(crate) ledger: Arc<Ledger>,
    /// One for each WebSocket message that may have begun and not ended.
    pub(crate) assemblies: Semaphore,
    /// One for each KiB of the bodies that are held to be judged.
    pub(crate) bodies: Arc<Semaphore>,
    /// One for each KiB that the decoders of answers hold.
    pub(crate) decoders: Arc<Semaphore>,
    /// One for each KiB of the answers of backends that are held to be counted.
    pub(crate) answers: Arc<Semaphore>,
    /// One for each KiB of the datagrams that wait for their flows.
    pub(crate) datagrams: Arc<Semaphore>,
    /// One for each connection that may be served at once, over all listeners.
    places: Arc<Semaphore>,
}

impl Context {
    /// The place of one connection more, if there is one.
    pub(crate) fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).try_acquire_owned().ok()
    }

    /// Counts the traffic of one connection or request.
    pub(crate) fn meter(&self, place: Place) -> Meter {
        Meter::new(&self.ledger, &self.policy, place)
    }

    /// Counts one call of a model.
    pub(crate) fn call_meter(&self, protocol: ModelProtocol) -> Meter {
        Meter::of_call(&self.ledger, &self.policy, protocol)
    }
}

impl Egress {
    /// Puts an egress together; nothing happens until it serves.
    pub fn new(
        settings: Settings,
        policy: watch::Receiver<Arc<PolicyInForce>>,
        seams: Seams,
    ) -> Self {
        Self::with_clock(settings, policy, seams, Box::new(Timestamp::now))
    }

    /// The same, whose budgets go by this clock.
    pub(crate) fn with_clock(
        settings: Settings,
        policy: watch::Receiver<Arc<PolicyInForce>>,
        seams: Seams,
        clock: Clock,
    ) -> Self {
        let resolve = Resolve::new(settings.resolver.clone());
        let refused = Refused::new(Arc::clone(&seams.report));
        let (names, lines) = (Names::default(), Lines::default());
        let places = Arc::new(Semaphore::new(settings.max_connections));
        let assemblies = Semaphore::new(limits::WEBSOCKET_ASSEMBLIES);
        let bodies = Arc::new(Semaphore::new(limits::BODIES));
        let answers = Arc::new(Semaphore::new(limits::ANSWERS));
        let decoders = Arc::new(Semaphore::new(limits::DECODERS));
        let datagrams = Arc::new(Semaphore::new(limits::DATAGRAMS));
        Self(Arc::new_cyclic(|own| Context {
            own: Weak::clone(own),
            settings,
            policy,
            seams,
            names,
            resolve,
            refused,
            lines,
            backends: Backends::default(),
            ledger: Arc::new(Ledger::new(clock)),
            assemblies,
            bodies,
            answers,
            decoders,
            datagrams,
            places,
        }))
    }

    #[cfg(test)]
    pub(crate) fn context(&self) -> &Context {
        &self.0
    }

    /// Serves one transparent listener until `shutdown`; then ends its connections and returns.
    /// A failing accept never ends it. Several listeners, such as one for each family, may be
    /// served at once.
    pub async fn serve_tcp(&self, listener: TcpListener, shutdown: CancellationToken) {
        let connections = TaskTracker::new();
        let mut overflow = Overflow::new(Way::Transparent);
        let mut tick = interval(limits::OVERFLOW_FOLD);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let accepted = tokio::select! {
                () = shutdown.cancelled() => break,
                accepted = listener.accept() => accepted,
                _ = tick.tick() => {
                    overflow.report(&self.0);
                    self.0.refused.flush();
                    continue;
                }
            };
            let (client, from) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "Accepting a connection failed");
                    sleep(limits::ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let Ok(dialled) = client.local_addr() else {
                // Already gone, and nobody was told anything.
                continue;
            };
            let dialled = canonical(dialled);
            let Some(place) = self.0.place() else {
                exchange::reset(client);
                overflow.note(dialled);
                continue;
            };
            let (context, ended) = (Arc::clone(&self.0), shutdown.clone());
            connections.spawn(async move {
                tokio::select! {
                    () = ended.cancelled() => {}
                    () = serve(&context, client, canonical(from), dialled) => {}
                }
                drop(place);
            });
        }
        connections.close();
        connections.wait().await;
        overflow.report(&self.0);
        self.0.refused.flush_all();
    }

    /// Serves captured datagrams until `shutdown`; then ends their flows. Like
    /// [`Egress::serve_tcp`], for one family.
    pub async fn serve_udp(&self, socket: Arc<dyn UdpSocket>, shutdown: CancellationToken) {
        udp::serve(&self.0, socket, shutdown).await;
    }

    /// Answers the captured DNS questions until `shutdown`.
    pub async fn serve_dns(&self, socket: impl DnsSocket, shutdown: CancellationToken) {
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = dns::serve_udp(&self.0, &socket) => {}
        }
        self.0.refused.flush_all();
    }
}

pub(crate) async fn serve(
    context: &Context,
    client: TcpStream,
    from: SocketAddr,
    dialled: SocketAddr,
) {
    // A socket without these options still works; a dead one fails at its first use.
    let _ = exchange::prepare(&client);
    if dialled.port() == DNS_PORT {
        dns::serve_tcp(context, client).await;
    } else {
        connection::serve(context, client, from, dialled).await;
    }
}

/// IPv4 as IPv4, also from a socket of both families.
const fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Connections beyond the limit, or datagrams that begin a flow beyond it, folded into one event.
pub(crate) struct Overflow {
    way: Way,
    count: u64,
    last: Option<SocketAddr>,
}

impl Overflow {
    pub(crate) const fn new(way: Way) -> Self {
        Self { way, count: 0, last: None }
    }

    pub(crate) const fn note(&mut self, dialled: SocketAddr) {
        self.count = self.count.saturating_add(1);
        self.last = Some(dialled);
    }

    pub(crate) fn report(&mut self, context: &Context) {
        let Some(dialled) = self.last.take() else {
            return;
        };
        let count = std::mem::take(&mut self.count);
        let most = context.settings.max_connections;
        let detail = match self.way {
            Way::Datagram => format!(
                "{count} datagrams were refused: {} flows, or with connections {most}, are open \
                 already",
                limits::FLOWS
            ),
            _ => format!("{count} connections were reset: {most} are open already"),
        };
        context.seams.report.record(Event::Network(Network {
            way: self.way,
            outcome: Outcome::Denied,
            destination: Destination {
                name: None,
                address: Some(dialled.ip()),
                port: dialled.port(),
            },
            caller: None,
            rule: None,
            reason: Some(Reason {
                predicate: "too_many_connections".to_owned(),
                detail,
                line: None,
                nearest: None,
            }),
            generation: context.policy.borrow().generation,
        }));
    }
}

/// Whatever dials this port speaks DNS to us.
const DNS_PORT: u16 = 53;
