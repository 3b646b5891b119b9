//! Credentials and settings as they are given on a command line.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use openshell_client::ProviderProfile;
use openshell_types::Redacted;

use crate::config::Config;
use crate::error::CliError;
use crate::output::escape;

/// Reads `--credential`: `KEY` takes the value from our own environment, `KEY=VALUE` says it.
pub(crate) fn credentials(
    given: &[String],
    config: &Config,
) -> Result<BTreeMap<String, Redacted<String>>, CliError> {
    given
        .iter()
        .map(|one| match one.split_once('=') {
            Some((key, value)) => Ok((key.to_owned(), Redacted::new(value.to_owned()))),
            None => match config.text(one).filter(|value| !value.is_empty()) {
                Some(value) => Ok((one.clone(), Redacted::new(value.to_owned()))),
                None => Err(CliError::usage(format!("`{}` is not set here", escape(one))).help(
                    format!(
                        "`export {}=…` first; on a command line others can read it",
                        escape(one)
                    ),
                )),
            },
        })
        .collect()
}

/// What our own environment has of a profile's credentials: of each the first variable with a value.
pub(crate) fn existing(
    profile: &ProviderProfile,
    config: &Config,
) -> Result<BTreeMap<String, Redacted<String>>, CliError> {
    let mut found = BTreeMap::new();
    for variables in profile.discovered() {
        let set = variables.iter().find_map(|variable| {
            let value = config.text(variable).filter(|value| !value.is_empty())?;
            Some((variable.clone(), Redacted::new(value.to_owned())))
        });
        found.extend(set);
    }
    if found.is_empty() {
        let all: Vec<&str> = profile.discovered().flatten().map(String::as_str).collect();
        let (id, all) = (escape(&profile.id), all.join("`, `"));
        if all.is_empty() {
            let message = format!("nothing of type `{id}` is looked for in the environment");
            return Err(CliError::usage(message).help("give its values with `--credential`"));
        }
        return Err(CliError::usage(format!("no credential of type `{id}` is set here"))
            .help(format!("set one of `{all}`, or give it with `--credential`")));
    }
    Ok(found)
}

/// Reads `--config K=V`.
pub(crate) fn settings(given: &[String]) -> Result<HashMap<String, String>, CliError> {
    given
        .iter()
        .map(|one| {
            let pair = one.split_once('=').ok_or_else(|| {
                CliError::usage(format!("`--config {}` has no value", escape(one)))
                    .help("write `--config KEY=VALUE`")
            })?;
            Ok((pair.0.to_owned(), pair.1.to_owned()))
        })
        .collect()
}

/// Reads `--credential-expires-at KEY=TIME`: milliseconds since 1970, or RFC 3339; 0 clears it.
pub(crate) fn expiries(given: &[String]) -> Result<BTreeMap<String, Option<SystemTime>>, CliError> {
    given
        .iter()
        .map(|one| {
            let wrong = || {
                CliError::usage(format!("`{}` is no time of a credential", escape(one))).help(
                    "write `KEY=2027-01-31T12:00:00Z`, or milliseconds since 1970; 0 clears it",
                )
            };
            let (key, time) = one.split_once('=').ok_or_else(wrong)?;
            Ok((key.to_owned(), moment(time).ok_or_else(wrong)?))
        })
        .collect()
}

/// Reads milliseconds since 1970, or RFC 3339; 0 clears one. `None`: it is neither.
pub(crate) fn moment(text: &str) -> Option<Option<SystemTime>> {
    let ms = match text.parse::<u64>() {
        Ok(ms) => ms,
        Err(_) => u64::try_from(text.parse::<Timestamp>().ok()?.as_millisecond()).ok()?,
    };
    let time = UNIX_EPOCH.checked_add(Duration::from_millis(ms))?;
    Some((ms != 0).then_some(time))
}

#[cfg(test)]
mod tests {
    use openshell_client::ProfileCredential;

    use super::*;

    #[test]
    fn credentials_come_from_the_environment_or_the_line() {
        let config = Config::for_test(&[("KEY", "from here"), ("EMPTY", "")]);
        let read = credentials(&["KEY".into(), "OTHER=a=b".into()], &config).unwrap();
        assert_eq!(read["KEY"].expose(), "from here");
        assert_eq!(read["OTHER"].expose(), "a=b");
        assert!(credentials(&["EMPTY".into()], &config).is_err());
        assert!(credentials(&["ABSENT".into()], &config).is_err());
    }

    fn credential(variables: &[&str], discovered: bool) -> ProfileCredential {
        let variables = variables.iter().map(|&name| name.to_owned()).collect();
        ProfileCredential { variables, required: true, discovered }
    }

    #[test]
    fn of_each_credential_the_first_variable_is_taken() {
        let profile = ProviderProfile {
            id: "x".into(),
            credentials: vec![
                credential(&["A", "B"], true),
                credential(&["C"], true),
                credential(&["D"], false),
            ],
            ..ProviderProfile::default()
        };
        let config = Config::for_test(&[("A", ""), ("B", "b"), ("D", "d")]);
        let found: Vec<String> = existing(&profile, &config).unwrap().into_keys().collect();
        assert_eq!(found, ["B"]);
        assert!(existing(&profile, &Config::for_test(&[])).is_err());
    }

    #[test]
    fn times_are_milliseconds_or_dates() {
        let read = expiries(&["A=0".into(), "B=1000".into(), "C=1970-01-01T00:00:01Z".into()]);
        let read = read.unwrap();
        assert_eq!(read["A"], None);
        assert_eq!(read["B"], read["C"]);
        assert!(expiries(&["A=soon".into()]).is_err());
        assert!(expiries(&["A".into()]).is_err());
    }
}
