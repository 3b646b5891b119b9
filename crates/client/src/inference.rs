//! Routes: which backends answer the model calls of sandboxes.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use openshell_types::{CallBudget, Period};
use openshell_wire::native;

use crate::connect::Client;
use crate::error::ClientError;

/// A backend for the model calls of one protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// `openai`, `anthropic` or `gemini`.
    pub protocol: String,
    /// The provider whose credentials it has.
    pub provider: String,
    /// The model that answers.
    pub model: String,
    /// The base of the backend's URLs; empty when the provider does not say it any more.
    pub base_url: String,
    /// The sandbox whose it is; `None`: the workspace's.
    pub sandbox: Option<String>,
    /// How long the backend may be silent.
    pub idle: Duration,
    /// Whether nobody said so.
    pub idle_is_default: bool,
    /// The programs that may use it; none: every program.
    pub binaries: Vec<String>,
    /// How much its calls may take in each sandbox; `None`: any amount.
    pub budget: Option<CallBudget>,
    /// Counts its changes.
    pub resource_version: u64,
    /// When it was made.
    pub created_at: Option<SystemTime>,
    /// When it was last changed.
    pub updated_at: Option<SystemTime>,
}

/// Which route is meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteName {
    /// Whose it is; `None`: the workspace's.
    pub sandbox: Option<String>,
    /// Its protocol; `None`: there is only one that can be meant.
    pub protocol: Option<String>,
}

/// What is set of a route. What is `None` stays, or is the default of a new one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteValues {
    /// The provider; a new route needs it.
    pub provider: Option<String>,
    /// The model; a new route needs it.
    pub model: Option<String>,
    /// How many seconds the backend may be silent; 0: the default.
    pub idle_seconds: Option<u32>,
    /// The programs that may use it: paths and globs as in a policy.
    pub binaries: Option<Vec<String>>,
    /// How much its calls may take in each sandbox; `Some(None)`: any amount.
    pub budget: Option<Option<CallBudget>>,
    /// The backend is not asked whether it takes the key.
    pub no_verify: bool,
}

/// A route that is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteChange {
    /// The route as it is now.
    pub route: Route,
    /// What a person should know.
    pub notes: Vec<String>,
}

impl Client {
    /// Sets a route, in the place of the one of its protocol. Returns when every running sandbox
    /// that it concerns has it.
    pub async fn set_route(
        &self,
        name: RouteName,
        values: RouteValues,
    ) -> Result<RouteChange, ClientError> {
        let request = native::SetRouteRequest {
            workspace_scope: self.scope(),
            sandbox: name.sandbox.unwrap_or_default(),
            protocol: name.protocol.unwrap_or_default(),
            provider: values.provider.unwrap_or_default(),
            model: values.model.unwrap_or_default(),
            idle_seconds: values.idle_seconds.unwrap_or_default(),
            binaries: values.binaries.unwrap_or_default(),
            no_verify: values.no_verify,
            budget: values.budget.flatten().map(|budget| to_message(Some(budget))),
        };
        let answer = self.inference.clone().set_route(request).await?.into_inner();
        Ok(RouteChange { route: route(answer.route)?, notes: answer.notes })
    }

    /// Changes a route. Returns as [`Client::set_route`] does.
    pub async fn update_route(
        &self,
        name: RouteName,
        values: RouteValues,
    ) -> Result<RouteChange, ClientError> {
        let request = native::UpdateRouteRequest {
            workspace_scope: self.scope(),
            sandbox: name.sandbox.unwrap_or_default(),
            protocol: name.protocol.unwrap_or_default(),
            provider: values.provider,
            model: values.model,
            idle_seconds: values.idle_seconds,
            binaries: values.binaries.map(|paths| native::Binaries { paths }),
            no_verify: values.no_verify,
            budget: values.budget.map(to_message),
        };
        let answer = self.inference.clone().update_route(request).await?.into_inner();
        Ok(RouteChange { route: route(answer.route)?, notes: answer.notes })
    }

    /// The routes of the workspace, or those that hold for a sandbox.
    pub async fn routes(&self, sandbox: Option<&str>) -> Result<Vec<Route>, ClientError> {
        let request = native::GetRoutesRequest {
            workspace_scope: self.scope(),
            sandbox: sandbox.unwrap_or_default().to_owned(),
        };
        let answer = self.inference.clone().get_routes(request).await?.into_inner();
        answer.routes.into_iter().map(|message| route(Some(message))).collect()
    }

    /// Takes a route away, and tells which it was. Returns when no running sandbox has it.
    pub async fn delete_route(&self, name: RouteName) -> Result<Route, ClientError> {
        let request = native::DeleteRouteRequest {
            workspace_scope: self.scope(),
            sandbox: name.sandbox.unwrap_or_default(),
            protocol: name.protocol.unwrap_or_default(),
        };
        route(self.inference.clone().delete_route(request).await?.into_inner().route)
    }
}

/// One without any number says that there is none.
fn to_message(budget: Option<CallBudget>) -> native::Budget {
    let Some(CallBudget { tokens, requests, bytes, per }) = budget else {
        return native::Budget::default();
    };
    native::Budget { tokens, requests, bytes, per: per.as_str().to_owned() }
}

fn call_budget(message: native::Budget) -> Result<CallBudget, ClientError> {
    let native::Budget { tokens, requests, bytes, per } = message;
    let per = Period::parse(&per).ok_or_else(|| ClientError::malformed("budget"))?;
    Ok(CallBudget { tokens, requests, bytes, per })
}

fn route(message: Option<native::Route>) -> Result<Route, ClientError> {
    let message = message.ok_or_else(|| ClientError::malformed("route"))?;
    let time = |ms: i64| {
        let since = Duration::from_millis(u64::try_from(ms).ok()?);
        UNIX_EPOCH.checked_add(since)
    };
    Ok(Route {
        protocol: message.protocol,
        provider: message.provider,
        model: message.model,
        base_url: message.base_url,
        sandbox: (!message.sandbox.is_empty()).then_some(message.sandbox),
        idle: Duration::from_secs(message.idle_seconds.into()),
        idle_is_default: message.idle_is_default,
        binaries: message.binaries,
        budget: message.budget.map(call_budget).transpose()?,
        resource_version: message.resource_version,
        created_at: time(message.created_ms),
        updated_at: time(message.updated_ms),
    })
}
