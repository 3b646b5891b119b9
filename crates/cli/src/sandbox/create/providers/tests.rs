//! What is made, what is asked, and what is refused.

use std::collections::BTreeMap;

use openshell_client::ProfileCredential;

use super::*;

const ASK: Auto = Auto { auto_providers: false, no_auto_providers: false };
const ALWAYS: Auto = Auto { auto_providers: true, no_auto_providers: false };
const NEVER: Auto = Auto { auto_providers: false, no_auto_providers: true };

fn profiles() -> Vec<ProviderProfile> {
    builtin::all()
        .iter()
        .map(|one| {
            let of = |own: &openshell_credential::CredentialSpec| ProfileCredential {
                variables: own.env_vars.iter().map(ToString::to_string).collect(),
                required: own.required,
                discovered: one.profile.discovery().contains(&own.name),
            };
            ProviderProfile {
                id: one.profile.id().to_owned(),
                credentials: one.profile.credentials().iter().map(of).collect(),
                ..ProviderProfile::default()
            }
        })
        .collect()
}

fn provider(name: &str, kind: &str) -> Provider {
    Provider {
        id: name.into(),
        name: name.into(),
        workspace: "default".into(),
        kind: kind.into(),
        credentials: Vec::new(),
        config: BTreeMap::new(),
        labels: BTreeMap::new(),
        resource_version: 1,
        created_at: None,
        expiries: BTreeMap::new(),
    }
}

struct Case<'a> {
    auto: Auto,
    named: &'a [&'a str],
    command: &'a str,
    there: &'a [Provider],
    set: &'a [(&'a str, &'a str)],
}

fn steps(case: &Case<'_>) -> Result<Vec<Step>, CliError> {
    let named = case.named.iter().map(|&name| name.to_owned()).collect();
    let command = [case.command.to_owned()];
    let wanted = Wanted::new(named, case.auto, &command, &HashMap::new());
    let profiles = profiles();
    let known = Known { providers: case.there, profiles: &profiles };
    wanted.steps(&known, &Config::for_test(case.set))
}

const KEY: &[(&str, &str)] = &[("ANTHROPIC_API_KEY", "hunter2")];
const BASE: Case<'_> = Case { auto: ASK, named: &[], command: "claude", there: &[], set: &[] };

fn made(name: &str, kind: &str, agent: Option<&'static str>) -> Step {
    let variables = vec!["ANTHROPIC_API_KEY".to_owned()];
    Step::Make { name: name.into(), kind: kind.into(), variables, agent }
}

#[test]
fn an_agent_gets_the_provider_that_it_needs() {
    let found = steps(&Case { set: KEY, ..BASE }).unwrap();
    assert_eq!(found, [made("claude-code", "claude-code", Some("claude"))]);
    let found = steps(&Case { set: KEY, command: "opencode", ..BASE }).unwrap();
    assert_eq!(found, [made("anthropic", "anthropic", Some("opencode"))]);
    // Its name is another's.
    let there = [provider("claude-code", "github")];
    let found = steps(&Case { set: KEY, there: &there, ..BASE }).unwrap();
    assert_eq!(found, [made("claude-code-2", "claude-code", Some("claude"))]);
    // There is one.
    let there = [provider("mine", "anthropic")];
    let found = steps(&Case { set: KEY, there: &there, ..BASE }).unwrap();
    assert_eq!(found, [Step::Offer { name: "mine".into(), agent: "claude" }]);
    // It was named.
    let found = steps(&Case { named: &["mine"], there: &there, ..BASE }).unwrap();
    assert_eq!(found, [Step::Use("mine".into())]);
    let found = steps(&Case { set: KEY, auto: NEVER, ..BASE }).unwrap();
    assert_eq!(found, []);
    let found = steps(&Case { set: KEY, command: "make", ..BASE }).unwrap();
    assert_eq!(found, []);
}

#[test]
fn an_agent_without_any_variable_starts_with_a_warning() {
    let found = steps(&BASE).unwrap();
    let [Step::Warn(said)] = found.as_slice() else { panic!("{found:?}") };
    assert!(said.contains("`ANTHROPIC_API_KEY` or `CLAUDE_API_KEY`"), "{said}");
    let error = steps(&Case { auto: ALWAYS, ..BASE }).unwrap_err().to_string();
    assert!(error.contains("`ANTHROPIC_API_KEY` or `CLAUDE_API_KEY`"), "{error}");
}

#[test]
fn a_variable_that_the_person_gives_is_enough() {
    let given = HashMap::from([("ANTHROPIC_API_KEY".to_owned(), "x".to_owned())]);
    let wanted = Wanted::new(Vec::new(), ASK, &["claude".to_owned()], &given);
    assert!(wanted.agent.is_none());
    let other = HashMap::from([("OTHER".to_owned(), "x".to_owned())]);
    let wanted = Wanted::new(Vec::new(), ASK, &["/usr/bin/claude".to_owned()], &other);
    assert!(wanted.agent.is_some());
}

#[test]
fn a_provider_that_was_named_is_made_of_its_type_or_of_the_agents() {
    let token = [("GITHUB_TOKEN", "hunter2")];
    let found = steps(&Case { named: &["github"], command: "make", set: &token, ..BASE }).unwrap();
    let variables = vec!["GITHUB_TOKEN".to_owned()];
    let (name, kind) = ("github".to_owned(), "github".to_owned());
    assert_eq!(found, [Step::Make { name, kind, variables, agent: None }]);
    // One step: what was named is the agent's.
    let found = steps(&Case { named: &["work"], set: KEY, ..BASE }).unwrap();
    assert_eq!(found, [made("work", "claude-code", None)]);
}

#[test]
fn what_cannot_be_made_says_the_next_step_and_no_value() {
    let mut said = String::new();
    for case in [
        Case { named: &["work"], command: "make", set: KEY, ..BASE },
        Case { named: &["github"], command: "make", ..BASE },
        Case { named: &["work"], ..BASE },
        Case { named: &["generic"], command: "make", ..BASE },
        Case { auto: ALWAYS, ..BASE },
    ] {
        said.push_str(&steps(&case).unwrap_err().to_string());
    }
    let variables = ["ANTHROPIC_API_KEY".to_owned()];
    let missing = Missing { name: "work", kind: "claude-code", variables: &variables };
    for agent in [None, Some("claude")] {
        said.push_str(&missing.error(agent).to_string());
        said.push_str(&format!("{}\n", missing.question(agent)));
    }
    assert!(!said.contains("hunter2"));
    insta::assert_snapshot!(said);
}

#[test]
fn anything_but_a_yes_is_a_no() {
    for (answer, expected) in
        [("y\n", true), ("YES\n", true), (" y ", true), ("\n", false), ("", false), ("yep", false)]
    {
        assert_eq!(is_yes(answer), expected, "{answer:?}");
    }
}
