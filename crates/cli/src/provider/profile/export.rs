//! `openshell provider profile export`.

use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output;

/// Print a profile
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Its `resource_version` says which version `update` may take the place of.

Examples:
  openshell provider profile export github
  openshell provider profile export ours -o json > ours.json")]
pub(crate) struct Args {
    /// Type
    id: String,

    /// How to print it
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t)]
    output: Notation,
}

/// The notations of a profile's text.
#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum Notation {
    #[default]
    Yaml,
    Json,
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> Result<Exit, CliError> {
    let text = context.connect().await?.profile_text(&args.id).await?;
    output::print(&match args.output {
        Notation::Yaml => text,
        Notation::Json => to_json(&text)?,
    })?;
    Ok(Exit::OK)
}

fn to_json(text: &str) -> Result<String, CliError> {
    let wrong = |error: String| CliError::new(Exit::FAILED, format!("not YAML: {error}"));
    let value: serde_json::Value =
        serde_saphyr::from_str(text).map_err(|error| wrong(error.to_string()))?;
    let text = serde_json::to_string_pretty(&value).map_err(|error| wrong(error.to_string()))?;
    Ok(text + "\n")
}

#[cfg(test)]
mod tests {
    use openshell_credential::{Profile, builtin};

    use super::*;

    #[test]
    fn as_json_a_profile_is_the_same() {
        for one in builtin::all() {
            let json = to_json(&one.profile.to_yaml()).unwrap();
            let again = Profile::parse(&json).unwrap_or_else(|found| panic!("{found:#?}\n{json}"));
            assert_eq!(again.to_yaml(), one.profile.to_yaml());
        }
    }
}
