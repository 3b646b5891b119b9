//! A sandbox as it is shown: the published field names.

use std::collections::BTreeMap;

use openshell_client::Sandbox;
use serde::Serialize;

use crate::output;

#[derive(Debug, Serialize)]
pub(crate) struct View {
    pub id: String,
    pub name: String,
    pub workspace: String,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    pub resource_version: u64,
    pub created_at: Option<String>,
    pub phase: &'static str,
    pub current_policy_version: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl From<Sandbox> for View {
    fn from(sandbox: Sandbox) -> Self {
        Self {
            id: sandbox.id,
            name: sandbox.name,
            workspace: sandbox.workspace,
            labels: sandbox.labels,
            annotations: sandbox.annotations,
            resource_version: sandbox.resource_version,
            created_at: sandbox.created_at.and_then(output::time),
            phase: sandbox.phase.as_str(),
            current_policy_version: sandbox.current_policy_version,
            exit_code: sandbox.exit_code,
            message: sandbox.message,
        }
    }
}

/// `key=value` pairs with commas between.
pub(crate) fn labels(labels: &BTreeMap<String, String>) -> String {
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
pub(crate) fn example() -> Sandbox {
    use std::time::{Duration, SystemTime};
    Sandbox {
        id: "0b6a3b1e-58a7-4b11-9d3c-0f54d1f0a001".into(),
        name: "brave-otter".into(),
        workspace: "default".into(),
        labels: [("team".to_owned(), "red".to_owned())].into(),
        annotations: BTreeMap::new(),
        resource_version: 3,
        created_at: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_323_045)),
        phase: openshell_client::Phase::Completed,
        current_policy_version: 1,
        exit_code: Some(7),
        message: None,
        command: vec!["make".into(), "test".into()],
    }
}
