//! One flow, from its first datagram to its end.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use openshell_audit::Way;
use openshell_types::{Authority, Generation};
use tokio::net;
use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, sleep_until, timeout};

use super::{Ends, Waiting};
use crate::accept::Context;
use crate::authorize::{Permit, authorize_datagrams};
use crate::ledger::Meter;
use crate::refusal::Refusal;
use crate::report::Attempt;
use crate::seams::UdpSocket;
use crate::upstream_proxy::{self, Reached};
use crate::vet::vet;
use crate::{intent, limits};

/// Datagrams of the client, in their order.
type Datagrams = Receiver<Waiting>;

/// Judges and relays, or refuses for a while. Exactly one outcome is reported.
pub(super) async fn serve(
    context: &Context,
    socket: &dyn UdpSocket,
    ends: Ends,
    mut datagrams: Datagrams,
) {
    let report = Arc::clone(&context.seams.report);
    let mut attempt = Attempt::begin(report, Way::Datagram, ends.to);
    let client = Client { socket, ends };
    let judged = context.policy.borrow().generation;
    match open(context, ends, &mut attempt).await {
        Ok(server) => relay(context, client, &mut datagrams, (server, attempt)).await,
        Err(refusal) => {
            attempt.refused(&refusal);
            refuse(context, client, &mut datagrams, judged).await;
        }
    }
}

/// The jail's end.
#[derive(Clone, Copy)]
struct Client<'a> {
    socket: &'a dyn UdpSocket,
    ends: Ends,
}

impl Client<'_> {
    /// What cannot be sent is lost, as in any network.
    fn send(self, payload: &[u8]) {
        let _lost = self.socket.send(payload, (self.ends.to, self.ends.from));
    }

    /// Says that datagrams of this length are not delivered.
    fn refuse(self, length: usize) {
        let _lost = self.socket.refuse(length, (self.ends.from, self.ends.to));
    }
}

/// The upstream's end.
struct Server {
    socket: net::UdpSocket,
    address: SocketAddr,
    permit: Permit,
    meter: Meter,
}

/// Identify, authorise, vet, and take a socket.
async fn open(context: &Context, ends: Ends, attempt: &mut Attempt) -> Result<Server, Refusal> {
    let policy = Arc::clone(&context.policy.borrow());
    attempt.under(policy.generation);
    let to = intent::from_dialled(ends.to, &context.names).map(|intent| intent.to);
    let to: Authority =
        to.ok_or_else(|| Refusal::no_request("no_destination", "a datagram to port 0"))?;
    attempt.to(&to);
    let who = context.seams.identify.sender(ends.mark);
    let who = who.map_err(|why| Refusal::unidentified(&why))?;
    attempt.by(&who);
    let permit = authorize_datagrams(policy, to, who.caller)?;
    attempt.permitted(permit.rule());
    permit.meter(context).check(0)?;
    let upstream = vet(permit, &context.resolve, &*context.seams.host).await?;
    upstream_proxy::check_datagrams(context, &upstream)?;
    // Nothing tells whether one answers, so the first is taken.
    let address = upstream.addresses().first().copied();
    let address = address
        .ok_or_else(|| Refusal::unreachable("unresolved", "the name has no address".to_owned()))?;
    let socket = connect(address).await.map_err(|error| {
        let detail = format!("{address} cannot be sent to: {error}");
        Refusal::unreachable("upstream_unreachable", detail)
    })?;
    let mut permit = upstream.into_permit();
    permit.refresh(&mut context.policy.clone(), Reached::Address(address))?;
    let meter = permit.meter(context);
    Ok(Server { socket, address, permit, meter })
}

async fn connect(address: SocketAddr) -> io::Result<net::UdpSocket> {
    let any = match address {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let socket = net::UdpSocket::bind(any).await?;
    socket.connect(address).await?;
    Ok(socket)
}

/// Relays while the permit holds, and until the client is silent for a while.
/// SECURITY: N2; a server alone cannot keep a flow, and its place, of a client that is gone.
async fn relay(
    context: &Context,
    client: Client<'_>,
    datagrams: &mut Datagrams,
    (server, mut attempt): (Server, Attempt),
) {
    let Server { socket, address, mut permit, mut meter } = server;
    let (rule, generation) = (permit.rule().to_owned(), permit.generation());
    // SECURITY: M13; nothing leaves without a record.
    if !attempt.allowed(&rule, Some(address.ip()), generation) {
        return refuse(context, client, datagrams, generation).await;
    }
    let mut policies = context.policy.clone();
    if policies.borrow_and_update().generation != generation {
        policies.mark_changed();
    }
    let revoked = permit.revoked(&mut policies, Some(Reached::Address(address)));
    tokio::pin!(revoked);
    let mut quiet = Instant::now() + limits::FLOW_IDLE;
    loop {
        let passed = tokio::select! {
            biased;
            (refusal, generation) = &mut revoked => {
                attempt.revoked(&refusal, generation);
                return refuse(context, client, datagrams, generation).await;
            }
            datagram = datagrams.recv() => match datagram {
                Some(datagram) => {
                    quiet = Instant::now() + limits::FLOW_IDLE;
                    up(client, &socket, &datagram.payload, &mut meter).await
                }
                None => return,
            },
            ready = socket.readable() => match ready {
                Ok(()) => down(client, (&socket, address), &mut meter),
                Err(_) => return,
            },
            () = sleep_until(quiet) => return,
        };
        if let Err(refusal) = passed {
            attempt.revoked(&refusal, generation);
            return refuse(context, client, datagrams, generation).await;
        }
    }
}

/// Sends one datagram on. One that cannot be sent is lost, as in any network.
async fn up(
    client: Client<'_>,
    server: &net::UdpSocket,
    datagram: &[u8],
    meter: &mut Meter,
) -> Result<(), Refusal> {
    charge(meter, datagram.len()).inspect_err(|_| client.refuse(datagram.len()))?;
    let sent = server.send(datagram).await;
    // What came back for an earlier datagram: nobody listens there.
    if sent.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
        client.refuse(datagram.len());
    }
    Ok(())
}

/// Counts one datagram. An empty one takes nothing, and yet does not pass where nothing is left.
fn charge(meter: &mut Meter, length: usize) -> Result<(), Refusal> {
    meter.check(0)?;
    meter.charge(length)
}

/// Passes on what the server has sent. The buffer is held only while there is something.
fn down(
    client: Client<'_>,
    (server, address): (&net::UdpSocket, SocketAddr),
    meter: &mut Meter,
) -> Result<(), Refusal> {
    let mut buffer = vec![0; limits::DATAGRAM];
    for _ in 0..limits::FLOW_WAITING {
        match server.try_recv_from(&mut buffer) {
            // SECURITY: what came between bind and connect may be from anybody.
            Ok((_, from)) if (from.ip(), from.port()) != (address.ip(), address.port()) => {}
            Ok((length, _)) => {
                charge(meter, length)?;
                client.send(buffer.get(..length).unwrap_or_default());
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => client.refuse(0),
            Err(_) => break,
        }
    }
    Ok(())
}

/// Refuses what comes, until nothing does for a while or another policy than the judging one is in
/// force: then the next datagram is judged anew.
async fn refuse(
    context: &Context,
    client: Client<'_>,
    datagrams: &mut Datagrams,
    judged: Generation,
) {
    let mut policies = context.policy.clone();
    let refusing = async {
        while let Some(datagram) = datagrams.recv().await {
            client.refuse(datagram.payload.len());
        }
    };
    tokio::select! {
        _ = policies.wait_for(|policy| policy.generation != judged) => {}
        _ = timeout(limits::FLOW_REFUSED, refusing) => {}
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;

    use super::*;
    use crate::seams::Datagram;

    /// Remembers what the jail would get.
    #[derive(Default)]
    struct Jail(Mutex<Vec<Vec<u8>>>);

    #[async_trait]
    impl UdpSocket for Jail {
        async fn recv(&self, _: &mut [u8]) -> io::Result<Datagram> {
            std::future::pending().await
        }

        fn send(&self, payload: &[u8], _: (SocketAddr, SocketAddr)) -> io::Result<()> {
            self.0.lock().unwrap().push(payload.to_vec());
            Ok(())
        }

        fn refuse(&self, _: usize, _: (SocketAddr, SocketAddr)) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn what_came_before_the_socket_had_a_peer_is_no_answer() {
        let any = || net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0));
        let (server, stranger, ours) =
            (any().await.unwrap(), any().await.unwrap(), any().await.unwrap());
        let address = server.local_addr().unwrap();
        stranger.send_to(b"forged", ours.local_addr().unwrap()).await.unwrap();
        ours.readable().await.unwrap();
        ours.connect(address).await.unwrap();
        server.send_to(b"true", ours.local_addr().unwrap()).await.unwrap();
        let (jail, mut meter) = (Jail::default(), Meter::free());
        let ends = Ends { from: address, to: address, mark: 1 };
        let client = Client { socket: &jail, ends };
        while jail.0.lock().unwrap().is_empty() {
            ours.readable().await.unwrap();
            assert!(down(client, (&ours, address), &mut meter).is_ok());
        }
        assert_eq!(*jail.0.lock().unwrap(), [b"true"]);
    }
}
