//! Security events: as records for native clients, as log lines for published ones.

use std::collections::HashMap;

use futures_util::{StreamExt as _, stream};
use openshell_audit::shorthand;
use openshell_wire::{native, v1};
use tonic::Status;
use tonic::codegen::BoxStream;

use super::Rpc;
use super::convert::{milliseconds, scope, timestamp};
use crate::app::AppError;
use crate::app::logs::{Entry, Filter, Level, SOURCE};
use crate::limits::LOG_TAIL;

/// Lines of a log when the caller does not say.
pub(super) const USUAL_TAIL: u32 = 200;

impl Rpc {
    pub(super) async fn events(
        &self,
        request: native::EventsRequest,
    ) -> Result<BoxStream<native::EventsResponse>, AppError> {
        let sandbox = self.app.sandbox(&scope(request.workspace_scope)?, &request.sandbox).await?;
        let mut reader = self.app.log_reader(&sandbox, request.after);
        // Whoever names the last event that he has gets all that follow, however many.
        let first = match request.after {
            0 => reader.tail(request.tail).await?,
            _ => Vec::new(),
        };
        let follow = request.follow;
        let rest = stream::unfold(Some(reader), move |reader| async move {
            let mut reader = reader?;
            let entries = match follow {
                true => reader.next().await,
                false => reader.batch().await.map(|batch| (!batch.is_empty()).then_some(batch)),
            };
            match entries {
                Ok(Some(entries)) => Some((responses(entries), Some(reader))),
                Ok(None) => None,
                Err(error) => Some((vec![Err(Status::from(error))], None)),
            }
        });
        let ends = self.app.shutdown.clone().cancelled_owned();
        let items = stream::iter(responses(first)).chain(rest.flat_map(stream::iter));
        Ok(Box::pin(items.take_until(ends)))
    }

    pub(super) async fn get_logs(
        &self,
        request: v1::GetSandboxLogsRequest,
    ) -> Result<v1::GetSandboxLogsResponse, AppError> {
        let sandbox = self.app.sandbox(&scope(request.workspace_scope)?, &request.sandbox).await?;
        let filter = Filter {
            since_ms: request.since_time.map(milliseconds),
            sources: request.sources,
            least: Level::parse(&request.min_level)?,
        };
        let wanted = if request.lines == 0 { USUAL_TAIL } else { request.lines.min(LOG_TAIL) };
        let all = self.app.log_reader(&sandbox, 0).tail(LOG_TAIL).await?;
        let total = u32::try_from(all.len()).unwrap_or(u32::MAX);
        let mut logs: Vec<_> =
            all.iter().filter(|entry| filter.wants(entry)).map(log_line).collect();
        let surplus = logs.len().saturating_sub(usize::try_from(wanted).unwrap_or(usize::MAX));
        logs.drain(..surplus);
        Ok(v1::GetSandboxLogsResponse { logs, buffer_total: total })
    }
}

fn responses(entries: Vec<Entry>) -> Vec<Result<native::EventsResponse, Status>> {
    let response =
        |entry: Entry| native::EventsResponse { seq: entry.record.seq, record: entry.line };
    entries.into_iter().map(response).map(Ok).collect()
}

/// An event as a line of a log.
pub(super) fn log_line(entry: &Entry) -> v1::SandboxLogLine {
    v1::SandboxLogLine {
        sandbox_id: entry.record.sandbox_id.to_string(),
        level: "OCSF".into(),
        target: "audit".into(),
        message: shorthand(&entry.record),
        source: SOURCE.into(),
        fields: HashMap::from([("seq".to_owned(), entry.record.seq.to_string())]),
        event_time: Some(timestamp(entry.record.time.as_millisecond())),
    }
}
