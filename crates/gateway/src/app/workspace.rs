//! Workspaces. There is the default one.

use openshell_types::WorkspaceName;

use super::page::{Selector, size};
use super::{App, AppError};
use crate::store::rows::workspace::Workspace;

/// Which workspaces a call is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// One.
    One(WorkspaceName),
    /// All: lists only.
    All,
}

impl App {
    /// A workspace by name.
    pub(crate) async fn workspace(&self, name: &str) -> Result<Workspace, AppError> {
        let missing = || AppError::NotFound { kind: "workspace", name: name.to_owned() };
        let parsed = WorkspaceName::parse(name).map_err(|_| missing())?;
        self.store.workspace(&parsed).await?.ok_or_else(missing)
    }

    /// All workspaces that fit.
    pub(crate) async fn workspaces(
        &self,
        page_size: i32,
        page_token: &str,
        selector: &str,
    ) -> Result<Vec<Workspace>, AppError> {
        let selector = Selector::parse(selector)?;
        size(page_size)?;
        if !page_token.is_empty() {
            // There are never more of them than one page.
            return Err(AppError::invalid("page_token", "not a token of this list"));
        }
        let mut workspaces = self.store.workspaces().await?;
        workspaces.retain(|workspace| selector.matches(&workspace.labels));
        Ok(workspaces)
    }

    /// The one workspace of a call that is not about all.
    pub(crate) async fn one_workspace(&self, scope: &Scope) -> Result<WorkspaceName, AppError> {
        match scope {
            Scope::One(name) => Ok(self.workspace(name.as_str()).await?.name),
            Scope::All => Err(AppError::invalid(
                "workspace_scope",
                "all workspaces can be named in list calls only",
            )),
        }
    }
}
