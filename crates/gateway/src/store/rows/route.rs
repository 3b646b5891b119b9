//! Rows of `routes`: which backend answers the model calls of a protocol.

use std::collections::BTreeMap;

use openshell_types::{CallBudget, ModelProtocol, Period, SandboxId, WorkspaceName};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, Sqlite, SqliteConnection, Transaction};

use super::provider::{Attached, Provider, attachments, provider_by_id, sandbox_id};
use crate::store::{Store, StoreError, signed, unsigned};

/// One route as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct StoredRoute {
    pub(crate) workspace: WorkspaceName,
    /// Whose it is; `None`: all sandboxes of the workspace have it that have none of their own.
    pub(crate) sandbox: Option<SandboxId>,
    pub(crate) protocol: ModelProtocol,
    pub(crate) provider: Provider,
    pub(crate) model: String,
    /// 0: the default.
    pub(crate) idle_seconds: u32,
    /// The programs that may use it; none: every program.
    pub(crate) binaries: Vec<String>,
    /// How much its calls may take in each sandbox; `None`: any amount.
    pub(crate) budget: Option<CallBudget>,
    pub(crate) resource_version: u64,
    pub(crate) created_ms: i64,
    pub(crate) updated_ms: i64,
}

/// What a sandbox has beside its policy.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    /// Grows with every change of the rest.
    pub(crate) epoch: u64,
    pub(crate) attached: Vec<Attached>,
    /// At most one of each protocol.
    pub(crate) routes: Vec<StoredRoute>,
}

impl Store {
    /// What a sandbox has beside its policy.
    pub(crate) async fn held(&self, id: &SandboxId) -> Result<Held, StoreError> {
        // One transaction: what is read belongs to the epoch.
        let mut transaction = self.pool.begin().await?;
        let (epoch, attached) = attachments(&mut transaction, id).await?;
        let rows = sqlx::query(
            "SELECT * FROM routes
             WHERE workspace = (SELECT workspace FROM sandboxes WHERE id = ?)
                 AND sandbox_id IN ('', ?) ORDER BY sandbox_id",
        )
        .bind(id.as_str())
        .bind(id.as_str())
        .fetch_all(&mut *transaction)
        .await?;
        // Those of the sandbox come last, and take the place of the workspace's.
        let mut routes = BTreeMap::new();
        for route in read(&mut transaction, &rows).await? {
            routes.insert(route.protocol, route);
        }
        Ok(Held { epoch, attached, routes: routes.into_values().collect() })
    }

    /// The routes of a sandbox alone, or of a workspace alone, by protocol.
    pub(crate) async fn routes(
        &self,
        workspace: &WorkspaceName,
        sandbox: Option<&SandboxId>,
    ) -> Result<Vec<StoredRoute>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let rows = sqlx::query(
            "SELECT * FROM routes WHERE workspace = ? AND sandbox_id = ? ORDER BY protocol",
        )
        .bind(workspace.as_str())
        .bind(owner(sandbox))
        .fetch_all(&mut *connection)
        .await?;
        read(&mut connection, &rows).await
    }

    /// The routes that a provider serves.
    pub(crate) async fn routes_of_provider(
        &self,
        provider_id: &str,
    ) -> Result<Vec<StoredRoute>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let rows = sqlx::query(
            "SELECT * FROM routes WHERE provider_id = ? ORDER BY workspace, sandbox_id, protocol",
        )
        .bind(provider_id)
        .fetch_all(&mut *connection)
        .await?;
        read(&mut connection, &rows).await
    }

    /// Stores a route in the place of the one of its protocol, and tells which sandboxes it
    /// concerns. `None`: its sandbox is gone, or it has another version than `expected` meanwhile.
    pub(crate) async fn put_route(
        &self,
        route: &StoredRoute,
        expected: Option<u64>,
    ) -> Result<Option<Vec<SandboxId>>, StoreError> {
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let put = sqlx::query(
            "INSERT INTO routes (workspace, sandbox_id, protocol, labels, resource_version,
                 provider_id, model, idle_seconds, binaries, created_ms, updated_ms,
                 budget_tokens, budget_requests, budget_bytes, budget_per)
             SELECT ?1, ?2, ?3, '{}', 1, ?4, ?5, ?6, ?7, ?8, ?9, ?11, ?12, ?13, ?14
             WHERE (?10 IS NULL OR EXISTS (SELECT 1 FROM routes
                       WHERE workspace = ?1 AND sandbox_id = ?2 AND protocol = ?3))
                 AND (?2 = '' OR EXISTS (SELECT 1 FROM sandboxes
                         WHERE id = ?2 AND workspace = ?1 AND desired = 'present'))
             ON CONFLICT (workspace, sandbox_id, protocol) DO UPDATE
             SET provider_id = excluded.provider_id, model = excluded.model,
                 idle_seconds = excluded.idle_seconds, binaries = excluded.binaries,
                 budget_tokens = excluded.budget_tokens,
                 budget_requests = excluded.budget_requests,
                 budget_bytes = excluded.budget_bytes, budget_per = excluded.budget_per,
                 updated_ms = excluded.updated_ms, resource_version = resource_version + 1
             WHERE ?10 IS NULL OR resource_version = ?10",
        )
        .bind(route.workspace.as_str())
        .bind(owner(route.sandbox.as_ref()))
        .bind(route.protocol.as_str())
        .bind(&route.provider.id)
        .bind(&route.model)
        .bind(route.idle_seconds)
        .bind(serde_json::to_string(&route.binaries).unwrap_or_default())
        .bind(route.created_ms)
        .bind(route.updated_ms)
        .bind(expected.map(signed))
        .bind(route.budget.and_then(|budget| budget.tokens).map(signed))
        .bind(route.budget.and_then(|budget| budget.requests).map(signed))
        .bind(route.budget.and_then(|budget| budget.bytes).map(signed))
        .bind(route.budget.map(|budget| budget.per).unwrap_or_default().as_str())
        .execute(&mut *transaction)
        .await?;
        if put.rows_affected() == 0 {
            return Ok(None);
        }
        let concerned = bump(&mut transaction, &route.workspace, route.sandbox.as_ref()).await?;
        transaction.commit().await?;
        Ok(Some(concerned))
    }

    /// Takes a route away, and tells which sandboxes it concerns. `None`: it was not there.
    pub(crate) async fn remove_route(
        &self,
        route: &StoredRoute,
    ) -> Result<Option<Vec<SandboxId>>, StoreError> {
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let removed = sqlx::query(
            "DELETE FROM routes WHERE workspace = ? AND sandbox_id = ? AND protocol = ?",
        )
        .bind(route.workspace.as_str())
        .bind(owner(route.sandbox.as_ref()))
        .bind(route.protocol.as_str())
        .execute(&mut *transaction)
        .await?;
        if removed.rows_affected() == 0 {
            return Ok(None);
        }
        let concerned = bump(&mut transaction, &route.workspace, route.sandbox.as_ref()).await?;
        transaction.commit().await?;
        Ok(Some(concerned))
    }
}

/// Bumps the epoch of a new sandbox whose workspace has routes, within the transaction that makes
/// it: they are pushed to it then.
pub(super) async fn inherit_routes(
    transaction: &mut Transaction<'_, Sqlite>,
    id: &SandboxId,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE sandboxes SET epoch = epoch + 1 WHERE id = ? AND EXISTS (SELECT 1 FROM routes
             WHERE routes.workspace = sandboxes.workspace AND routes.sandbox_id = '')",
    )
    .bind(id.as_str())
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// Bumps the epoch of every sandbox that uses a provider by a route and does not have it attached,
/// and tells which they are.
pub(super) async fn bump_routed(
    transaction: &mut Transaction<'_, Sqlite>,
    provider_id: &str,
) -> Result<Vec<SandboxId>, StoreError> {
    let rows = sqlx::query(
        "UPDATE sandboxes SET epoch = epoch + 1
         WHERE EXISTS (SELECT 1 FROM routes WHERE routes.provider_id = ?1
                   AND routes.workspace = sandboxes.workspace
                   AND routes.sandbox_id IN ('', sandboxes.id))
             AND id NOT IN (SELECT sandbox_id FROM attachments WHERE provider_id = ?1)
         RETURNING id",
    )
    .bind(provider_id)
    .fetch_all(&mut **transaction)
    .await?;
    rows.iter().map(|row| sandbox_id(row, "id")).collect()
}

async fn bump(
    transaction: &mut Transaction<'_, Sqlite>,
    workspace: &WorkspaceName,
    sandbox: Option<&SandboxId>,
) -> Result<Vec<SandboxId>, StoreError> {
    let rows = sqlx::query(
        "UPDATE sandboxes SET epoch = epoch + 1
         WHERE workspace = ?1 AND (?2 = '' OR id = ?2) RETURNING id",
    )
    .bind(workspace.as_str())
    .bind(owner(sandbox))
    .fetch_all(&mut **transaction)
    .await?;
    rows.iter().map(|row| sandbox_id(row, "id")).collect()
}

/// Whose it is, as the table says it.
fn owner(sandbox: Option<&SandboxId>) -> &str {
    sandbox.map_or("", SandboxId::as_str)
}

async fn read(
    connection: &mut SqliteConnection,
    rows: &[SqliteRow],
) -> Result<Vec<StoredRoute>, StoreError> {
    let mut all = Vec::with_capacity(rows.len());
    for row in rows {
        let provider_id: String = row.try_get("provider_id")?;
        let provider = provider_by_id(connection, &provider_id).await?;
        let provider = provider.ok_or_else(|| unreadable("its provider is gone"))?;
        all.push(route(row, provider)?);
    }
    Ok(all)
}

fn route(row: &SqliteRow, provider: Provider) -> Result<StoredRoute, StoreError> {
    let text = |column: &str| row.try_get::<String, _>(column);
    let owner = text("sandbox_id")?;
    let sandbox = (!owner.is_empty()).then(|| SandboxId::parse(&owner)).transpose();
    Ok(StoredRoute {
        workspace: WorkspaceName::parse(&text("workspace")?).map_err(unreadable)?,
        sandbox: sandbox.map_err(unreadable)?,
        protocol: ModelProtocol::parse(&text("protocol")?).map_err(unreadable)?,
        provider,
        model: text("model")?,
        idle_seconds: row.try_get("idle_seconds")?,
        binaries: serde_json::from_str(&text("binaries")?).map_err(unreadable)?,
        budget: budget(row)?,
        resource_version: unsigned(row.try_get("resource_version")?),
        created_ms: row.try_get("created_ms")?,
        updated_ms: row.try_get("updated_ms")?,
    })
}

fn budget(row: &SqliteRow) -> Result<Option<CallBudget>, StoreError> {
    let part =
        |column: &str| Ok::<_, StoreError>(row.try_get::<Option<i64>, _>(column)?.map(unsigned));
    let per: String = row.try_get("budget_per")?;
    let budget = CallBudget {
        tokens: part("budget_tokens")?,
        requests: part("budget_requests")?,
        bytes: part("budget_bytes")?,
        per: Period::parse(&per).ok_or_else(|| unreadable("its budget has another period"))?,
    };
    let is_none = budget.tokens.or(budget.requests).or(budget.bytes).is_none();
    // SECURITY: H12; a number that is none does not come to a route without a limit.
    let read = budget.checked();
    if read.is_none() && !is_none {
        return Err(unreadable("its budget has a number that is none"));
    }
    Ok(read)
}

fn unreadable(detail: impl ToString) -> StoreError {
    StoreError::Row { table: "routes", detail: detail.to_string() }
}
