//! Which providers a sandbox gets: those that are named, and the one that its agent needs.
//!
//! What is missing is made of the person's own variables, when they say so. Values are never shown.

use std::collections::HashMap;
use std::io::{self, BufRead as _};

use openshell_client::{Client, Provider, ProviderProfile, ProviderValues, Selection};
use openshell_credential::builtin::{self, Agent};

use crate::config::Config;
use crate::error::CliError;
use crate::output::{escape, note, write_error};
use crate::provider::values;
use crate::style::Style;

/// What happens to providers that are missing.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Auto {
    /// Make providers that are missing from this environment, without asking
    #[arg(long, overrides_with = "no_auto_providers")]
    auto_providers: bool,

    /// Neither make providers nor ask
    #[arg(long, overrides_with = "auto_providers")]
    no_auto_providers: bool,
}

/// What a command line asks for.
#[derive(Debug)]
pub(super) struct Wanted {
    named: Vec<String>,
    agent: Option<&'static Agent>,
    auto: Auto,
}

/// One thing to be done for it.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// It is there.
    Use(String),
    /// It is there, and was not named: the person says whether it is used.
    Offer { name: String, agent: &'static str },
    /// It is to be made; `agent`: for whom, when nobody named it.
    Make { name: String, kind: String, variables: Vec<String>, agent: Option<&'static str> },
    /// The agent starts without one.
    Warn(String),
}

/// What a gateway has.
struct Known<'a> {
    providers: &'a [Provider],
    profiles: &'a [ProviderProfile],
}

impl Wanted {
    pub(super) fn new(
        named: Vec<String>,
        auto: Auto,
        command: &[String],
        environment: &HashMap<String, String>,
    ) -> Self {
        let agent = command.first().and_then(|word| builtin::agent(word));
        // A person who gives it a variable of its own has seen to it.
        let is_given = |agent: &&Agent| {
            let profiles = agent.types.iter().filter_map(|kind| builtin::get(kind));
            let mut specs = profiles.flat_map(|one| one.profile.credentials());
            specs.any(|own| own.env_vars.iter().any(|name| environment.contains_key(name.as_str())))
        };
        Self { named, agent: agent.filter(|agent| !is_given(agent)), auto }
    }

    /// The names of the providers that the sandbox gets; what is missing is made.
    pub(super) async fn settle(
        self,
        client: &Client,
        config: &Config,
    ) -> Result<Vec<String>, CliError> {
        if self.named.is_empty() && self.agent.is_none_or(|_| self.auto.no_auto_providers) {
            return Ok(self.named);
        }
        let providers = client.providers(Selection::Own).await?;
        let profiles = client.provider_profiles().await?;
        let known = Known { providers: &providers, profiles: &profiles };
        let can_ask = config.terminals.input && config.terminals.error;
        let mut names = Vec::new();
        for step in self.steps(&known, config)? {
            match step {
                Step::Use(name) => names.push(name),
                Step::Warn(said) => {
                    note(&format!("{} {said}", Style::of_error(config).yellow("warning:")));
                }
                Step::Offer { name, agent } => {
                    let question = format!("use provider `{}` for `{agent}`?", escape(&name));
                    if self.auto.auto_providers || (can_ask && ask(&question)?) {
                        names.push(name);
                    } else if !can_ask {
                        let name = escape(&name);
                        let style = Style::of_error(config);
                        note(&format!(
                            "{} `{agent}` starts without provider `{name}`; `--provider {name}` \
                             gives it",
                            style.dim("hint:")
                        ));
                    }
                }
                Step::Make { name, kind, variables, agent } => {
                    let wanted = Missing { name: &name, kind: &kind, variables: &variables };
                    let is_wanted = match (self.auto, can_ask) {
                        (Auto { auto_providers: true, .. }, _) => true,
                        (Auto { no_auto_providers: true, .. }, _) => false,
                        (_, true) => ask(&wanted.question(agent))?,
                        (_, false) => false,
                    };
                    if is_wanted {
                        make(client, config, (&name, &kind), &profiles).await?;
                        names.push(name);
                    } else if agent.is_none() || !can_ask {
                        return Err(wanted.error(agent));
                    }
                }
            }
        }
        Ok(names)
    }

    fn steps(&self, known: &Known<'_>, config: &Config) -> Result<Vec<Step>, CliError> {
        let mut steps = Vec::new();
        let mut kinds: Vec<String> = Vec::new();
        for name in &self.named {
            if let Some(found) = known.providers.iter().find(|one| one.name == *name) {
                kinds.push(found.kind.clone());
                steps.push(Step::Use(name.clone()));
                continue;
            }
            let step = self.make_named(name, known, config)?;
            if let Step::Make { kind, .. } = &step {
                kinds.push(kind.clone());
            }
            steps.push(step);
        }
        let Some(agent) = self.agent.filter(|_| !self.auto.no_auto_providers) else {
            return Ok(steps);
        };
        if !agent.types.iter().any(|kind| kinds.iter().any(|own| own == kind)) {
            steps.extend(self.for_agent(agent, known, config)?);
        }
        Ok(steps)
    }

    /// A provider that was named and is not there.
    fn make_named(&self, name: &str, known: &Known<'_>, config: &Config) -> Result<Step, CliError> {
        let shown = escape(name);
        let of_agent = self.agent.map(|agent| agent.types).unwrap_or_default();
        let kinds = std::iter::once(name).chain(of_agent.iter().copied());
        let kinds: Vec<&ProviderProfile> = kinds.filter_map(|kind| known.profile(kind)).collect();
        let set = kinds.iter().find_map(|profile| set_of(profile, config));
        if let Some((kind, variables)) = set {
            return Ok(Step::Make { name: name.to_owned(), kind, variables, agent: None });
        }
        let error = CliError::usage(format!("there is no provider `{shown}`"));
        let variables = one_of(&kinds);
        Err(match kinds.first() {
            Some(profile) if variables.is_empty() => error.help(format!(
                "`openshell provider create --name {shown} --type {}` makes it",
                escape(&profile.id)
            )),
            Some(profile) => error.help(format!(
                "set {variables}, then `openshell provider create --name {shown} --type {} \
                 --from-existing`",
                escape(&profile.id)
            )),
            None => error.help(format!(
                "`openshell provider create --name {shown} --type TYPE --from-existing` makes it; \
                 `openshell provider list` shows what there is"
            )),
        })
    }

    /// What an agent needs for which no provider was named.
    fn for_agent(
        &self,
        agent: &'static Agent,
        known: &Known<'_>,
        config: &Config,
    ) -> Result<Option<Step>, CliError> {
        let there = agent
            .types
            .iter()
            .find_map(|kind| known.providers.iter().find(|one| one.kind == *kind));
        if let Some(found) = there {
            return Ok(Some(Step::Offer { name: found.name.clone(), agent: agent.command }));
        }
        let kinds: Vec<_> = agent.types.iter().filter_map(|kind| known.profile(kind)).collect();
        if let Some((kind, variables)) = kinds.iter().find_map(|own| set_of(own, config)) {
            let name = known.free_name(&kind);
            return Ok(Some(Step::Make { name, kind, variables, agent: Some(agent.command) }));
        }
        let variables = one_of(&kinds);
        if self.auto.auto_providers {
            let message = format!("nothing is set here to make a provider for `{}`", agent.command);
            return Err(CliError::usage(message).help(format!("set {variables}")));
        }
        Ok(Some(Step::Warn(format!(
            "`{}` has no provider, and {variables} is not set: it starts without a credential",
            agent.command
        ))))
    }
}

/// A provider that could be made.
struct Missing<'a> {
    name: &'a str,
    kind: &'a str,
    variables: &'a [String],
}

impl Missing<'_> {
    fn question(&self, agent: Option<&str>) -> String {
        let name = escape(self.name);
        let variables = self.variables.join("`, `");
        let why = match agent {
            Some(agent) => format!("`{agent}` has no provider"),
            None => format!("there is no provider `{name}`"),
        };
        format!("{why}; make `{name}` from `{variables}` of this environment?")
    }

    fn error(&self, agent: Option<&str>) -> CliError {
        let (name, kind) = (escape(self.name), escape(self.kind));
        let variables = self.variables.join("`, `");
        let (message, without) = match agent {
            Some(agent) => (
                format!("`{agent}` has no provider, though `{variables}` is set here"),
                "; `--no-auto-providers` starts it without one",
            ),
            None => (format!("there is no provider `{name}`"), ""),
        };
        CliError::usage(message).help(format!(
            "`--auto-providers` makes it from `{variables}`, as `openshell provider create --name \
             {name} --type {kind} --from-existing` does{without}"
        ))
    }
}

impl Known<'_> {
    fn profile(&self, kind: &str) -> Option<&ProviderProfile> {
        self.profiles.iter().find(|profile| profile.id == kind)
    }

    /// A name that no provider has.
    fn free_name(&self, kind: &str) -> String {
        let taken = |name: &String| self.providers.iter().any(|one| one.name == *name);
        let numbered = (2..).map(|number: u32| format!("{kind}-{number}"));
        let mut names = std::iter::once(kind.to_owned()).chain(numbered);
        names.find(|name| !taken(name)).unwrap_or_default()
    }
}

/// The type, and the variables of it that are set here.
fn set_of(profile: &ProviderProfile, config: &Config) -> Option<(String, Vec<String>)> {
    let found = values::existing(profile, config).ok()?;
    Some((profile.id.clone(), found.into_keys().collect()))
}

/// The variables that types are made from, for people.
fn one_of(profiles: &[&ProviderProfile]) -> String {
    let mut names: Vec<String> = Vec::new();
    for name in profiles.iter().flat_map(|profile| profile.discovered()).flatten() {
        let name = format!("`{}`", escape(name));
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.join(" or ")
}

async fn make(
    client: &Client,
    config: &Config,
    (name, kind): (&str, &str),
    profiles: &[ProviderProfile],
) -> Result<(), CliError> {
    let profile = profiles.iter().find(|profile| profile.id == kind);
    let profile = profile.ok_or_else(|| CliError::usage("the type is gone"))?;
    let credentials = values::existing(profile, config)?;
    let values = ProviderValues { credentials, ..ProviderValues::default() };
    let made = client.create_provider((name, kind), values).await?;
    let style = Style::of_error(config);
    let variables = made.credentials.join("`, `");
    note(&style.dim(&format!("made provider `{}` from `{}`", escape(name), escape(&variables))));
    Ok(())
}

/// Asks a person; anything but a yes is a no.
fn ask(question: &str) -> Result<bool, CliError> {
    let failed = |error| CliError::system("the terminal cannot be asked", error);
    write_error(&format!("{question} [y/N] ")).map_err(failed)?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(failed)?;
    Ok(is_yes(&answer))
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests;
