//! `openshell provider refresh configure`.

use std::collections::BTreeMap;

use clap::ValueEnum;
use openshell_client::{NewRefresh, RefreshStrategy};
use openshell_types::Redacted;

use super::{prompt, view};
use crate::config::Config;
use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{self, Format, escape};
use crate::provider::values;

/// Set how a credential is renewed
#[derive(Debug, clap::Args)]
#[command(after_help = "\
What is set takes the place of what was set before. Without `--credential-expires-at` the credential
is renewed at once. It all is encrypted in the gateway's database and never printed.

By a refresh token: `client_id`, `refresh_token` and, where the server wants it, `client_secret`.
By the client's own secret: `client_id` and `client_secret`.
Where the type says nothing of it, as `generic`, besides: `token_url`; if needed `scopes`,
`audience`, `resource`.

Examples:
  openshell provider refresh configure corp --credential-key CORP_TOKEN \\
      --strategy oauth2-client-credentials --material token_url=https://login.example/token \\
      --material client_id=agent --secret-material-env client_secret=CORP_SECRET
  pass show codex | openshell provider refresh configure codex \\
      --credential-key CODEX_AUTH_ACCESS_TOKEN --strategy oauth2-refresh-token \\
      --material client_id=app --secret-material-key refresh_token")]
pub(crate) struct Args {
    /// Provider
    name: String,

    /// Credential: the variable that it is in
    #[arg(long, value_name = "KEY")]
    credential_key: String,

    /// In which way
    #[arg(long, value_enum)]
    strategy: Strategy,

    /// What is no secret, such as `client_id`
    #[arg(long, value_name = "K=V")]
    material: Vec<String>,

    /// A secret from this environment: from the variable of its own name, or from ENV
    #[arg(long, value_name = "KEY[=ENV]")]
    secret_material_env: Vec<String>,

    /// A secret that is asked for, or read from standard input, one a line
    #[arg(long, value_name = "KEY")]
    secret_material_key: Vec<String>,

    /// When the value that is there ends to be good: RFC 3339 or milliseconds since 1970
    #[arg(long, value_name = "TIME")]
    credential_expires_at: Option<String>,

    /// How to show what was set
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    output: Option<Format>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Strategy {
    /// By a refresh token
    Oauth2RefreshToken,
    /// By the client's own secret
    Oauth2ClientCredentials,
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> Result<Exit, CliError> {
    let expires_at = match &args.credential_expires_at {
        Some(text) => values::moment(text).ok_or_else(|| {
            CliError::usage(format!("`{}` is no time", escape(text)))
                .help("write `2027-01-31T12:00:00Z`, or milliseconds since 1970")
        })?,
        None => None,
    };
    let mut material = open(&args.material)?;
    let mut secret = from_environment(&args.secret_material_env, context.config)?;
    for key in &args.secret_material_key {
        refuse_value(key)?;
        secret.push((key.clone(), prompt::secret(key, context.config)?));
    }
    let names: Vec<String> = secret.iter().map(|(name, _)| name.clone()).collect();
    for (name, value) in secret {
        if material.insert(name.clone(), value).is_some() {
            return Err(CliError::usage(format!("`{}` is given twice", escape(&name))));
        }
    }
    let strategy = match args.strategy {
        Strategy::Oauth2RefreshToken => RefreshStrategy::Oauth2RefreshToken,
        Strategy::Oauth2ClientCredentials => RefreshStrategy::Oauth2ClientCredentials,
    };
    let new = NewRefresh { strategy, material, secret: names, expires_at };
    let client = context.connect().await?;
    let status = client.configure_refresh((&args.name, &args.credential_key), new).await?;
    match args.output {
        Some(format) => view::show(status, format),
        None => {
            let (key, name) = (escape(&status.credential_key), escape(&status.provider));
            output::print(&format!("`{key}` of `{name}` is renewed from now on\n"))?;
            Ok(Exit::OK)
        }
    }
}

/// Reads `--material K=V`. SECURITY: I1; no secret stands on a command line.
fn open(given: &[String]) -> Result<BTreeMap<String, Redacted<String>>, CliError> {
    let mut all = BTreeMap::new();
    for one in given {
        let Some((name, value)) = one.split_once('=') else {
            return Err(CliError::usage(format!("`--material {}` has no value", escape(one)))
                .help("write `--material KEY=VALUE`"));
        };
        if matches!(name, "client_secret" | "refresh_token") {
            return Err(CliError::usage(format!(
                "`{name}` is a secret, and others can read a command line"
            ))
            .help(format!(
                "`--secret-material-env {name}` takes it from the environment, \
                     `--secret-material-key {name}` asks for it"
            )));
        }
        if all.insert(name.to_owned(), Redacted::new(value.to_owned())).is_some() {
            return Err(CliError::usage(format!("`{}` is given twice", escape(name))));
        }
    }
    Ok(all)
}

/// SECURITY: I1; a value behind `--secret-material-key` is on the command line already, and gets no
/// further.
fn refuse_value(key: &str) -> Result<(), CliError> {
    let Some((name, _)) = key.split_once('=') else { return Ok(()) };
    let name = escape(name);
    let message = format!("the value of `{name}` is a secret, and others can read a command line");
    Err(CliError::usage(message).help(format!(
        "`--secret-material-key {name}` asks for it, or reads it from standard input; that value \
         is known now, so take another"
    )))
}

/// Reads `--secret-material-env KEY[=ENV]`.
fn from_environment(
    given: &[String],
    config: &Config,
) -> Result<Vec<(String, Redacted<String>)>, CliError> {
    given
        .iter()
        .map(|one| {
            let (name, variable) = one.split_once('=').unwrap_or((one, one));
            let value = config.text(variable).ok_or_else(|| {
                CliError::usage(format!("`{}` is not set here", escape(variable)))
                    .help(format!("`export {}=…` first", escape(variable)))
            })?;
            Ok((name.to_owned(), Redacted::new(value.to_owned())))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i01_secrets_are_not_taken_from_the_command_line() {
        let fine = open(&["client_id=a=b".into(), "scopes=x".into()]).unwrap();
        assert_eq!(fine["client_id"].expose(), "a=b");
        for bad in ["client_secret=canary", "refresh_token=canary", "client_id"] {
            let refused = open(&[bad.into()]).unwrap_err().to_string();
            assert!(!refused.contains("canary"), "{refused}");
        }
        assert!(open(&["a=1".into(), "a=2".into()]).is_err());
        let refused = refuse_value("refresh_token=canary").unwrap_err().to_string();
        assert!(refused.contains("`refresh_token`") && !refused.contains("canary"), "{refused}");
        assert!(refuse_value("refresh_token").is_ok());
    }

    #[test]
    fn secrets_come_from_variables_of_their_own_or_another_name() {
        let config = Config::for_test(&[("client_secret", "one"), ("OTHER", "two")]);
        let read =
            from_environment(&["client_secret".into(), "refresh_token=OTHER".into()], &config);
        let read = read.unwrap();
        assert_eq!((read[0].0.as_str(), read[0].1.expose().as_str()), ("client_secret", "one"));
        assert_eq!((read[1].0.as_str(), read[1].1.expose().as_str()), ("refresh_token", "two"));
        assert!(from_environment(&["ABSENT".into()], &config).is_err());
    }
}
