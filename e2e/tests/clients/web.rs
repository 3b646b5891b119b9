//! Two hosts with pages that may be read and pages that may not.

use openshell_testkit::World;
use openshell_testkit::http::Response;

use crate::site::{Plan, Site};

/// The names under which it is known: one speaks HTTP/1.1, the other HTTP/2 too.
pub const HOSTS: [&str; 2] = ["www.example.com", "two.example.com"];

/// What may be asked of them, and by whom.
pub const POLICY: &str = r#"
version: 1
network_policies:
  web:
    endpoints:
      - host: www.example.com
        port: 443
        protocol: rest
        rules:
          - allow: { method: GET, path: "/open/**" }
          - allow: { method: POST, path: "/open/**" }
          - allow: { method: PUT, path: "/open/put/**" }
      - host: two.example.com
        port: 443
        protocol: rest
        rules:
          - allow: { method: GET, path: "/open/**" }
          - allow: { method: POST, path: "/open/**" }
          - allow: { method: PUT, path: "/open/put/**" }
    binaries:
      - { path: /usr/bin/curl }
      - { path: /usr/bin/wget }
      - { path: /usr/bin/python3 }
      - { path: /usr/bin/node }
"#;

/// How nginx serves them. `/open/echo` and `/open/slow` are answered by servers behind it.
const SETTINGS: &str = "
location /open/put/ { dav_methods PUT; create_full_put_path on; client_max_body_size 20m; }
location /open/put/small/ { dav_methods PUT; create_full_put_path on; client_max_body_size 1k; }
location /open/gzip { gzip on; gzip_types *; gzip_min_length 1; }
location /open/last { keepalive_timeout 0; }
location = /open/echo { proxy_pass http://ECHO; client_max_body_size 20m; }
location = /open/slow { proxy_pass http://SLOW; proxy_buffering off; proxy_http_version 1.1; }
";

/// How long the slow server is silent between two events.
pub const SILENCE: std::time::Duration = std::time::Duration::from_secs(3);

/// Starts them, with two more that soon end idle connections.
pub fn serve(w: &World) -> Site {
    let mut plan = Plan::new(w);
    for name in ["open/hello", "open/gzip", "open/last", "closed/hello"] {
        plan.file(name, "hello\n");
    }
    plan.file("open/text.txt", "hello ".repeat(2000));
    let large: Vec<u8> =
        (0..10_u32 << 18).flat_map(|n| n.wrapping_mul(0x9e37_79b9).to_le_bytes()).collect();
    plan.file("open/large", large);
    let echo = (w.fresh_v4(), 8080).into();
    w.serve_http_at(echo, |request| {
        let header = |name| request.header(name).unwrap_or("-").to_owned();
        let told = [header("x-test"), header("user-agent"), request.body.len().to_string()];
        Response::text(told.join("\n"))
    });
    let slow = (w.fresh_v4(), 8080).into();
    w.serve_tcp(slow, crate::slow::session);
    let settings = SETTINGS.replace("ECHO", &echo.to_string()).replace("SLOW", &slow.to_string());
    plan.host(HOSTS[0], &settings);
    plan.host_of_http2(HOSTS[1], &settings);
    plan.host("hasty.example.com", "keepalive_timeout 1s;");
    plan.host_of_http2("hasty-two.example.com", "keepalive_timeout 1s;");
    plan.start()
}
