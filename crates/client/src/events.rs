//! The audit log of a sandbox.

use openshell_wire::native;
use tonic::Streaming;

use crate::connect::Client;
use crate::error::ClientError;

/// One line of a sandbox's audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditLine {
    /// Its sequence number.
    pub seq: u64,
    /// The record: one line of JSON.
    pub record: String,
}

/// Lines of an audit log, oldest first.
#[derive(Debug)]
pub struct AuditLines(Streaming<native::EventsResponse>);

impl AuditLines {
    /// The next line; `None` after the last one. Cancel-safe.
    pub async fn next(&mut self) -> Result<Option<AuditLine>, ClientError> {
        let line = self.0.message().await?;
        Ok(line.map(|line| AuditLine { seq: line.seq, record: line.record }))
    }
}

impl Client {
    /// The last `tail` lines of a sandbox's audit log, and with `follow` those to come.
    pub async fn events(
        &self,
        sandbox: &str,
        tail: u32,
        follow: bool,
    ) -> Result<AuditLines, ClientError> {
        let request = native::EventsRequest {
            sandbox: sandbox.to_owned(),
            workspace_scope: self.scope(),
            tail,
            follow,
            after: 0,
        };
        Ok(AuditLines(self.native.clone().events(request).await?.into_inner()))
    }
}
