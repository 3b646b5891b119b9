//! Credentials ↔ their messages.

use openshell_types::{Binding, Credential, CredentialSet, Host, Placement, Port, Redacted};
use thiserror::Error;

use crate::session;

/// A message that does not say what it must.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("credential {name}: {what}")]
pub struct CredentialError {
    /// The credential's name.
    name: String,
    /// What is wrong.
    what: String,
}

/// The credentials of a policy's message.
pub fn from_message(message: &mut session::Policy) -> Result<CredentialSet, CredentialError> {
    let mark = std::mem::take(&mut message.mark);
    let mark: [u8; 32] = match mark.try_into() {
        Ok(mark) => mark,
        // Nothing is attached, and nothing needs to be told from anything.
        Err(mark) if mark.is_empty() && message.credentials.is_empty() => [0; 32],
        Err(_) => return Err(wrong("", "the mark is not of 32 bytes")),
    };
    let all: Result<_, _> = std::mem::take(&mut message.credentials)
        .into_iter()
        .map(|mut credential| {
            let secret = Redacted::new(std::mem::take(&mut credential.secret));
            let session::Credential { name, placeholder, expires_ms, bindings, .. } = credential;
            let bindings: Result<_, _> = bindings.iter().map(|one| binding(&name, one)).collect();
            Ok(Credential { bindings: bindings?, name, placeholder, secret, expires_ms })
        })
        .collect();
    Ok(CredentialSet { epoch: message.epoch, mark: Redacted::new(mark), all: all? })
}

fn binding(name: &str, message: &session::Binding) -> Result<Binding, CredentialError> {
    let port = u16::try_from(message.port).ok().and_then(Port::new);
    Ok(Binding {
        host: Host::parse(&message.host).map_err(|error| wrong(name, error))?,
        port: port.ok_or_else(|| wrong(name, "it is bound to no port"))?,
        path: (!message.path.is_empty()).then(|| message.path.clone()),
        placement: Placement::parse(&message.placement).map_err(|error| wrong(name, error))?,
        rule: (!message.rule.is_empty()).then(|| message.rule.clone()),
    })
}

fn wrong(name: &str, what: impl ToString) -> CredentialError {
    CredentialError { name: name.to_owned(), what: what.to_string() }
}

/// Puts credentials into a policy's message.
pub fn put(set: &CredentialSet, message: &mut session::Policy) {
    message.epoch = set.epoch;
    message.mark = set.mark.expose().to_vec();
    message.credentials = set.all.iter().map(to_message).collect();
}

fn to_message(credential: &Credential) -> session::Credential {
    let Credential { name, placeholder, secret, expires_ms, bindings } = credential;
    let bindings = bindings.iter().map(|one| session::Binding {
        host: one.host.to_string(),
        port: one.port.number().into(),
        path: one.path.clone().unwrap_or_default(),
        placement: one.placement.to_string(),
        rule: one.rule.clone().unwrap_or_default(),
    });
    session::Credential {
        name: name.clone(),
        placeholder: placeholder.clone(),
        secret: secret.expose().clone(),
        expires_ms: *expires_ms,
        bindings: bindings.collect(),
    }
}
