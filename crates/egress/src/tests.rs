//! The whole egress over real sockets. Upstreams are services of this host, reached as
//! `host.openshell.internal`; only the kernel's knowledge of callers is a stand-in.

mod attacks;
mod beliefs;
mod bodies;
mod budgets;
mod credentials;
mod credentials_by_policy;
mod credentials_in_bodies;
mod credentials_in_messages;
mod credentials_in_streams;
mod datagrams;
mod dns;
mod downloads;
mod echoes;
mod echoes_in_streams;
mod floods;
mod frames;
mod hello;
mod hostile_messages;
mod inference;
mod mcp_versions;
mod models;
mod real_servers;
mod refusals;
mod requests;
mod resolving;
mod revocation;
mod secure;
mod signing;
mod silence;
mod streams;
mod upstream_proxy;
mod ways;
mod websocket;
pub(crate) mod world;
