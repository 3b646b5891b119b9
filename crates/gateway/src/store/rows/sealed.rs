//! All that is sealed, for when it is sealed with another key.

use openshell_credential::SealError;
use openshell_types::WorkspaceName;
use sqlx::{AssertSqlSafe, Row as _, Sqlite, Transaction};

use crate::store::{Store, StoreError};
use crate::vault::place;

impl Store {
    /// Seals everything anew, all of it or nothing, and tells how much that was. `again` gets the
    /// place of each text; `mark` is the setting that is sealed. When it returns, the old key is
    /// needed no more, not even after a loss of power.
    pub(crate) async fn reseal(
        &self,
        mark: &str,
        of_old: &str,
        again: impl Fn(&str, &str) -> Result<Option<String>, SealError>,
    ) -> Result<usize, StoreError> {
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let mut sealed = 0_usize;
        for (table, place) in TABLES {
            let rows = sqlx::query(AssertSqlSafe(format!(
                "SELECT provider_id, variable, sealed FROM {table}"
            )))
            .fetch_all(&mut *transaction)
            .await?;
            for row in rows {
                let (id, variable): (String, String) =
                    (row.try_get("provider_id")?, row.try_get("variable")?);
                let text: String = row.try_get("sealed")?;
                let text = again(&place(&id, &variable), &text)
                    .map_err(|error| StoreError::Row { table, detail: error.to_string() })?;
                let Some(text) = text else { continue };
                sqlx::query(AssertSqlSafe(format!(
                    "UPDATE {table} SET sealed = ? WHERE provider_id = ? AND variable = ?"
                )))
                .bind(text)
                .bind(id)
                .bind(variable)
                .execute(&mut *transaction)
                .await?;
                sealed = sealed.saturating_add(1);
            }
        }
        let workspace = WorkspaceName::default_workspace();
        let row = sqlx::query("SELECT value FROM settings WHERE workspace = ? AND key = ?")
            .bind(workspace.as_str())
            .bind(mark)
            .fetch_optional(&mut *transaction)
            .await?;
        if let Some(row) = row {
            let text: String = row.try_get("value")?;
            let text = again(mark, &text).map_err(|error| StoreError::Row {
                table: "settings",
                detail: error.to_string(),
            })?;
            if let Some(text) = text {
                sqlx::query("UPDATE settings SET value = ? WHERE workspace = ? AND key = ?")
                    .bind(text)
                    .bind(workspace.as_str())
                    .bind(mark)
                    .execute(&mut *transaction)
                    .await?;
                sealed = sealed.saturating_add(1);
            }
        }
        refuse_rest(&mut transaction, of_old).await?;
        transaction.commit().await?;
        let row = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&self.pool).await?;
        if row.try_get::<i64, _>(0)? != 0 {
            let detail = "another program reads the database, so it is not written out".to_owned();
            return Err(StoreError::Row { table: "settings", detail });
        }
        Ok(sealed)
    }
}

type PlaceOf = fn(&str, &str) -> String;

/// What is sealed by provider and variable, and for which place.
const TABLES: [(&str, PlaceOf); 2] =
    [("provider_credentials", place::credential), ("provider_refreshes", place::material)];

/// SECURITY: I8; what nobody told of here would be lost with the old key. Then nothing is changed.
async fn refuse_rest(
    transaction: &mut Transaction<'_, Sqlite>,
    of_old: &str,
) -> Result<(), StoreError> {
    let columns = sqlx::query(
        "SELECT tables.name AS own, columns.name AS field
         FROM sqlite_master AS tables, pragma_table_info(tables.name) AS columns
         WHERE tables.type = 'table'",
    )
    .fetch_all(&mut **transaction)
    .await?;
    for row in columns {
        let (table, column): (String, String) = (row.try_get("own")?, row.try_get("field")?);
        let left = sqlx::query(AssertSqlSafe(format!(
            "SELECT 1 FROM \"{table}\" WHERE instr(CAST(\"{column}\" AS TEXT), ?) > 0 LIMIT 1"
        )))
        .bind(of_old)
        .fetch_optional(&mut **transaction)
        .await?;
        if left.is_some() {
            let detail = format!("`{table}.{column}` is sealed, and is not known to be");
            return Err(StoreError::Row { table: "sqlite_master", detail });
        }
    }
    Ok(())
}

#[cfg(test)]
impl Store {
    /// A provider `id` with one credential and its renewal.
    pub(crate) async fn insert_sealed_for_test(&self, credential: &str, material: &str) {
        for sql in [
            "INSERT INTO providers VALUES ('default', 'x', 'id', 'generic', '{}', '{}', 1, 0, '{}')",
            "INSERT INTO provider_credentials (workspace, provider_id, variable, labels,
                 resource_version, sealed) VALUES ('default', 'id', 'KEY', '{}', 1, ?)",
            "INSERT INTO provider_refreshes (workspace, provider_id, variable, labels,
                 resource_version, created_ms, strategy, sealed, next_ms, error, error_code, recovery)
             VALUES ('default', 'id', 'KEY', '{}', 1, 0, '', ?, 0, '', '', '')",
        ] {
            let text = if sql.contains("refreshes") { material } else { credential };
            let query = sqlx::query(sql);
            let query = if sql.contains('?') { query.bind(text) } else { query };
            query.execute(&self.pool).await.unwrap();
        }
    }

    /// What is sealed of it.
    pub(crate) async fn sealed_for_test(&self) -> (String, String) {
        let row = sqlx::query(
            "SELECT held.sealed AS one, renewed.sealed AS two
             FROM provider_credentials AS held, provider_refreshes AS renewed",
        );
        let row = row.fetch_one(&self.pool).await.unwrap();
        (row.get("one"), row.get("two"))
    }
}
