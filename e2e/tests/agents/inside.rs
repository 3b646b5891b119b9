//! Agents in a sandbox that holds no secret and may reach nothing: their model calls go to the
//! backend of their protocol, with the real key.

use std::fs;
use std::path::Path;

use openshell_audit::Outcome;
use openshell_e2e::Sandbox;
use openshell_e2e::models::{Model, Vendor};
use openshell_testkit::{Finished, Product, RunAs, World, finish, world};
use serde_json::Value;

use crate::agents::{Agent, claude_code, codex, gemini_cli};
use crate::outside::{COMMAND, DEADLINE, Make, PRINTED};

/// The real key. Nothing in a sandbox has it.
const KEY: &str = "sk-canaryCANARYcanaryCANARYcanaryCANARY";

/// The model that is set; the scripts of the agents name others.
const MODEL: &str = "the-model-that-is-set";

pub fn claude_code_is_routed_by_its_vendors_name(run_as: RunAs) {
    by_the_vendors_name(run_as, claude_code);
}

pub fn codex_is_routed_by_its_vendors_name(run_as: RunAs) {
    by_the_vendors_name(run_as, codex);
}

pub fn gemini_cli_is_routed_by_its_vendors_name(run_as: RunAs) {
    by_the_vendors_name(run_as, gemini_cli);
}

pub fn claude_code_is_routed_by_our_name(run_as: RunAs) {
    by_our_name(run_as, claude_code);
}

pub fn codex_is_routed_by_our_name(run_as: RunAs) {
    by_our_name(run_as, codex);
}

pub fn gemini_cli_is_routed_by_our_name(run_as: RunAs) {
    by_our_name(run_as, gemini_cli);
}

/// The provider is not attached: the jail has not even a placeholder, and no rule names the host.
fn by_the_vendors_name(run_as: RunAs, make: Make) {
    let agent = make("not-a-key", None);
    let host = agent.vendor.host();
    does_its_task(run_as, agent, host, &[]);
}

/// The provider is attached, and its placeholder is what the agent has for a key.
fn by_our_name(run_as: RunAs, make: Make) {
    let agent = make("$HELD", Some("https://inference.local"));
    does_its_task(run_as, agent, "inference.local", &["--provider", "models"]);
}

/// The type of the vendor's providers, and the variable of their key.
const fn provider(vendor: Vendor) -> (&'static str, &'static str) {
    match vendor {
        Vendor::Anthropic => ("anthropic", "ANTHROPIC_API_KEY"),
        Vendor::OpenAi => ("openai", "OPENAI_API_KEY"),
        Vendor::Google => ("gemini", "GEMINI_API_KEY"),
    }
}

fn does_its_task(run_as: RunAs, agent: Agent, asked_at: &str, options: &[&str]) {
    world(|w| {
        let record = tempfile::tempdir().expect("/tmp is writable");
        let record = record.path().join("record.jsonl");
        serve(w, agent.vendor, &record);
        let product = Product::new(run_as);
        let sandbox = start(&product, w, agent.vendor, options);
        let said = run(&sandbox, &agent);
        let log = product.run(&["logs", "agent", "-n", "100"]).stdout;
        assert!(said.stdout.contains(PRINTED), "{said} {log}");
        let printed = sandbox.sh("cat printed.txt").succeeded();
        assert_eq!(printed.stdout.trim(), PRINTED);

        // The model was asked with the real key, and for the model that is set.
        let asked = fs::read_to_string(&record).expect("the model keeps a record");
        let asked: Vec<Value> =
            asked.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let turns = asked.iter().filter(|one| one["status"] == 200 && one["method"] == "POST");
        assert!(turns.count() >= 2, "{asked:?}");
        for one in &asked {
            assert_eq!(one["status"], 200, "{one} {log}");
            let target = one["target"].as_str().unwrap_or_default();
            let model = one["body"]["model"].as_str().unwrap_or_default();
            assert!(model == MODEL || target.contains(MODEL), "{one}");
        }

        // Each call is on record, with what it cost, and none was made otherwise.
        let calls = sandbox.log().calls();
        let answered: Vec<_> = calls.iter().filter(|call| call.status == Some(200)).collect();
        assert_eq!(answered.len(), asked.len(), "{log}");
        assert!(answered.iter().all(|call| call.outcome == Outcome::Allowed), "{log}");
        assert!(answered.iter().all(|call| call.destination.name.as_deref() == Some(asked_at)));
        assert!(answered.iter().all(|call| call.model.as_deref() == Some(MODEL)));
        assert!(answered.iter().any(|call| call.tokens.is_some()), "{log}");

        let held = sandbox.sh("env; cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline; \
             find / -xdev -type f -newer /etc/hostname -exec cat {} + 2>/dev/null; true");
        assert!(!held.stdout.contains(KEY), "the jail holds the key");
        assert!(!log.contains(KEY));
    });
}

/// The vendor's model, where the vendor has it.
fn serve(w: &World, vendor: Vendor, record: &Path) {
    let model = Model::new(vendor, KEY, COMMAND, record);
    w.serve_https(vendor.host(), move |request| model.answer(request));
}

/// A sandbox whose policy allows nothing, and a route.
fn start<'p>(product: &'p Product, w: &World, vendor: Vendor, options: &[&str]) -> Sandbox<'p> {
    let file = w.ca_file();
    product.write_gateway_config(&format!("[upstream]\nca_file = \"{}\"\n", file.display()));
    let (kind, variable) = provider(vendor);
    let create = ["provider", "create", "--name", "models", "--type", kind];
    let mut create = product.command(&[&create[..], &["--credential", variable]].concat());
    finish(create.env(variable, KEY), DEADLINE).succeeded();
    let set = ["inference", "set", "--provider", "models", "--model", MODEL, "--no-verify"];
    product.run(&set).succeeded();
    let sandbox = Sandbox::existing(product, "agent");
    let file = sandbox.write_policy("version: 1\n");
    let create = ["sandbox", "create", "--name", "agent", "--policy", &file, "--detach"];
    let create = [&create[..], options, &["--", "sleep", "1000000"]].concat();
    product.run(&create).succeeded();
    sandbox
}

/// Runs an agent at home.
fn run(sandbox: &Sandbox<'_>, agent: &Agent) -> Finished {
    let (_, variable) = provider(agent.vendor);
    let mut script = format!("HELD=\"${variable}\"\n");
    for (path, text) in &agent.home {
        let folder = Path::new(path).parent().unwrap_or(Path::new("")).display();
        script.push_str(&format!("mkdir -p '{folder}'\ncat > '{path}' <<'END'\n{text}\nEND\n"));
    }
    for (name, value) in &agent.environment {
        let value = if value == "$HELD" { "\"$HELD\"".to_owned() } else { quoted(value) };
        script.push_str(&format!("export {name}={value}\n"));
    }
    let words: Vec<String> = agent.command.iter().map(|word| quoted(word)).collect();
    script.push_str(&format!("{} < /dev/null", words.join(" ")));
    finish(&mut sandbox.exec_command(&[], &["sh", "-c", &script]), DEADLINE)
}

fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}
