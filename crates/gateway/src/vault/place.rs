//! Where sealed values belong: each opens for its own place only.

/// A credential of a provider.
pub(crate) fn credential(provider_id: &str, variable: &str) -> String {
    format!("provider/{provider_id}/{variable}")
}

/// What a credential is renewed with.
pub(crate) fn material(provider_id: &str, variable: &str) -> String {
    format!("provider-refresh/{provider_id}/{variable}")
}
