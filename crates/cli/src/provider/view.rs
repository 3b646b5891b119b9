//! A provider as it is shown: the published field names, and no value.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use openshell_client::Provider;
use serde::Serialize;

use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{self, Format};

#[derive(Debug, Serialize)]
struct View {
    id: String,
    name: String,
    workspace: String,
    #[serde(rename = "type")]
    kind: String,
    credential_keys: Vec<String>,
    config_keys: Vec<String>,
    labels: BTreeMap<String, String>,
    resource_version: u64,
    created_at: Option<String>,
    credential_expires_at_ms: BTreeMap<String, u64>,
}

/// Shows one.
pub(crate) fn show(provider: Provider, format: Format) -> Result<Exit, CliError> {
    output::show(format, &View::from(provider), |view| {
        output::fields([
            ("name", view.name.clone()),
            ("type", view.kind.clone()),
            ("workspace", view.workspace.clone()),
            ("credentials", view.credential_keys.join(", ")),
            ("settings", view.config_keys.join(", ")),
            ("created", view.created_at.clone().unwrap_or_default()),
        ])
    })?;
    Ok(Exit::OK)
}

/// Shows several.
pub(crate) fn show_all(providers: Vec<Provider>, format: Format) -> Result<Exit, CliError> {
    let now = SystemTime::now();
    let ages: Vec<String> =
        providers.iter().map(|provider| output::age(provider.created_at, now)).collect();
    let views: Vec<View> = providers.into_iter().map(View::from).collect();
    output::show(format, &views, |views| {
        if views.is_empty() {
            return "no providers; `openshell provider create` makes one\n".to_owned();
        }
        let rows = views.iter().zip(&ages).map(|(view, age)| {
            [view.name.clone(), view.kind.clone(), view.credential_keys.join(", "), age.clone()]
        });
        output::table(["NAME", "TYPE", "CREDENTIALS", "AGE"], rows)
    })?;
    Ok(Exit::OK)
}

impl From<Provider> for View {
    fn from(provider: Provider) -> Self {
        let ms = |time: SystemTime| {
            let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        };
        Self {
            id: provider.id,
            name: provider.name,
            workspace: provider.workspace,
            kind: provider.kind,
            credential_keys: provider.credentials,
            config_keys: provider.config.into_keys().collect(),
            labels: provider.labels,
            resource_version: provider.resource_version,
            created_at: provider.created_at.and_then(output::time),
            credential_expires_at_ms: provider
                .expiries
                .into_iter()
                .map(|(variable, end)| (variable, ms(end)))
                .collect(),
        }
    }
}
