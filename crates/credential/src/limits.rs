//! Bounds of credentials and profiles. Beyond each of them the input is refused.

/// Longest secret, in bytes: one that fits into a field of a request's head.
pub const SECRET_BYTES: usize = 16 * 1024;
/// Shortest secret that is looked for in answers, in bytes: a shorter one is a word that answers have
/// by chance, and which would be masked there. Keys and tokens are longer.
pub const ECHOED_BYTES: usize = 8;
/// Values that went to one server before and that are still looked for in its answers; of more the
/// oldest are not. A token that is renewed lives for about two renewals.
pub const FORMER: usize = 16;
/// Longest name of a credential, in bytes: it is the name of a variable, too.
pub const NAME_BYTES: usize = 256;
/// Most credentials of one provider.
pub const CREDENTIALS: usize = 32;
/// Most entries of a provider's configuration.
pub const CONFIG: usize = 64;
/// Longest text of a key encryption key, in bytes: 64 digits, and what an editor leaves around them.
pub const KEY_TEXT_BYTES: usize = 256;
/// How long the command for that key may take, in seconds: the operator may have to touch a token.
pub const KEY_COMMAND_SECONDS: u64 = 60;
/// Longest sealed value, in bytes of its text: refresh material is longer than a secret.
pub const SEALED_BYTES: usize = 1024 * 1024;
/// Longest text of a profile, in bytes.
pub const PROFILE_BYTES: usize = 256 * 1024;
/// Longest id of a profile, in characters.
pub const ID_CHARS: usize = 64;
/// Longest name within a profile, in characters.
pub const WORD_CHARS: usize = 64;
/// Longest text for people in a profile, in characters.
pub const PROSE_CHARS: usize = 4096;
/// Most annotations of a profile.
pub const ANNOTATIONS: usize = 128;
/// Most variables of one credential.
pub const VARIABLES: usize = 16;
/// Most ports of one endpoint to which credentials go.
pub const BOUND_PORTS: usize = openshell_policy::limits::BOUND_PORTS;
/// Most scopes that are asked for.
pub const SCOPES: usize = 64;
/// Most material, and most further outputs, of one renewal.
pub const MATERIAL: usize = 32;
/// Longest time of a renewal's settings, in seconds: a year.
pub const REFRESH_SECONDS: u64 = 366 * 24 * 3600;
