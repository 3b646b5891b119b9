//! The service that supervisors dial.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use openshell_wire::session::session_server::Session as SessionRpc;
use openshell_wire::session::{GatewayFrame, SupervisorFrame, gateway_frame, supervisor_frame};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status, Streaming};

use super::hello::{VERSION, authenticate};
use super::owner::Owner;
use super::registry::{Registry, Session};
use crate::limits::{HELLO, SESSION_QUEUE};
use crate::reconcile::Kick;
use crate::store::Store;
use crate::vault::Vault;

/// `openshell.session.v1`.
#[derive(Clone, Debug)]
pub(crate) struct SessionService {
    pub(crate) store: Store,
    pub(crate) vault: Vault,
    pub(crate) registry: Arc<Registry>,
    pub(crate) kick: Kick,
    pub(crate) shutdown: CancellationToken,
    pub(crate) numbers: Arc<AtomicU64>,
}

#[tonic::async_trait]
impl SessionRpc for SessionService {
    async fn join(
        &self,
        request: Request<Streaming<SupervisorFrame>>,
    ) -> Result<Response<BoxStream<GatewayFrame>>, Status> {
        let mut frames = request.into_inner();
        let first = timeout(HELLO, frames.message())
            .await
            .map_err(|_| Status::deadline_exceeded("no hello came"))??;
        let Some(supervisor_frame::Payload::Hello(hello)) = first.and_then(|frame| frame.payload)
        else {
            return Err(Status::invalid_argument("the first frame is hello"));
        };
        let sandbox = authenticate(&self.store, &hello).await?;
        tracing::info!(sandbox = %sandbox.name, id = %sandbox.id, "Supervisor joined");

        let (out, responses) = mpsc::channel(SESSION_QUEUE);
        let welcome = gateway_frame::Payload::Welcome(openshell_wire::session::Welcome {
            version: VERSION,
            events_after: sandbox.last_sequence,
        });
        // The channel is empty and its other end is here.
        drop(out.try_send(Ok(GatewayFrame { payload: Some(welcome) })));

        let (orders, taken) = mpsc::channel(SESSION_QUEUE);
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let owner = Owner::new(self.clone(), sandbox, Session { number, orders }, out);
        tokio::spawn(owner.run(hello, frames, taken));
        Ok(Response::new(Box::pin(ReceiverStream::new(responses))))
    }
}
