//! Other proxies with a rule for method and path, to be measured beside ours.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::requests::{Site, end, find, free_port, wait_for};
use crate::run::Outcome;

/// Another proxy.
pub struct Rival {
    /// What it is, and what it does.
    pub name: &'static str,
    /// Where it listens.
    pub port: u16,
    /// How `wrk` has to ask it.
    pub script: PathBuf,
    process: Child,
}

impl Rival {
    /// Whose processor time counts.
    pub fn pid(&self) -> String {
        self.process.id().to_string()
    }
}

/// Those that are installed.
pub struct Rivals(pub Vec<Rival>);

impl Rivals {
    /// Those that take requests without TLS.
    pub fn plain(site: &Site) -> Outcome<Self> {
        Self::start(
            site,
            &[
                ("Envoy, dynamic forward proxy with RBAC", "envoy", envoy, &ENVOY),
                ("haproxy, with an ACL", "haproxy", haproxy, &["-f"]),
                ("squid, with an ACL", "squid", squid, &SQUID),
            ],
        )
    }

    /// Those that end TLS and begin it anew.
    pub fn secure(site: &Site) -> Outcome<Self> {
        Self::start(
            site,
            &[
                ("squid, ended, with an ACL", "squid", secure_squid, &SQUID),
                ("mitmproxy, ended and judged", "mitmdump", mitmproxy, &["-q", "--set"]),
            ],
        )
    }

    fn start(site: &Site, all: &[(&'static str, &str, Config, &[&str])]) -> Outcome<Self> {
        let mut rivals = Self(Vec::new());
        for &(name, program, config, arguments) in all {
            if find(program).is_none() {
                println!("  not beside it, since {program} is not installed: {name}");
                continue;
            }
            let port = free_port()?;
            let path = site.folder.join(format!("{program}.conf"));
            // Envoy takes YAML by its file's name, and mitmproxy a folder of its own.
            let path = if program == "envoy" { path.with_extension("yaml") } else { path };
            let script = site.folder.join(format!("{program}.lua"));
            let (config, lua) = config(site, port);
            let failed = |error| format!("`{}`: {error}", path.display());
            let mut last = path.display().to_string();
            if program == "mitmdump" {
                fs::create_dir_all(&path).map_err(failed)?;
                fs::write(path.join("config.yaml"), config).map_err(failed)?;
                fs::write(path.join("rule.py"), MITMPROXY_RULE).map_err(failed)?;
                last = format!("confdir={last}");
            } else {
                fs::write(&path, config).map_err(failed)?;
            }
            fs::write(&script, lua).map_err(failed)?;
            let process = Command::new(program)
                .args(arguments)
                .arg(last)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .map_err(|error| format!("{program}: {error}"))?;
            rivals.0.push(Rival { name, port, script, process });
            if let Err(error) = wait_for(port, program) {
                println!("  not beside it, since {error}: {name}");
                rivals.0.pop().iter_mut().for_each(|rival| end(&mut rival.process));
            }
        }
        Ok(rivals)
    }
}

impl Drop for Rivals {
    fn drop(&mut self) {
        self.0.iter_mut().for_each(|rival| end(&mut rival.process));
    }
}

/// The configuration of a proxy on a port, and the script by which `wrk` asks it.
type Config = fn(&Site, u16) -> (String, String);

const ENVOY: [&str; 5] = ["--concurrency", "1", "--log-level", "off", "-c"];

/// In the foreground, and beside any other squid of this machine.
const SQUID: [&str; 4] = ["-N", "-n", "openshellbench", "-f"];

fn haproxy(site: &Site, port: u16) -> (String, String) {
    let to = site.address();
    let text = format!(
        "global\n  nbthread 1\ndefaults\n  mode http\n  timeout client 60s\n  timeout server 60s\n  \
         timeout connect 5s\n  http-reuse always\nfrontend f\n  bind 127.0.0.1:{port}\n  acl m method \
         GET\n  acl p path_beg /\n  http-request deny unless m p\n  default_backend b\nbackend b\n  \
         server s {to}\n"
    );
    (text, String::new())
}

fn squid(site: &Site, port: u16) -> (String, String) {
    let to = site.address();
    let text = format!("http_port 127.0.0.1:{port}\n{SQUID_RULE}");
    (text, format!("wrk.path = \"http://{to}/\"\nwrk.headers[\"Host\"] = \"{to}\"\n"))
}

/// Squid gives root up, so it can keep nothing of its own.
const SQUID_RULE: &str = "acl m method GET\nacl p urlpath_regex ^/\nhttp_access allow m p\n\
    http_access deny all\ncache deny all\naccess_log none\ncache_log /dev/null\npid_filename none\n\
    shutdown_lifetime 0 seconds\n";

fn secure_squid(site: &Site, port: u16) -> (String, String) {
    // It does not take a peer that is an address for what the certificate names.
    let (at, secure) = (site.folder.display(), site.secure);
    let text = format!(
        "https_port 127.0.0.1:{port} accel defaultsite=127.0.0.1 tls-cert={at}/leaf.pem \
         tls-key={at}/leaf.key\ncache_peer 127.0.0.1 parent {secure} 0 no-query no-digest originserver \
         tls sslflags=DONT_VERIFY_PEER,DONT_VERIFY_DOMAIN\nnever_direct allow all\n{SQUID_RULE}"
    );
    (text, String::new())
}

fn mitmproxy(site: &Site, port: u16) -> (String, String) {
    let (at, secure) = (site.folder.display(), site.secure);
    // Bodies are passed on as they come; it would hold them otherwise.
    let text = format!(
        "mode: [\"reverse:https://127.0.0.1:{secure}\"]\nlisten_host: 127.0.0.1\nlisten_port: {port}\n\
         ssl_verify_upstream_trusted_ca: {at}/ca.pem\nstream_large_bodies: 64k\nscripts: \
         [{at}/mitmdump.conf/rule.py]\n"
    );
    (text, String::new())
}

const MITMPROXY_RULE: &str = "from mitmproxy import http\n\n\ndef requestheaders(flow):\n    \
    if not (flow.request.method == 'GET' and flow.request.path.startswith('/')):\n        \
    flow.response = http.Response.make(403)\n";

fn envoy(site: &Site, port: u16) -> (String, String) {
    let api = "type.googleapis.com/envoy.extensions";
    let cache = "dns_cache_config: { name: c, dns_lookup_family: V4_ONLY }";
    let text = format!(
        r#"static_resources:
  listeners:
  - address: {{ socket_address: {{ address: 127.0.0.1, port_value: {port} }} }}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": {api}.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: f
          route_config:
            virtual_hosts:
            - {{ name: all, domains: ["*"], routes: [{{ match: {{ prefix: "/" }}, route: {{ cluster: d }} }}] }}
          http_filters:
          - name: envoy.filters.http.rbac
            typed_config:
              "@type": {api}.filters.http.rbac.v3.RBAC
              rules:
                action: ALLOW
                policies:
                  p:
                    principals: [{{ any: true }}]
                    permissions: [{{ and_rules: {{ rules: [{{ header: {{ name: ":method", string_match: {{ exact: GET }} }} }}, {{ url_path: {{ path: {{ prefix: "/" }} }} }}] }} }}]
          - name: envoy.filters.http.dynamic_forward_proxy
            typed_config:
              "@type": {api}.filters.http.dynamic_forward_proxy.v3.FilterConfig
              {cache}
          - name: envoy.filters.http.router
            typed_config:
              "@type": {api}.filters.http.router.v3.Router
  clusters:
  - name: d
    lb_policy: CLUSTER_PROVIDED
    cluster_type:
      name: envoy.clusters.dynamic_forward_proxy
      typed_config:
        "@type": {api}.clusters.dynamic_forward_proxy.v3.ClusterConfig
        {cache}
"#
    );
    (text, format!("wrk.headers[\"Host\"] = \"{}\"\n", site.address()))
}
