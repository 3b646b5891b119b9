//! The edge: messages in, messages out. Nothing is decided here.

mod attach;
mod convert;
mod exec;
mod logs;
mod merge;
mod native;
mod openshell;
mod policy;
mod profile;
mod provider;
mod readiness;
mod refresh;
mod route;
mod sandbox;
mod status;
mod watch;

use tonic::{Request, Status};

use crate::app::App;
use crate::auth::Ctx;

/// The services of people and their programs.
#[derive(Clone)]
pub(crate) struct Rpc {
    pub(crate) app: App,
}

/// Who calls, as the authorisation layer found out.
fn ctx<T>(request: &Request<T>) -> Result<Ctx, Status> {
    let missing = || Status::unauthenticated("the caller is not known");
    request.extensions().get::<Ctx>().copied().ok_or_else(missing)
}

/// The methods that this gateway serves; every other answers UNIMPLEMENTED.
pub(crate) const SERVED: &[&str] = &[
    "/openshell.v1.OpenShell/Health",
    "/openshell.v1.OpenShell/GetGatewayInfo",
    "/openshell.v1.OpenShell/GetCurrentUser",
    "/openshell.v1.OpenShell/CreateSandbox",
    "/openshell.v1.OpenShell/GetSandbox",
    "/openshell.v1.OpenShell/ListSandboxes",
    "/openshell.v1.OpenShell/DeleteSandbox",
    "/openshell.v1.OpenShell/ExecSandbox",
    "/openshell.v1.OpenShell/ExecSandboxInteractive",
    "/openshell.v1.OpenShell/GetSandboxConfig",
    "/openshell.v1.OpenShell/UpdateConfig",
    "/openshell.v1.OpenShell/GetSandboxPolicyStatus",
    "/openshell.v1.OpenShell/ListSandboxPolicies",
    "/openshell.v1.OpenShell/GetSandboxLogs",
    "/openshell.v1.OpenShell/WatchSandbox",
    "/openshell.v1.OpenShell/ListSandboxProviders",
    "/openshell.v1.OpenShell/AttachSandboxProvider",
    "/openshell.v1.OpenShell/DetachSandboxProvider",
    "/openshell.v1.OpenShell/GetSandboxProviderStatus",
    "/openshell.v1.OpenShell/CreateProvider",
    "/openshell.v1.OpenShell/GetProvider",
    "/openshell.v1.OpenShell/ListProviders",
    "/openshell.v1.OpenShell/ListProviderProfiles",
    "/openshell.v1.OpenShell/GetProviderProfile",
    "/openshell.v1.OpenShell/LintProviderProfiles",
    "/openshell.v1.OpenShell/ImportProviderProfiles",
    "/openshell.v1.OpenShell/UpdateProviderProfiles",
    "/openshell.v1.OpenShell/DeleteProviderProfile",
    "/openshell.v1.OpenShell/UpdateProvider",
    "/openshell.v1.OpenShell/DeleteProvider",
    "/openshell.v1.OpenShell/GetProviderRefreshStatus",
    "/openshell.v1.OpenShell/ConfigureProviderRefresh",
    "/openshell.v1.OpenShell/RotateProviderCredential",
    "/openshell.v1.OpenShell/DeleteProviderRefresh",
    "/openshell.v1.OpenShell/GetWorkspace",
    "/openshell.v1.OpenShell/ListWorkspaces",
    "/openshell.native.v1.Native/Create",
    "/openshell.native.v1.Native/AttachMain",
    "/openshell.native.v1.Native/SetPolicy",
    "/openshell.native.v1.Native/UpdatePolicy",
    "/openshell.native.v1.Native/GetPolicy",
    "/openshell.native.v1.Native/Events",
    "/openshell.native.v1.Native/Inspect",
    "/openshell.native.v1.Native/ImportProfiles",
    "/openshell.native.v1.Native/UpdateProfile",
    "/openshell.native.v1.Native/GetProfile",
    "/openshell.native.v1.Native/Shutdown",
    "/openshell.native.v1.Inference/SetRoute",
    "/openshell.native.v1.Inference/UpdateRoute",
    "/openshell.native.v1.Inference/GetRoutes",
    "/openshell.native.v1.Inference/DeleteRoute",
];
