//! Rows of `settings`: what the gateway remembers about itself.

use openshell_types::WorkspaceName;
use sqlx::Row as _;

use crate::store::{Store, StoreError};

impl Store {
    pub(crate) async fn setting(&self, key: &str) -> Result<Option<String>, StoreError> {
        let row = sqlx::query("SELECT value FROM settings WHERE workspace = ? AND key = ?")
            .bind(WorkspaceName::default_workspace().as_str())
            .bind(key)
            .fetch_optional(&self.pool)
            .await?;
        Ok(row.map(|row| row.try_get("value")).transpose()?)
    }

    pub(crate) async fn set_setting(&self, key: &str, value: &str) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO settings (workspace, key, labels, resource_version, value)
             VALUES (?, ?, '{}', 1, ?)
             ON CONFLICT (workspace, key) DO UPDATE
             SET value = excluded.value, resource_version = resource_version + 1",
        )
        .bind(WorkspaceName::default_workspace().as_str())
        .bind(key)
        .bind(value)
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
