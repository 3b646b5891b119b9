//! Why there is no verified connection to an upstream, for programs, people and the client.

use std::io;

use openshell_types::Host;
use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, Error, PeerIncompatible};
use thiserror::Error as ThisError;

/// Why a handshake with an upstream failed.
#[derive(Clone, Debug, PartialEq, Eq, ThisError)]
pub enum OutwardError {
    /// Its certificate is not one to trust for this name.
    #[error("{detail}")]
    Certificate {
        /// What is wrong with it, in a sentence.
        detail: String,
        /// What the client is told.
        alert: AlertDescription,
    },
    /// It refused, or what it says is not TLS as it is spoken today.
    #[error("{detail}")]
    Handshake {
        /// What went wrong, in a sentence.
        detail: String,
        /// What the client is told.
        alert: AlertDescription,
    },
    /// It ended the connection, or took too long.
    #[error("{0}")]
    Gone(String),
    /// This machine could not verify anybody.
    #[error("{0}")]
    Trust(String),
}

impl OutwardError {
    /// The predicate that failed: a stable word.
    pub const fn predicate(&self) -> &'static str {
        match self {
            Self::Certificate { .. } | Self::Trust(_) => "upstream_certificate",
            Self::Handshake { .. } | Self::Gone(_) => "upstream_tls",
        }
    }

    /// What the client is told, with [`super::alert()`].
    pub const fn alert(&self) -> AlertDescription {
        match self {
            Self::Certificate { alert, .. } | Self::Handshake { alert, .. } => *alert,
            Self::Gone(_) => AlertDescription::HandshakeFailure,
            Self::Trust(_) => AlertDescription::UnknownCA,
        }
    }

    pub(super) fn timed_out(host: &Host) -> Self {
        Self::Gone(format!("`{host}` did not end its TLS handshake in time"))
    }

    pub(super) fn no_name(host: &Host) -> Self {
        Self::Handshake {
            detail: format!("`{host}` is no name that a certificate can be verified for"),
            alert: AlertDescription::UnrecognisedName,
        }
    }

    /// What a failed handshake with `host` means.
    pub(super) fn from_io(error: &io::Error, host: &Host) -> Self {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
        match inner {
            Some(error) => Self::from_tls(error, host),
            None if error.kind() == io::ErrorKind::UnexpectedEof => {
                Self::Gone(format!("`{host}` ended the connection during the TLS handshake"))
            }
            None => Self::Gone(format!("the TLS handshake with `{host}` broke off: {error}")),
        }
    }

    fn from_tls(error: &Error, host: &Host) -> Self {
        let handshake =
            |detail: String| Self::Handshake { detail, alert: AlertDescription::HandshakeFailure };
        match error {
            Error::InvalidCertificate(why) => Self::Certificate {
                detail: format!("the certificate of `{host}` {}", fault(why)),
                alert: AlertDescription::from(why.clone()),
            },
            Error::NoCertificatesPresented => Self::Certificate {
                detail: format!("`{host}` showed no certificate"),
                alert: AlertDescription::BadCertificate,
            },
            Error::AlertReceived(AlertDescription::NoApplicationProtocol) => Self::Handshake {
                detail: format!("`{host}` speaks none of the protocols that the client offers"),
                alert: AlertDescription::NoApplicationProtocol,
            },
            Error::AlertReceived(alert) => {
                handshake(format!("`{host}` refused the TLS handshake with the alert {alert:?}"))
            }
            Error::InvalidMessage(_) => {
                handshake(format!("`{host}` answered with something that is not TLS"))
            }
            Error::PeerIncompatible(
                PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
                | PeerIncompatible::ServerDoesNotSupportTls12Or13,
            ) => Self::Handshake {
                detail: format!("`{host}` speaks neither TLS 1.2 nor TLS 1.3"),
                alert: AlertDescription::ProtocolVersion,
            },
            error => handshake(format!("the TLS handshake with `{host}` failed: {error}")),
        }
    }
}

/// The end of a sentence about a certificate.
fn fault(error: &CertificateError) -> String {
    match error {
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("expired on {}", date(*not_after))
        }
        CertificateError::Expired => "has expired".to_owned(),
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("is not valid before {}", date(*not_before))
        }
        CertificateError::NotValidYet => "is not valid yet".to_owned(),
        CertificateError::UnknownIssuer => {
            "comes from an authority that this machine does not trust".to_owned()
        }
        CertificateError::NotValidForNameContext { presented, .. } => match presented.as_slice() {
            [] => "is for another name".to_owned(),
            names => format!("is for another name: {}", listed(names)),
        },
        CertificateError::NotValidForName => "is for another name".to_owned(),
        CertificateError::Revoked => "was revoked".to_owned(),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "is not one for a server".to_owned()
        }
        CertificateError::BadSignature => "is not signed by the authority that it names".to_owned(),
        CertificateError::BadEncoding => "is malformed".to_owned(),
        // SECURITY: the library's words for the rest may quote the certificate at length.
        CertificateError::Other(why) => format!("is not accepted: {}", plain(&why.to_string())),
        error => format!("is not accepted: {}", plain(&error.to_string())),
    }
}

/// The first of the names in a certificate.
fn listed(names: &[String]) -> String {
    const SHOWN: usize = 3;
    let mut shown: Vec<String> = names.iter().take(SHOWN).map(|name| plain(bare(name))).collect();
    if names.len() > SHOWN {
        shown.push(format!("and {} more", names.len() - SHOWN));
    }
    shown.join(", ")
}

/// A name without the type that the library writes around it, where it is a name of DNS.
fn bare(name: &str) -> &str {
    let within = name.strip_prefix("DnsName(\"").and_then(|name| name.strip_suffix("\")"));
    within.unwrap_or(name)
}

/// Text of an upstream's, made short and harmless.
fn plain(text: &str) -> String {
    const LONGEST: usize = 120;
    text.chars()
        .take(LONGEST)
        .map(|c| if c == ' ' || c.is_ascii_graphic() { c } else { '?' })
        .collect()
}

fn date(time: UnixTime) -> String {
    i64::try_from(time.as_secs())
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
        .map_or_else(|| "an unknown day".to_owned(), |time| time.strftime("%Y-%m-%d").to_string())
}
