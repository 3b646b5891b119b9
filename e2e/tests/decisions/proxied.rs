//! Servers behind the operator's proxy, which is squid on the other side of the cable.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use openshell_audit::Outcome;
use openshell_e2e::{Sandbox, eventually};
use openshell_testkit::http::Response;
use openshell_testkit::{Product, RunAs, World, world};
use rustix::process::{Pid, Signal, geteuid, kill_process};

const SQUID: &str = "/usr/sbin/squid";
const SECRET: &str = "ada:s3cret-of-the-proxy";

const POLICY: &str = "\
version: 1
network_policies:
  web:
    endpoints:
      - { host: plain.example.com, port: 80, protocol: rest, access: read-only }
      - { host: judged.example.com, port: 443, protocol: rest, access: read-only }
      - { host: spliced.example.com, port: 443 }
    binaries:
      - { path: /usr/bin/curl }
";

/// Why it cannot run here.
pub fn cannot_run() -> Option<String> {
    if !Path::new(SQUID).exists() {
        return Some(format!("there is no {SQUID}"));
    }
    (!geteuid().is_root()).then(|| "squid needs root, whose rights it gives up".to_owned())
}

/// A running one.
struct Squid(Child);

impl Drop for Squid {
    fn drop(&mut self) {
        // It is asked, so that it takes its shared memory along.
        if let Ok(pid) = i32::try_from(self.0.id())
            && let Some(pid) = Pid::from_raw(pid)
        {
            let _gone = kill_process(pid, Signal::TERM);
        }
        let _ = self.0.wait();
    }
}

/// Starts squid, which lets only `ada` in.
fn squid(w: &World, folder: &Path) -> Squid {
    let address = w.fresh_v4();
    w.add_address(address);
    w.dns().set("proxy.example.com", &[address]);
    let helper = folder.join("helper");
    let script = format!(
        "#!/bin/sh\nwhile read -r user password; do\n  \
         [ \"$user:$password\" = '{SECRET}' ] && echo OK || echo ERR\ndone\n"
    );
    fs::write(&helper, script).expect("our own folder is writable");
    // Started by root, squid goes on as another user.
    for path in [folder, &helper] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o777)).expect("it is ours");
    }
    let at = folder.display();
    let text = format!(
        "http_port {address}:3128\n\
         auth_param basic program {at}/helper\n\
         auth_param basic children 1 startup=1\n\
         acl ada proxy_auth REQUIRED\nhttp_access allow ada\nhttp_access deny all\n\
         cache deny all\ncache_log {at}/cache.log\n\
         logformat short %rm %ru %>Hs %un\naccess_log stdio:{at}/access short\n\
         pid_filename none\ncoredump_dir {at}\nshutdown_lifetime 0 seconds\n"
    );
    fs::write(folder.join("squid.conf"), text).expect("our own folder is writable");
    let name = format!("openshell{}", std::process::id());
    let mut command = Command::new(SQUID);
    command.args(["-N", "-n", &name, "-f"]).arg(folder.join("squid.conf"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let squid = Squid(w.spawn(&mut command));
    let address = SocketAddr::new(address, 3128);
    eventually("squid listens", || TcpStream::connect(address).ok());
    squid
}

pub fn servers_are_reached_through_the_operators_proxy_alone(run_as: RunAs) {
    world(|w| {
        let servers = [
            w.serve_http("plain.example.com", |_| Response::text("plain")),
            w.serve_https("judged.example.com", |_| Response::text("judged")),
            w.serve_https("spliced.example.com", |_| Response::text("spliced")),
        ];
        let folder = tempfile::tempdir().expect("/tmp is writable");
        let _squid = squid(w, folder.path());
        let product = Product::new(run_as);
        let auth = product.config().join("proxy-auth");
        product.write(&auth, &format!("{SECRET}\n"));
        let settings = format!(
            "[upstream]\nca_file = \"{}\"\nproxy = \"http://proxy.example.com:3128\"\n\
             proxy_auth_file = \"{}\"\nproxy_auth_allow_insecure = true\n",
            w.ca_file().display(),
            auth.display(),
        );
        product.write_gateway_config(&settings);
        // A file that others may read is refused before anything starts.
        fs::set_permissions(&auth, fs::Permissions::from_mode(0o644)).expect("it is ours");
        let refused = product.run(&["gateway", "run"]).exited(2);
        assert!(refused.stderr.contains("`upstream.proxy_auth_file`"), "{refused}");
        assert!(refused.stderr.contains("chmod 0600"), "{refused}");
        fs::set_permissions(&auth, fs::Permissions::from_mode(0o600)).expect("it is ours");

        let sandbox = Sandbox::start(&product, "proxied", POLICY);
        let get = "curl -sS http://plain.example.com/ https://judged.example.com/ \
                   https://spliced.example.com/";
        for said in [sandbox.sh(get), sandbox.direct(get)] {
            assert_eq!(said.succeeded().stdout, "plainjudgedspliced");
        }
        let denied = sandbox.sh("curl -sS -X POST -d x http://plain.example.com/").succeeded();
        assert!(denied.stdout.contains("policy_denied"), "{denied}");
        for server in &servers {
            assert_eq!(server.requests().len(), 2, "{}", server.address());
            // Not a packet took another way.
            assert_eq!(w.packets_to(server.address().ip()), 0, "{}", server.address());
        }
        assert_eq!(sandbox.log().count(Outcome::Failed), 0, "{}", sandbox.logs());

        // The password is where it has to be and nowhere else.
        let asked = sandbox.sh("cat /proc/*/environ /proc/*/cmdline 2>/dev/null; env").stdout;
        assert!(!asked.contains("s3cret"), "{asked}");
        let found = Command::new("grep")
            .args(["-rlF", "s3cret-of-the-proxy"])
            .arg(product.home())
            .output()
            .expect("grep runs");
        assert_eq!(String::from_utf8_lossy(&found.stdout).trim(), auth.display().to_string());
    });
}
