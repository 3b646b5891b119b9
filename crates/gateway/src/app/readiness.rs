//! How far a provider has got in a sandbox.

use jiff::Timestamp;

use super::{App, AppError};
use crate::compose::compose;
use crate::store::rows::provider::Provider;
use crate::store::rows::sandbox::Sandbox;

/// How far it has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Attached, and in force.
    Ready,
    /// Attached, and not in force yet: the supervisor has not answered, or there is none now.
    Pending { is_connected: bool },
    /// The supervisor refused what is to be in force.
    Failed,
    /// Attached and in force, but some value is past its end, and is not used.
    Expired,
    /// Not attached, and nothing is sent with its values any more.
    Revoked,
}

/// The state with what it was told from.
#[derive(Clone, Debug)]
pub(crate) struct Readiness {
    pub(crate) state: State,
    pub(crate) provider: Provider,
    /// Generation and epoch of what is to be in force, and its digest.
    pub(crate) desired: (u64, u64),
    pub(crate) digest: String,
    /// Generation and epoch of what the supervisor answered for last.
    pub(crate) observed: Option<(u64, u64)>,
}

impl App {
    /// How far a provider has got in a sandbox.
    pub(crate) async fn readiness(
        &self,
        sandbox: &Sandbox,
        name: &str,
    ) -> Result<Readiness, AppError> {
        let missing = || AppError::NotFound { kind: "provider", name: name.to_owned() };
        let provider = self.store.provider(&sandbox.workspace, name).await?.ok_or_else(missing)?;
        let composed = compose(&self.store, &sandbox.id).await?;
        let desired = (u64::from(composed.revision.number), composed.epoch);
        let is_attached = composed.attached.iter().any(|own| own.provider.id == provider.id);
        let is_connected = self.registry.session(&sandbox.id).is_some();
        let answered = self.registry.answered(&sandbox.id);
        // Without a supervisor there is nobody who could send anything.
        let is_idle = sandbox.placed_ms.is_none() || sandbox.observed.phase.is_last();
        let now_ms = Timestamp::now().as_millisecond();
        let ends = provider.credentials.values().filter_map(|sealed| sealed.expires_ms);
        let state = match &answered {
            Some((state, Some(_))) if *state >= desired => State::Failed,
            Some((state, None)) if *state >= desired && !is_attached => State::Revoked,
            Some((state, None)) if *state >= desired => match ends.min() {
                Some(end) if end <= now_ms => State::Expired,
                _ => State::Ready,
            },
            _ if is_idle && !is_attached => State::Revoked,
            _ => State::Pending { is_connected },
        };
        Ok(Readiness {
            state,
            provider,
            desired,
            digest: composed.digest,
            observed: answered.map(|(state, _)| state),
        })
    }
}
