//! Telling a TLS client, in its own words, why there is no connection.

use rustls::AlertDescription;

/// A fatal alert in a record of its own, in plain text: for a client that has not yet got a byte of
/// an answer to its hello (RFC 8446, section 6).
pub fn alert(description: AlertDescription) -> [u8; 7] {
    const ALERT: u8 = 21;
    const FATAL: u8 = 2;
    [ALERT, 3, 3, 0, 2, FATAL, u8::from(description)]
}
