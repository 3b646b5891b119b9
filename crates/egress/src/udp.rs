//! UDP, with the names that rules speak it with: one flow for each socket of the jail and each
//! address that it sends to.
//!
//! A flow begins with its first datagram, which is judged as a connection is: the socket's mark
//! tells the program (see [`Datagram::mark`]), the policy decides, the name is resolved and every
//! address checked. Then datagrams go both ways until the client is silent for a while, or the
//! policy changes its mind. A refused client is told with ICMP, so that it fails at once or takes
//! TCP.

mod flow;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use openshell_audit::Way;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::accept::{Context, Overflow};
use crate::limits;
use crate::seams::{Datagram, UdpSocket};

/// One socket of the jail, and whom it sends to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Ends {
    from: SocketAddr,
    to: SocketAddr,
    mark: u32,
}

/// A datagram that waits for its flow, and the room that it takes.
struct Waiting {
    payload: Box<[u8]>,
    _room: OwnedSemaphorePermit,
}

/// Serves datagrams until `shutdown`; then ends their flows.
pub(crate) async fn serve(
    context: &Arc<Context>,
    socket: Arc<dyn UdpSocket>,
    shutdown: CancellationToken,
) {
    let (open, overflow) = (HashMap::new(), Overflow::new(Way::Datagram));
    let (tasks, ended) = (TaskTracker::new(), shutdown.clone());
    let mut flows = Flows { context, socket, open, overflow, tasks, shutdown };
    let mut buffer = vec![0; limits::DATAGRAM];
    let mut tick = interval(limits::OVERFLOW_FOLD);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = ended.cancelled() => break,
            received = flows.socket.recv(&mut buffer) => match received {
                Ok(datagram) => {
                    let payload = buffer.get(..datagram.length).unwrap_or_default();
                    flows.pass(&datagram, payload);
                }
                Err(error) => {
                    tracing::warn!(%error, "Receiving a datagram failed");
                    sleep(limits::ACCEPT_PAUSE).await;
                }
            },
            _ = tick.tick() => {
                flows.overflow.report(context);
                flows.open.retain(|_, flow| !flow.is_closed());
            }
        }
    }
    flows.tasks.close();
    flows.tasks.wait().await;
    flows.overflow.report(context);
}

struct Flows<'a> {
    context: &'a Arc<Context>,
    socket: Arc<dyn UdpSocket>,
    /// What leads to each flow that has not ended.
    open: HashMap<Ends, mpsc::Sender<Waiting>>,
    overflow: Overflow,
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

impl Flows<'_> {
    /// Gives a datagram to its flow. One that does not keep up loses it, as networks do.
    fn pass(&mut self, datagram: &Datagram, payload: &[u8]) {
        let &Datagram { from, to, mark, .. } = datagram;
        let ends = Ends { from, to, mark };
        let Some(waiting) = self.wait(payload) else { return };
        if let Some(flow) = self.open.get(&ends)
            && !flow.is_closed()
        {
            let _full = flow.try_send(waiting);
            return;
        }
        // SECURITY: M4; each flow holds a socket, and so the place of a connection.
        let place = self.context.place().filter(|_| self.open.len() < limits::FLOWS);
        let Some(place) = place else {
            self.overflow.note(to);
            let _gone = self.socket.refuse(payload.len(), (from, to));
            return;
        };
        let (sender, receiver) = mpsc::channel(limits::FLOW_WAITING);
        let _empty = sender.try_send(waiting);
        self.open.insert(ends, sender);
        let (context, socket) = (Arc::clone(self.context), Arc::clone(&self.socket));
        let ended = self.shutdown.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = ended.cancelled() => {}
                () = flow::serve(&context, &*socket, ends, receiver) => {}
            }
            drop(place);
        });
    }

    /// SECURITY: N1; what waits while names are resolved is bounded over all flows.
    fn wait(&self, payload: &[u8]) -> Option<Waiting> {
        let kib = u32::try_from(payload.len().div_ceil(1024).max(1)).ok()?;
        let room = Arc::clone(&self.context.datagrams).try_acquire_many_owned(kib).ok()?;
        Some(Waiting { payload: payload.into(), _room: room })
    }
}
