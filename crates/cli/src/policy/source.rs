//! Where a verb that works offline has its policy from: a file, standard input, or a sandbox.

use std::path::Path;

use openshell_client::ClientError;
use openshell_policy::{Document, Policy, parse};
use openshell_types::SandboxName;

use super::PolicyFile;
use crate::context::Context;
use crate::diagnostics;
use crate::error::CliError;

/// Reads a policy. What is no file, and could be the name of a sandbox, is one. No gateway is
/// started for that: a slip in the name of a file should start nothing.
pub(super) async fn read(from: &Path, context: &Context<'_>) -> Result<PolicyFile, CliError> {
    let name = from.to_str().and_then(|text| SandboxName::parse(text).ok());
    match name {
        Some(name) if !from.exists() => in_force(&name, context).await.map_err(|error| {
            error.help(format!("there is no file `{name}`, so it was taken for a sandbox"))
        }),
        _ => PolicyFile::read(from),
    }
}

async fn in_force(name: &SandboxName, context: &Context<'_>) -> Result<PolicyFile, CliError> {
    let client = context.connect_running().await?;
    let revision = client.policy(name.as_str(), None).await?;
    Ok(PolicyFile { name: name.to_string(), text: revision.text })
}

/// Reads two policies to compare them.
pub(super) async fn read_two(
    (first, second): (&Path, &Path),
    context: &Context<'_>,
) -> Result<(PolicyFile, PolicyFile), CliError> {
    if first == Path::new("-") && second == Path::new("-") {
        return Err(CliError::usage("standard input can be one of the two policies, not both"));
    }
    Ok((read(first, context).await?, read(second, context).await?))
}

/// The document that a text holds, or all that is wrong with it.
pub(super) fn document(file: &PolicyFile) -> Result<Document, CliError> {
    let parsed = parse(&file.text);
    parsed.document.ok_or_else(|| refused(file, parsed.diagnostics))
}

/// The policy that a text holds, or all that is wrong with it.
pub(super) fn policy(file: &PolicyFile) -> Result<Policy, CliError> {
    Policy::compile(&file.text).map(|(policy, _)| policy).map_err(|found| refused(file, found))
}

/// The error of a policy of which this was found.
pub(super) fn refused(file: &PolicyFile, found: Vec<openshell_policy::Diagnostic>) -> CliError {
    let errors = found.into_iter().filter(openshell_policy::Diagnostic::is_error);
    let diagnostics = errors.map(diagnostics::of_policy).collect();
    let message = format!("the policy `{}` has errors", file.name);
    CliError::from(ClientError::BadInput { message, diagnostics })
        .about_policy(&file.name, &file.text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_with_errors_is_refused_with_all_of_them() {
        let text = "version: 1\nnetwork_policies:\n  a: { endpoint: [] }\nb: 1\n";
        let file = PolicyFile { name: "p.yaml".into(), text: text.into() };
        let error = document(&file).unwrap_err();
        assert_eq!(error.exit().code(), 2);
        insta::assert_snapshot!(error.to_string());
        assert_eq!(policy(&file).unwrap_err().to_string(), error.to_string());
    }
}
