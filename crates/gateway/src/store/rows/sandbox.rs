//! Rows of `sandboxes`: what is desired and what was observed.

use std::collections::BTreeMap;

use openshell_types::{SandboxId, SandboxName, SandboxSpec, WorkspaceName};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::policy::{NewRevision, insert_first};
use super::provider::{Attached, insert_attached};
use super::route::inherit_routes;
use crate::store::{Store, StoreError, labels_from_json, labels_to_json, signed, unsigned};

/// One sandbox.
#[derive(Clone, Debug)]
pub(crate) struct Sandbox {
    pub(crate) workspace: WorkspaceName,
    pub(crate) name: SandboxName,
    pub(crate) id: SandboxId,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) resource_version: u64,
    pub(crate) created_ms: i64,
    /// The encoded `SandboxSpec` message that was asked for.
    pub(crate) requested: Vec<u8>,
    pub(crate) spec: SandboxSpec,
    pub(crate) ephemeral: bool,
    pub(crate) desired: Desired,
    /// When a driver was first asked to place it.
    pub(crate) placed_ms: Option<i64>,
    /// When it reached its last phase.
    pub(crate) ended_ms: Option<i64>,
    pub(crate) observed: Observed,
    pub(crate) last_sequence: u64,
    pub(crate) enforced_revision: u32,
    pub(crate) token_sha256: Option<Vec<u8>>,
    /// The names of the providers that are attached, in the order in which they were.
    pub(crate) providers: Vec<String>,
}

/// What a person wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Desired {
    /// It shall be there.
    Present,
    /// It shall be gone, with all that is kept for it.
    Absent,
}

/// What is the case, as far as the gateway knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Observed {
    pub(crate) phase: Phase,
    pub(crate) exit_code: Option<i32>,
    /// A word for programs, such as `SupervisorEnded`.
    pub(crate) reason: String,
    /// A sentence for people.
    pub(crate) message: String,
    /// The main command's pid on the host; 0 before it started.
    pub(crate) main_pid: u32,
    pub(crate) boot_id: String,
    /// JSON of the isolation report; empty before there is one.
    pub(crate) report: String,
}

/// Where a sandbox is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It is being made.
    Provisioning,
    /// Its main command runs, or waits for somebody to attach.
    Ready,
    /// Its main command ended.
    Completed,
    /// It could not be made, or broke.
    Error,
}

impl Phase {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Provisioning => "provisioning",
            Self::Ready => "ready",
            Self::Completed => "completed",
            Self::Error => "error",
        }
    }

    fn parse(text: &str) -> Result<Self, StoreError> {
        [Self::Provisioning, Self::Ready, Self::Completed, Self::Error]
            .into_iter()
            .find(|phase| phase.as_str() == text)
            .ok_or_else(|| unreadable(format!("phase {text:?}")))
    }

    /// Whether nothing follows but deletion.
    pub(crate) const fn is_last(self) -> bool {
        matches!(self, Self::Completed | Self::Error)
    }
}

/// A sandbox that is to be stored, with its first policy.
#[derive(Clone, Debug)]
pub(crate) struct NewSandbox {
    pub(crate) spec: SandboxSpec,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) requested: Vec<u8>,
    pub(crate) ephemeral: bool,
    pub(crate) policy: NewRevision,
    /// What is attached from the start.
    pub(crate) attached: Vec<Attached>,
}

/// The last item of a page, after which the next page starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct After {
    pub(crate) created_ms: i64,
    pub(crate) name: String,
}

/// All of a sandbox.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT sandboxes.*, (SELECT json_group_array(name) FROM (SELECT providers.name AS name
                 FROM attachments JOIN providers ON providers.id = attachments.provider_id
                 WHERE attachments.sandbox_id = sandboxes.id
                 ORDER BY attachments.created_ms, providers.name)) AS providers
             FROM sandboxes ",
            $rest
        )
    };
}

impl Store {
    /// Stores a new sandbox; `false` when its name is taken.
    pub(crate) async fn insert_sandbox(&self, new: &NewSandbox) -> Result<bool, StoreError> {
        let spec = serde_json::to_string(&new.spec).map_err(|e| unreadable(e.to_string()))?;
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let inserted = sqlx::query(
            "INSERT INTO sandboxes (workspace, name, id, labels, annotations, resource_version,
                 created_ms, requested, spec, ephemeral, desired, phase, reason, message, main_pid,
                 boot_id, report, last_sequence, enforced_revision)
             VALUES (?, ?, ?, ?, ?, 1, ?, ?, ?, ?, 'present', 'provisioning', '', '', 0, '', '', 0,
                 0)
             ON CONFLICT (workspace, name) DO NOTHING",
        )
        .bind(new.spec.workspace.as_str())
        .bind(new.spec.name.as_str())
        .bind(new.spec.id.as_str())
        .bind(labels_to_json(&new.labels))
        .bind(labels_to_json(&new.annotations))
        .bind(new.policy.created_ms)
        .bind(&new.requested)
        .bind(spec)
        .bind(new.ephemeral)
        .execute(&mut *transaction)
        .await?;
        if inserted.rows_affected() == 0 {
            return Ok(false);
        }
        insert_first(&mut transaction, &new.spec.workspace, &new.spec.id, &new.policy).await?;
        insert_attached(&mut transaction, &new.spec.id, &new.attached).await?;
        inherit_routes(&mut transaction, &new.spec.id).await?;
        transaction.commit().await?;
        Ok(true)
    }

    pub(crate) async fn sandbox(&self, id: &SandboxId) -> Result<Option<Sandbox>, StoreError> {
        let row = sqlx::query(select!("WHERE id = ?"))
            .bind(id.as_str())
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(sandbox).transpose()
    }

    /// The sandbox with this name or, as older clients ask, with this id.
    pub(crate) async fn find_sandbox(
        &self,
        workspace: &WorkspaceName,
        name: &str,
    ) -> Result<Option<Sandbox>, StoreError> {
        let row = sqlx::query(select!("WHERE workspace = ? AND (name = ? OR id = ?)"))
            .bind(workspace.as_str())
            .bind(name)
            .bind(name)
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(sandbox).transpose()
    }

    /// Sandboxes of a workspace, or of all, by age and name.
    pub(crate) async fn sandboxes(
        &self,
        workspace: Option<&WorkspaceName>,
        after: Option<&After>,
    ) -> Result<Vec<Sandbox>, StoreError> {
        let (created_ms, name) =
            after.map_or((i64::MIN, ""), |after| (after.created_ms, after.name.as_str()));
        let rows = sqlx::query(select!(
            "WHERE (? IS NULL OR workspace = ?)
                 AND (created_ms, workspace || '/' || name) > (?, ?)
             ORDER BY created_ms, workspace || '/' || name"
        ))
        .bind(workspace.map(WorkspaceName::as_str))
        .bind(workspace.map(WorkspaceName::as_str))
        .bind(created_ms)
        .bind(name)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(sandbox).collect()
    }

    pub(crate) async fn sandbox_ids(&self) -> Result<Vec<SandboxId>, StoreError> {
        let rows = sqlx::query("SELECT id FROM sandboxes").fetch_all(&self.pool).await?;
        rows.iter()
            .map(|row| {
                let id: String = row.try_get("id")?;
                SandboxId::parse(&id).map_err(|error| unreadable(error.to_string()))
            })
            .collect()
    }

    pub(crate) async fn want_sandbox_gone(&self, id: &SandboxId) -> Result<(), StoreError> {
        self.execute(
            sqlx::query(
                "UPDATE sandboxes SET desired = 'absent', resource_version = resource_version + 1
                 WHERE id = ? AND desired <> 'absent'",
            )
            .bind(id.as_str()),
        )
        .await
    }

    pub(crate) async fn remove_sandbox(&self, id: &SandboxId) -> Result<(), StoreError> {
        self.execute(
            sqlx::query("DELETE FROM sandboxes WHERE id = ? AND desired = 'absent'")
                .bind(id.as_str()),
        )
        .await
    }

    /// Keeps the digest of the token that a supervisor is about to be given.
    pub(crate) async fn set_token(&self, id: &SandboxId, sha256: &[u8]) -> Result<(), StoreError> {
        self.execute(
            sqlx::query("UPDATE sandboxes SET token_sha256 = ? WHERE id = ?")
                .bind(sha256)
                .bind(id.as_str()),
        )
        .await
    }

    /// Notes that a supervisor was started; from then on none is started again.
    pub(crate) async fn set_placed(&self, id: &SandboxId, now_ms: i64) -> Result<(), StoreError> {
        self.execute(
            sqlx::query("UPDATE sandboxes SET placed_ms = ? WHERE id = ? AND placed_ms IS NULL")
                .bind(now_ms)
                .bind(id.as_str()),
        )
        .await
    }

    /// Stores what was observed. A last phase is never left.
    pub(crate) async fn set_observed(
        &self,
        id: &SandboxId,
        observed: &Observed,
        now_ms: i64,
    ) -> Result<bool, StoreError> {
        let changed = sqlx::query(
            "UPDATE sandboxes SET phase = ?, exit_code = ?, reason = ?, message = ?, main_pid = ?,
                 boot_id = ?, report = ?, ended_ms = ?, resource_version = resource_version + 1
             WHERE id = ? AND phase NOT IN ('completed', 'error')",
        )
        .bind(observed.phase.as_str())
        .bind(observed.exit_code)
        .bind(&observed.reason)
        .bind(&observed.message)
        .bind(i64::from(observed.main_pid))
        .bind(&observed.boot_id)
        .bind(&observed.report)
        .bind(observed.phase.is_last().then_some(now_ms))
        .bind(id.as_str())
        .execute(&self.pool)
        .await?;
        Ok(changed.rows_affected() > 0)
    }

    /// Keeps the number of the newest event that was seen.
    pub(crate) async fn set_last_sequence(
        &self,
        id: &SandboxId,
        sequence: u64,
    ) -> Result<(), StoreError> {
        self.execute(
            sqlx::query(
                "UPDATE sandboxes SET last_sequence = ? WHERE id = ? AND last_sequence < ?",
            )
            .bind(signed(sequence))
            .bind(id.as_str())
            .bind(signed(sequence)),
        )
        .await
    }

    async fn execute(
        &self,
        query: sqlx::query::Query<'_, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>,
    ) -> Result<(), StoreError> {
        query.execute(&self.pool).await?;
        Ok(())
    }
}

fn sandbox(row: &SqliteRow) -> Result<Sandbox, StoreError> {
    let text = |column: &str| row.try_get::<String, _>(column);
    let spec: SandboxSpec =
        serde_json::from_str(&text("spec")?).map_err(|error| unreadable(error.to_string()))?;
    let providers =
        serde_json::from_str(&text("providers")?).map_err(|error| unreadable(error.to_string()))?;
    Ok(Sandbox {
        providers,
        workspace: spec.workspace.clone(),
        name: spec.name.clone(),
        id: spec.id.clone(),
        labels: labels_from_json("sandboxes", &text("labels")?)?,
        annotations: labels_from_json("sandboxes", &text("annotations")?)?,
        resource_version: unsigned(row.try_get("resource_version")?),
        created_ms: row.try_get("created_ms")?,
        requested: row.try_get("requested")?,
        ephemeral: row.try_get("ephemeral")?,
        desired: if text("desired")? == "absent" { Desired::Absent } else { Desired::Present },
        placed_ms: row.try_get("placed_ms")?,
        ended_ms: row.try_get("ended_ms")?,
        observed: Observed {
            phase: Phase::parse(&text("phase")?)?,
            exit_code: row.try_get("exit_code")?,
            reason: text("reason")?,
            message: text("message")?,
            main_pid: u32::try_from(unsigned(row.try_get("main_pid")?)).unwrap_or_default(),
            boot_id: text("boot_id")?,
            report: text("report")?,
        },
        last_sequence: unsigned(row.try_get("last_sequence")?),
        enforced_revision: u32::try_from(unsigned(row.try_get("enforced_revision")?))
            .unwrap_or_default(),
        token_sha256: row.try_get("token_sha256")?,
        spec,
    })
}

fn unreadable(detail: String) -> StoreError {
    StoreError::Row { table: "sandboxes", detail }
}
