//! Rows of `providers`, their credentials, and what is attached to which sandbox.

use std::collections::BTreeMap;

use jiff::Timestamp;
use openshell_types::{SandboxId, WorkspaceName};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, Sqlite, SqliteConnection, Transaction};

use super::route::bump_routed;
use crate::store::{Store, StoreError, labels_from_json, labels_to_json, unsigned};

/// One provider.
#[derive(Clone, Debug)]
pub(crate) struct Provider {
    pub(crate) workspace: WorkspaceName,
    pub(crate) name: String,
    pub(crate) id: String,
    /// The id of its profile.
    pub(crate) kind: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) resource_version: u64,
    pub(crate) created_ms: i64,
    pub(crate) config: BTreeMap<String, String>,
    /// The text of its profile, when that is the workspace's own.
    pub(crate) profile: Option<String>,
    /// Its credentials, by variable.
    pub(crate) credentials: BTreeMap<String, Sealed>,
}

/// A credential at rest.
#[derive(Clone, Debug)]
pub(crate) struct Sealed {
    pub(crate) sealed: String,
    pub(crate) expires_ms: Option<i64>,
}

/// A provider that is attached to a sandbox.
#[derive(Clone, Debug)]
pub(crate) struct Attached {
    pub(crate) provider: Provider,
    /// What the jail holds, by variable.
    pub(crate) placeholders: BTreeMap<String, String>,
}

/// Which sandboxes a change of a provider concerns.
#[derive(Clone, Debug)]
pub(crate) struct Concerned {
    /// It is attached to these.
    pub(crate) attached: Vec<SandboxId>,
    /// These only have their model calls answered by it: their jails hold nothing of it.
    pub(crate) routed: Vec<SandboxId>,
}

/// All of a provider but its credentials.
macro_rules! select {
    ($columns:literal, $rest:literal) => {
        concat!(
            "SELECT providers.*, (SELECT text FROM provider_profiles AS own
                 WHERE own.workspace = providers.workspace AND own.id = providers.type) AS profile",
            $columns,
            " ",
            $rest
        )
    };
}

impl Store {
    /// Stores a new provider; `false` when its name is taken.
    pub(crate) async fn insert_provider(&self, new: &Provider) -> Result<bool, StoreError> {
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let inserted = sqlx::query(
            "INSERT INTO providers (workspace, name, id, type, labels, annotations,
                 resource_version, created_ms, config)
             VALUES (?, ?, ?, ?, ?, ?, 1, ?, ?) ON CONFLICT (workspace, name) DO NOTHING",
        )
        .bind(new.workspace.as_str())
        .bind(&new.name)
        .bind(&new.id)
        .bind(&new.kind)
        .bind(labels_to_json(&new.labels))
        .bind(labels_to_json(&new.annotations))
        .bind(new.created_ms)
        .bind(labels_to_json(&new.config))
        .execute(&mut *transaction)
        .await?;
        if inserted.rows_affected() == 0 {
            return Ok(false);
        }
        put_credentials(&mut transaction, new).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Stores what changed of a provider, and tells which sandboxes it concerns. `None`: somebody
    /// else changed it meanwhile, or it is gone.
    pub(crate) async fn update_provider(
        &self,
        changed: &Provider,
    ) -> Result<Option<Concerned>, StoreError> {
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let updated = sqlx::query(
            "UPDATE providers SET config = ?, labels = ?, annotations = ?,
                 resource_version = resource_version + 1
             WHERE id = ? AND resource_version = ?",
        )
        .bind(labels_to_json(&changed.config))
        .bind(labels_to_json(&changed.labels))
        .bind(labels_to_json(&changed.annotations))
        .bind(&changed.id)
        .bind(i64::try_from(changed.resource_version).unwrap_or(i64::MAX))
        .execute(&mut *transaction)
        .await?;
        if updated.rows_affected() == 0 {
            return Ok(None);
        }
        put_credentials(&mut transaction, changed).await?;
        let concerned = concern(&mut transaction, &changed.id).await?;
        transaction.commit().await?;
        Ok(Some(concerned))
    }

    pub(crate) async fn provider(
        &self,
        workspace: &WorkspaceName,
        name: &str,
    ) -> Result<Option<Provider>, StoreError> {
        let row = sqlx::query(select!("", "FROM providers WHERE workspace = ? AND name = ?"))
            .bind(workspace.as_str())
            .bind(name)
            .fetch_optional(&self.pool)
            .await?;
        match row {
            Some(row) => Ok(Some(self.with_credentials(provider(&row)?).await?)),
            None => Ok(None),
        }
    }

    /// All providers of a workspace, or of all, in the order of their names.
    pub(crate) async fn providers(
        &self,
        workspace: Option<&WorkspaceName>,
    ) -> Result<Vec<Provider>, StoreError> {
        let rows = sqlx::query(select!(
            "",
            "FROM providers WHERE ? IS NULL OR workspace = ? ORDER BY workspace, name"
        ))
        .bind(workspace.map(WorkspaceName::as_str))
        .bind(workspace.map(WorkspaceName::as_str))
        .fetch_all(&self.pool)
        .await?;
        let mut all = Vec::with_capacity(rows.len());
        for row in &rows {
            all.push(self.with_credentials(provider(row)?).await?);
        }
        Ok(all)
    }

    /// Removes a provider; `false` when some sandbox or route has it.
    pub(crate) async fn remove_provider(&self, id: &str) -> Result<bool, StoreError> {
        let removed = sqlx::query(
            "DELETE FROM providers WHERE id = ?
                 AND NOT EXISTS (SELECT 1 FROM attachments WHERE provider_id = ?)
                 AND NOT EXISTS (SELECT 1 FROM routes WHERE provider_id = ?)",
        )
        .bind(id)
        .bind(id)
        .bind(id)
        .execute(&self.pool)
        .await?;
        Ok(removed.rows_affected() > 0)
    }

    /// What is attached to a sandbox, in the order in which it was, and the epoch of that.
    pub(crate) async fn attached(
        &self,
        id: &SandboxId,
    ) -> Result<(u64, Vec<Attached>), StoreError> {
        // One transaction: what is read belongs to the epoch.
        let mut transaction = self.pool.begin().await?;
        attachments(&mut transaction, id).await
    }

    /// Attaches a provider; `false` when it was already. A sandbox or provider that is gone is an
    /// error of the database's.
    pub(crate) async fn attach(
        &self,
        id: &SandboxId,
        provider: &Provider,
        placeholders: &BTreeMap<String, String>,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let attached = sqlx::query(
            "INSERT INTO attachments (workspace, sandbox_id, provider_id, labels, resource_version,
                 created_ms, placeholders)
             VALUES (?, ?, ?, '{}', 1, ?, ?)
             ON CONFLICT DO UPDATE SET placeholders = excluded.placeholders
             WHERE placeholders <> excluded.placeholders",
        )
        .bind(provider.workspace.as_str())
        .bind(id.as_str())
        .bind(&provider.id)
        .bind(Timestamp::now().as_millisecond())
        .bind(labels_to_json(placeholders))
        .execute(&mut *transaction)
        .await?;
        let is_new = attached.rows_affected() > 0;
        if is_new {
            bump(&mut transaction, id).await?;
        }
        transaction.commit().await?;
        Ok(is_new)
    }

    /// Detaches a provider; `false` when it was not attached.
    pub(crate) async fn detach(
        &self,
        id: &SandboxId,
        provider_id: &str,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let detached =
            sqlx::query("DELETE FROM attachments WHERE sandbox_id = ? AND provider_id = ?")
                .bind(id.as_str())
                .bind(provider_id)
                .execute(&mut *transaction)
                .await?;
        let was_attached = detached.rows_affected() > 0;
        if was_attached {
            bump(&mut transaction, id).await?;
        }
        transaction.commit().await?;
        Ok(was_attached)
    }

    async fn with_credentials(&self, mut provider: Provider) -> Result<Provider, StoreError> {
        let mut connection = self.pool.acquire().await?;
        provider.credentials = credentials(&mut connection, &provider.id).await?;
        Ok(provider)
    }
}

/// What is attached to a sandbox and the epoch, within a transaction.
pub(super) async fn attachments(
    connection: &mut SqliteConnection,
    id: &SandboxId,
) -> Result<(u64, Vec<Attached>), StoreError> {
    let epoch = sqlx::query("SELECT epoch FROM sandboxes WHERE id = ?")
        .bind(id.as_str())
        .fetch_optional(&mut *connection)
        .await?;
    let epoch = epoch.map(|row| row.try_get::<i64, _>("epoch")).transpose()?.map_or(0, unsigned);
    let rows = sqlx::query(select!(
        ", attachments.placeholders",
        "FROM attachments JOIN providers ON providers.id = attachments.provider_id
         WHERE attachments.sandbox_id = ? ORDER BY attachments.created_ms, providers.name"
    ))
    .bind(id.as_str())
    .fetch_all(&mut *connection)
    .await?;
    let mut all = Vec::with_capacity(rows.len());
    for row in &rows {
        let mut provider = provider(row)?;
        provider.credentials = credentials(connection, &provider.id).await?;
        let text: String = row.try_get("placeholders")?;
        let placeholders = labels_from_json("attachments", &text)?;
        all.push(Attached { provider, placeholders });
    }
    Ok((epoch, all))
}

/// Bumps the epoch of every sandbox that a change of a provider concerns, and tells which they are.
pub(super) async fn concern(
    transaction: &mut Transaction<'_, Sqlite>,
    provider_id: &str,
) -> Result<Concerned, StoreError> {
    let rows = sqlx::query(
        "UPDATE sandboxes SET epoch = epoch + 1
         WHERE id IN (SELECT sandbox_id FROM attachments WHERE provider_id = ?) RETURNING id",
    )
    .bind(provider_id)
    .fetch_all(&mut **transaction)
    .await?;
    let attached = rows.iter().map(|row| sandbox_id(row, "id")).collect::<Result<_, _>>()?;
    let routed = bump_routed(transaction, provider_id).await?;
    Ok(Concerned { attached, routed })
}

/// A provider by its id, within a transaction.
pub(super) async fn provider_by_id(
    connection: &mut SqliteConnection,
    id: &str,
) -> Result<Option<Provider>, StoreError> {
    let row = sqlx::query(select!("", "FROM providers WHERE id = ?"))
        .bind(id)
        .fetch_optional(&mut *connection)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let mut provider = provider(&row)?;
    provider.credentials = credentials(connection, id).await?;
    Ok(Some(provider))
}

/// Attaches providers, within the transaction that makes the sandbox.
pub(super) async fn insert_attached(
    transaction: &mut Transaction<'_, Sqlite>,
    id: &SandboxId,
    attached: &[Attached],
) -> Result<(), StoreError> {
    for Attached { provider, placeholders } in attached {
        sqlx::query(
            "INSERT INTO attachments (workspace, sandbox_id, provider_id, labels, resource_version,
                 created_ms, placeholders)
             VALUES (?, ?, ?, '{}', 1, ?, ?)",
        )
        .bind(provider.workspace.as_str())
        .bind(id.as_str())
        .bind(&provider.id)
        .bind(Timestamp::now().as_millisecond())
        .bind(labels_to_json(placeholders))
        .execute(&mut **transaction)
        .await?;
        bump(transaction, id).await?;
    }
    Ok(())
}

async fn bump(transaction: &mut Transaction<'_, Sqlite>, id: &SandboxId) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE sandboxes SET epoch = epoch + 1, resource_version = resource_version + 1
         WHERE id = ?",
    )
    .bind(id.as_str())
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

async fn put_credentials(
    transaction: &mut Transaction<'_, Sqlite>,
    provider: &Provider,
) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM provider_credentials WHERE provider_id = ?")
        .bind(&provider.id)
        .execute(&mut **transaction)
        .await?;
    for (variable, Sealed { sealed, expires_ms }) in &provider.credentials {
        sqlx::query(
            "INSERT INTO provider_credentials (workspace, provider_id, variable, labels,
                 resource_version, sealed, expires_ms)
             VALUES (?, ?, ?, '{}', 1, ?, ?)",
        )
        .bind(provider.workspace.as_str())
        .bind(&provider.id)
        .bind(variable)
        .bind(sealed)
        .bind(expires_ms)
        .execute(&mut **transaction)
        .await?;
    }
    Ok(())
}

async fn credentials(
    connection: &mut SqliteConnection,
    provider_id: &str,
) -> Result<BTreeMap<String, Sealed>, StoreError> {
    let rows = sqlx::query(
        "SELECT variable, sealed, expires_ms FROM provider_credentials WHERE provider_id = ?",
    )
    .bind(provider_id)
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| {
            let sealed =
                Sealed { sealed: row.try_get("sealed")?, expires_ms: row.try_get("expires_ms")? };
            Ok((row.try_get("variable")?, sealed))
        })
        .collect()
}

fn provider(row: &SqliteRow) -> Result<Provider, StoreError> {
    let text = |column: &str| row.try_get::<String, _>(column);
    let workspace = WorkspaceName::parse(&text("workspace")?)
        .map_err(|error| StoreError::Row { table: "providers", detail: error.to_string() })?;
    Ok(Provider {
        workspace,
        name: text("name")?,
        id: text("id")?,
        kind: text("type")?,
        labels: labels_from_json("providers", &text("labels")?)?,
        annotations: labels_from_json("providers", &text("annotations")?)?,
        resource_version: unsigned(row.try_get("resource_version")?),
        created_ms: row.try_get("created_ms")?,
        config: labels_from_json("providers", &text("config")?)?,
        profile: row.try_get("profile")?,
        credentials: BTreeMap::new(),
    })
}

pub(super) fn sandbox_id(row: &SqliteRow, column: &str) -> Result<SandboxId, StoreError> {
    let id: String = row.try_get(column)?;
    SandboxId::parse(&id)
        .map_err(|error| StoreError::Row { table: "sandboxes", detail: error.to_string() })
}
