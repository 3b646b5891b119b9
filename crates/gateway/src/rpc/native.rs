//! `openshell.native.v1`: what `openshell.v1` cannot say.

use openshell_wire::native;
use openshell_wire::native::native_server::Native;
use serde_json::{Value, json};
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status, Streaming};

use super::convert::{phase, scope};
use super::{Rpc, ctx};
use crate::app::AppError;

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl Native for Rpc {
    async fn create(
        &self,
        request: Request<native::CreateRequest>,
    ) -> Answer<native::CreateResponse> {
        let ctx = ctx(&request)?;
        Ok(Response::new(self.create_native(ctx, request.into_inner()).await?))
    }

    async fn attach_main(
        &self,
        request: Request<Streaming<native::AttachInput>>,
    ) -> Answer<BoxStream<native::AttachOutput>> {
        Ok(Response::new(Rpc::attach_main(self, request.into_inner()).await?))
    }

    async fn set_policy(
        &self,
        request: Request<native::SetPolicyRequest>,
    ) -> Answer<native::SetPolicyResponse> {
        Ok(Response::new(Rpc::set_policy(self, request.into_inner()).await?))
    }

    async fn update_policy(
        &self,
        request: Request<native::UpdatePolicyRequest>,
    ) -> Answer<native::UpdatePolicyResponse> {
        Ok(Response::new(Rpc::update_policy(self, request.into_inner()).await?))
    }

    async fn get_policy(
        &self,
        request: Request<native::GetPolicyRequest>,
    ) -> Answer<native::GetPolicyResponse> {
        Ok(Response::new(Rpc::get_policy(self, request.into_inner()).await?))
    }

    async fn events(
        &self,
        request: Request<native::EventsRequest>,
    ) -> Answer<BoxStream<native::EventsResponse>> {
        Ok(Response::new(Rpc::events(self, request.into_inner()).await?))
    }

    async fn inspect(
        &self,
        request: Request<native::InspectRequest>,
    ) -> Answer<native::InspectResponse> {
        Ok(Response::new(Rpc::inspect(self, request.into_inner()).await?))
    }

    async fn import_profiles(
        &self,
        request: Request<native::ImportProfilesRequest>,
    ) -> Answer<native::ImportProfilesResponse> {
        Ok(Response::new(self.import_texts(request.into_inner()).await?))
    }

    async fn update_profile(
        &self,
        request: Request<native::UpdateProfileRequest>,
    ) -> Answer<native::UpdateProfileResponse> {
        Ok(Response::new(self.update_text(request.into_inner()).await?))
    }

    async fn get_profile(
        &self,
        request: Request<native::GetProfileRequest>,
    ) -> Answer<native::GetProfileResponse> {
        Ok(Response::new(self.profile_text(request.into_inner()).await?))
    }

    async fn shutdown(
        &self,
        request: Request<native::ShutdownRequest>,
    ) -> Answer<native::ShutdownResponse> {
        ctx(&request)?.require_unix("the gateway is ended over its Unix socket only")?;
        tracing::info!("Shutdown asked for");
        self.app.shutdown.cancel();
        Ok(Response::new(native::ShutdownResponse {}))
    }
}

impl Rpc {
    async fn inspect(
        &self,
        request: native::InspectRequest,
    ) -> Result<native::InspectResponse, AppError> {
        let found = self.app.sandbox(&scope(request.workspace_scope)?, &request.sandbox).await?;
        // The supervisor's report is JSON; one that is not is shown as the text that it is.
        let report = serde_json::from_str(&found.observed.report)
            .unwrap_or_else(|_| Value::String(found.observed.report.clone()));
        let report = json!({
            "id": found.id,
            "name": found.name,
            "phase": phase(&found).as_str_name(),
            "main_pid": found.observed.main_pid,
            "boot_id": found.observed.boot_id,
            "connected": self.app.registry.session(&found.id).is_some(),
            "policy_revision": found.enforced_revision,
            "spec": found.spec,
            "isolation": report,
        });
        Ok(native::InspectResponse { report: report.to_string() })
    }
}
