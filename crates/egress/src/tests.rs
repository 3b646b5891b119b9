//! The whole egress over real sockets. Upstreams are services of this host, reached as
//! `host.openshell.internal`; only the kernel's knowledge of callers is a stand-in.

mod bodies;
mod dns;
mod floods;
mod hello;
mod real_clients;
mod refusals;
mod requests;
mod resolving;
mod revocation;
mod secure;
mod ways;
mod websocket;
mod world;
