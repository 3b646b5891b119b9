//! Rows of `policies`: the revisions of a sandbox's policy.

use openshell_types::{SandboxId, WorkspaceName};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use crate::store::{Store, StoreError, signed, unsigned};

/// One revision. Its number is the generation that the supervisor is given.
#[derive(Clone, Debug)]
pub(crate) struct Revision {
    pub(crate) number: u32,
    pub(crate) digest: String,
    pub(crate) text: String,
    pub(crate) status: Status,
    pub(crate) error: String,
    pub(crate) created_ms: i64,
    pub(crate) enforced_ms: Option<i64>,
}

/// What became of a revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// Stored; the supervisor did not acknowledge it yet.
    Pending,
    /// In force.
    Enforced,
    /// The supervisor could not put it in force.
    Failed,
    /// A later one came.
    Superseded,
}

impl Status {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Enforced => "enforced",
            Self::Failed => "failed",
            Self::Superseded => "superseded",
        }
    }

    fn parse(text: &str) -> Result<Self, StoreError> {
        [Self::Pending, Self::Enforced, Self::Failed, Self::Superseded]
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or_else(|| StoreError::Row {
                table: "policies",
                detail: format!("status {text:?}"),
            })
    }
}

/// A policy that was checked and is to be stored.
#[derive(Clone, Debug)]
pub(crate) struct NewRevision {
    pub(crate) digest: String,
    pub(crate) text: String,
    pub(crate) created_ms: i64,
}

/// What must still be so when a revision is stored; absent: whatever.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Unchanged {
    /// The number of the newest revision.
    pub(crate) newest: Option<u32>,
    /// The sandbox's resource version.
    pub(crate) resource_version: Option<u64>,
}

impl Store {
    /// Stores a further revision. One that never came into force is superseded by it. `None`: the
    /// sandbox is gone, or something is no longer as it must be.
    pub(crate) async fn add_revision(
        &self,
        id: &SandboxId,
        policy: &NewRevision,
        unchanged: Unchanged,
    ) -> Result<Option<u32>, StoreError> {
        let newest = unchanged.newest.map(i64::from);
        let version = unchanged.resource_version.map(signed);
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let row = sqlx::query(
            "INSERT INTO policies (workspace, sandbox_id, revision, labels, resource_version,
                 digest, text, status, error, created_ms)
             SELECT workspace, id,
                 1 + (SELECT coalesce(max(revision), 0) FROM policies WHERE sandbox_id = id),
                 '{}', 1, ?, ?, 'pending', '', ? FROM sandboxes
             WHERE id = ? AND (? IS NULL OR resource_version = ?) AND (? IS NULL OR ? =
                 (SELECT coalesce(max(revision), 0) FROM policies WHERE sandbox_id = id))
             RETURNING revision",
        )
        .bind(&policy.digest)
        .bind(&policy.text)
        .bind(policy.created_ms)
        .bind(id.as_str())
        .bind(version)
        .bind(version)
        .bind(newest)
        .bind(newest)
        .fetch_optional(&mut *transaction)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let number: i64 = row.try_get("revision")?;
        sqlx::query(
            "UPDATE policies SET status = 'superseded', resource_version = resource_version + 1
             WHERE sandbox_id = ? AND revision < ? AND status = 'pending'",
        )
        .bind(id.as_str())
        .bind(number)
        .execute(&mut *transaction)
        .await?;
        sqlx::query("UPDATE sandboxes SET resource_version = resource_version + 1 WHERE id = ?")
            .bind(id.as_str())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(Some(u32::try_from(number).unwrap_or(u32::MAX)))
    }

    /// Notes that a revision is in force: those before it no longer are.
    pub(crate) async fn enforce_revision(
        &self,
        id: &SandboxId,
        number: u32,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let changed = sqlx::query(
            "UPDATE policies SET status = 'enforced', error = '', enforced_ms = ?,
                 resource_version = resource_version + 1
             WHERE sandbox_id = ? AND revision = ? AND status <> 'enforced'",
        )
        .bind(now_ms)
        .bind(id.as_str())
        .bind(i64::from(number))
        .execute(&mut *transaction)
        .await?;
        if changed.rows_affected() > 0 {
            sqlx::query(
                "UPDATE policies SET status = 'superseded', resource_version = resource_version + 1
                 WHERE sandbox_id = ? AND revision < ? AND status IN ('pending', 'enforced')",
            )
            .bind(id.as_str())
            .bind(i64::from(number))
            .execute(&mut *transaction)
            .await?;
        }
        sqlx::query(
            "UPDATE sandboxes SET enforced_revision = ?, resource_version = resource_version + 1
             WHERE id = ? AND enforced_revision <> ?",
        )
        .bind(i64::from(number))
        .bind(id.as_str())
        .bind(i64::from(number))
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Notes that a revision could not be put in force; the one before still is.
    pub(crate) async fn fail_revision(
        &self,
        id: &SandboxId,
        number: u32,
        error: &str,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE policies SET status = 'failed', error = ?,
                 resource_version = resource_version + 1
             WHERE sandbox_id = ? AND revision = ? AND status = 'pending'",
        )
        .bind(error)
        .bind(id.as_str())
        .bind(i64::from(number))
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// One revision, or the newest.
    pub(crate) async fn revision(
        &self,
        id: &SandboxId,
        number: Option<u32>,
    ) -> Result<Option<Revision>, StoreError> {
        let row = sqlx::query(
            "SELECT * FROM policies WHERE sandbox_id = ? AND (? IS NULL OR revision = ?)
             ORDER BY revision DESC LIMIT 1",
        )
        .bind(id.as_str())
        .bind(number.map(i64::from))
        .bind(number.map(i64::from))
        .fetch_optional(&self.pool)
        .await?;
        row.as_ref().map(revision).transpose()
    }

    /// The newest revision that an edit starts from: one that did not fail, if there is any.
    pub(crate) async fn revision_to_edit(
        &self,
        id: &SandboxId,
    ) -> Result<Option<Revision>, StoreError> {
        let row = sqlx::query(
            "SELECT * FROM policies WHERE sandbox_id = ?
             ORDER BY status = 'failed', revision DESC LIMIT 1",
        )
        .bind(id.as_str())
        .fetch_optional(&self.pool)
        .await?;
        row.as_ref().map(revision).transpose()
    }

    /// At most `limit` revisions older than `before`, the newest first.
    pub(crate) async fn revisions(
        &self,
        id: &SandboxId,
        before: Option<u32>,
        limit: u32,
    ) -> Result<Vec<Revision>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM policies WHERE sandbox_id = ? AND revision < ?
             ORDER BY revision DESC LIMIT ?",
        )
        .bind(id.as_str())
        .bind(before.map_or(i64::MAX, i64::from))
        .bind(signed(u64::from(limit)))
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(revision).collect()
    }
}

/// Inserts the first revision, within the transaction that makes the sandbox.
pub(super) async fn insert_first(
    connection: &mut sqlx::SqliteConnection,
    workspace: &WorkspaceName,
    id: &SandboxId,
    policy: &NewRevision,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO policies (workspace, sandbox_id, revision, labels, resource_version, digest,
             text, status, error, created_ms)
         VALUES (?, ?, 1, '{}', 1, ?, ?, 'pending', '', ?)",
    )
    .bind(workspace.as_str())
    .bind(id.as_str())
    .bind(&policy.digest)
    .bind(&policy.text)
    .bind(policy.created_ms)
    .execute(connection)
    .await?;
    Ok(())
}

fn revision(row: &SqliteRow) -> Result<Revision, StoreError> {
    let status: String = row.try_get("status")?;
    Ok(Revision {
        number: u32::try_from(unsigned(row.try_get("revision")?)).unwrap_or(u32::MAX),
        digest: row.try_get("digest")?,
        text: row.try_get("text")?,
        status: Status::parse(&status)?,
        error: row.try_get("error")?,
        created_ms: row.try_get("created_ms")?,
        enforced_ms: row.try_get("enforced_ms")?,
    })
}
