//! `openshell.native.v1.Inference`: routes of model calls.

use openshell_types::{CallBudget, ModelProtocol, Period};
use openshell_wire::native;
use openshell_wire::native::inference_server::Inference;
use tonic::{Request, Response, Status};

use super::Rpc;
use super::convert::scope;
use crate::app::AppError;
use crate::app::route::{Named, NewRoute, Put, RouteChange, Verify};
use crate::compose::route::{backend, idle};

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl Inference for Rpc {
    async fn set_route(
        &self,
        request: Request<native::SetRouteRequest>,
    ) -> Answer<native::SetRouteResponse> {
        let native::SetRouteRequest { workspace_scope, sandbox, protocol, no_verify, .. } =
            request.get_ref();
        let owner = self.app.route_owner(&scope(workspace_scope.clone())?, sandbox).await?;
        let (protocol, verify) = (parse(protocol)?, verify(*no_verify));
        let native::SetRouteRequest { provider, model, idle_seconds, binaries, budget, .. } =
            request.into_inner();
        let budget = budget.map(call_budget).transpose()?.flatten();
        let new = NewRoute { protocol, provider, model, idle_seconds, binaries, budget };
        let Put { named, notes } = self.app.set_route(&owner, new, verify).await?;
        Ok(Response::new(native::SetRouteResponse { route: Some(route(named)), notes }))
    }

    async fn update_route(
        &self,
        request: Request<native::UpdateRouteRequest>,
    ) -> Answer<native::UpdateRouteResponse> {
        let native::UpdateRouteRequest { workspace_scope, sandbox, protocol, no_verify, .. } =
            request.get_ref();
        let owner = self.app.route_owner(&scope(workspace_scope.clone())?, sandbox).await?;
        let (protocol, verify) = (parse(protocol)?, verify(*no_verify));
        let native::UpdateRouteRequest { provider, model, idle_seconds, binaries, budget, .. } =
            request.into_inner();
        let binaries = binaries.map(|binaries| binaries.paths);
        let budget = budget.map(call_budget).transpose()?;
        let change = RouteChange { provider, model, idle_seconds, binaries, budget };
        let Put { named, notes } = self.app.update_route(&owner, protocol, change, verify).await?;
        Ok(Response::new(native::UpdateRouteResponse { route: Some(route(named)), notes }))
    }

    async fn get_routes(
        &self,
        request: Request<native::GetRoutesRequest>,
    ) -> Answer<native::GetRoutesResponse> {
        let request = request.into_inner();
        let within = scope(request.workspace_scope)?;
        let owner = self.app.route_owner(&within, &request.sandbox).await?;
        let routes = self.app.routes(&owner).await?;
        let routes = routes.into_iter().map(route).collect();
        Ok(Response::new(native::GetRoutesResponse { routes }))
    }

    async fn delete_route(
        &self,
        request: Request<native::DeleteRouteRequest>,
    ) -> Answer<native::DeleteRouteResponse> {
        let request = request.into_inner();
        let within = scope(request.workspace_scope)?;
        let owner = self.app.route_owner(&within, &request.sandbox).await?;
        let removed = self.app.delete_route(&owner, parse(&request.protocol)?).await?;
        Ok(Response::new(native::DeleteRouteResponse { route: Some(route(removed)) }))
    }
}

/// The protocol that is named, if one is.
fn parse(text: &str) -> Result<Option<ModelProtocol>, AppError> {
    let parsed = (!text.is_empty()).then(|| ModelProtocol::parse(text)).transpose();
    parsed.map_err(|error| AppError::invalid("protocol", error.to_string()))
}

/// The budget that is asked for; one without any number is none.
fn call_budget(message: native::Budget) -> Result<Option<CallBudget>, AppError> {
    let native::Budget { tokens, requests, bytes, per } = message;
    let per = match per.as_str() {
        "" => Some(Period::default()),
        word => Period::parse(word),
    };
    let per = per.ok_or_else(|| {
        let words = Period::ALL.map(Period::as_str).join(", ");
        AppError::invalid("budget.per", format!("a budget is for each {words}"))
    })?;
    if tokens.or(requests).or(bytes).is_none() {
        return Ok(None);
    }
    let budget = CallBudget { tokens, requests, bytes, per }.checked().ok_or_else(|| {
        AppError::invalid("budget", format!("its numbers are from 1 to {}", CallBudget::MOST))
    })?;
    Ok(Some(budget))
}

const fn verify(no_verify: bool) -> Verify {
    if no_verify { Verify::No } else { Verify::Yes }
}

/// A route as clients see it: without what authenticates its calls.
fn route(Named { route, sandbox }: Named) -> native::Route {
    let base = backend(&route.provider, route.protocol).map(|found| found.base.to_string());
    native::Route {
        base_url: base.unwrap_or_default(),
        idle_seconds: u32::try_from(idle(&route).as_secs()).unwrap_or(u32::MAX),
        idle_is_default: route.idle_seconds == 0,
        protocol: route.protocol.to_string(),
        provider: route.provider.name,
        model: route.model,
        sandbox: sandbox.unwrap_or_default(),
        binaries: route.binaries,
        budget: route.budget.map(|budget| native::Budget {
            tokens: budget.tokens,
            requests: budget.requests,
            bytes: budget.bytes,
            per: budget.per.as_str().to_owned(),
        }),
        resource_version: route.resource_version,
        created_ms: route.created_ms,
        updated_ms: route.updated_ms,
    }
}
