//! Sandboxes: create, look up, list, delete.

use std::path::PathBuf;

use openshell_types::TerminalSize;
use openshell_wire::{native, v1};
use prost::Message as _;

use super::Rpc;
use super::convert::{diagnostics, mount, refused, sandbox, scope, terminal};
use crate::app::AppError;
use crate::app::check;
use crate::app::sandbox::{Create, Created, Deleted};
use crate::app::workspace::Scope;
use crate::auth::Ctx;

type Answer<T> = Result<T, AppError>;

impl Rpc {
    pub(super) async fn create_sandbox(
        &self,
        ctx: Ctx,
        request: v1::CreateSandboxRequest,
    ) -> Answer<v1::SandboxResponse> {
        let (within, create) = create(request)?;
        match self.app.create(ctx, &within, create).await? {
            Created::Made { sandbox: made, .. } => Ok(response(sandbox(&made))),
            Created::Refused(findings) => Err(refused(&findings)),
        }
    }

    pub(super) async fn create_native(
        &self,
        ctx: Ctx,
        request: native::CreateRequest,
    ) -> Answer<native::CreateResponse> {
        let text = request.policy_text.clone();
        let (within, create) = create_with_extras(request)?;
        let written = create.policy.clone();
        match self.app.create(ctx, &within, create).await? {
            Created::Made { sandbox: made, findings } => Ok(native::CreateResponse {
                sandbox: Some(sandbox(&made)),
                notes: Vec::new(),
                diagnostics: diagnostics(findings),
            }),
            // Places in a text that the caller never saw would mislead.
            Created::Refused(findings) if text != written => Err(refused(&findings)),
            Created::Refused(findings) => Ok(native::CreateResponse {
                sandbox: None,
                notes: Vec::new(),
                diagnostics: diagnostics(findings),
            }),
        }
    }

    pub(super) async fn get_sandbox(
        &self,
        request: v1::GetSandboxRequest,
    ) -> Answer<v1::SandboxResponse> {
        let found = self.app.sandbox(&scope(request.workspace_scope)?, &request.name).await?;
        Ok(response(sandbox(&found)))
    }

    pub(super) async fn list_sandboxes(
        &self,
        request: v1::ListSandboxesRequest,
    ) -> Answer<v1::ListSandboxesResponse> {
        let page = (request.page_size, request.page_token.as_str());
        let within = scope(request.workspace_scope)?;
        let (found, next) = self.app.sandboxes(&within, page, &request.label_selector).await?;
        Ok(v1::ListSandboxesResponse {
            sandboxes: found.iter().map(sandbox).collect(),
            next_page_token: next,
        })
    }

    pub(super) async fn delete_sandbox(
        &self,
        request: v1::DeleteSandboxRequest,
    ) -> Answer<v1::DeleteSandboxResponse> {
        let within = scope(request.workspace_scope)?;
        let deleted = self.app.delete(&within, &request.name, request.allow_missing).await?;
        let (outcome, id) = match deleted {
            Deleted::Completed(id) => (v1::DeletionOutcome::Completed, id.to_string()),
            Deleted::Accepted(id) => (v1::DeletionOutcome::Accepted, id.to_string()),
            Deleted::AlreadyAbsent => (v1::DeletionOutcome::AlreadyAbsent, String::new()),
        };
        Ok(v1::DeleteSandboxResponse { outcome: outcome.into(), sandbox_id: id })
    }
}

fn response(sandbox: v1::Sandbox) -> v1::SandboxResponse {
    v1::SandboxResponse { sandbox: Some(sandbox), service_urls: Default::default() }
}

/// What a native client asks for beyond the published request.
fn create_with_extras(request: native::CreateRequest) -> Answer<(Scope, Create)> {
    let native::CreateRequest {
        request,
        mounts,
        tool_binds,
        ephemeral,
        policy_text,
        terminal: size,
        policy_file: _,
    } = request;
    let request = request.ok_or_else(|| AppError::invalid("request", "it is missing"))?;
    let (within, mut create) = create(request)?;
    create.mounts = mounts.into_iter().map(mount).collect();
    create.tool_binds = tool_binds.into_iter().map(|bind| PathBuf::from(bind.path)).collect();
    create.ephemeral = ephemeral;
    if !policy_text.is_empty() {
        create.policy = policy_text;
    }
    if let (Some(size), Some(kept)) = (terminal(size)?, create.terminal.as_mut()) {
        *kept = size;
    }
    Ok((within, create))
}

/// The published request, checked. What this gateway cannot do is refused, never left out.
fn create(request: v1::CreateSandboxRequest) -> Answer<(Scope, Create)> {
    let spec = request.spec.ok_or_else(|| AppError::invalid("spec", "it is missing"))?;
    unsupported(&spec)?;
    if !request.workload_template.is_empty() {
        let name = request.workload_template;
        return Err(AppError::NotFound { kind: "sandbox template", name });
    }
    if !request.service_exposures.is_empty() {
        return Err(AppError::Unsupported("services are not served by this gateway".into()));
    }
    let mut environment =
        spec.template.as_ref().map(|template| template.environment.clone()).unwrap_or_default();
    environment.extend(spec.environment.clone());
    let (command, tty) = if spec.command.is_empty() {
        (vec!["/bin/bash".to_owned(), "-l".to_owned()], true)
    } else {
        (spec.command.clone(), spec.tty)
    };
    check::command(&command)?;
    let create = Create {
        name: request.name,
        labels: check::labels(request.labels)?,
        annotations: check::annotations(request.annotations)?,
        command,
        terminal: tty.then_some(TerminalSize { cols: 80, rows: 24 }),
        environment: check::environment(environment)?,
        await_attach: request.await_main_process_attachment,
        policy: spec.policy.as_ref().map(openshell_wire::policy::to_text).unwrap_or_default(),
        providers: spec.providers.clone(),
        requested: spec.encode_to_vec(),
        ..Create::default()
    };
    Ok((scope(request.workspace_scope)?, create))
}

fn unsupported(spec: &v1::SandboxSpec) -> Answer<()> {
    let template = spec.template.clone().unwrap_or_default();
    let asked = [
        (!template.image.is_empty(), "images"),
        (!template.runtime_class_name.is_empty(), "runtime classes"),
        (template.resources.is_some(), "resource limits"),
        (template.driver_config.is_some(), "driver settings"),
        (spec.resource_requirements.is_some_and(|required| required.gpu.is_some()), "GPUs"),
        (
            !matches!(
                spec.restart_policy(),
                v1::SandboxRestartPolicy::Unspecified | v1::SandboxRestartPolicy::Never
            ),
            "restarts",
        ),
    ];
    match asked.into_iter().find(|(asked, _)| *asked) {
        Some((_, what)) => {
            Err(AppError::Precondition(format!("the native driver does not offer {what}")))
        }
        None => Ok(()),
    }
}
