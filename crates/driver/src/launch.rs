//! What passes between a driver and the supervisor that it starts: the folder's file names, the
//! message on the launch socket, and the lock by which a running supervisor is found again.
//!
//! A native supervisor is started with its working directory in the sandbox's folder and a Unix
//! stream socket as standard input. Over it comes one line of JSON ([`Launch`]) together with one
//! descriptor, the folder that holds the gateway's session socket; the supervisor answers with one
//! byte, [`LAUNCHED`], when it holds the lock. Nothing secret is in argv, environment or a file.

use std::mem::take;
use std::net::SocketAddr;
use std::path::PathBuf;

use openshell_types::{ConnectBy, PlainHttp, ProxyException, ProxyUrl, Redacted};
use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

/// File names within a sandbox's folder.
pub mod file {
    /// The [`SandboxSpec`](openshell_types::SandboxSpec), as JSON.
    pub const SPEC: &str = "spec.json";
    /// The policy's text that the supervisor starts with.
    pub const POLICY: &str = "policy.yaml";
    /// The [`Upstream`](super::Upstream) settings, as JSON.
    pub const UPSTREAM: &str = "upstream.json";
    /// Security events, one line each.
    pub const AUDIT: &str = "audit.jsonl";
    /// Output of the main command.
    pub const MAIN_LOG: &str = "main.log";
    /// What the supervisor itself prints.
    pub const SUPERVISOR_LOG: &str = "supervisor.log";
    /// Locked by the supervisor as long as it lives.
    pub const LOCK: &str = "supervisor.lock";
    /// The jail's `/sandbox`. Hostile.
    pub const HOME: &str = "home";
    /// The session socket's name in the folder whose descriptor a supervisor is given.
    pub const SESSION_SOCKET: &str = "session.sock";
}

/// The one variable of a supervisor's environment, when the gateway has it.
pub const CONFIG: &str = "XDG_CONFIG_HOME";

/// The byte that a supervisor answers once it holds its lock.
pub const LAUNCHED: u8 = b'+';

/// The longest launch line, in bytes, its newline included; a longer one is refused.
pub const LONGEST_LAUNCH: usize = 16 * 1024;

/// The one line on the launch socket.
#[derive(Debug)]
pub struct Launch {
    /// Proves to the gateway that a session is this sandbox's.
    pub token: Redacted<String>,
    /// The generation of the policy in the sandbox's folder.
    pub generation: u64,
    /// What the operator's proxy asks for, `user:password`. Here and not in [`Proxy`], which lies in a
    /// file.
    pub proxy_auth: Option<Redacted<String>>,
}

/// How [`Launch`] is written; separate because a [`Redacted`] cannot be serialised by accident.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    version: u32,
    token: String,
    generation: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    proxy_auth: Option<String>,
}

impl Drop for Line {
    fn drop(&mut self) {
        self.token.zeroize();
        self.proxy_auth.zeroize();
    }
}

impl Launch {
    /// The version that this build writes and reads.
    pub const VERSION: u32 = 1;

    /// The line as it goes over the socket, newline included.
    pub fn to_line(&self) -> Redacted<Vec<u8>> {
        let line = Line {
            version: Self::VERSION,
            token: self.token.expose().clone(),
            generation: self.generation,
            proxy_auth: self.proxy_auth.as_ref().map(|auth| auth.expose().clone()),
        };
        // Numbers and strings always serialise; an empty line would be refused by the reader.
        let mut bytes = serde_json::to_vec(&line).unwrap_or_default();
        bytes.push(b'\n');
        Redacted::new(bytes)
    }

    /// Reads the line; `None` when it is not one of this version.
    pub fn from_line(bytes: &[u8]) -> Option<Self> {
        let mut line: Line = serde_json::from_slice(bytes.strip_suffix(b"\n")?).ok()?;
        (line.version == Self::VERSION).then(|| Self {
            token: Redacted::new(take(&mut line.token)),
            generation: line.generation,
            proxy_auth: line.proxy_auth.take().map(Redacted::new),
        })
    }
}

/// How upstreams are reached: the operator's settings, the only knobs of the egress.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// The DNS server to ask; else those of the host's resolv.conf.
    pub resolver: Option<SocketAddr>,
    /// Further certificate authorities that upstreams may be signed by.
    pub ca_file: Option<PathBuf>,
    /// The proxy through which they are reached; without one they are dialled directly.
    pub proxy: Option<Proxy>,
}

/// The operator's proxy. What it asks for to let us in is a secret and comes with [`Launch`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proxy {
    /// Where it is.
    pub url: ProxyUrl,
    /// What is dialled directly.
    pub no_proxy: Vec<ProxyException>,
    /// What it is told to connect to.
    pub connect_by: ConnectBy,
    /// How it is asked for plain HTTP.
    pub plain: PlainHttp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn launch_line_round_trips_and_other_versions_are_refused() {
        // The longest of both, in letters that take the most room.
        for auth in [None, Some(format!("s3cret:{}", "\"".repeat(4089)))] {
            let (token, proxy_auth) =
                (Redacted::new("s3cret".into()), auth.clone().map(Redacted::new));
            let launch = Launch { token, generation: 7, proxy_auth };
            let line = launch.to_line();
            assert!(line.expose().len() < LONGEST_LAUNCH);
            let read = Launch::from_line(line.expose()).expect("own line");
            assert_eq!(read.token.expose(), "s3cret");
            assert_eq!(read.generation, 7);
            assert_eq!(read.proxy_auth.as_ref().map(|auth| auth.expose().clone()), auth);
            assert!(!format!("{launch:?}").contains("s3cret"));
        }
        for bad in [
            &b"{\"version\":2,\"token\":\"x\",\"generation\":1}\n"[..],
            b"{\"version\":1,\"token\":\"x\",\"generation\":1}",
            b"{\"version\":1,\"token\":\"x\",\"generation\":1,\"more\":1}\n",
            b"\n",
        ] {
            assert!(Launch::from_line(bad).is_none());
        }
    }
}
