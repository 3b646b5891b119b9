//! Checks at the door: a secret that is stored can be put on the wire as it is.

use std::fmt;

use openshell_types::Redacted;
use thiserror::Error;

use crate::limits::{NAME_BYTES, SECRET_BYTES};

/// A secret that can stand in a field of a request's head.
#[derive(Clone, Debug)]
pub struct SecretValue(Redacted<String>);

impl SecretValue {
    /// Takes a secret in; the text is wiped when it is refused.
    pub fn parse(text: String) -> Result<Self, ValueError> {
        let secret = Redacted::new(text);
        check(secret.expose())?;
        Ok(Self(secret))
    }

    /// The secret itself, for the one place that puts it on the wire or seals it.
    pub const fn expose(&self) -> &String {
        self.0.expose()
    }

    /// The secret, still redacted.
    pub fn into_inner(self) -> Redacted<String> {
        self.0
    }
}

fn check(text: &str) -> Result<(), ValueError> {
    if text.is_empty() {
        return Err(ValueError::Empty);
    }
    if text.len() > SECRET_BYTES {
        return Err(ValueError::TooLong);
    }
    // SECURITY: I6; a line break ends a field, and begins another that nobody judged.
    if text.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')) {
        return Err(ValueError::Control);
    }
    // A field's value has no space around it (RFC 9110, section 5.5): what arrives would be another.
    if text.trim() != text {
        return Err(ValueError::Edges);
    }
    Ok(())
}

/// Why a secret was refused. It never says what the secret is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ValueError {
    /// Nothing.
    #[error("the value is empty")]
    Empty,
    /// More than [`SECRET_BYTES`].
    #[error("the value has more than {SECRET_BYTES} bytes")]
    TooLong,
    /// A line break, a tab or another control character.
    #[error("the value has a line break or another control character in it")]
    Control,
    /// A space at an end.
    #[error("the value begins or ends with a space")]
    Edges,
}

/// The name of a credential within its provider: that of the variable that the jail gets.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CredentialName(Box<str>);

impl CredentialName {
    /// Reads a name such as `OPENAI_API_KEY`.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > NAME_BYTES {
            return Err(NameError::TooLong);
        }
        let fits = |(at, byte): (usize, u8)| {
            byte == b'_' || byte.is_ascii_alphabetic() || (at > 0 && byte.is_ascii_digit())
        };
        if !text.bytes().enumerate().all(fits) {
            return Err(NameError::Character);
        }
        if is_reserved(text) {
            return Err(NameError::Reserved);
        }
        Ok(Self(text.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CredentialName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Variables that are the sandbox's own, or that make a program load or run something.
fn is_reserved(name: &str) -> bool {
    const NAMES: [&str; 17] = [
        "PATH",
        "HOME",
        "USER",
        "SHELL",
        "LANG",
        "TZ",
        "TERM",
        "COLORTERM",
        "PWD",
        "IFS",
        "ENV",
        "BASH_ENV",
        "NODE_OPTIONS",
        "PYTHONSTARTUP",
        "PERL5OPT",
        "RUBYOPT",
        "JAVA_TOOL_OPTIONS",
    ];
    let upper = name.to_ascii_uppercase();
    NAMES.contains(&upper.as_str())
        || upper.starts_with("LD_")
        || upper.starts_with("OPENSHELL_")
        || upper.ends_with("_PROXY")
}

/// Why a name was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NameError {
    /// Nothing.
    #[error("the name of a credential cannot be empty")]
    Empty,
    /// More than [`NAME_BYTES`].
    #[error("the name of a credential has at most {NAME_BYTES} characters")]
    TooLong,
    /// Something other than letters, digits and underscores.
    #[error(
        "the name of a credential has letters, digits and underscores, and no digit at its start"
    )]
    Character,
    /// A variable of the sandbox itself.
    #[error("that variable is the sandbox's own")]
    Reserved,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i06_values_that_fields_cannot_carry_are_refused() {
        for (bad, why) in [
            ("", ValueError::Empty),
            ("a\nb", ValueError::Control),
            ("a\r\nx-other: b", ValueError::Control),
            ("a\n", ValueError::Control),
            ("a\0", ValueError::Control),
            ("a\tb", ValueError::Control),
            ("a\u{7f}", ValueError::Control),
            ("a\u{85}b", ValueError::Control),
            ("a\u{2028}b", ValueError::Control),
            (" a", ValueError::Edges),
            ("a ", ValueError::Edges),
            ("a\u{a0}", ValueError::Edges),
        ] {
            assert_eq!(SecretValue::parse(bad.to_owned()).err(), Some(why), "{bad:?}");
        }
        assert_eq!(SecretValue::parse("x".repeat(16_385)).err(), Some(ValueError::TooLong));
        for good in
            ["a", "a b", "pässword", "~!@#$%^&*()_+{}|:\"<>?`-=[]\\;',./", &"x".repeat(16_384)]
        {
            assert_eq!(SecretValue::parse(good.to_owned()).unwrap().expose(), good);
        }
    }

    #[test]
    fn i08_a_secret_is_in_no_text_about_it() {
        let secret = SecretValue::parse("hunter2".to_owned()).unwrap();
        assert_eq!(format!("{secret:?}"), "SecretValue([redacted])");
        let refused = SecretValue::parse("hunter2\n".to_owned()).unwrap_err();
        assert!(!format!("{refused:?} {refused}").contains("hunter2"));
    }

    #[test]
    fn i06_names_are_those_of_variables() {
        for good in ["A", "_", "OPENAI_API_KEY", "a1", &"X".repeat(256)] {
            assert_eq!(CredentialName::parse(good).unwrap().as_str(), good);
        }
        for (bad, why) in [
            ("", NameError::Empty),
            ("1A", NameError::Character),
            ("A-B", NameError::Character),
            ("A B", NameError::Character),
            ("A\r\nB", NameError::Character),
            ("A=B", NameError::Character),
            ("É", NameError::Character),
            ("PATH", NameError::Reserved),
            ("LD_PRELOAD", NameError::Reserved),
            ("https_proxy", NameError::Reserved),
            ("OPENSHELL_SANDBOX", NameError::Reserved),
        ] {
            assert_eq!(CredentialName::parse(bad), Err(why), "{bad:?}");
        }
        assert_eq!(CredentialName::parse(&"X".repeat(257)), Err(NameError::TooLong));
    }
}
