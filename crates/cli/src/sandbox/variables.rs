//! `--env` and `--label`: pairs of a key and a value.

use std::collections::HashMap;

use crate::error::CliError;
use crate::output::escape;

/// Parts of a name that make it look like a credential's (whole words between underscores).
const CREDENTIAL_WORDS: [&str; 11] = [
    "TOKEN",
    "SECRET",
    "SECRETS",
    "KEY",
    "APIKEY",
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "CREDENTIAL",
    "CREDENTIALS",
    "PAT",
];

/// Reads `KEY=VALUE` pairs of `--env`.
pub(crate) fn environment(pairs: &[String]) -> Result<HashMap<String, String>, CliError> {
    let mut variables = HashMap::new();
    for pair in pairs {
        let shown = escape(pair.split('=').next().unwrap_or_default());
        let Some((key, value)) = pair.split_once('=') else {
            return Err(CliError::usage(format!("`--env {shown}` has no value"))
                .help(format!("write `--env {shown}=VALUE`; variables are not inherited")));
        };
        let named = key.bytes().enumerate().all(|(at, byte)| {
            byte == b'_' || byte.is_ascii_alphabetic() || (at > 0 && byte.is_ascii_digit())
        });
        if key.is_empty() || !named {
            return Err(CliError::usage(format!("`{shown}` is not a name of a variable"))
                .help("a name has letters, digits and underscores, and no digit at its start"));
        }
        if value.contains(['\0', '\n', '\r']) {
            return Err(CliError::usage(format!("the value of `{key}` has a line break in it")));
        }
        variables.insert(key.to_owned(), value.to_owned());
    }
    Ok(variables)
}

/// The names that look like credentials, sorted.
pub(crate) fn credentials(variables: &HashMap<String, String>) -> Vec<&str> {
    let suspicious = |name: &&str| {
        name.split('_').any(|word| CREDENTIAL_WORDS.contains(&word.to_ascii_uppercase().as_str()))
    };
    let mut names: Vec<&str> = variables.keys().map(String::as_str).filter(suspicious).collect();
    names.sort_unstable();
    names
}

/// Reads `key=value` pairs of `--label`. The gateway knows their grammar.
pub(crate) fn labels(pairs: &[String]) -> Result<HashMap<String, String>, CliError> {
    pairs
        .iter()
        .map(|pair| {
            pair.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned())).ok_or_else(
                || {
                    CliError::usage(format!("`--label {}` has no value", escape(pair)))
                        .help("write `--label key=value`")
                },
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[&str]) -> Result<HashMap<String, String>, CliError> {
        environment(&pairs.iter().map(|&pair| pair.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn pairs_are_read_and_bad_ones_explained() {
        let good = parse(&["A=1", "B=x=y", "C="]).unwrap();
        assert_eq!(good.get("B").map(String::as_str), Some("x=y"));
        let errors: String = ["A", "1A=x", "=x", "A-B=x", "A=x\ny"]
            .iter()
            .map(|pair| parse(&[pair]).unwrap_err().to_string())
            .collect();
        insta::assert_snapshot!(errors);
    }

    #[test]
    fn names_of_credentials_are_noticed_by_whole_words() {
        let variables =
            parse(&["GITHUB_TOKEN=x", "api_key=x", "KEYBOARD=x", "MONKEY=x", "DB_PASSWORD=x"])
                .unwrap();
        assert_eq!(credentials(&variables), ["DB_PASSWORD", "GITHUB_TOKEN", "api_key"]);
    }
}
