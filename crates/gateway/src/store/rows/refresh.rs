//! Rows of `provider_refreshes`: how credentials are renewed, and who does it now.

use std::collections::BTreeMap;

use openshell_types::WorkspaceName;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::provider::{Concerned, Sealed, concern};
use crate::refresh::{Failure, Recovery};
use crate::store::{Store, StoreError, unsigned};

/// How one credential is renewed.
#[derive(Clone, Debug)]
pub(crate) struct Refresh {
    pub(crate) workspace: WorkspaceName,
    /// The provider's name.
    pub(crate) provider: String,
    pub(crate) provider_id: String,
    pub(crate) variable: String,
    pub(crate) resource_version: u64,
    pub(crate) strategy: String,
    pub(crate) sealed: String,
    pub(crate) next_ms: i64,
    pub(crate) last_ms: Option<i64>,
    pub(crate) claimed_until_ms: Option<i64>,
    /// The last failure since it was renewed, and when that was.
    pub(crate) failure: Option<(Failure, i64)>,
    /// When the value that is there ends to be good.
    pub(crate) expires_ms: Option<i64>,
}

/// How a credential shall be renewed from now on.
#[derive(Debug)]
pub(crate) struct NewRefresh<'a> {
    pub(crate) workspace: &'a str,
    pub(crate) provider_id: &'a str,
    pub(crate) variable: &'a str,
    pub(crate) strategy: &'a str,
    pub(crate) sealed: &'a str,
    pub(crate) next_ms: i64,
    /// When the value that is there ends to be good, if that is told.
    pub(crate) expires_ms: Option<i64>,
}

/// What renewal made.
#[derive(Debug)]
pub(crate) struct Renewed {
    /// By variable.
    pub(crate) credentials: BTreeMap<String, Sealed>,
    /// What is asked with next time, if it is another.
    pub(crate) material: Option<String>,
    pub(crate) now_ms: i64,
    pub(crate) next_ms: i64,
}

const COLUMNS: &str = "SELECT provider_refreshes.*, providers.name AS provider,
         (SELECT expires_ms FROM provider_credentials AS held
          WHERE held.provider_id = provider_refreshes.provider_id
              AND held.variable = provider_refreshes.variable) AS expires_ms
     FROM provider_refreshes JOIN providers ON providers.id = provider_refreshes.provider_id";

impl Store {
    /// Stores how a credential is renewed, in the place of what was there.
    pub(crate) async fn put_refresh(
        &self,
        new: NewRefresh<'_>,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::query(
            "INSERT INTO provider_refreshes (workspace, provider_id, variable, labels,
                 resource_version, created_ms, strategy, sealed, next_ms, error, error_code, recovery)
             VALUES (?, ?, ?, '{}', 1, ?, ?, ?, ?, '', '', '')
             ON CONFLICT DO UPDATE SET resource_version = resource_version + 1,
                 created_ms = excluded.created_ms, strategy = excluded.strategy,
                 sealed = excluded.sealed, next_ms = excluded.next_ms, last_ms = NULL,
                 claimed_until_ms = NULL, error = '', error_code = '', recovery = '', error_ms = NULL",
        )
        .bind(new.workspace)
        .bind(new.provider_id)
        .bind(new.variable)
        .bind(now_ms)
        .bind(new.strategy)
        .bind(new.sealed)
        .bind(new.next_ms)
        .execute(&mut *transaction)
        .await?;
        if new.expires_ms.is_some() {
            sqlx::query(
                "UPDATE provider_credentials SET expires_ms = ?,
                     resource_version = resource_version + 1
                 WHERE provider_id = ? AND variable = ?",
            )
            .bind(new.expires_ms)
            .bind(new.provider_id)
            .bind(new.variable)
            .execute(&mut *transaction)
            .await?;
            changed(&mut transaction, new.provider_id).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// How the credentials of a provider are renewed, by variable.
    pub(crate) async fn refreshes(&self, provider_id: &str) -> Result<Vec<Refresh>, StoreError> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "{COLUMNS} WHERE provider_refreshes.provider_id = ? ORDER BY variable"
        )))
        .bind(provider_id)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(refresh).collect()
    }

    /// Ends the renewal of a credential; `false` when there was none.
    pub(crate) async fn remove_refresh(
        &self,
        provider_id: &str,
        variable: &str,
    ) -> Result<bool, StoreError> {
        let removed =
            sqlx::query("DELETE FROM provider_refreshes WHERE provider_id = ? AND variable = ?")
                .bind(provider_id)
                .bind(variable)
                .execute(&self.pool)
                .await?;
        Ok(removed.rows_affected() > 0)
    }

    /// Takes a renewal that nobody has: this one, or one that is due. It is the caller's until then.
    pub(crate) async fn claim_refresh(
        &self,
        which: Option<(&str, &str)>,
        now_ms: i64,
        until_ms: i64,
    ) -> Result<Option<Refresh>, StoreError> {
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let condition = match which {
            Some(_) => "provider_refreshes.provider_id = ? AND provider_refreshes.variable = ?",
            None => "next_ms <= ?",
        };
        let found = sqlx::query(sqlx::AssertSqlSafe(format!(
            "{COLUMNS} WHERE (claimed_until_ms IS NULL OR claimed_until_ms <= ?) AND {condition}
             ORDER BY next_ms LIMIT 1"
        )))
        .bind(now_ms);
        let found = match which {
            Some((provider_id, variable)) => found.bind(provider_id).bind(variable),
            None => found.bind(now_ms),
        };
        let found = found.fetch_optional(&mut *transaction).await?;
        let Some(mut found) = found.as_ref().map(refresh).transpose()? else { return Ok(None) };
        sqlx::query(
            "UPDATE provider_refreshes
             SET claimed_until_ms = ?, resource_version = resource_version + 1
             WHERE provider_id = ? AND variable = ?",
        )
        .bind(until_ms)
        .bind(&found.provider_id)
        .bind(&found.variable)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        found.resource_version = found.resource_version.saturating_add(1);
        found.claimed_until_ms = Some(until_ms);
        Ok(Some(found))
    }

    /// When the next renewal can be taken.
    pub(crate) async fn next_refresh(&self) -> Result<Option<i64>, StoreError> {
        let row = sqlx::query(
            "SELECT min(max(next_ms, coalesce(claimed_until_ms, next_ms))) AS next
             FROM provider_refreshes",
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(row.try_get("next")?)
    }

    /// Gives up what a gateway had taken that is gone.
    pub(crate) async fn release_refreshes(&self) -> Result<(), StoreError> {
        sqlx::query("UPDATE provider_refreshes SET claimed_until_ms = NULL")
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Stores what a renewal that was taken made, all of it or nothing, and tells which sandboxes it
    /// concerns. `None`: it was configured anew meanwhile, or is gone.
    pub(crate) async fn finish_refresh(
        &self,
        taken: &Refresh,
        renewed: &Renewed,
    ) -> Result<Option<Concerned>, StoreError> {
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let updated = sqlx::query(
            "UPDATE provider_refreshes SET sealed = coalesce(?, sealed), next_ms = ?, last_ms = ?,
                 claimed_until_ms = NULL, error = '', error_code = '', recovery = '',
                 error_ms = NULL, resource_version = resource_version + 1
             WHERE provider_id = ? AND variable = ? AND resource_version = ?",
        )
        .bind(&renewed.material)
        .bind(renewed.next_ms)
        .bind(renewed.now_ms)
        .bind(&taken.provider_id)
        .bind(&taken.variable)
        .bind(i64::try_from(taken.resource_version).unwrap_or(i64::MAX))
        .execute(&mut *transaction)
        .await?;
        if updated.rows_affected() == 0 {
            return Ok(None);
        }
        for (variable, Sealed { sealed, expires_ms }) in &renewed.credentials {
            sqlx::query(
                "INSERT INTO provider_credentials (workspace, provider_id, variable, labels,
                     resource_version, sealed, expires_ms)
                 VALUES (?, ?, ?, '{}', 1, ?, ?)
                 ON CONFLICT DO UPDATE SET sealed = excluded.sealed,
                     expires_ms = excluded.expires_ms, resource_version = resource_version + 1",
            )
            .bind(taken.workspace.as_str())
            .bind(&taken.provider_id)
            .bind(variable)
            .bind(sealed)
            .bind(expires_ms)
            .execute(&mut *transaction)
            .await?;
        }
        let concerned = changed(&mut transaction, &taken.provider_id).await?;
        transaction.commit().await?;
        // A server may take a refresh token once only: the new one outlives a loss of power.
        if renewed.material.is_some() {
            self.checkpoint().await?;
        }
        Ok(Some(concerned))
    }

    /// Stores why a renewal that was taken failed.
    pub(crate) async fn fail_refresh(
        &self,
        taken: &Refresh,
        failure: &Failure,
        (now_ms, next_ms): (i64, i64),
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE provider_refreshes SET error = ?, error_code = ?, recovery = ?, error_ms = ?,
                 next_ms = ?, claimed_until_ms = NULL, resource_version = resource_version + 1
             WHERE provider_id = ? AND variable = ? AND resource_version = ?",
        )
        .bind(&failure.message)
        .bind(&failure.code)
        .bind(failure.recovery.as_str())
        .bind(now_ms)
        .bind(next_ms)
        .bind(&taken.provider_id)
        .bind(&taken.variable)
        .bind(i64::try_from(taken.resource_version).unwrap_or(i64::MAX))
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}

/// Counts a change of a provider's values, and tells which sandboxes it concerns.
async fn changed(
    transaction: &mut sqlx::Transaction<'_, sqlx::Sqlite>,
    provider_id: &str,
) -> Result<Concerned, StoreError> {
    sqlx::query("UPDATE providers SET resource_version = resource_version + 1 WHERE id = ?")
        .bind(provider_id)
        .execute(&mut **transaction)
        .await?;
    concern(transaction, provider_id).await
}

fn refresh(row: &SqliteRow) -> Result<Refresh, StoreError> {
    let text = |column: &str| row.try_get::<String, _>(column);
    let failed_ms: Option<i64> = row.try_get("error_ms")?;
    let failure = Failure {
        code: text("error_code")?,
        message: text("error")?,
        recovery: Recovery::parse(&text("recovery")?),
    };
    Ok(Refresh {
        workspace: WorkspaceName::parse(&text("workspace")?).map_err(|error| StoreError::Row {
            table: "provider_refreshes",
            detail: error.to_string(),
        })?,
        provider: text("provider")?,
        provider_id: text("provider_id")?,
        variable: text("variable")?,
        resource_version: unsigned(row.try_get("resource_version")?),
        strategy: text("strategy")?,
        sealed: text("sealed")?,
        next_ms: row.try_get("next_ms")?,
        last_ms: row.try_get("last_ms")?,
        claimed_until_ms: row.try_get("claimed_until_ms")?,
        failure: failed_ms.map(|ms| (failure, ms)),
        expires_ms: row.try_get("expires_ms")?,
    })
}
