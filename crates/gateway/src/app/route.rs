//! Routes: which backend answers the model calls of a workspace's sandboxes, or of one.

use futures_util::future::join_all;
use jiff::Timestamp;
use openshell_policy::Diagnostic;
use openshell_types::{CallBudget, ModelProtocol, Route, SandboxId, WorkspaceName};

use super::workspace::Scope;
use super::{App, AppError, probe};
use crate::compose::route::{backend, protocols, rule};
use crate::limits::{ROUTE_BINARIES, ROUTE_IDLE};
use crate::store::rows::provider::Provider;
use crate::store::rows::route::StoredRoute;
use crate::store::rows::sandbox::Sandbox;

/// Whose a route is.
#[derive(Debug)]
pub(crate) struct Owner {
    workspace: WorkspaceName,
    /// `None`: the workspace's.
    sandbox: Option<Box<Sandbox>>,
}

/// A route that is asked for.
#[derive(Debug)]
pub(crate) struct NewRoute {
    /// `None`: the one that the provider serves.
    pub(crate) protocol: Option<ModelProtocol>,
    pub(crate) provider: String,
    pub(crate) model: String,
    /// 0: the default.
    pub(crate) idle_seconds: u32,
    /// None: every program.
    pub(crate) binaries: Vec<String>,
    /// `None`: its calls may take any amount.
    pub(crate) budget: Option<CallBudget>,
}

/// What is set of a route; what is `None` stays.
#[derive(Debug, Default)]
pub(crate) struct RouteChange {
    pub(crate) provider: Option<String>,
    pub(crate) model: Option<String>,
    pub(crate) idle_seconds: Option<u32>,
    pub(crate) binaries: Option<Vec<String>>,
    /// `Some(None)`: its calls may take any amount.
    pub(crate) budget: Option<Option<CallBudget>>,
}

/// Whether a backend is asked, before a route to it is stored, if it takes the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verify {
    Yes,
    No,
}

/// A route, and the name of the sandbox whose it is.
#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) route: StoredRoute,
    pub(crate) sandbox: Option<String>,
}

/// A route that came into force.
#[derive(Debug)]
pub(crate) struct Put {
    pub(crate) named: Named,
    /// What a person should know.
    pub(crate) notes: Vec<String>,
}

impl App {
    /// Whose the routes of a call are: of the sandbox that it names, or else of the workspace.
    pub(crate) async fn route_owner(
        &self,
        scope: &Scope,
        sandbox: &str,
    ) -> Result<Owner, AppError> {
        let workspace = self.one_workspace(scope).await?;
        let sandbox = match sandbox {
            "" => None,
            name => Some(Box::new(self.sandbox(scope, name).await?)),
        };
        Ok(Owner { workspace, sandbox })
    }

    /// Sets a route. Returns when every running sandbox that it concerns has it in force.
    pub(crate) async fn set_route(
        &self,
        owner: &Owner,
        new: NewRoute,
        verify: Verify,
    ) -> Result<Put, AppError> {
        let provider = self.provider_in(&owner.workspace, &new.provider).await?;
        let now_ms = Timestamp::now().as_millisecond();
        let route = StoredRoute {
            workspace: owner.workspace.clone(),
            sandbox: owner.id().cloned(),
            protocol: served(&provider, new.protocol)?,
            provider,
            model: new.model,
            idle_seconds: new.idle_seconds,
            binaries: new.binaries,
            budget: new.budget,
            resource_version: 0,
            created_ms: now_ms,
            updated_ms: now_ms,
        };
        self.put_route(owner, &route, None, verify).await
    }

    /// Changes a route. Returns as [`App::set_route`] does.
    pub(crate) async fn update_route(
        &self,
        owner: &Owner,
        protocol: Option<ModelProtocol>,
        change: RouteChange,
        verify: Verify,
    ) -> Result<Put, AppError> {
        let mut route = self.one_route(owner, protocol).await?;
        let RouteChange { provider, model, idle_seconds, binaries, budget } = change;
        // What is only about who may call, for how long and how much, says nothing new to the backend.
        let is_elsewhere = provider.is_some() || model.is_some();
        let verify = if is_elsewhere { verify } else { Verify::No };
        if let Some(name) = provider {
            route.provider = self.provider_in(&owner.workspace, &name).await?;
        }
        route.model = model.unwrap_or(route.model);
        route.idle_seconds = idle_seconds.unwrap_or(route.idle_seconds);
        route.binaries = binaries.unwrap_or(route.binaries);
        route.budget = budget.unwrap_or(route.budget);
        route.updated_ms = Timestamp::now().as_millisecond();
        let expected = route.resource_version;
        self.put_route(owner, &route, Some(expected), verify).await
    }

    async fn put_route(
        &self,
        owner: &Owner,
        route: &StoredRoute,
        expected: Option<u64>,
        verify: Verify,
    ) -> Result<Put, AppError> {
        check(route)?;
        let backend = backend(&route.provider, route.protocol)
            .map_err(|why| AppError::invalid("provider", why))?;
        let notes = match verify {
            Verify::Yes => probe::probe(self, &backend, route).await?,
            Verify::No => Vec::new(),
        };
        let Some(concerned) = self.store.put_route(route, expected).await? else {
            return Err(match (expected, &owner.sandbox) {
                (Some(_), _) => {
                    let current = self.one_route(owner, Some(route.protocol)).await?;
                    AppError::Conflict { current: current.resource_version }
                }
                (None, Some(sandbox)) => AppError::no_sandbox(sandbox.name.as_str()),
                (None, None) => AppError::Unavailable("the route was not stored".to_owned()),
            });
        };
        tracing::info!(
            workspace = %owner.workspace,
            protocol = %route.protocol,
            provider = %route.provider.name,
            model = %route.model,
            "Route set"
        );
        self.bring_all_into_force(&concerned).await?;
        let route = self.one_route(owner, Some(route.protocol)).await?;
        Ok(Put { named: Named { route, sandbox: owner.name() }, notes })
    }

    /// The routes of a workspace, or those that hold for a sandbox.
    pub(crate) async fn routes(&self, owner: &Owner) -> Result<Vec<Named>, AppError> {
        let routes = match owner.id() {
            Some(id) => self.store.held(id).await?.routes,
            None => self.store.routes(&owner.workspace, None).await?,
        };
        let named = |route: StoredRoute| {
            let sandbox = route.sandbox.as_ref().and_then(|_| owner.name());
            Named { route, sandbox }
        };
        Ok(routes.into_iter().map(named).collect())
    }

    /// Takes a route away. Returns when no running sandbox has it any more.
    pub(crate) async fn delete_route(
        &self,
        owner: &Owner,
        protocol: Option<ModelProtocol>,
    ) -> Result<Named, AppError> {
        let route = self.one_route(owner, protocol).await?;
        let removed = self.store.remove_route(&route).await?;
        let concerned = removed.ok_or_else(|| no_route(owner, Some(route.protocol)))?;
        tracing::info!(workspace = %owner.workspace, protocol = %route.protocol, "Route deleted");
        self.bring_all_into_force(&concerned).await?;
        Ok(Named { route, sandbox: owner.name() })
    }

    /// The route of its owner's own that a call is about.
    async fn one_route(
        &self,
        owner: &Owner,
        protocol: Option<ModelProtocol>,
    ) -> Result<StoredRoute, AppError> {
        let mut own = self.store.routes(&owner.workspace, owner.id()).await?;
        if let Some(protocol) = protocol {
            own.retain(|route| route.protocol == protocol);
        }
        let known: Vec<&str> = own.iter().map(|route| route.protocol.as_str()).collect();
        if known.len() > 1 {
            let message = format!("there are routes for {}: name one", known.join(" and "));
            return Err(AppError::invalid("protocol", message));
        }
        own.pop().ok_or_else(|| no_route(owner, protocol))
    }

    /// Pushes what sandboxes are to have, to all at once, and waits until each that runs has it in
    /// force. One that fails keeps no other from it.
    pub(super) async fn bring_all_into_force(&self, ids: &[SandboxId]) -> Result<(), AppError> {
        let pushes = ids.iter().map(|id| self.bring_one_into_force(id));
        join_all(pushes).await.into_iter().collect()
    }

    async fn bring_one_into_force(&self, id: &SandboxId) -> Result<(), AppError> {
        // One that is not placed yet is given the newest when it is, or when its supervisor comes.
        let is_there = self.registry.session(id).is_some() || self.runs(id).await?;
        if !is_there {
            return Ok(());
        }
        let Err(error) = self.bring_into_force(id).await else { return Ok(()) };
        match (self.store.sandbox(id).await?, error) {
            (None, _) => Ok(()),
            (Some(own), AppError::Precondition(why)) => Err(AppError::Precondition(format!(
                "it is stored, but sandbox '{}' does not take it and goes on with what it has: \
                 {why}",
                own.name
            ))),
            (Some(_), error) => Err(error),
        }
    }

    /// Why a provider cannot be deleted or changed so: a route that it serves, and what takes that
    /// away.
    pub(super) async fn route_in_the_way(
        &self,
        provider: &Provider,
    ) -> Result<Option<String>, AppError> {
        let routes = self.store.routes_of_provider(&provider.id).await?;
        let Some(StoredRoute { protocol, sandbox, workspace, .. }) = routes.first() else {
            return Ok(None);
        };
        let mut command = format!("openshell inference delete --protocol {protocol}");
        let whose = match sandbox {
            Some(id) => {
                let name = self.sandbox_by_id(id).await?.name;
                command.push_str(&format!(" --sandbox {name}"));
                format!("sandbox '{name}'")
            }
            None => format!("workspace '{workspace}'"),
        };
        Ok(Some(format!(
            "provider '{}' answers the {protocol} calls of {whose}: `{command}` first",
            provider.name
        )))
    }

    /// Whether the routes that a provider serves go on with these settings of it.
    pub(super) async fn check_routes_of(&self, changed: &Provider) -> Result<(), AppError> {
        for route in self.store.routes_of_provider(&changed.id).await? {
            backend(changed, route.protocol).map_err(|why| {
                let message =
                    format!("it answers {} calls, and could not then: {why}", route.protocol);
                AppError::invalid("config", message)
            })?;
        }
        Ok(())
    }
}

impl Owner {
    fn id(&self) -> Option<&SandboxId> {
        self.sandbox.as_ref().map(|own| &own.id)
    }

    fn name(&self) -> Option<String> {
        self.sandbox.as_ref().map(|own| own.name.to_string())
    }
}

/// The protocol of a route to a provider.
fn served(provider: &Provider, asked: Option<ModelProtocol>) -> Result<ModelProtocol, AppError> {
    let served = protocols(provider).map_err(|why| AppError::invalid("provider", why))?;
    match (asked, served) {
        // Whether it is among them is found with the backend.
        (Some(protocol), _) => Ok(protocol),
        (None, [protocol]) => Ok(*protocol),
        (None, several) => {
            let words: Vec<&str> = several.iter().map(|one| one.as_str()).collect();
            let message = format!("`{}` speaks {}: name one", provider.name, words.join(" and "));
            Err(AppError::invalid("protocol", message))
        }
    }
}

fn no_route(owner: &Owner, protocol: Option<ModelProtocol>) -> AppError {
    let calls = protocol.map_or_else(|| "any".to_owned(), |protocol| protocol.to_string());
    let name = match &owner.sandbox {
        Some(sandbox) => format!("{calls} calls of sandbox {}", sandbox.name),
        None => format!("{calls} calls of workspace {}", owner.workspace),
    };
    AppError::NotFound { kind: "route for", name }
}

fn check(route: &StoredRoute) -> Result<(), AppError> {
    model(route.protocol, &route.model)?;
    if route.idle_seconds > ROUTE_IDLE {
        let message = format!("a backend may be silent for at most {ROUTE_IDLE} seconds");
        return Err(AppError::invalid("idle_seconds", message));
    }
    if route.binaries.len() > ROUTE_BINARIES {
        return Err(AppError::invalid("binaries", format!("more than {ROUTE_BINARIES}")));
    }
    rule(route.protocol, &route.binaries).map(drop).map_err(|findings| {
        let errors = findings.iter().filter(|finding| finding.is_error());
        let errors: Vec<&str> = errors.map(|Diagnostic { message, .. }| message.as_str()).collect();
        AppError::invalid("binaries", errors.join("; "))
    })
}

/// SECURITY: I6; the name stands in calls, and of Gemini in their path.
fn model(protocol: ModelProtocol, name: &str) -> Result<(), AppError> {
    let wrong = |message: String| Err(AppError::invalid("model", message));
    if name.is_empty() || name.len() > Route::LONGEST_MODEL {
        return wrong(format!("a model's name has 1 to {} bytes", Route::LONGEST_MODEL));
    }
    if !name.bytes().all(|byte| byte.is_ascii_graphic()) {
        return wrong("a model's name has no spaces, and only ASCII".to_owned());
    }
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    if protocol == ModelProtocol::Gemini && (!name.bytes().all(is_plain) || name.starts_with('.')) {
        return wrong("write it as `gemini-2.5-flash`, without `models/` before it".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i06_names_of_models_stay_within_their_field() {
        for name in ["gpt-5", "meta-llama/Llama-3.1-70B:free", "qwen2.5-coder:7b"] {
            assert!(model(ModelProtocol::OpenAi, name).is_ok(), "{name}");
        }
        for name in ["", "a b", "a\r\nb", "é", &"x".repeat(257)] {
            assert!(model(ModelProtocol::OpenAi, name).is_err(), "{name:?}");
        }
        assert!(model(ModelProtocol::Gemini, "gemini-2.5-flash").is_ok());
        for name in ["models/gemini-2.5-flash", "..", "a?b", "a%2fb", "a:b"] {
            assert!(model(ModelProtocol::Gemini, name).is_err(), "{name}");
        }
    }
}
