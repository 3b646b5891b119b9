//! Where a request may go.

use std::fmt;
use std::net::Ipv4Addr;

use http::{HeaderValue, Uri};
use openshell_policy::HOST_ALIAS;
use openshell_types::{Authority, BaseUrl, Host, Port};
use rustls::pki_types::ServerName;
use thiserror::Error;

use crate::limits::OUTBOUND_URL;

/// An `https` URL, or an `http` one of a loopback address. It has neither user information nor a
/// fragment. `Debug` and `Display` leave the query out.
#[derive(Clone)]
pub(crate) struct OutboundUrl {
    tls: Option<ServerName<'static>>,
    authority: Authority,
    host_field: HeaderValue,
    target: Uri,
}

/// Why a text is no such URL. The text is not told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum UrlError {
    #[error("it is no URL that begins with `https://`")]
    Scheme,
    /// SECURITY: I8; what is sent is a secret, and goes where TLS says who is there.
    #[error("`http://` is for loopback addresses such as `127.0.0.1`: use `https://`")]
    Plain,
    #[error("its host or port is none")]
    Authority,
    #[error("it has a character that no URL has, or a fragment")]
    Character,
    #[error("it has more than {OUTBOUND_URL} bytes")]
    TooLong,
}

impl OutboundUrl {
    /// Reads a URL.
    pub(crate) fn parse(text: &str) -> Result<Self, UrlError> {
        if text.len() > OUTBOUND_URL {
            return Err(UrlError::TooLong);
        }
        if !text.bytes().all(|b| b.is_ascii_graphic() && b != b'#' && b != b'\\') {
            return Err(UrlError::Character);
        }
        let (rest, is_tls, port) = match text.split_once("://") {
            Some(("https", rest)) => (rest, true, 443),
            Some(("http", rest)) => (rest, false, 80),
            _ => return Err(UrlError::Scheme),
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (host, target) = rest.split_at(end);
        let authority = Authority::parse_with_default(host, Port::new(port))
            .map_err(|_| UrlError::Authority)?;
        let address = match authority.host {
            Host::Address(address) => Some(address),
            Host::Name(_) => None,
        };
        if !is_tls && !address.is_some_and(|address| address.is_loopback()) {
            return Err(UrlError::Plain);
        }
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        Ok(Self {
            tls: if is_tls { Some(server_name(&authority.host)?) } else { None },
            host_field: HeaderValue::from_str(host).map_err(|_| UrlError::Character)?,
            target: target.parse().map_err(|_| UrlError::Character)?,
            authority,
        })
    }

    /// The URL of a path beneath the base of a backend, which was found fit for its key before.
    pub(crate) fn beneath(base: &BaseUrl, path: &str) -> Result<Self, UrlError> {
        let tls = base.is_secure.then(|| server_name(&base.authority.host));
        let target = format!("{}{path}", base.path);
        Ok(Self {
            tls: tls.transpose()?,
            host_field: HeaderValue::from_str(&base.host()).map_err(|_| UrlError::Character)?,
            target: target.parse().map_err(|_| UrlError::Character)?,
            authority: base.authority.clone(),
        })
    }

    /// Host and port.
    pub(crate) fn authority(&self) -> &Authority {
        &self.authority
    }

    /// What is dialled.
    pub(super) fn dialled(&self) -> (String, u16) {
        let host = match &self.authority.host {
            Host::Name(name) if name.as_str() == HOST_ALIAS => Ipv4Addr::LOCALHOST.to_string(),
            Host::Name(name) => name.to_string(),
            Host::Address(address) => address.to_string(),
        };
        (host, self.authority.port.number())
    }

    /// Whom a certificate has to name; `None` without TLS.
    pub(super) fn server_name(&self) -> Option<ServerName<'static>> {
        self.tls.clone()
    }

    pub(super) fn host_field(&self) -> &HeaderValue {
        &self.host_field
    }

    pub(super) fn target(&self) -> &Uri {
        &self.target
    }
}

fn server_name(host: &Host) -> Result<ServerName<'static>, UrlError> {
    match host {
        Host::Address(address) => Ok(ServerName::from(*address)),
        Host::Name(name) => {
            ServerName::try_from(name.as_str().to_owned()).map_err(|_| UrlError::Authority)
        }
    }
}

impl fmt::Display for OutboundUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority, self.target.path())
    }
}

impl fmt::Debug for OutboundUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
