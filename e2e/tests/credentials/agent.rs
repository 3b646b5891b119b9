//! A sandbox with a provider, and the server that its credential is bound to.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use openshell_e2e::Sandbox;
use openshell_testkit::http::Response;
use openshell_testkit::{Product, Server, World, finish};

/// The host of the profile `anthropic`; here a server of the test world.
pub const HOST: &str = "api.anthropic.com";

/// The real value. Nothing else contains it.
pub const KEY: &str = "sk-ant-api03-canaryCANARYcanaryCANARYcanaryCANARYcanaryCANARY0001";

/// Lets curl and Python speak to the bound server, and to others.
pub const POLICY: &str = "
version: 1
network_policies:
  model:
    endpoints:
      - { host: api.anthropic.com, port: 443, protocol: rest, access: read-write }
      - { host: other.example.com, port: 443, protocol: rest, access: read-write }
    binaries: [{ path: /usr/bin/curl }, { path: /usr/bin/python3 }]
";

/// What the server was sent in `x-api-key`, and when.
pub type Keys = Arc<Mutex<Vec<(String, Instant)>>>;

/// A server for a name that notes the keys it gets, and answers `hello`.
pub fn serve(w: &World, name: &str) -> (Server, Keys) {
    let keys = Keys::default();
    let noted = Arc::clone(&keys);
    let server = w.serve_https(name, move |request| {
        let key = request.header("x-api-key").unwrap_or_default().to_owned();
        noted.lock().expect("nobody panics").push((key, Instant::now()));
        Response::text("hello")
    });
    (server, keys)
}

/// A product whose egress trusts the world's authority.
pub fn trust(product: &Product, w: &World) {
    let file = w.ca_file();
    product.write_gateway_config(&format!("[upstream]\nca_file = \"{}\"\n", file.display()));
}

/// Stores a provider, whose value comes from the command's environment.
#[track_caller]
pub fn provider(product: &Product, name: &str, kind: &str, variable: &str, value: &str) {
    let arguments =
        ["provider", "create", "--name", name, "--type", kind, "--credential", variable];
    let mut command = product.command(&arguments);
    finish(command.env(variable, value), Duration::from_secs(30)).succeeded();
}

/// A sandbox that sleeps, with the provider `claude`.
#[track_caller]
pub fn start<'p>(product: &'p Product, w: &World, policy: &str) -> Sandbox<'p> {
    trust(product, w);
    provider(product, "claude", "anthropic", "ANTHROPIC_API_KEY", KEY);
    with_provider(product, policy)
}

/// A sandbox that sleeps, with a provider that is there.
#[track_caller]
pub fn with_provider<'p>(product: &'p Product, policy: &str) -> Sandbox<'p> {
    let sandbox = Sandbox::existing(product, "agent");
    let file = sandbox.write_policy(policy);
    let create =
        ["sandbox", "create", "--name", "agent", "--policy", &file, "--provider", "claude"];
    product.run(&[&create[..], &["--detach", "--", "sleep", "1000000"]].concat()).succeeded();
    sandbox
}

/// Asks the bound server with what the variable holds; prints status and body.
pub const ASK: &str = "curl -sS -o body -w '%{http_code} ' -H \"x-api-key: $ANTHROPIC_API_KEY\" \
     https://api.anthropic.com/v1/models; cat body";
