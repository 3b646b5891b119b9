//! `openshell.native.v1.Inference`: routes of model calls.

use openshell_types::ModelProtocol;
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
        let native::SetRouteRequest { provider, model, idle_seconds, binaries, .. } =
            request.into_inner();
        let new = NewRoute { protocol, provider, model, idle_seconds, binaries };
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
        let native::UpdateRouteRequest { provider, model, idle_seconds, binaries, .. } =
            request.into_inner();
        let binaries = binaries.map(|binaries| binaries.paths);
        let change = RouteChange { provider, model, idle_seconds, binaries };
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
        resource_version: route.resource_version,
        created_ms: route.created_ms,
        updated_ms: route.updated_ms,
    }
}
