//! `openshell policy schema`.

use openshell_policy::SCHEMA;

use crate::error::CliError;
use crate::exit::Exit;
use crate::output;

/// Print the JSON Schema of policies, for editors
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The schema (draft 2020-12) knows the keys, their kinds and their words; what depends on several keys
`openshell policy lint` knows. An editor with the YAML language server uses it for a policy that
begins with the line

  # yaml-language-server: $schema=policy.schema.json

Examples:
  openshell policy schema > policy.schema.json")]
pub(crate) struct Args {}

pub(crate) fn run() -> Result<Exit, CliError> {
    output::print(SCHEMA)?;
    Ok(Exit::OK)
}
