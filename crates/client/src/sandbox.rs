//! Sandboxes: create, look up, list, delete.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use openshell_types::{Mount, TerminalSize};
use openshell_wire::datamodel::{AllWorkspaces, WorkspaceSelector, workspace_selector};
use openshell_wire::{native, v1};

use crate::connect::Client;
use crate::error::{ClientError, Diagnostic, diagnostics};
use crate::limits;

/// A sandbox to create.
#[derive(Clone, Debug, Default)]
pub struct NewSandbox {
    /// Its name; empty: the gateway invents one.
    pub name: String,
    /// Its labels.
    pub labels: HashMap<String, String>,
    /// Its main command; empty: the gateway's default.
    pub command: Vec<String>,
    /// Variables on top of the composed ones.
    pub environment: HashMap<String, String>,
    /// The terminal of the main command; none: it has no terminal.
    pub terminal: Option<TerminalSize>,
    /// Host paths that the person named.
    pub mounts: Vec<Mount>,
    /// Host paths without which the command is not found.
    pub tool_binds: Vec<PathBuf>,
    /// Delete it when its main command ends.
    pub ephemeral: bool,
    /// The main command waits until somebody attaches.
    pub await_attach: bool,
    /// The policy's text and the name of its file; none: the default policy.
    pub policy: Option<(String, String)>,
    /// Providers to attach, by name.
    pub providers: Vec<String>,
}

/// A sandbox that was created.
#[derive(Clone, Debug)]
pub struct Created {
    /// The sandbox.
    pub sandbox: Sandbox,
    /// Things that the person should know.
    pub notes: Vec<String>,
    /// Warnings about its policy.
    pub diagnostics: Vec<Diagnostic>,
}

/// A sandbox as its gateway sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sandbox {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its workspace.
    pub workspace: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// Counts its changes.
    pub resource_version: u64,
    /// When it was created.
    pub created_at: Option<SystemTime>,
    /// Where it is in its life.
    pub phase: Phase,
    /// The number of the policy in force.
    pub current_policy_version: u32,
    /// How its main command ended, if it did.
    pub exit_code: Option<i32>,
    /// Why it is in this phase, in the gateway's words.
    pub message: Option<String>,
    /// Its main command.
    pub command: Vec<String>,
}

/// Where a sandbox is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Being made.
    Provisioning,
    /// Its main command runs.
    Ready,
    /// It could not be made, or failed.
    Error,
    /// Being deleted.
    Deleting,
    /// Being stopped.
    Stopping,
    /// Stopped; its files are kept.
    Stopped,
    /// Being started again.
    Starting,
    /// Its main command ended; its files are kept.
    Completed,
    /// The gateway did not say, or said what this version does not know.
    Unknown,
}

impl Phase {
    /// The phase as published programs print it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Provisioning => "Provisioning",
            Self::Ready => "Ready",
            Self::Error => "Error",
            Self::Deleting => "Deleting",
            Self::Stopping => "Stopping",
            Self::Stopped => "Stopped",
            Self::Starting => "Starting",
            Self::Completed => "Completed",
            Self::Unknown => "Unknown",
        }
    }
}

/// Which sandboxes to list.
#[derive(Clone, Debug, Default)]
pub struct ListOptions {
    /// `key=value` pairs with commas between; empty: all.
    pub selector: String,
    /// In which workspaces.
    pub within: Selection,
    /// At most this many; none: all.
    pub limit: Option<usize>,
}

/// In which workspaces to look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Selection {
    /// The connection's.
    #[default]
    Own,
    /// All of them.
    All,
}

/// What came of a deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// The sandbox is gone.
    Completed,
    /// It is being deleted.
    Accepted,
    /// There was none.
    AlreadyAbsent,
}

impl Client {
    /// Creates a sandbox. It may not be ready yet.
    pub async fn create(&self, new: NewSandbox) -> Result<Created, ClientError> {
        let request = self.create_request(new);
        let answer = self.native.clone().create(request).await?.into_inner();
        let diagnostics = diagnostics(answer.diagnostics);
        let Some(sandbox) = answer.sandbox else {
            return Err(match diagnostics.is_empty() {
                true => ClientError::malformed("sandbox"),
                false => {
                    let message = "the policy has errors".to_owned();
                    ClientError::BadInput { message, diagnostics }
                }
            });
        };
        Ok(Created { sandbox: sandbox.try_into()?, notes: answer.notes, diagnostics })
    }

    fn create_request(&self, new: NewSandbox) -> native::CreateRequest {
        let (policy_text, policy_file) = new.policy.unwrap_or_default();
        let spec = v1::SandboxSpec {
            environment: new.environment,
            command: new.command,
            tty: new.terminal.is_some(),
            providers: new.providers,
            ..Default::default()
        };
        let request = v1::CreateSandboxRequest {
            spec: Some(spec),
            name: new.name,
            labels: new.labels,
            await_main_process_attachment: new.await_attach,
            workspace_scope: self.scope(),
            ..Default::default()
        };
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        native::CreateRequest {
            request: Some(request),
            mounts: new
                .mounts
                .into_iter()
                .map(|mount| native::Mount {
                    source: text(mount.source),
                    target: text(mount.target),
                    writable: mount.writable,
                })
                .collect(),
            tool_binds: new
                .tool_binds
                .into_iter()
                .map(|path| native::ToolBind { path: text(path) })
                .collect(),
            ephemeral: new.ephemeral,
            policy_text,
            terminal: new.terminal.map(|size| native::TerminalSize {
                cols: size.cols.into(),
                rows: size.rows.into(),
            }),
            policy_file,
        }
    }

    /// A sandbox by its name.
    pub async fn sandbox(&self, name: &str) -> Result<Sandbox, ClientError> {
        let request =
            v1::GetSandboxRequest { name: name.to_owned(), workspace_scope: self.scope() };
        let answer = self.v1.clone().get_sandbox(request).await?.into_inner();
        answer.sandbox.ok_or_else(|| ClientError::malformed("sandbox"))?.try_into()
    }

    /// Sandboxes, oldest first.
    pub async fn sandboxes(&self, options: &ListOptions) -> Result<Vec<Sandbox>, ClientError> {
        let limit = options.limit.unwrap_or(usize::MAX);
        let scope = self.scope_of(options.within);
        let mut found: Vec<Sandbox> = Vec::new();
        let mut page_token = String::new();
        while found.len() < limit {
            let wanted = i32::try_from(limit.saturating_sub(found.len())).unwrap_or(i32::MAX);
            let request = v1::ListSandboxesRequest {
                page_size: wanted.min(limits::PAGE),
                page_token,
                label_selector: options.selector.clone(),
                workspace_scope: scope.clone(),
            };
            let page = self.v1.clone().list_sandboxes(request).await?.into_inner();
            let empty = page.sandboxes.is_empty();
            for sandbox in page.sandboxes {
                found.push(sandbox.try_into()?);
            }
            page_token = page.next_page_token;
            if page_token.is_empty() || empty {
                break;
            }
        }
        found.truncate(limit);
        Ok(found)
    }

    pub(crate) fn scope_of(&self, within: Selection) -> Option<WorkspaceSelector> {
        match within {
            Selection::Own => self.scope(),
            Selection::All => Some(WorkspaceSelector {
                selection: Some(workspace_selector::Selection::AllWorkspaces(AllWorkspaces {})),
            }),
        }
    }

    /// Deletes a sandbox.
    pub async fn delete(&self, name: &str) -> Result<Deletion, ClientError> {
        let request = v1::DeleteSandboxRequest {
            name: name.to_owned(),
            workspace_scope: self.scope(),
            ..Default::default()
        };
        let answer = self.v1.clone().delete_sandbox(request).await?.into_inner();
        match answer.outcome() {
            v1::DeletionOutcome::Completed => Ok(Deletion::Completed),
            v1::DeletionOutcome::Accepted => Ok(Deletion::Accepted),
            v1::DeletionOutcome::AlreadyAbsent => Ok(Deletion::AlreadyAbsent),
            v1::DeletionOutcome::Unspecified => Err(ClientError::malformed("outcome")),
        }
    }

    /// What is in force in a sandbox, as JSON, read back from the kernel.
    pub async fn inspect(&self, name: &str) -> Result<String, ClientError> {
        let request =
            native::InspectRequest { sandbox: name.to_owned(), workspace_scope: self.scope() };
        Ok(self.native.clone().inspect(request).await?.into_inner().report)
    }
}

impl TryFrom<v1::Sandbox> for Sandbox {
    type Error = ClientError;

    fn try_from(wire: v1::Sandbox) -> Result<Self, ClientError> {
        let meta = wire.metadata.ok_or_else(|| ClientError::malformed("metadata"))?;
        let status = wire.status.unwrap_or_default();
        let message = status
            .conditions
            .iter()
            .rev()
            .map(|condition| condition.message.clone())
            .find(|message| !message.is_empty());
        Ok(Self {
            id: meta.id,
            name: meta.name,
            workspace: meta.workspace,
            labels: meta.labels.into_iter().collect(),
            annotations: meta.annotations.into_iter().collect(),
            resource_version: meta.resource_version,
            created_at: meta.created_time.and_then(time),
            phase: phase(status.phase()),
            current_policy_version: status.current_policy_version,
            exit_code: status.exit_code,
            message,
            command: wire.spec.map(|spec| spec.command).unwrap_or_default(),
        })
    }
}

pub(crate) fn time(stamp: prost_types::Timestamp) -> Option<SystemTime> {
    let seconds = u64::try_from(stamp.seconds).ok()?;
    let nanos = u32::try_from(stamp.nanos).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::new(seconds, nanos))
}

const fn phase(wire: v1::SandboxPhase) -> Phase {
    match wire {
        v1::SandboxPhase::Provisioning => Phase::Provisioning,
        v1::SandboxPhase::Ready => Phase::Ready,
        v1::SandboxPhase::Error => Phase::Error,
        v1::SandboxPhase::Deleting => Phase::Deleting,
        v1::SandboxPhase::Stopping => Phase::Stopping,
        v1::SandboxPhase::Stopped => Phase::Stopped,
        v1::SandboxPhase::Starting => Phase::Starting,
        v1::SandboxPhase::Completed => Phase::Completed,
        v1::SandboxPhase::Unspecified | v1::SandboxPhase::Unknown => Phase::Unknown,
    }
}
