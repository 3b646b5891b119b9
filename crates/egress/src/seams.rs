//! What the egress needs from the outside, as traits that the supervisor implements.
//!
//! Identity, `PKTINFO` and the host's interfaces need privileged or `unsafe` calls. They stay with
//! their owners; the egress sees values only.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use async_trait::async_trait;
use openshell_audit::{self as audit, Event};
use openshell_credential::Credentials;
use openshell_inference::Routes;
use openshell_policy::{Caller, Policy};
use openshell_types::Generation;
use thiserror::Error;

use crate::sending::Sending;

/// Tells which program opened a captured connection.
#[async_trait]
pub trait Identify: Send + Sync + 'static {
    /// The program behind the connection from `client` to `dialled`, whose accepted end is
    /// `socket`. Called once for each connection, before a byte of it is read. Whether the socket
    /// is still in a fitting state is asked after the look-up.
    async fn caller(
        &self,
        socket: BorrowedFd<'_>,
        client: SocketAddr,
        dialled: SocketAddr,
    ) -> Result<Identified, Unidentified>;

    /// The program that connected the UDP socket whose datagrams have this mark.
    fn sender(&self, mark: u32) -> Result<Identified, Unidentified>;
}

/// The program behind a connection.
#[derive(Clone, Debug)]
pub struct Identified {
    /// What the policy judges.
    pub caller: Arc<Caller>,
    /// Process id within the jail.
    pub pid: u32,
    /// Its arguments, bounded and lossy, for the audit.
    pub argv: Vec<String>,
}

impl Identified {
    /// The same program as an audit record names it.
    pub fn to_audit(&self) -> audit::Caller {
        let path = |program: &openshell_policy::Program| {
            program.path.as_deref().unwrap_or("(no path)").to_owned()
        };
        audit::Caller {
            pid: self.pid,
            binary: path(&self.caller.exe),
            sha256: self.caller.exe.sha256,
            argv: self.argv.clone(),
            ancestors: self.caller.ancestors.iter().map(path).collect(),
        }
    }
}

/// Why the program behind a connection could not be told. It is denied then.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unidentified {
    /// No connect(2) of the jail was seen that fits this connection.
    #[error("no record of the program that opened this connection")]
    NoRecord,
    /// Its datagrams carry no mark.
    #[error(
        "its socket was not connected with connect(2), or not to this name; or the kernel tells no \
         marks (before 5.19)"
    )]
    NotConnected,
    /// The connection's ends changed hands or were closed while looking.
    #[error("the connection changed while it was being identified")]
    Changed,
    /// The host refused a call that identifying needs.
    #[error("{0}")]
    Host(String),
}

/// Takes the security events of the egress, in the order in which they happen.
pub trait Report: Send + Sync + 'static {
    /// Records one event, and says whether it is kept: what is allowed goes on only then. Must not
    /// block for long: it is called on the path of connections.
    fn record(&self, event: Event) -> bool;
}

/// The captured UDP socket for questions to any name server.
#[async_trait]
pub trait DnsSocket: Send + Sync + 'static {
    /// Receives one datagram: its length, who sent it, and the name server that it was for.
    async fn recv(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr, SocketAddr)>;

    /// Sends one datagram to the client `to`, as if the name server `from` had answered.
    async fn send(&self, datagram: &[u8], from: SocketAddr, to: SocketAddr) -> io::Result<()>;
}

/// One datagram of the jail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Its bytes in the buffer.
    pub length: usize,
    /// Who sent it. Any program can send from any address of the jail.
    pub from: SocketAddr,
    /// Whom it was addressed to.
    pub to: SocketAddr,
    /// What tells the socket that sent it, and no other; 0 if nothing does.
    pub mark: u32,
}

/// The captured sockets for datagrams of one family.
#[async_trait]
pub trait UdpSocket: Send + Sync + 'static {
    /// Receives one datagram.
    async fn recv(&self, buffer: &mut [u8]) -> io::Result<Datagram>;

    /// Sends a datagram as if the first of these addresses had sent it to the second; never waits.
    fn send(&self, payload: &[u8], ends: (SocketAddr, SocketAddr)) -> io::Result<()>;

    /// Tells the first of these addresses that its datagram of so many bytes to the second is
    /// forbidden; never waits.
    fn refuse(&self, length: usize, ends: (SocketAddr, SocketAddr)) -> io::Result<()>;
}

/// Knows the addresses of this host's interfaces, which are never reachable from the jail.
pub trait HostAddresses: Send + Sync + 'static {
    /// All of them, as they are now. An error refuses the connection.
    fn current(&self) -> io::Result<Arc<[IpAddr]>>;
}

/// The policy that decides, its number, and what may be authenticated with under it. Shared through
/// a `watch` channel: all of it changes at once.
pub struct PolicyInForce {
    /// The compiled policy, with binaries bound to inodes.
    pub policy: Policy,
    /// Its generation.
    pub generation: Generation,
    /// The credentials.
    pub credentials: Arc<Credentials>,
    /// Where model calls go.
    pub routes: Arc<Routes>,
    /// Counts the requests that carry a value of `credentials` or `routes`, until they are sent.
    pub sending: Sending,
}

/// Which policy and which credentials: what was decided under one state holds under no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// The policy's number.
    pub generation: Generation,
    /// The number of the credentials.
    pub epoch: u64,
}

impl PolicyInForce {
    /// A policy with what may be authenticated with under it.
    pub fn new(policy: Policy, generation: Generation, credentials: Arc<Credentials>) -> Self {
        let routes = Arc::default();
        Self { policy, generation, credentials, routes, sending: Sending::default() }
    }

    /// The same, with these routes of model calls. What changes them changes the epoch of the
    /// credentials, too.
    pub fn with_routes(self, routes: Arc<Routes>) -> Self {
        Self { routes, ..self }
    }

    /// Which it is.
    pub fn state(&self) -> State {
        State { generation: self.generation, epoch: self.credentials.epoch() }
    }
}
