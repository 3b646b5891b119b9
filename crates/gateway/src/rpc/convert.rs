//! Between messages and the values of the rules.

use std::path::PathBuf;
use std::time::Duration;

use openshell_policy::Diagnostic;
use openshell_types::{Mount, TerminalSize, WorkspaceName};
use openshell_wire::datamodel::workspace_selector::Selection;
use openshell_wire::datamodel::{
    ObjectMeta, Workspace, WorkspacePhase, WorkspaceSelector, WorkspaceStatus,
};
use openshell_wire::{native, v1};
use prost::Message as _;
use prost_types::Timestamp;

use crate::app::AppError;
use crate::app::workspace::Scope;
use crate::store::rows::sandbox::{Desired, Phase, Sandbox};
use crate::store::rows::workspace;

/// The workspace that a call is about. It must be named.
pub(super) fn scope(selector: Option<WorkspaceSelector>) -> Result<Scope, AppError> {
    match selector.and_then(|selector| selector.selection) {
        Some(Selection::Workspace(name)) => match WorkspaceName::parse(&name) {
            Ok(name) => Ok(Scope::One(name)),
            Err(_) => Err(AppError::NotFound { kind: "workspace", name }),
        },
        Some(Selection::AllWorkspaces(_)) => Ok(Scope::All),
        None => Err(AppError::invalid("workspace_scope", "a workspace must be selected")),
    }
}

pub(super) fn timestamp(ms: i64) -> Timestamp {
    Timestamp {
        seconds: ms.div_euclid(1000),
        nanos: i32::try_from(ms.rem_euclid(1000)).unwrap_or_default().saturating_mul(1_000_000),
    }
}

pub(super) fn milliseconds(time: Timestamp) -> i64 {
    time.seconds.saturating_mul(1000).saturating_add(i64::from(time.nanos / 1_000_000))
}

/// A duration; `None` for none or nothing.
pub(super) fn duration(
    field: &'static str,
    duration: Option<prost_types::Duration>,
) -> Result<Option<Duration>, AppError> {
    let Some(duration) = duration else { return Ok(None) };
    let duration = Duration::try_from(duration)
        .map_err(|_| AppError::invalid(field, "a duration cannot be negative"))?;
    Ok((!duration.is_zero()).then_some(duration))
}

pub(super) fn terminal(
    size: Option<native::TerminalSize>,
) -> Result<Option<TerminalSize>, AppError> {
    let cells = |cells: u32| {
        u16::try_from(cells).map_err(|_| AppError::invalid("terminal", "more than 65535 cells"))
    };
    size.map(|size| Ok(TerminalSize { cols: cells(size.cols)?, rows: cells(size.rows)? }))
        .transpose()
}

pub(super) fn mount(mount: native::Mount) -> Mount {
    Mount {
        source: PathBuf::from(mount.source),
        target: PathBuf::from(mount.target),
        writable: mount.writable,
    }
}

pub(super) fn diagnostics(findings: Vec<Diagnostic>) -> Vec<native::Diagnostic> {
    findings
        .into_iter()
        .map(|finding| native::Diagnostic {
            code: finding.code.to_owned(),
            severity: finding.severity.to_string(),
            message: finding.message,
            line: finding.line,
            column: finding.column,
            help: finding.help.unwrap_or_default(),
        })
        .collect()
}

/// All that is wrong with a policy, for callers that take a status only.
pub(super) fn refused(findings: &[Diagnostic]) -> AppError {
    let errors: Vec<String> =
        findings.iter().filter(|finding| finding.is_error()).map(ToString::to_string).collect();
    AppError::invalid("policy", errors.join("\n"))
}

pub(super) fn workspace(row: workspace::Workspace) -> Workspace {
    Workspace {
        metadata: Some(ObjectMeta {
            id: row.id,
            name: row.name.to_string(),
            labels: row.labels.into_iter().collect(),
            resource_version: row.resource_version,
            created_time: Some(timestamp(row.created_ms)),
            ..ObjectMeta::default()
        }),
        status: Some(WorkspaceStatus { phase: WorkspacePhase::Active.into() }),
    }
}

/// A sandbox as clients see it.
pub(super) fn sandbox(row: &Sandbox) -> v1::Sandbox {
    // What was stored was encoded by this program; a spec that cannot be read is left out.
    let spec = v1::SandboxSpec::decode(row.requested.as_slice()).ok();
    v1::Sandbox {
        metadata: Some(ObjectMeta {
            id: row.id.to_string(),
            name: row.name.to_string(),
            labels: row.labels.clone().into_iter().collect(),
            resource_version: row.resource_version,
            annotations: row.annotations.clone().into_iter().collect(),
            workspace: row.workspace.to_string(),
            created_time: Some(timestamp(row.created_ms)),
            ..ObjectMeta::default()
        }),
        spec: spec.map(|spec| v1::SandboxSpec {
            command: row.spec.command.clone(),
            tty: row.spec.terminal.is_some(),
            // What is attached now, not what was asked for at first.
            providers: row.providers.clone(),
            ..spec
        }),
        status: Some(status(row)),
        ..v1::Sandbox::default()
    }
}

fn status(row: &Sandbox) -> v1::SandboxStatus {
    let phase = phase(row);
    let is_ready = phase == v1::SandboxPhase::Ready;
    v1::SandboxStatus {
        conditions: vec![v1::SandboxCondition {
            r#type: "Ready".into(),
            status: if is_ready { "True" } else { "False" }.into(),
            reason: row.observed.reason.clone(),
            message: row.observed.message.clone(),
            transition_time: None,
        }],
        phase: phase.into(),
        current_policy_version: row.enforced_revision,
        main_process_instance_id: row.id.to_string(),
        exit_code: row.observed.exit_code,
        configuration_activated: Some(row.enforced_revision > 0),
        ..v1::SandboxStatus::default()
    }
}

pub(super) fn phase(row: &Sandbox) -> v1::SandboxPhase {
    if row.desired == Desired::Absent {
        return v1::SandboxPhase::Deleting;
    }
    match row.observed.phase {
        Phase::Provisioning => v1::SandboxPhase::Provisioning,
        Phase::Ready => v1::SandboxPhase::Ready,
        Phase::Completed => v1::SandboxPhase::Completed,
        Phase::Error => v1::SandboxPhase::Error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_and_after_1970_survive() {
        for ms in [-1, 0, 1, 1_790_000_000_123] {
            assert_eq!(milliseconds(timestamp(ms)), ms);
        }
        assert_eq!(timestamp(-1), Timestamp { seconds: -1, nanos: 999_000_000 });
    }

    #[test]
    fn a_workspace_must_be_selected() {
        assert!(scope(None).is_err());
        assert!(scope(Some(WorkspaceSelector { selection: None })).is_err());
        let one = Selection::Workspace("default".into());
        assert_eq!(
            scope(Some(WorkspaceSelector { selection: Some(one) })).expect("scope"),
            Scope::One(WorkspaceName::default_workspace())
        );
    }
}
