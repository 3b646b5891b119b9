//! Who gets in, and which way.

use std::env;
use std::fs::{self, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use openshell_gateway::GatewayError;
use openshell_wire::native::native_client::NativeClient;
use openshell_wire::v1::open_shell_client::OpenShellClient;
use openshell_wire::{METHODS, Mode, native, v1};
use tokio_util::sync::CancellationToken;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request};
use tonic_prost::ProstCodec;

use crate::support::{World, create, within};

/// Calls any method with an empty message.
async fn call(channel: &Channel, path: &'static str) -> Code {
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await.unwrap();
    let codec: ProstCodec<(), ()> = ProstCodec::default();
    match client.unary(Request::new(()), PathAndQuery::from_static(path), codec).await {
        Ok(_) => Code::Ok,
        Err(status) => status.code(),
    }
}

#[tokio::test]
async fn m08_every_method_answers_as_its_declaration_says() {
    let world = World::start().await;
    let channel = world.channel();
    for method in METHODS {
        if method.path == "/openshell.native.v1.Native/Shutdown" {
            continue;
        }
        let code = within(call(&channel, method.path)).await;
        match method.mode {
            Mode::Sandbox | Mode::Peer | Mode::Operator => {
                assert_eq!(code, Code::PermissionDenied, "{}", method.path);
            }
            Mode::Unauthenticated => assert_eq!(code, Code::Ok, "{}", method.path),
            Mode::Bearer | Mode::Dual => {
                assert!(
                    !matches!(code, Code::PermissionDenied | Code::Unauthenticated | Code::Unknown),
                    "{}: {code:?}",
                    method.path
                );
            }
        }
    }
}

async fn tls(world: &World, with_identity: bool) -> Result<Channel, tonic::transport::Error> {
    let folder = world.paths().registration();
    let metadata = fs::read_to_string(folder.join("metadata.json")).unwrap();
    let metadata: serde_json::Value = serde_json::from_str(&metadata).unwrap();
    assert_eq!(metadata["name"], "local");
    assert_eq!(metadata["auth_mode"], "mtls");
    assert_eq!(metadata["is_remote"], false);
    let endpoint = metadata["gateway_endpoint"].as_str().unwrap().to_owned();
    assert_eq!(endpoint, format!("https://127.0.0.1:{}", metadata["gateway_port"]));

    let read = |name: &str| fs::read_to_string(folder.join("mtls").join(name)).unwrap();
    let mut config = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read("ca.crt")));
    if with_identity {
        config = config.identity(Identity::from_pem(read("tls.crt"), read("tls.key")));
    }
    Endpoint::from_shared(endpoint)?.tls_config(config)?.connect().await
}

async fn wait_for_registration(world: &World) {
    within(async {
        while !world.paths().registration().join("metadata.json").exists() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn loopback_tls_wants_the_client_certificate() {
    let world = World::start().await;
    wait_for_registration(&world).await;
    let channel = tls(&world, true).await.unwrap();
    let health = OpenShellClient::new(channel.clone()).health(v1::HealthRequest {}).await.unwrap();
    assert_eq!(health.into_inner().status(), v1::ServiceStatus::Healthy);

    let stranger = match tls(&world, false).await {
        Ok(channel) => OpenShellClient::new(channel).health(v1::HealthRequest {}).await.is_err(),
        Err(_) => true,
    };
    assert!(stranger);
}

#[tokio::test]
async fn host_paths_and_shutdown_are_taken_over_the_unix_socket_only() {
    let world = World::start().await;
    wait_for_registration(&world).await;
    let mut client = NativeClient::new(tls(&world, true).await.unwrap());
    let mount =
        native::Mount { source: "/usr".into(), target: "/sandbox/x".into(), writable: false };
    let with_mount = native::CreateRequest { mounts: vec![mount], ..create("a", &["serve"]) };
    let bind = native::ToolBind { path: "/usr".into() };
    let with_tool = native::CreateRequest { tool_binds: vec![bind], ..create("b", &["serve"]) };
    for request in [with_mount, with_tool] {
        assert_eq!(client.create(request).await.unwrap_err().code(), Code::PermissionDenied);
    }
    assert!(client.create(create("c", &["serve"])).await.is_ok());
    let refused = client.shutdown(native::ShutdownRequest {}).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert!(world.native().shutdown(native::ShutdownRequest {}).await.is_ok());
}

#[tokio::test]
async fn the_port_and_the_certificates_stay_the_same() {
    let mut world = World::start().await;
    wait_for_registration(&world).await;
    let read = |world: &World| {
        let folder = world.paths().registration();
        ["metadata.json", "mtls/tls.crt", "mtls/ca.crt"]
            .map(|file| fs::read(folder.join(file)).unwrap())
    };
    let before = read(&world);
    world.stop().await;
    world.run().await;
    wait_for_registration(&world).await;
    assert_eq!(read(&world), before);
    assert!(tls(&world, true).await.is_ok());
    assert_eq!(fs::read_to_string(world.paths().active_gateway()).unwrap(), "local");
}

#[tokio::test]
async fn only_the_owner_can_read_keys_and_enter_the_run_folder() {
    let world = World::start().await;
    wait_for_registration(&world).await;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let paths = world.paths();
    assert_eq!(mode(&paths.run()), 0o700);
    assert_eq!(mode(&paths.socket()), 0o600);
    assert_eq!(mode(&paths.session_folder()), 0o711);
    assert_eq!(mode(&paths.session_socket()), 0o666);
    assert_eq!(mode(&paths.registration().join("mtls/tls.key")), 0o600);
    assert_eq!(mode(&paths.tls().join("server.key")), 0o600);
    assert_eq!(mode(&paths.database()) & 0o077, 0);
}

#[tokio::test]
async fn a_second_gateway_and_one_inside_a_sandbox_do_not_run() {
    let world = World::start().await;
    let parts = || world.parts(CancellationToken::new());
    let second = openshell_gateway::run(world.config(), parts()).await;
    assert!(matches!(second, Err(GatewayError::AlreadyRuns(_))));
    let mut inside = world.config();
    inside.in_sandbox = true;
    let refused = openshell_gateway::run(inside, parts()).await;
    assert!(matches!(refused, Err(GatewayError::InsideSandbox)));
}

/// Names a test that cannot run here, past the capture of what passing tests print.
fn skipped(test: &str, why: &str) {
    io::stdout().write_all(format!("skipped {test}: {why}\n").as_bytes()).unwrap();
}

/// Where a process of the tests below is told to knock.
const SOCKET: &str = "OPENSHELL_TEST_SOCKET";

/// Runs one test of this program again, as another process, and whether it passed.
async fn again(mut command: Command, test: &'static str, socket: std::path::PathBuf) {
    let output = tokio::task::spawn_blocking(move || {
        command.args(["--exact", test, "--nocapture"]).env(SOCKET, socket).current_dir("/");
        command.output().unwrap()
    });
    let output = output.await.unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stdout.contains("1 passed"), "{stdout}{stderr}");
}

/// What that process finds.
async fn knock(socket: std::ffi::OsString) {
    let channel = crate::support::channel(socket.into());
    let answer = OpenShellClient::new(channel).health(v1::HealthRequest {}).await;
    assert!(answer.is_err(), "the gateway answered");
}

#[tokio::test]
async fn a_process_of_another_user_is_refused() {
    if let Some(socket) = env::var_os(SOCKET) {
        return knock(socket).await;
    }
    if !rustix::process::geteuid().is_root() {
        skipped("a_process_of_another_user_is_refused", "only root can be another user");
        return;
    }
    let world = World::start().await;
    let socket = world.paths().socket();
    fs::set_permissions(&socket, Permissions::from_mode(0o777)).unwrap();
    for folder in socket.ancestors().skip(1).take_while(|folder| folder.parent().is_some()) {
        if folder != env::temp_dir() {
            fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
        }
    }
    // Its own path may lie in a folder that only root enters; this link does not walk there.
    let mut stranger = Command::new("/proc/self/exe");
    stranger.uid(1).gid(1);
    again(stranger, "access::a_process_of_another_user_is_refused", socket).await;
}

#[tokio::test]
async fn k22_a_process_of_another_user_namespace_is_refused_though_its_uid_is_ours() {
    if let Some(socket) = env::var_os(SOCKET) {
        return knock(socket).await;
    }
    let mut jail = Command::new("unshare");
    jail.args(["--user", "--map-root-user"]);
    let possible = Command::new("unshare").args(["--user", "--map-root-user", "true"]).status();
    if !possible.is_ok_and(|status| status.success()) {
        skipped("k22_a_process_of_another_user_namespace_is_refused", "no user namespaces here");
        return;
    }
    let world = World::start().await;
    jail.arg(env::current_exe().unwrap());
    let test = "access::k22_a_process_of_another_user_namespace_is_refused_though_its_uid_is_ours";
    again(jail, test, world.paths().socket()).await;
}
