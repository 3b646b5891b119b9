//! A connection that was captured on its way.

use std::net::SocketAddr;

use openshell_audit::Way;
use openshell_types::{Authority, Host, Port};

use super::Intent;
use crate::names::Names;

/// A synthetic address stands for its name; every other is judged as an address (A13: what the
/// client believes, sends as SNI or as Host, never turns it into a name). `None` for port 0, which
/// no connection has.
pub(crate) fn from_dialled(dialled: SocketAddr, names: &Names) -> Option<Intent> {
    let port = Port::new(dialled.port())?;
    let host = match names.name_of(dialled.ip()) {
        Some(name) => Host::Name(name),
        None => Host::Address(dialled.ip().to_canonical()),
    };
    Some(Intent { to: Authority { host, port }, way: Way::Transparent, early: Vec::new() })
}
