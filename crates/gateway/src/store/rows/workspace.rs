//! Rows of `workspaces`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use openshell_types::WorkspaceName;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use crate::store::{Store, StoreError, labels_from_json, labels_to_json, unsigned};

/// One workspace.
#[derive(Clone, Debug)]
pub(crate) struct Workspace {
    pub(crate) name: WorkspaceName,
    pub(crate) id: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) resource_version: u64,
    pub(crate) created_ms: i64,
}

impl Store {
    /// Makes the workspace that always exists.
    pub(crate) async fn ensure_default_workspace(&self) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO workspaces (workspace, id, labels, resource_version, created_ms)
             VALUES (?, ?, ?, 1, ?) ON CONFLICT DO NOTHING",
        )
        .bind(WorkspaceName::default_workspace().as_str())
        .bind(uuid::Uuid::new_v4().to_string())
        .bind(labels_to_json(&BTreeMap::new()))
        .bind(Timestamp::now().as_millisecond())
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    pub(crate) async fn workspace(
        &self,
        name: &WorkspaceName,
    ) -> Result<Option<Workspace>, StoreError> {
        let row = sqlx::query("SELECT * FROM workspaces WHERE workspace = ?")
            .bind(name.as_str())
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(workspace).transpose()
    }

    pub(crate) async fn workspaces(&self) -> Result<Vec<Workspace>, StoreError> {
        let rows = sqlx::query("SELECT * FROM workspaces ORDER BY created_ms, workspace")
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(workspace).collect()
    }
}

fn workspace(row: &SqliteRow) -> Result<Workspace, StoreError> {
    let name: String = row.try_get("workspace")?;
    let labels: String = row.try_get("labels")?;
    Ok(Workspace {
        name: WorkspaceName::parse(&name)
            .map_err(|error| StoreError::Row { table: "workspaces", detail: error.to_string() })?,
        id: row.try_get("id")?,
        labels: labels_from_json("workspaces", &labels)?,
        resource_version: unsigned(row.try_get("resource_version")?),
        created_ms: row.try_get("created_ms")?,
    })
}
