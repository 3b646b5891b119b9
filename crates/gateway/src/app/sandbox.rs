//! Sandboxes: made, found, listed, deleted.

use std::collections::BTreeMap;
use std::path::PathBuf;

use openshell_policy::Diagnostic;
use openshell_types::{
    Identity, Mount, SandboxId, SandboxName, SandboxSpec, TerminalSize, WorkspaceName,
};
use rustix::process::{getegid, geteuid};
use tokio::time::timeout;

use super::page::{Selector, cut, size};
use super::policy::{Checked, DEFAULT};
use super::workspace::Scope;
use super::{App, AppError, mounts};
use crate::auth::Ctx;
use crate::compose::with_rules;
use crate::limits::DELETE_WAIT;
use crate::names::invent;
use crate::store::rows::route::StoredRoute;
use crate::store::rows::sandbox::{After, Desired, NewSandbox, Sandbox};

/// A sandbox that is asked for; texts are checked already.
#[derive(Clone, Debug, Default)]
pub(crate) struct Create {
    /// Empty: one is invented.
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) command: Vec<String>,
    pub(crate) terminal: Option<TerminalSize>,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) mounts: Vec<Mount>,
    pub(crate) tool_binds: Vec<PathBuf>,
    pub(crate) await_attach: bool,
    pub(crate) ephemeral: bool,
    /// Empty: the default one.
    pub(crate) policy: String,
    /// The encoded message that was asked for.
    pub(crate) requested: Vec<u8>,
    /// Providers to attach, by name.
    pub(crate) providers: Vec<String>,
}

/// A sandbox that was made, or why its policy was refused.
#[derive(Debug)]
pub(crate) enum Created {
    Made { sandbox: Box<Sandbox>, findings: Vec<Diagnostic> },
    Refused(Vec<Diagnostic>),
}

/// What became of a sandbox that shall be deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Deleted {
    /// It is gone.
    Completed(SandboxId),
    /// It will be.
    Accepted(SandboxId),
    /// It was not there.
    AlreadyAbsent,
}

impl App {
    /// Stores what is desired. The rest is the reconciler's.
    pub(crate) async fn create(
        &self,
        ctx: Ctx,
        scope: &Scope,
        create: Create,
    ) -> Result<Created, AppError> {
        let workspace = self.one_workspace(scope).await?;
        if !create.mounts.is_empty() || !create.tool_binds.is_empty() {
            ctx.require_unix("host paths are taken over the gateway's Unix socket only")?;
        }
        let text = if create.policy.is_empty() { DEFAULT } else { &create.policy };
        let id = new_id()?;
        let attached = self.to_attach((&workspace, &id), &create.providers).await?;
        let (policy, findings) = match self.check_policy(&workspace, text, &attached).await? {
            Checked::Good(policy, findings) => (policy, findings),
            Checked::Refused(findings) => return Ok(Created::Refused(findings)),
        };
        let (mounts, tool_binds) =
            mounts::check(&self.paths, self.mount_check, create.mounts, create.tool_binds)?;
        let mut new = NewSandbox {
            spec: SandboxSpec {
                version: SandboxSpec::VERSION,
                id,
                name: name(&create.name)?,
                workspace,
                command: create.command,
                terminal: create.terminal,
                environment: create.environment,
                mounts,
                tool_binds,
                await_attach: create.await_attach,
                await_credentials: false,
                // The driver knows better where it gives out blocks of ids.
                identity: Identity::Caller { uid: geteuid().as_raw(), gid: getegid().as_raw() },
            },
            labels: create.labels,
            annotations: create.annotations,
            requested: create.requested,
            ephemeral: create.ephemeral,
            policy,
            attached,
        };
        let routes = self.store.routes(&new.spec.workspace, None).await?;
        check_composed(&new, &routes)?;
        self.insert(&mut new, create.name.is_empty()).await?;
        tracing::info!(sandbox = %new.spec.name, id = %new.spec.id, "Sandbox created");
        self.kick.sandbox(&new.spec.id);
        let sandbox = Box::new(self.sandbox_by_id(&new.spec.id).await?);
        Ok(Created::Made { sandbox, findings })
    }

    async fn insert(&self, new: &mut NewSandbox, invented: bool) -> Result<(), AppError> {
        const TRIES: u32 = 16;
        for _ in 0..TRIES {
            if self.store.insert_sandbox(new).await? {
                return Ok(());
            }
            if !invented {
                break;
            }
            new.spec.name = name("")?;
        }
        Err(AppError::AlreadyExists { kind: "sandbox", name: new.spec.name.to_string() })
    }

    /// A sandbox by its name, or its id as older clients ask.
    pub(crate) async fn sandbox(&self, scope: &Scope, name: &str) -> Result<Sandbox, AppError> {
        let workspace = self.one_workspace(scope).await?;
        self.find(&workspace, name).await?.ok_or_else(|| AppError::no_sandbox(name))
    }

    /// A sandbox as it is now.
    pub(crate) async fn sandbox_by_id(&self, id: &SandboxId) -> Result<Sandbox, AppError> {
        self.store.sandbox(id).await?.ok_or_else(|| AppError::no_sandbox(id.as_str()))
    }

    async fn find(
        &self,
        workspace: &WorkspaceName,
        name: &str,
    ) -> Result<Option<Sandbox>, AppError> {
        if name.is_empty() {
            return Err(AppError::invalid("name", "a sandbox must be named"));
        }
        Ok(self.store.find_sandbox(workspace, name).await?)
    }

    /// A page of sandboxes and the token of the next one.
    pub(crate) async fn sandboxes(
        &self,
        scope: &Scope,
        page: (i32, &str),
        selector: &str,
    ) -> Result<(Vec<Sandbox>, String), AppError> {
        let workspace = match scope {
            Scope::All => None,
            one @ Scope::One(_) => Some(self.one_workspace(one).await?),
        };
        let selector = Selector::parse(selector)?;
        let size = size(page.0)?;
        let after = (!page.1.is_empty()).then(|| parse_token(page.1)).transpose()?;
        let mut sandboxes = self.store.sandboxes(workspace.as_ref(), after.as_ref()).await?;
        sandboxes.retain(|sandbox| selector.matches(&sandbox.labels));
        let (sandboxes, more) = cut(sandboxes, size);
        let token = match sandboxes.last() {
            Some(last) if more => token(last),
            _ => String::new(),
        };
        Ok((sandboxes, token))
    }

    /// Deletes a sandbox with all that is kept for it.
    pub(crate) async fn delete(
        &self,
        scope: &Scope,
        name: &str,
        allow_missing: bool,
    ) -> Result<Deleted, AppError> {
        let workspace = self.one_workspace(scope).await?;
        let Some(sandbox) = self.find(&workspace, name).await? else {
            return if allow_missing {
                Ok(Deleted::AlreadyAbsent)
            } else {
                Err(AppError::no_sandbox(name))
            };
        };
        let mut changes = self.registry.state(&sandbox.id);
        if sandbox.desired == Desired::Present {
            self.store.want_sandbox_gone(&sandbox.id).await?;
            self.registry.changed(&sandbox.id);
        }
        self.kick.sandbox(&sandbox.id);
        let gone = async {
            // The channel ends when the sandbox is forgotten.
            while changes.changed().await.is_ok() {}
        };
        // A sandbox that cannot be removed now will be; the caller asks again.
        let _ = timeout(DELETE_WAIT, gone).await;
        match self.store.sandbox(&sandbox.id).await? {
            None => Ok(Deleted::Completed(sandbox.id)),
            Some(_) => Ok(Deleted::Accepted(sandbox.id)),
        }
    }
}

/// Whether the policy and the rules of the providers and routes can be one.
fn check_composed(new: &NewSandbox, routes: &[StoredRoute]) -> Result<(), AppError> {
    with_rules((&new.policy.text, &new.policy.digest), &new.attached, routes)?;
    Ok(())
}

fn name(asked: &str) -> Result<SandboxName, AppError> {
    if !asked.is_empty() {
        return SandboxName::parse(asked).map_err(AppError::name("name"));
    }
    let mut random = [0; 2];
    getrandom::fill(&mut random)?;
    invent(random).map_err(AppError::name("name"))
}

fn new_id() -> Result<SandboxId, AppError> {
    SandboxId::parse(&uuid::Uuid::new_v4().to_string()).map_err(AppError::name("id"))
}

fn token(last: &Sandbox) -> String {
    format!("{}.{}/{}", last.created_ms, last.workspace, last.name)
}

fn parse_token(token: &str) -> Result<After, AppError> {
    token
        .split_once('.')
        .and_then(|(time, name)| {
            Some(After { created_ms: time.parse().ok()?, name: name.to_owned() })
        })
        .ok_or_else(|| AppError::invalid("page_token", "not a token of this list"))
}
