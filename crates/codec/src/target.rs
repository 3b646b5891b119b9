//! What a request asks for: its method and its canonical target (RFC 9112, section 3; RFC 3986,
//! section 6.2.2).
//!
//! The policy judges the canonical target and the server gets the same bytes, so that it does not
//! matter how a client spells a path. What a server might still read in another way than the policy
//! is refused. The decisions, all in one place:
//!
//! | in the target | what happens |
//! |---|---|
//! | more than 4 KiB, before or after | refused |
//! | control, space, byte above 126, `#`, `%` without two hexadecimal digits | refused |
//! | path: `%41` for an unreserved character | decoded, once |
//! | path: any other `%ab` | kept, with upper-case digits: `%3A` is not `:` (RFC 3986, section 2.2) |
//! | path: raw `"` `<` `>` `[` `]` `^` `` ` `` `{` `\|` `}` | encoded, as many clients leave to others |
//! | path: `//` | one `/`, before dot segments are resolved |
//! | path: `.` and `..`, raw or encoded once | resolved; above the root refused |
//! | path: `\`, `%5C` | refused |
//! | path: `%2F` | refused; kept when the endpoint wants it, but not beside a dot segment |
//! | path: raw `;` | refused: some servers cut parameters off before they look, others do not |
//! | path: `%3B` | kept as data, refused after dots |
//! | path: encoded control, or bytes that are not UTF-8 | refused |
//! | path: unreserved, `/`, `\` or control behind a second encoding, or four layers of encoding | refused |
//! | path: look-alikes of dots and slashes that come to a dot segment | refused |
//! | query | forwarded as it was written |
//! | query: pairs | split at `&`; the key ends at the first `=`; `+` is a space; decoded once |
//! | query: `%00`, or bytes that are not UTF-8 | refused |
//! | query: raw `;`, and keys that some servers take for one key | refused where a rule looks at the query |
//! | a key that comes again, `a[]` | every value stands under its exact decoded key |
//! | absolute form | `http` and `https`; becomes origin form, the authority stands apart |
//! | `*` and `host:port` | for `OPTIONS` and `CONNECT` only |
//!
//! `//` goes first because file systems do it so; for `/a//../b` the RFC alone would keep `/a/b`.
//! Both are safe: the server gets what was judged.
//!
//! Not decided here, since no request says which server it meets: whether `A` or `a[]` alone stands
//! for `a`, `/ADMIN` for `/admin`, or `%3A` for `:`. A denial that should hold for them all has to
//! look for them all.

mod canonical;
mod error;
mod escape;
mod form;
mod method;
mod overriding;
mod query;
#[cfg(test)]
mod tests;

pub use error::TargetError;
pub use form::{Doubtful, Options, Origin, Scheme, Target};
pub use method::{Method, MethodError};
pub use overriding::{
    METHOD_HEADERS, METHOD_KEY, OverrideError, TARGET_HEADERS, methods_to_judge, names_target,
};
pub(crate) use query::folded;
