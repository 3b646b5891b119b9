//! A sandbox as it changes, for published clients.

use openshell_wire::v1;
use openshell_wire::v1::sandbox_stream_event::Payload;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tonic::codegen::BoxStream;

use super::Rpc;
use super::convert::{milliseconds, phase, sandbox, scope};
use super::logs::{USUAL_TAIL, log_line};
use crate::app::logs::{Entry, Filter, Level, Reader};
use crate::app::{App, AppError};
use crate::store::rows::sandbox::Sandbox;

type Item = Result<v1::SandboxStreamEvent, Status>;

/// One watch.
struct Watch {
    app: App,
    /// What was shown last.
    shown: Sandbox,
    changes: watch::Receiver<u64>,
    reader: Reader,
    filter: Filter,
    request: v1::WatchSandboxRequest,
    out: mpsc::Sender<Item>,
}

/// Why a watch ends early.
enum End {
    /// There is no more to say, or nobody to say it to.
    Over,
    Failed(AppError),
}

impl From<AppError> for End {
    fn from(error: AppError) -> Self {
        Self::Failed(error)
    }
}

impl Rpc {
    pub(super) async fn watch(
        &self,
        request: v1::WatchSandboxRequest,
    ) -> Result<BoxStream<v1::SandboxStreamEvent>, AppError> {
        /// Items on the way to the client; a slower one is waited for.
        const AHEAD: usize = 16;
        let within = scope(request.workspace_scope.clone())?;
        let shown = self.app.sandbox(&within, &request.sandbox).await?;
        let after = match request.resume_after_cursor.as_str() {
            "" => 0,
            cursor => cursor.parse().map_err(|_| AppError::OutOfRange("the cursor is too old"))?,
        };
        let filter = Filter {
            since_ms: request.since_time.map(milliseconds),
            sources: request.log_sources.clone(),
            least: Level::parse(&request.log_min_level)?,
        };
        let (out, items) = mpsc::channel(AHEAD);
        let watch = Watch {
            app: self.app.clone(),
            changes: self.app.registry.state(&shown.id),
            reader: self.app.log_reader(&shown, after),
            shown,
            filter,
            request,
            out,
        };
        tokio::spawn(watch.run());
        Ok(Box::pin(ReceiverStream::new(items)))
    }
}

impl Watch {
    async fn run(mut self) {
        if let Err(End::Failed(error)) = self.steps().await {
            // A client that is gone does not need the reason.
            drop(self.out.send(Err(error.into())).await);
        }
    }

    async fn steps(&mut self) -> Result<(), End> {
        // The state may have changed since it was looked up, and is always the first item.
        self.changes.mark_unchanged();
        self.shown = self.app.sandbox_by_id(&self.shown.id).await?;
        self.show().await?;
        if self.request.follow_logs {
            let tail = match self.request.log_tail_lines {
                0 => USUAL_TAIL,
                lines => lines,
            };
            let entries = self.reader.tail(tail).await?;
            self.log(&entries).await?;
        }
        let follows_state = self.request.follow_status || self.request.stop_on_terminal;
        if !follows_state && !self.request.follow_logs && !self.request.follow_events {
            return Ok(());
        }
        let shutdown = self.app.shutdown.clone();
        loop {
            tokio::select! {
                () = shutdown.cancelled() => {
                    return Err(AppError::Unavailable("the gateway ends".into()).into());
                }
                () = self.out.closed() => return Ok(()),
                changed = self.changes.changed() => match changed {
                    Ok(()) => self.look(follows_state).await?,
                    // The sandbox is gone: a good end.
                    Err(_) => return Ok(()),
                },
                entries = self.reader.next(), if self.request.follow_logs => match entries? {
                    Some(entries) => self.log(&entries).await?,
                    None => return Ok(()),
                },
            }
        }
    }

    async fn look(&mut self, follows_state: bool) -> Result<(), End> {
        let Some(now) = self.app.store.sandbox(&self.shown.id).await.map_err(AppError::from)?
        else {
            return Err(End::Over);
        };
        let changed = now.resource_version != self.shown.resource_version;
        self.shown = now;
        if changed && follows_state { self.show().await } else { Ok(()) }
    }

    async fn show(&mut self) -> Result<(), End> {
        self.send(Payload::Sandbox(sandbox(&self.shown)), String::new()).await?;
        let is_terminal =
            matches!(phase(&self.shown), v1::SandboxPhase::Ready | v1::SandboxPhase::Completed);
        if self.request.stop_on_terminal && is_terminal { Err(End::Over) } else { Ok(()) }
    }

    async fn log(&self, entries: &[Entry]) -> Result<(), End> {
        for entry in entries.iter().filter(|entry| self.filter.wants(entry)) {
            self.send(Payload::Log(log_line(entry)), entry.record.seq.to_string()).await?;
        }
        Ok(())
    }

    async fn send(&self, payload: Payload, cursor: String) -> Result<(), End> {
        let event = v1::SandboxStreamEvent { payload: Some(payload), cursor };
        self.out.send(Ok(event)).await.map_err(|_| End::Over)
    }
}
