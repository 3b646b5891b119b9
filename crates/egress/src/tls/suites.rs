//! The cryptography of both sides, and what of it is preferred.

use std::sync::{Arc, LazyLock};

use rustls::CipherSuite::{
    TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    TLS13_AES_128_GCM_SHA256,
};
use rustls::crypto::{CryptoProvider, aws_lc_rs};

/// The library's, with AES-128 and SHA-256 before the others, as browsers have it: a handshake is
/// full of hashes of short texts, for which SHA-384 is dear and processors have no instructions.
pub(super) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
        let mut provider = aws_lc_rs::default_provider();
        provider.cipher_suites.sort_by_key(|suite| {
            !matches!(
                suite.suite(),
                TLS13_AES_128_GCM_SHA256
                    | TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
                    | TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
            )
        });
        Arc::new(provider)
    });
    Arc::clone(&PROVIDER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_or_won_by_the_order() {
        let (ours, theirs) = (provider(), aws_lc_rs::default_provider());
        assert_eq!(ours.cipher_suites.len(), theirs.cipher_suites.len());
        for suite in &theirs.cipher_suites {
            assert!(ours.cipher_suites.contains(suite), "{suite:?}");
        }
        let first = ours.cipher_suites.first().map(|suite| suite.suite());
        assert_eq!(first, Some(TLS13_AES_128_GCM_SHA256));
    }
}
