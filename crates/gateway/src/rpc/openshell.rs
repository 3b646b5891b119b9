//! `openshell.v1`: what published clients speak. Methods that are not here answer UNIMPLEMENTED,
//! before they get here.

use openshell_wire::v1::open_shell_server::OpenShell;
use openshell_wire::{sandbox as sb, v1};
use rustix::process::geteuid;
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status, Streaming};

use super::{Rpc, convert, ctx};

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl OpenShell for Rpc {
    async fn health(&self, _: Request<v1::HealthRequest>) -> Answer<v1::HealthResponse> {
        Ok(Response::new(v1::HealthResponse {
            status: v1::ServiceStatus::Healthy.into(),
            version: crate::VERSION.into(),
        }))
    }

    async fn get_gateway_info(
        &self,
        _: Request<v1::GetGatewayInfoRequest>,
    ) -> Answer<v1::GetGatewayInfoResponse> {
        let name = self.app.driver.name().to_owned();
        Ok(Response::new(v1::GetGatewayInfoResponse {
            status: v1::ServiceStatus::Healthy.into(),
            gateway_version: crate::VERSION.into(),
            compute_drivers: vec![v1::ComputeDriverInfo {
                name: name.clone(),
                capabilities: Some(v1::ComputeDriverCapabilities {
                    driver_name: name,
                    driver_version: crate::VERSION.into(),
                    resource_capabilities: None,
                }),
            }],
            extensions: Vec::new(),
        }))
    }

    async fn get_current_user(
        &self,
        _: Request<v1::GetCurrentUserRequest>,
    ) -> Answer<v1::GetCurrentUserResponse> {
        // Both listeners admit one user only: the one that the gateway runs as.
        let subject = format!("uid:{}", geteuid().as_raw());
        Ok(Response::new(v1::GetCurrentUserResponse {
            display_name: subject.clone(),
            subject,
            roles: vec!["platform_admin".into()],
            scopes: vec!["openshell:all".into()],
            identity_provider: "local".into(),
        }))
    }

    async fn create_sandbox(
        &self,
        request: Request<v1::CreateSandboxRequest>,
    ) -> Answer<v1::SandboxResponse> {
        let ctx = ctx(&request)?;
        Ok(Response::new(Rpc::create_sandbox(self, ctx, request.into_inner()).await?))
    }

    async fn get_sandbox(
        &self,
        request: Request<v1::GetSandboxRequest>,
    ) -> Answer<v1::SandboxResponse> {
        Ok(Response::new(Rpc::get_sandbox(self, request.into_inner()).await?))
    }

    async fn list_sandboxes(
        &self,
        request: Request<v1::ListSandboxesRequest>,
    ) -> Answer<v1::ListSandboxesResponse> {
        Ok(Response::new(Rpc::list_sandboxes(self, request.into_inner()).await?))
    }

    async fn delete_sandbox(
        &self,
        request: Request<v1::DeleteSandboxRequest>,
    ) -> Answer<v1::DeleteSandboxResponse> {
        Ok(Response::new(Rpc::delete_sandbox(self, request.into_inner()).await?))
    }

    async fn exec_sandbox(
        &self,
        request: Request<v1::ExecSandboxRequest>,
    ) -> Answer<BoxStream<v1::ExecSandboxEvent>> {
        Ok(Response::new(Rpc::exec_sandbox(self, request.into_inner()).await?))
    }

    async fn exec_sandbox_interactive(
        &self,
        request: Request<Streaming<v1::ExecSandboxInput>>,
    ) -> Answer<BoxStream<v1::ExecSandboxEvent>> {
        Ok(Response::new(self.exec_interactive(request.into_inner()).await?))
    }

    async fn get_sandbox_config(
        &self,
        request: Request<sb::GetSandboxConfigRequest>,
    ) -> Answer<sb::GetSandboxConfigResponse> {
        Ok(Response::new(self.get_config(request.into_inner()).await?))
    }

    async fn update_config(
        &self,
        request: Request<v1::UpdateConfigRequest>,
    ) -> Answer<v1::UpdateConfigResponse> {
        Ok(Response::new(Rpc::update_config(self, request.into_inner()).await?))
    }

    async fn get_sandbox_policy_status(
        &self,
        request: Request<v1::GetSandboxPolicyStatusRequest>,
    ) -> Answer<v1::GetSandboxPolicyStatusResponse> {
        Ok(Response::new(self.policy_status(request.into_inner()).await?))
    }

    async fn list_sandbox_policies(
        &self,
        request: Request<v1::ListSandboxPoliciesRequest>,
    ) -> Answer<v1::ListSandboxPoliciesResponse> {
        Ok(Response::new(self.list_policies(request.into_inner()).await?))
    }

    async fn get_sandbox_logs(
        &self,
        request: Request<v1::GetSandboxLogsRequest>,
    ) -> Answer<v1::GetSandboxLogsResponse> {
        Ok(Response::new(self.get_logs(request.into_inner()).await?))
    }

    async fn watch_sandbox(
        &self,
        request: Request<v1::WatchSandboxRequest>,
    ) -> Answer<BoxStream<v1::SandboxStreamEvent>> {
        Ok(Response::new(self.watch(request.into_inner()).await?))
    }

    async fn create_provider(
        &self,
        request: Request<v1::CreateProviderRequest>,
    ) -> Answer<v1::ProviderResponse> {
        Ok(Response::new(Rpc::create_provider(self, request.into_inner()).await?))
    }

    async fn get_provider(
        &self,
        request: Request<v1::GetProviderRequest>,
    ) -> Answer<v1::ProviderResponse> {
        Ok(Response::new(Rpc::get_provider(self, request.into_inner()).await?))
    }

    async fn list_providers(
        &self,
        request: Request<v1::ListProvidersRequest>,
    ) -> Answer<v1::ListProvidersResponse> {
        Ok(Response::new(Rpc::list_providers(self, request.into_inner()).await?))
    }

    async fn update_provider(
        &self,
        request: Request<v1::UpdateProviderRequest>,
    ) -> Answer<v1::ProviderResponse> {
        Ok(Response::new(Rpc::update_provider(self, request.into_inner()).await?))
    }

    async fn delete_provider(
        &self,
        request: Request<v1::DeleteProviderRequest>,
    ) -> Answer<v1::DeleteProviderResponse> {
        Ok(Response::new(Rpc::delete_provider(self, request.into_inner()).await?))
    }

    async fn get_provider_refresh_status(
        &self,
        request: Request<v1::GetProviderRefreshStatusRequest>,
    ) -> Answer<v1::GetProviderRefreshStatusResponse> {
        Ok(Response::new(self.refresh_status(request.into_inner()).await?))
    }

    async fn configure_provider_refresh(
        &self,
        request: Request<v1::ConfigureProviderRefreshRequest>,
    ) -> Answer<v1::ConfigureProviderRefreshResponse> {
        Ok(Response::new(self.configure_refresh(request.into_inner()).await?))
    }

    async fn rotate_provider_credential(
        &self,
        request: Request<v1::RotateProviderCredentialRequest>,
    ) -> Answer<v1::RotateProviderCredentialResponse> {
        Ok(Response::new(self.rotate_credential(request.into_inner()).await?))
    }

    async fn delete_provider_refresh(
        &self,
        request: Request<v1::DeleteProviderRefreshRequest>,
    ) -> Answer<v1::DeleteProviderRefreshResponse> {
        Ok(Response::new(self.delete_refresh(request.into_inner()).await?))
    }

    async fn attach_sandbox_provider(
        &self,
        request: Request<v1::AttachSandboxProviderRequest>,
    ) -> Answer<v1::AttachSandboxProviderResponse> {
        Ok(Response::new(self.attach_provider(request.into_inner()).await?))
    }

    async fn detach_sandbox_provider(
        &self,
        request: Request<v1::DetachSandboxProviderRequest>,
    ) -> Answer<v1::DetachSandboxProviderResponse> {
        Ok(Response::new(self.detach_provider(request.into_inner()).await?))
    }

    async fn list_sandbox_providers(
        &self,
        request: Request<v1::ListSandboxProvidersRequest>,
    ) -> Answer<v1::ListSandboxProvidersResponse> {
        Ok(Response::new(self.list_attached(request.into_inner()).await?))
    }

    async fn list_provider_profiles(
        &self,
        request: Request<v1::ListProviderProfilesRequest>,
    ) -> Answer<v1::ListProviderProfilesResponse> {
        Ok(Response::new(self.list_profiles(request.into_inner()).await?))
    }

    async fn get_provider_profile(
        &self,
        request: Request<v1::GetProviderProfileRequest>,
    ) -> Answer<v1::ProviderProfileResponse> {
        Ok(Response::new(self.get_profile(request.into_inner()).await?))
    }

    async fn lint_provider_profiles(
        &self,
        request: Request<v1::LintProviderProfilesRequest>,
    ) -> Answer<v1::LintProviderProfilesResponse> {
        Ok(Response::new(self.lint_profiles(request.into_inner()).await?))
    }

    async fn import_provider_profiles(
        &self,
        request: Request<v1::ImportProviderProfilesRequest>,
    ) -> Answer<v1::ImportProviderProfilesResponse> {
        Ok(Response::new(self.import_profiles(request.into_inner()).await?))
    }

    async fn update_provider_profiles(
        &self,
        request: Request<v1::UpdateProviderProfilesRequest>,
    ) -> Answer<v1::UpdateProviderProfilesResponse> {
        Ok(Response::new(self.update_profiles(request.into_inner()).await?))
    }

    async fn delete_provider_profile(
        &self,
        request: Request<v1::DeleteProviderProfileRequest>,
    ) -> Answer<v1::DeleteProviderProfileResponse> {
        Ok(Response::new(self.delete_profile(request.into_inner()).await?))
    }

    async fn get_sandbox_provider_status(
        &self,
        request: Request<v1::GetSandboxProviderStatusRequest>,
    ) -> Answer<v1::GetSandboxProviderStatusResponse> {
        Ok(Response::new(self.provider_status(request.into_inner()).await?))
    }

    async fn get_workspace(
        &self,
        request: Request<v1::GetWorkspaceRequest>,
    ) -> Answer<v1::GetWorkspaceResponse> {
        let found = self.app.workspace(&request.into_inner().name).await?;
        let workspace = Some(convert::workspace(found));
        Ok(Response::new(v1::GetWorkspaceResponse { workspace }))
    }

    async fn list_workspaces(
        &self,
        request: Request<v1::ListWorkspacesRequest>,
    ) -> Answer<v1::ListWorkspacesResponse> {
        let v1::ListWorkspacesRequest { page_size, page_token, label_selector } =
            request.into_inner();
        let found = self.app.workspaces(page_size, &page_token, &label_selector).await?;
        Ok(Response::new(v1::ListWorkspacesResponse {
            workspaces: found.into_iter().map(convert::workspace).collect(),
            next_page_token: String::new(),
        }))
    }
}
