//! Every outbound connection of a sandbox: accept, identify, authorise, vet, exchange, relay.
//!
//! One connection crosses the files in that order. `accept` takes it and asks who opened it
//! before a byte is read; `intent` turns its way in (CONNECT, an absolute-form request, or the
//! address that was dialled) into one value; `authorize` has the policy decide and yields a
//! `Permit`; `vet` resolves the name and has every address checked, which yields an `Upstream`;
//! `exchange` dials it, directly or by `upstream_proxy`, and holds a TLS client to the name that was permitted; `relay` moves bytes
//! until an end closes or the policy changes its mind. `report` receives exactly one outcome on
//! every exit. Deliberately absent: reading sockets' owners, setting up the capture, and writing
//! the audit log, which are the supervisor's and reach this crate as traits.

mod accept;
mod authorize;
mod connection;
mod counted;
mod dns;
mod exchange;
mod halves;
mod heads;
mod http;
mod inference;
mod intent;
mod ledger;
mod limits;
mod names;
mod pipe;
mod proxy;
mod refusal;
mod relay;
mod report;
mod resolve;
mod seams;
mod sending;
mod settings;
mod stream;
#[cfg(test)]
mod tests;
pub mod tls;
mod tunnel;
mod udp;
mod upstream_proxy;
mod vet;

pub use accept::Egress;
pub use seams::{
    Datagram, DnsSocket, HostAddresses, Identified, Identify, PolicyInForce, Report, State,
    UdpSocket, Unidentified,
};
pub use sending::Sending;
pub use settings::{OWN_V4, OWN_V6, PROXY_PORT, ResolverConfig, Seams, Settings};
pub use upstream_proxy::{Credentials, Outbound, UpstreamProxy};
