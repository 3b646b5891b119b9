//! How each agent is run: for one task, without a person, with its shell tool and without its own
//! sandbox, for which there is no room in ours.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use openshell_e2e::models::Vendor;

/// Where `cargo xtask test --install` puts them.
const FOLDER: &str = "/opt/openshell-tests/node";

/// What runs Gemini CLI; the others are programs of their own.
const NODE: &str = "/usr/bin/node";

/// The oldest that can.
const NODE_VERSION: u32 = 20;

/// What each is asked for. The model has its own mind.
const TASK: &str = "Run the command and tell me what it printed.";

/// An agent with one task.
#[derive(Clone, Debug)]
pub struct Agent {
    /// Whose models it asks.
    pub vendor: Vendor,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// What it needs beside `HOME` and `PATH`.
    pub environment: Vec<(String, String)>,
    /// Files that it needs in its home: a path, and a text.
    pub home: Vec<(&'static str, &'static str)>,
}

/// Claude Code. `base` is where it asks instead of at the vendor's host.
pub fn claude_code(key: &str, base: Option<&str>) -> Agent {
    let mut agent = Agent::new(Vendor::Anthropic, "@anthropic-ai/claude-code/bin/claude.exe");
    agent.say(&["--print", TASK, "--allowedTools", "Bash"]);
    agent.know("ANTHROPIC_API_KEY", key);
    agent.know("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1");
    // A key that is refused would be tried for minutes.
    agent.know("CLAUDE_CODE_MAX_RETRIES", "0");
    if let Some(base) = base {
        agent.know("ANTHROPIC_BASE_URL", base);
    }
    agent
}

/// Codex. It first wants a WebSocket, but not of a host that it is told of. What is switched off
/// would ask other hosts.
pub fn codex(key: &str, base: Option<&str>) -> Agent {
    let machine = match std::env::consts::ARCH {
        "aarch64" => "arm64/vendor/aarch64",
        _ => "x64/vendor/x86_64",
    };
    let program = format!("@openai/codex-linux-{machine}-unknown-linux-musl/bin/codex");
    let mut agent = Agent::new(Vendor::OpenAi, &program);
    agent.say(&["exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox"]);
    agent.say(&["--config", "analytics.enabled=false"]);
    agent.say(&["--config", "check_for_update_on_startup=false", "--disable", "plugins"]);
    agent.say(&["--disable", "api_key_model_discovery"]);
    agent.say(&["--disable", "api_key_cyber_access_programs"]);
    if let Some(base) = base {
        let provider = format!(
            "model_providers.told={{ name = \"told\", base_url = \"{base}/v1\", \
             env_key = \"CODEX_API_KEY\", wire_api = \"responses\" }}"
        );
        agent.say(&["--config", "model_provider=told", "--config", &provider]);
    }
    agent.say(&[TASK]);
    agent.know("CODEX_API_KEY", key);
    agent
}

/// Gemini CLI. Told of another host, it wants to be told of the kind of its key, too.
pub fn gemini_cli(key: &str, base: Option<&str>) -> Agent {
    let mut agent = Agent::new(Vendor::Google, "@google/gemini-cli/bundle/gemini.js");
    agent.command.insert(0, NODE.to_owned());
    agent.say(&["--yolo", "--skip-trust", "--prompt", TASK]);
    agent.know("GEMINI_API_KEY", key);
    if let Some(base) = base {
        agent.know("GOOGLE_GEMINI_BASE_URL", base);
    }
    agent.home.push((
        ".gemini/settings.json",
        r#"{
            "security": { "auth": { "selectedType": "gemini-api-key" } },
            "privacy": { "usageStatisticsEnabled": false },
            "general": { "enableAutoUpdate": false, "enableAutoUpdateNotification": false }
        }"#,
    ));
    agent
}

impl Agent {
    fn new(vendor: Vendor, program: &str) -> Self {
        let command = vec![format!("{FOLDER}/node_modules/{program}")];
        Self { vendor, command, environment: Vec::new(), home: Vec::new() }
    }

    fn say(&mut self, arguments: &[&str]) {
        self.command.extend(arguments.iter().map(|&word| word.to_owned()));
    }

    fn know(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Trusts the authorities in a file of PEM: one reads it beside its own, another instead, so
    /// `all` must have the machine's, too.
    pub fn trust(&mut self, added: &Path, all: &Path) {
        self.know("NODE_EXTRA_CA_CERTS", &added.display().to_string());
        self.know("SSL_CERT_FILE", &all.display().to_string());
    }

    /// The command that runs it here, at home in a folder that is made ready for it.
    pub fn at(&self, home: &Path) -> Command {
        for (path, text) in &self.home {
            let path = home.join(path);
            fs::create_dir_all(path.parent().expect("it is in a folder")).expect("our own folder");
            fs::write(path, text).expect("our own folder is writable");
        }
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]).env_clear().envs(self.environment.iter().cloned());
        command.env("HOME", home).env("PATH", "/usr/bin:/bin").current_dir(home);
        command.stdin(Stdio::null());
        command
    }
}

/// Why a case cannot run here.
pub fn cannot_run(case: &str) -> Option<String> {
    let there = fs::read_to_string(Path::new(FOLDER).join("list.txt")).unwrap_or_default();
    if there != include_str!("../../node/package-lock.json") {
        return Some(format!("{FOLDER} has not what e2e/node names"));
    }
    if !case.starts_with("gemini") {
        return None;
    }
    let said = Command::new(NODE).arg("--version").output().map(|said| said.stdout);
    let said = String::from_utf8(said.unwrap_or_default()).unwrap_or_default();
    let version = said.trim_start_matches('v').split('.').next().and_then(|word| word.parse().ok());
    let is_new = version.is_some_and(|version: u32| version >= NODE_VERSION);
    (!is_new).then(|| format!("there is no {NODE} of version {NODE_VERSION} or later"))
}
