//! Second methods and targets within a request.
//!
//! Some servers take the method, or the target, from a field or from a parameter. Fields with
//! another target never go upstream. Other methods may, but then the request is judged under each
//! of them: which one the server takes is not known. Here stands what counts, the egress does it.

use thiserror::Error;

use super::escape::decode_form;
use super::query::folded;
use super::{Method, MethodError};

/// Fields that name another method, in lower case.
pub const METHOD_HEADERS: [&str; 3] =
    ["x-http-method-override", "x-http-method", "x-method-override"];
/// Fields that name another target, in lower case.
pub const TARGET_HEADERS: [&str; 2] = ["x-original-url", "x-rewrite-url"];
/// The parameter, in a query or a form, that names another method.
pub const METHOD_KEY: &str = "_method";

/// The most methods under which one request is judged.
const MOST_METHODS: usize = 4;

/// Why a request was refused for what it says about its method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum OverrideError {
    /// Something that is not a method.
    #[error("the request names another method that is malformed: {0}")]
    Method(MethodError),
    /// More than four different ones.
    #[error("the request names more than three other methods")]
    TooMany,
}

/// The methods under which a request must be allowed, each of them: the written one first, then
/// those that a field or a parameter names. `forms` are the query, as it was written, and the body
/// when it is a form that was kept; parameters end at `&` and, since this only adds methods, at `;`.
pub fn methods_to_judge<'a>(
    written: &Method,
    headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    forms: &[&[u8]],
) -> Result<Vec<Method>, OverrideError> {
    let mut methods = vec![written.clone()];
    for (_, value) in headers.into_iter().filter(|(name, _)| is_one_of(name, &METHOD_HEADERS)) {
        add(&mut methods, value)?;
    }
    for piece in forms.iter().flat_map(|form| form.split(|byte| matches!(byte, b'&' | b';'))) {
        let mut sides = piece.splitn(2, |byte| *byte == b'=');
        let key = decode_form(sides.next().unwrap_or_default());
        if folded(&String::from_utf8_lossy(&key)) == METHOD_KEY {
            add(&mut methods, &decode_form(sides.next().unwrap_or_default()))?;
        }
    }
    Ok(methods)
}

/// Whether a field names another target and must not go upstream.
pub fn names_target(header: &str) -> bool {
    is_one_of(header, &TARGET_HEADERS)
}

/// Adds a method that was named; servers take either case, and no value for none.
fn add(methods: &mut Vec<Method>, value: &[u8]) -> Result<(), OverrideError> {
    let value = value.trim_ascii().to_ascii_uppercase();
    if value.is_empty() {
        return Ok(());
    }
    let method = Method::parse(&value).map_err(OverrideError::Method)?;
    if methods.contains(&method) {
        return Ok(());
    }
    if methods.len() >= MOST_METHODS {
        return Err(OverrideError::TooMany);
    }
    methods.push(method);
    Ok(())
}

/// SECURITY: G5; gateways in the manner of CGI do not tell `_` from `-` in the name of a field.
fn is_one_of(name: &str, known: &[&str]) -> bool {
    let same = |a: u8, b: u8| (if a == b'_' { b'-' } else { a.to_ascii_lowercase() }) == b;
    known.iter().any(|known| {
        known.len() == name.len() && name.bytes().zip(known.bytes()).all(|(a, b)| same(a, b))
    })
}
