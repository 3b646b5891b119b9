//! The beginning of one captured connection: who opened it, and by which way it came.

use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;

use openshell_audit::Way;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::accept::Context;
use crate::report::Attempt;
use crate::seams::{Identified, Unidentified};
use crate::{exchange, intent, limits, proxy, tunnel};

/// Serves one connection; `dialled` is the address that its client dialled.
pub(crate) async fn serve(
    context: &Context,
    client: TcpStream,
    from: SocketAddr,
    dialled: SocketAddr,
) {
    let is_proxy = context.settings.is_proxy(dialled);
    let way = if is_proxy { Way::Connect } else { Way::Transparent };
    let mut attempt = Attempt::begin(Arc::clone(&context.seams.report), way, dialled);
    attempt.under(context.policy.borrow().generation);
    // SECURITY: J13; before a byte is read, while the connection is still its creator's.
    let identified = identify(context, &client, from, dialled).await;
    if let Ok(identified) = &identified {
        attempt.by(identified);
    }
    if is_proxy {
        proxy::serve(context, client, dialled, identified, attempt).await;
    } else if let Some(intent) = intent::from_dialled(dialled, &context.names) {
        tunnel::serve(context, client, intent, identified, attempt).await;
    } else {
        exchange::reset(client);
    }
}

async fn identify(
    context: &Context,
    client: &TcpStream,
    from: SocketAddr,
    dialled: SocketAddr,
) -> Result<Identified, Unidentified> {
    let asked = context.seams.identify.caller(client.as_fd(), from, dialled);
    timeout(limits::IDENTIFY_TIMEOUT, asked)
        .await
        .unwrap_or_else(|_| Err(Unidentified::Host("identifying took too long".to_owned())))
}
