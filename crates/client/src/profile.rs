//! Which gateway: the choice order of published clients, and their records.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::error::ClientError;
use crate::layout::Layout;
use crate::limits;

/// What the caller said about the gateway. Nothing said: the active one, else the local one.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// `--gateway-endpoint` or its variable: bypasses the records.
    pub endpoint: Option<String>,
    /// `--gateway` or its variable.
    pub name: Option<String>,
}

/// A gateway that can be connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gateway {
    /// This person's own, on this machine; started on first use.
    Local {
        /// Its socket.
        socket: PathBuf,
    },
    /// A Unix socket that was named by hand.
    Socket {
        /// The socket.
        socket: PathBuf,
    },
    /// Any other.
    Remote {
        /// Its name; the endpoint when it was given by hand.
        name: String,
        /// `http://…` or `https://…`.
        endpoint: String,
        /// What proves who is who, for `https`.
        tls: Tls,
    },
}

/// The files of a TLS connection, PEM encoded.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// The authority that signed the gateway's certificate; none: the system's.
    pub ca: Option<Vec<u8>>,
    /// The client's certificate and key.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls")
            .field("ca", &self.ca.is_some())
            .field("identity", &self.identity.as_ref().map(|_| "[redacted]"))
            .finish()
    }
}

impl Gateway {
    /// The name of the gateway that is started on first use.
    pub const LOCAL: &str = "local";

    /// Chooses: the endpoint, then the name, then the active one of the person, then that of the
    /// system, then the local one.
    pub fn choose(layout: &Layout, choice: &Choice) -> Result<Self, ClientError> {
        if let Some(endpoint) = &choice.endpoint {
            return Self::at(endpoint);
        }
        let active = || -> Result<Option<String>, ClientError> {
            for folder in [layout.config(), layout.system()] {
                let text = read(&folder.join("active_gateway"))?;
                let name = text.map(|text| String::from_utf8_lossy(&text).trim().to_owned());
                if let Some(name) = name.filter(|name| !name.is_empty()) {
                    return Ok(Some(name));
                }
            }
            Ok(None)
        };
        let name = match &choice.name {
            Some(name) => name.clone(),
            None => active()?.unwrap_or_else(|| Self::LOCAL.to_owned()),
        };
        if name == Self::LOCAL {
            return Ok(Self::Local { socket: layout.socket() });
        }
        Self::named(layout, &name)
    }

    /// A gateway by its endpoint alone: `http`, `https` or `unix`.
    fn at(endpoint: &str) -> Result<Self, ClientError> {
        if let Some(path) = endpoint.strip_prefix("unix:") {
            let socket = PathBuf::from(path.strip_prefix("//").unwrap_or(path));
            if !socket.is_absolute() {
                return Err(bad_endpoint(endpoint, "the path of a socket is absolute"));
            }
            return Ok(Self::Socket { socket });
        }
        check_endpoint(endpoint)?;
        Ok(Self::Remote {
            name: endpoint.to_owned(),
            endpoint: endpoint.to_owned(),
            tls: Tls::default(),
        })
    }

    /// A gateway by its record.
    fn named(layout: &Layout, name: &str) -> Result<Self, ClientError> {
        // SECURITY: the name becomes a part of a path.
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || name.starts_with('.') || !name.chars().all(plain) {
            return Err(ClientError::BadInput {
                message: format!("`{name}` is not a name of a gateway"),
                diagnostics: Vec::new(),
            });
        }
        for folder in [layout.gateway(name), layout.system().join("gateways").join(name)] {
            let path = folder.join("metadata.json");
            let Some(text) = read(&path)? else { continue };
            let record: Record = serde_json::from_slice(&text).map_err(|error| {
                ClientError::config(
                    format!("the record of gateway `{name}` cannot be read: {error}"),
                    path.clone(),
                )
            })?;
            check_endpoint(&record.gateway_endpoint)?;
            match record.auth_mode.as_deref() {
                None | Some("" | "mtls" | "plaintext") => {}
                Some(other) => {
                    return Err(ClientError::config(
                        format!(
                            "gateway `{name}` wants `{other}` log-in, which this version lacks"
                        ),
                        path,
                    ));
                }
            }
            let tls = match record.gateway_endpoint.starts_with("https://") {
                true => Tls::read(&folder.join("mtls"))?,
                false => Tls::default(),
            };
            return Ok(Self::Remote {
                name: name.to_owned(),
                endpoint: record.gateway_endpoint,
                tls,
            });
        }
        Err(ClientError::config(format!("no gateway is registered as `{name}`"), None))
    }

    /// Its name, for people and for what is remembered about it.
    pub fn name(&self) -> &str {
        match self {
            Self::Local { .. } => Self::LOCAL,
            Self::Socket { .. } => "socket",
            Self::Remote { name, .. } => name,
        }
    }

    /// Its endpoint, for people.
    pub fn endpoint(&self) -> String {
        match self {
            Self::Local { socket } | Self::Socket { socket } => {
                format!("unix://{}", socket.display())
            }
            Self::Remote { endpoint, .. } => endpoint.clone(),
        }
    }

    /// Whether it runs on this machine as this person, and so may take host paths.
    pub const fn is_beside(&self) -> bool {
        matches!(self, Self::Local { .. } | Self::Socket { .. })
    }
}

impl Tls {
    fn read(folder: &Path) -> Result<Self, ClientError> {
        let ca = read(&folder.join("ca.crt"))?;
        let certificate = read(&folder.join("tls.crt"))?;
        let key = read(&folder.join("tls.key"))?;
        match (certificate, key) {
            (Some(certificate), Some(key)) => Ok(Self { ca, identity: Some((certificate, key)) }),
            (None, None) => Ok(Self { ca, identity: None }),
            _ => Err(ClientError::config(
                "a client certificate needs both `tls.crt` and `tls.key`",
                folder.to_owned(),
            )),
        }
    }
}

/// What we need of the published record; it has more.
#[derive(Deserialize)]
struct Record {
    gateway_endpoint: String,
    auth_mode: Option<String>,
}

fn check_endpoint(endpoint: &str) -> Result<(), ClientError> {
    let known = endpoint.starts_with("http://") || endpoint.starts_with("https://");
    if !known {
        return Err(bad_endpoint(endpoint, "it begins with `https://`, `http://` or `unix://`"));
    }
    match tonic::transport::Endpoint::from_shared(endpoint.to_owned()) {
        Ok(_) => Ok(()),
        Err(_) => Err(bad_endpoint(endpoint, "it is not a URL")),
    }
}

fn bad_endpoint(endpoint: &str, why: &str) -> ClientError {
    ClientError::BadInput {
        message: format!("`{endpoint}` is not an endpoint of a gateway: {why}"),
        diagnostics: Vec::new(),
    }
}

/// The content of a small file; `None` when there is none.
fn read(path: &Path) -> Result<Option<Vec<u8>>, ClientError> {
    let failed = |error: std::io::Error| {
        ClientError::config(
            format!("`{}` cannot be read: {error}", path.display()),
            path.to_owned(),
        )
    };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(failed(error)),
    };
    let mut content = Vec::new();
    file.take(limits::RECORD_FILE).read_to_end(&mut content).map_err(failed)?;
    Ok(Some(content))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::fs;

    use super::*;

    fn layout(home: &Path) -> Layout {
        Layout::new(|name| match name {
            "HOME" => Some(home.as_os_str().to_owned()),
            "OPENSHELL_SYSTEM_GATEWAY_DIR" => Some(OsString::from(home.join("etc"))),
            _ => None,
        })
        .unwrap()
    }

    fn register(folder: &Path, record: &str) {
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join("metadata.json"), record).unwrap();
    }

    fn choose(layout: &Layout, name: Option<&str>) -> Result<Gateway, ClientError> {
        Gateway::choose(layout, &Choice { endpoint: None, name: name.map(str::to_owned) })
    }

    #[test]
    fn nothing_said_is_the_local_gateway() {
        let home = tempfile::tempdir().unwrap();
        let layout = layout(home.path());
        assert_eq!(choose(&layout, None).unwrap(), Gateway::Local { socket: layout.socket() });
    }

    #[test]
    fn the_persons_active_gateway_comes_before_the_systems() {
        let home = tempfile::tempdir().unwrap();
        let layout = layout(home.path());
        let record = |url: &str| format!(r#"{{"name":"n","gateway_endpoint":"{url}","extra":1}}"#);
        register(&layout.system().join("gateways/sys"), &record("http://127.0.0.1:1"));
        register(&layout.gateway("own"), &record("http://127.0.0.1:2"));
        fs::write(layout.system().join("active_gateway"), "sys\n").unwrap();
        assert_eq!(choose(&layout, None).unwrap().endpoint(), "http://127.0.0.1:1");
        fs::write(layout.config().join("active_gateway"), " own \n").unwrap();
        assert_eq!(choose(&layout, None).unwrap().endpoint(), "http://127.0.0.1:2");
        assert_eq!(choose(&layout, Some("sys")).unwrap().endpoint(), "http://127.0.0.1:1");
    }

    #[test]
    fn an_endpoint_bypasses_the_records() {
        let home = tempfile::tempdir().unwrap();
        let layout = layout(home.path());
        let at = |endpoint: &str| {
            Gateway::choose(&layout, &Choice { endpoint: Some(endpoint.into()), name: None })
        };
        assert_eq!(
            at("unix:///run/x.sock").unwrap(),
            Gateway::Socket { socket: "/run/x.sock".into() }
        );
        assert_eq!(at("https://gw:8443").unwrap().endpoint(), "https://gw:8443");
        for bad in ["gw:8443", "ftp://gw", "unix:relative", "https://", ""] {
            assert!(at(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_name_cannot_leave_its_folder() {
        let home = tempfile::tempdir().unwrap();
        let layout = layout(home.path());
        for bad in ["../x", "", ".", "a/b", "a b"] {
            assert!(matches!(choose(&layout, Some(bad)), Err(ClientError::BadInput { .. })));
        }
        assert!(matches!(choose(&layout, Some("absent")), Err(ClientError::Config { .. })));
    }

    #[test]
    fn https_reads_the_identity_and_half_of_one_is_an_error() {
        let home = tempfile::tempdir().unwrap();
        let layout = layout(home.path());
        let folder = layout.gateway("far");
        register(&folder, r#"{"gateway_endpoint":"https://gw:8443","auth_mode":"mtls"}"#);
        let mtls = folder.join("mtls");
        fs::create_dir_all(&mtls).unwrap();
        fs::write(mtls.join("ca.crt"), "CA").unwrap();
        fs::write(mtls.join("tls.key"), "KEY").unwrap();
        assert!(choose(&layout, Some("far")).is_err());
        fs::write(mtls.join("tls.crt"), "CRT").unwrap();
        let Gateway::Remote { tls, .. } = choose(&layout, Some("far")).unwrap() else {
            panic!("not remote");
        };
        assert_eq!(tls.ca.as_deref(), Some(&b"CA"[..]));
        assert!(!format!("{tls:?}").contains("75, 69, 89"), "the key is printed");
    }

    #[test]
    fn log_in_that_we_lack_is_said() {
        let home = tempfile::tempdir().unwrap();
        let layout = layout(home.path());
        register(
            &layout.gateway("edge"),
            r#"{"gateway_endpoint":"https://gw","auth_mode":"oidc"}"#,
        );
        let error = choose(&layout, Some("edge")).unwrap_err();
        assert!(error.to_string().contains("`oidc`"), "{error}");
    }
}
