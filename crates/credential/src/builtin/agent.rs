//! Agents by the command that starts them, and the types of providers that they work with.

/// An agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agent {
    /// Its command.
    pub command: &'static str,
    /// The types that it can do with, the best first.
    pub types: &'static [&'static str],
}

/// The agent that this word starts: its command, or the path of it.
pub fn agent(word: &str) -> Option<&'static Agent> {
    let name = word.rsplit('/').next().unwrap_or_default();
    AGENTS.iter().find(|agent| agent.command == name)
}

const AGENTS: &[Agent] = &[
    Agent { command: "claude", types: &["claude-code", "anthropic"] },
    Agent { command: "codex", types: &["codex", "openai"] },
    Agent { command: "gemini", types: &["gemini"] },
    Agent {
        command: "opencode",
        types: &["anthropic", "openai", "openrouter", "gemini", "openai-compatible"],
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builtin;

    #[test]
    fn agents_are_known_by_their_command_and_have_types_that_there_are() {
        assert_eq!(agent("/usr/local/bin/claude"), agent("claude"));
        assert!(agent("claude").is_some() && agent("claudette").is_none() && agent("").is_none());
        for agent in AGENTS {
            for kind in agent.types {
                let profile = &builtin::get(kind).unwrap().profile;
                assert!(!profile.discovery().is_empty(), "{kind}");
            }
        }
    }
}
