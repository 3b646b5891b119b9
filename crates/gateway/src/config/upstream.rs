//! The table `[upstream]` of `gateway.toml`: how supervisors reach servers.

use std::fs::File;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use openshell_driver::launch::{Proxy, Upstream};
use openshell_types::{ConnectBy, PlainHttp, ProxyException, ProxyScheme, ProxyUrl, Redacted};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::process::geteuid;
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::limits;

/// The table as it is written.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Table {
    resolver: Option<SocketAddr>,
    ca_file: Option<PathBuf>,
    proxy: Option<String>,
    proxy_auth_file: Option<PathBuf>,
    proxy_auth_allow_insecure: Option<bool>,
    proxy_connect_by_hostname: Option<bool>,
    proxy_plain: Option<String>,
    no_proxy: Option<Vec<String>>,
}

/// What it comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct UpstreamSettings {
    pub(super) upstream: Upstream,
    pub(super) proxy_auth_file: Option<PathBuf>,
}

impl Table {
    /// Reads what is written; says in words what is wrong with which key.
    pub(super) fn read(self) -> Result<UpstreamSettings, String> {
        let proxy = self.proxy()?;
        let Self { resolver, ca_file, proxy_auth_file, .. } = self;
        for (key, path) in [("ca_file", &ca_file), ("proxy_auth_file", &proxy_auth_file)] {
            if path.as_ref().is_some_and(|path| !path.is_absolute()) {
                return Err(format!("`upstream.{key}` must be an absolute path"));
            }
        }
        Ok(UpstreamSettings { upstream: Upstream { resolver, ca_file, proxy }, proxy_auth_file })
    }

    fn proxy(&self) -> Result<Option<Proxy>, String> {
        let Some(proxy) = &self.proxy else { return self.no_proxy_at_all() };
        let url = ProxyUrl::parse(proxy).map_err(|error| format!("`upstream.proxy`: {error}"))?;
        let may_be_seen = self.proxy_auth_allow_insecure == Some(true);
        if url.scheme == ProxyScheme::Http && self.proxy_auth_file.is_some() && !may_be_seen {
            return Err("`upstream.proxy_auth_file`: the password would go to the proxy in plain \
                        text; use an `https://` proxy, or set `proxy_auth_allow_insecure = true` if \
                        the network between is trusted"
                .to_owned());
        }
        let plain = match self.proxy_plain.as_deref() {
            None | Some("connect") => PlainHttp::Connect,
            Some("forward") => PlainHttp::Forward,
            Some(_) => {
                return Err("`upstream.proxy_plain` is \"connect\" or \"forward\"".to_owned());
            }
        };
        // SECURITY: I1; what a proxy says of its own to a forwarded request goes to the sandbox, and
        // its error pages and answers to TRACE may repeat the request with all its fields.
        if plain == PlainHttp::Forward && self.proxy_auth_file.is_some() {
            return Err("`upstream.proxy_plain`: \"forward\" does not go with `proxy_auth_file`, \
                        because the proxy's own answers would reach the sandbox and may repeat the \
                        password; use \"connect\", or let the proxy know this host by its address"
                .to_owned());
        }
        let no_proxy = self.no_proxy.as_deref().unwrap_or_default();
        if no_proxy.len() > limits::NO_PROXY {
            let most = limits::NO_PROXY;
            return Err(format!("`upstream.no_proxy` has more than {most} entries: use ranges"));
        }
        let exception = |(at, text): (usize, &String)| {
            ProxyException::parse(text)
                .map_err(|error| format!("`upstream.no_proxy`, entry {}: {error}", at + 1))
        };
        let no_proxy = no_proxy.iter().enumerate().map(exception).collect::<Result<_, _>>()?;
        let connect_by = match self.proxy_connect_by_hostname {
            Some(true) => ConnectBy::Hostname,
            Some(false) | None => ConnectBy::Address,
        };
        Ok(Some(Proxy { url, no_proxy, connect_by, plain }))
    }

    /// Checks that nothing is said about a proxy that is not there: it may be a slip.
    fn no_proxy_at_all(&self) -> Result<Option<Proxy>, String> {
        let said = [
            ("proxy_auth_file", self.proxy_auth_file.is_some()),
            ("proxy_auth_allow_insecure", self.proxy_auth_allow_insecure.is_some()),
            ("proxy_connect_by_hostname", self.proxy_connect_by_hostname.is_some()),
            ("proxy_plain", self.proxy_plain.is_some()),
            ("no_proxy", self.no_proxy.is_some()),
        ];
        match said.into_iter().find(|(_, is_said)| *is_said) {
            Some((key, _)) => Err(format!(
                "`upstream.{key}` says something about a proxy, and `upstream.proxy` names none: \
                 add it, or remove `{key}`"
            )),
            None => Ok(None),
        }
    }
}

/// Reads `user:password`. The file is its owner's alone, or what is in it is no secret.
pub(super) fn read_auth(path: &Path) -> Result<Redacted<String>, String> {
    let wrong = |what: &str| format!("`upstream.proxy_auth_file`, `{}`: {what}", path.display());
    let failed = |error: io::Error| wrong(&error.to_string());
    // A pipe in its place does not hold us up.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = openat(CWD, path, flags, Mode::empty()).map_err(|error| failed(error.into()))?;
    let file = File::from(file);
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(wrong("it is no regular file"));
    }
    let own = geteuid().as_raw();
    if metadata.uid() != own {
        return Err(wrong(&format!(
            "it belongs to the user {}, and the gateway runs as {own}: `chown {own}` it",
            metadata.uid()
        )));
    }
    if metadata.mode() & 0o077 != 0 {
        let mode = metadata.mode() & 0o777;
        return Err(wrong(&format!("others may use it (mode {mode:04o}): `chmod 0600` it")));
    }
    let longest = limits::PROXY_AUTH;
    // Room from the start, so that no copy is left behind when it grows.
    let mut bytes = Zeroizing::new(Vec::with_capacity(longest + 2));
    file.take(longest as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > longest {
        return Err(wrong(&format!("it has more than {longest} bytes")));
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| wrong("it is not UTF-8"))?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    // RFC 7617, section 2: control characters have no place in either.
    if text.chars().any(char::is_control) {
        return Err(wrong("it holds one line, `user:password`, without control characters"));
    }
    if text.split_once(':').is_none_or(|(user, _)| user.is_empty()) {
        return Err(wrong("it holds one line, `user:password`"));
    }
    Ok(Redacted::new(text.to_owned()))
}
