//! Sans-I/O, strict readers of hostile bytes: HTTP/1 heads and bodies, request targets,
//! content codings, JSON, JSON-RPC and GraphQL, WebSocket frames, DNS questions, ClientHello.
//!
//! Nothing here reads a socket or keeps a clock: bytes in, values or an error that names what was
//! wrong out. Where two readers could disagree about a message, it is refused.

pub mod client_hello;
pub mod content;
pub mod dns;
pub mod graphql;
pub mod grpc;
pub mod http1;
pub mod json;
pub mod rpc;
pub mod target;
pub mod websocket;
