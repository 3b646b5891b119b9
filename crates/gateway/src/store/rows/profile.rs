//! Rows of `provider_profiles`.

use jiff::Timestamp;
use openshell_types::{SandboxId, WorkspaceName};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::provider::sandbox_id;
use crate::store::{Store, StoreError, signed, unsigned};

/// One profile of a workspace's own.
#[derive(Clone, Debug)]
pub(crate) struct StoredProfile {
    pub(crate) id: String,
    pub(crate) resource_version: u64,
    pub(crate) text: String,
}

/// What became of a profile that is to be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Removed {
    Done,
    Absent,
    /// This provider is of its type.
    Used(String),
}

impl Store {
    pub(crate) async fn profile(
        &self,
        workspace: &WorkspaceName,
        id: &str,
    ) -> Result<Option<StoredProfile>, StoreError> {
        let row = sqlx::query("SELECT * FROM provider_profiles WHERE workspace = ? AND id = ?")
            .bind(workspace.as_str())
            .bind(id)
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(profile).transpose()
    }

    /// Those of a workspace, by id.
    pub(crate) async fn profiles(
        &self,
        workspace: &WorkspaceName,
    ) -> Result<Vec<StoredProfile>, StoreError> {
        let rows = sqlx::query("SELECT * FROM provider_profiles WHERE workspace = ? ORDER BY id")
            .bind(workspace.as_str())
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(profile).collect()
    }

    /// Stores new profiles by id, all or none; `false` when some id is taken.
    pub(crate) async fn insert_profiles(
        &self,
        workspace: &WorkspaceName,
        new: &[(String, String)],
    ) -> Result<bool, StoreError> {
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        for (id, text) in new {
            let inserted = sqlx::query(
                "INSERT INTO provider_profiles (workspace, id, labels, resource_version,
                     created_ms, text)
                 VALUES (?, ?, '{}', 1, ?, ?) ON CONFLICT (workspace, id) DO NOTHING",
            )
            .bind(workspace.as_str())
            .bind(id)
            .bind(Timestamp::now().as_millisecond())
            .bind(text)
            .execute(&mut *transaction)
            .await?;
            if inserted.rows_affected() == 0 {
                return Ok(false);
            }
        }
        transaction.commit().await?;
        Ok(true)
    }

    /// Puts another text in the place of this version's, and tells which sandboxes it concerns.
    /// `None`: the version is another, or it is gone.
    pub(crate) async fn update_profile(
        &self,
        workspace: &WorkspaceName,
        changed: &StoredProfile,
    ) -> Result<Option<Vec<SandboxId>>, StoreError> {
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let updated = sqlx::query(
            "UPDATE provider_profiles SET text = ?, resource_version = resource_version + 1
             WHERE workspace = ? AND id = ? AND resource_version = ?",
        )
        .bind(&changed.text)
        .bind(workspace.as_str())
        .bind(&changed.id)
        .bind(signed(changed.resource_version))
        .execute(&mut *transaction)
        .await?;
        if updated.rows_affected() == 0 {
            return Ok(None);
        }
        let rows = sqlx::query(
            "UPDATE sandboxes SET epoch = epoch + 1
             WHERE id IN (SELECT sandbox_id FROM attachments
                 JOIN providers ON providers.id = attachments.provider_id
                 WHERE providers.workspace = ? AND providers.type = ?) RETURNING id",
        )
        .bind(workspace.as_str())
        .bind(&changed.id)
        .fetch_all(&mut *transaction)
        .await?;
        transaction.commit().await?;
        rows.iter().map(|row| sandbox_id(row, "id")).collect::<Result<_, _>>().map(Some)
    }

    /// Removes a profile that no provider uses.
    pub(crate) async fn remove_profile(
        &self,
        workspace: &WorkspaceName,
        id: &str,
    ) -> Result<Removed, StoreError> {
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let user = sqlx::query(
            "SELECT name FROM providers WHERE workspace = ? AND type = ? ORDER BY name LIMIT 1",
        )
        .bind(workspace.as_str())
        .bind(id)
        .fetch_optional(&mut *transaction)
        .await?;
        let stored = sqlx::query("SELECT 1 FROM provider_profiles WHERE workspace = ? AND id = ?")
            .bind(workspace.as_str())
            .bind(id)
            .fetch_optional(&mut *transaction)
            .await?;
        match (stored, user) {
            (None, _) => return Ok(Removed::Absent),
            (Some(_), Some(user)) => return Ok(Removed::Used(user.try_get("name")?)),
            (Some(_), None) => {}
        }
        sqlx::query("DELETE FROM provider_profiles WHERE workspace = ? AND id = ?")
            .bind(workspace.as_str())
            .bind(id)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(Removed::Done)
    }

    /// The sandboxes that have a provider of this type.
    pub(crate) async fn sandboxes_of_type(
        &self,
        workspace: &WorkspaceName,
        kind: &str,
    ) -> Result<Vec<SandboxId>, StoreError> {
        let rows = sqlx::query(
            "SELECT DISTINCT sandbox_id FROM attachments
             JOIN providers ON providers.id = attachments.provider_id
             WHERE providers.workspace = ? AND providers.type = ?",
        )
        .bind(workspace.as_str())
        .bind(kind)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(|row| sandbox_id(row, "sandbox_id")).collect()
    }

    /// The sandboxes that have this provider.
    pub(crate) async fn sandboxes_with(
        &self,
        provider_id: &str,
    ) -> Result<Vec<SandboxId>, StoreError> {
        let rows = sqlx::query("SELECT sandbox_id FROM attachments WHERE provider_id = ?")
            .bind(provider_id)
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(|row| sandbox_id(row, "sandbox_id")).collect()
    }
}

fn profile(row: &SqliteRow) -> Result<StoredProfile, StoreError> {
    Ok(StoredProfile {
        id: row.try_get("id")?,
        resource_version: unsigned(row.try_get("resource_version")?),
        text: row.try_get("text")?,
    })
}
