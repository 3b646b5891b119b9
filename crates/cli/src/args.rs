//! The command line: global flags, verbs, and the grouped help of the top level.

use clap::{Args, CommandFactory as _, Parser, Subcommand};
use openshell_types::{NameError, WorkspaceName};

use crate::{completions, doctor, gateway, inference, logs, policy, provider, sandbox, status};

/// The safe, private runtime for autonomous AI agents
#[derive(Debug, Parser)]
#[command(
    name = "openshell",
    version,
    propagate_version = true,
    disable_help_subcommand = true,
    arg_required_else_help = true,
    max_term_width = 100
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub global: Global,

    #[command(subcommand)]
    pub verb: Verb,
}

/// Flags that every verb takes.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Registered gateway to use; the local one is started on first use
    #[arg(
        short,
        long,
        global = true,
        value_name = "NAME",
        env = "OPENSHELL_GATEWAY",
        hide_env_values = true
    )]
    pub gateway: Option<String>,

    /// Endpoint of a gateway, in place of a registered one
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "OPENSHELL_GATEWAY_ENDPOINT",
        hide_env_values = true
    )]
    pub gateway_endpoint: Option<String>,

    /// Workspace to work in
    #[arg(
        long,
        global = true,
        value_name = "NAME",
        env = "OPENSHELL_WORKSPACE",
        default_value = "default",
        hide_env_values = true,
        value_parser = workspace
    )]
    pub workspace: WorkspaceName,

    /// Say more: once for information, twice for debugging, three times for everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// Reads the name of a workspace. An empty variable is as good as none.
fn workspace(text: &str) -> Result<WorkspaceName, NameError> {
    match text {
        "" => Ok(WorkspaceName::default_workspace()),
        name => WorkspaceName::parse(name),
    }
}

/// The verbs, in the order of the help.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Sandbox(sandbox::Group),
    Logs(logs::Args),
    Policy(policy::Group),
    Provider(provider::Group),
    Inference(inference::Group),
    Gateway(gateway::Group),
    Status(status::Args),
    Doctor(doctor::Args),
    Completions(completions::Args),
}

/// Which verbs stand under which heading of the help.
const GROUPS: [(&str, &[&str]); 3] = [
    ("Sandbox commands", &["sandbox", "logs", "policy", "provider", "inference"]),
    ("Gateway commands", &["gateway", "status"]),
    ("Additional commands", &["doctor", "completions"]),
];

const EXAMPLES: &str = "\
Examples:
  openshell sandbox create                                a shell in a fresh sandbox
  openshell sandbox create --mount . -- make test         run something on this folder
  openshell sandbox create --policy policy.yaml -- claude an agent that reaches what the policy says
  openshell logs --tail                                   what it tries, as it tries it";

/// The whole command line, with its help grouped.
pub(crate) fn command() -> clap::Command {
    let command = Cli::command();
    let mut groups = String::new();
    for (heading, names) in GROUPS {
        groups.push_str(&format!("{heading}:\n"));
        for verb in names.iter().filter_map(|name| command.find_subcommand(name)) {
            let name = match verb.get_visible_aliases().next() {
                Some(alias) => format!("{}, {alias}", verb.get_name()),
                None => verb.get_name().to_owned(),
            };
            let about = verb.get_about().map(ToString::to_string).unwrap_or_default();
            groups.push_str(&format!("  {name:<14}  {about}\n"));
        }
        groups.push('\n');
    }
    command.help_template(format!(
        "{{about}}\n\n{{usage-heading}} {{usage}}\n\n{groups}Options:\n{{options}}\n\n{EXAMPLES}\n"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn every_verb_stands_in_one_group_of_the_help() {
        let command = command();
        for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
            let groups = GROUPS.iter().filter(|(_, names)| names.contains(&verb.get_name()));
            assert_eq!(groups.count(), 1, "{}", verb.get_name());
        }
    }

    /// Every help text, in one snapshot: a change of any is seen in review.
    #[test]
    fn help_texts() {
        let mut all = String::new();
        let mut root = command().term_width(100);
        root.build();
        collect(&mut root, &mut all);
        insta::assert_snapshot!(all);
    }

    fn collect(command: &mut clap::Command, all: &mut String) {
        let name = command.get_bin_name().unwrap_or("openshell").to_owned();
        let help = command.render_help().to_string();
        all.push_str(&format!("$ {name} -h\n{}\n\n", help.trim_end()));
        for verb in command.get_subcommands_mut().filter(|verb| !verb.is_hide_set()) {
            collect(verb, all);
        }
    }
}
