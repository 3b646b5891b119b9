//! Rego in regorus, in two writings. regorus has two evaluators: the interpreter stops at the first
//! match, and the virtual machine is faster when there is none. Each question goes to the one that
//! answers it faster.

use std::hint::black_box;
use std::time::{Duration, Instant};

use regorus::languages::rego::compiler::Compiler;
use regorus::rvm::vm::RegoVM;
use regorus::{Engine as Regorus, Value, cache};
use serde_json::{Map, Value as Json, json};

use crate::Outcome;
use crate::engine::{Engine, Source};
use crate::workload::{About, Endpoint, METHOD, PORT, Question, Rule, Workload};

/// How the rules are written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writing {
    /// Lists that are gone through, as people write it.
    Scan,
    /// What Rego can look up is a key: program, exact host, the host behind a pattern's first
    /// label, method. Patterns that remain are gone through.
    Index,
}

/// The names of the two rules, as entry points.
const ENTRIES: [&str; 2] = ["data.openshell.connect", "data.openshell.request"];

/// More patterns than any workload has; the default of 128 would compile them anew each time.
const PATTERNS: usize = 1 << 16;

/// How often each evaluator is tried before one is chosen.
const TRIALS: u32 = 5;

/// Both evaluators, which share the data, and the questions.
pub struct Rego {
    interpreter: Regorus,
    machine: RegoVM,
    asked: Vec<Asked>,
}

struct Asked {
    /// Position in [`ENTRIES`].
    entry: usize,
    input: Value,
    by: Evaluator,
}

#[derive(Clone, Copy)]
enum Evaluator {
    Interpreter,
    Machine,
}

impl Rego {
    /// A module, and the rules as its data.
    pub fn source(writing: Writing, workload: &Workload) -> Source {
        let (text, data) = match writing {
            Writing::Scan => (include_str!("scan.rego"), scanned(workload)),
            Writing::Index => (include_str!("index.rego"), indexed(workload)),
        };
        Source { text: text.to_owned(), data: data.to_string() }
    }

    /// From texts to what can be asked.
    pub fn compile(source: &Source) -> Outcome<Self> {
        cache::clear();
        cache::configure(cache::Config { glob: PATTERNS, ..cache::Config::default() });
        let mut interpreter = Regorus::new();
        interpreter.add_policy("openshell.rego".to_owned(), source.text.clone()).map_err(said)?;
        interpreter.add_data_json(&source.data).map_err(said)?;
        let [first, _] = ENTRIES;
        let compiled = interpreter.compile_with_entrypoint(&first.into()).map_err(said)?;
        let program = Compiler::compile_from_policy(&compiled, &ENTRIES).map_err(said)?;
        let mut machine = RegoVM::new_with_policy(compiled);
        machine.load_program(program);
        machine.set_max_instructions(usize::MAX);
        machine.set_data(interpreter.get_data()).map_err(said)?;
        Ok(Self { interpreter, machine, asked: Vec::new() })
    }

    /// How long a question takes, once all that is cached is cached.
    fn time(&mut self, question: usize, by: Evaluator) -> Outcome<Duration> {
        if let Some(asked) = self.asked.get_mut(question) {
            asked.by = by;
        }
        let mut best = Duration::MAX;
        for _ in 0..TRIALS {
            let started = Instant::now();
            self.ask(question, 1)?;
            best = best.min(started.elapsed());
        }
        Ok(best)
    }
}

impl Engine for Rego {
    fn prepare(&mut self, workload: &Workload) -> Outcome {
        self.asked = workload.questions.iter().map(asked).collect::<Outcome<_>>()?;
        for question in 0..self.asked.len() {
            let interpreted = self.time(question, Evaluator::Interpreter)?;
            if interpreted < self.time(question, Evaluator::Machine)?
                && let Some(asked) = self.asked.get_mut(question)
            {
                asked.by = Evaluator::Interpreter;
            }
        }
        Ok(())
    }

    fn ask(&mut self, question: usize, times: u32) -> Outcome<u32> {
        let Asked { entry, input, by } = self.asked.get(question).ok_or("no such question")?;
        let name = ENTRIES.get(*entry).ok_or("no such rule")?;
        let mut yes = 0_u32;
        for _ in 0..times {
            let input = black_box(input).clone();
            let answer = match by {
                Evaluator::Interpreter => {
                    self.interpreter.set_input(input);
                    self.interpreter.eval_rule((*name).to_owned()).map_err(said)?
                }
                Evaluator::Machine => {
                    self.machine.set_input(input);
                    self.machine.execute_entry_point_by_index(*entry).map_err(said)?
                }
            };
            yes += u32::from(black_box(answer) == Value::Bool(true));
        }
        Ok(yes)
    }
}

fn asked(question: &Question) -> Outcome<Asked> {
    let entry = match question.about {
        About::Connection => 0,
        About::Request => 1,
    };
    let input = json!({
        "host": question.host,
        "port": PORT,
        "program": question.program,
        "method": METHOD,
        "path": question.path,
    });
    let input = Value::from_json_str(&input.to_string()).map_err(said)?;
    Ok(Asked { entry, input, by: Evaluator::Machine })
}

/// Names and patterns apart, so that nothing is gone through twice.
fn scanned(workload: &Workload) -> Json {
    let endpoint = |endpoint: &Endpoint| {
        let allow = |path: &String| json!({ "method": METHOD, "path": path });
        let allows: Vec<Json> = endpoint.paths.iter().map(allow).collect();
        json!({ "host": endpoint.host, "port": PORT, "allows": allows })
    };
    let rules = |patterns: bool| -> Vec<Json> {
        let rule = |rule: &Rule| {
            let wanted = |to: &&Endpoint| to.host.contains('*') == patterns;
            let endpoints: Vec<Json> = rule.endpoints.iter().filter(wanted).map(endpoint).collect();
            let some = !endpoints.is_empty();
            some.then(|| json!({ "program": rule.program, "endpoints": endpoints }))
        };
        workload.rules.iter().filter_map(rule).collect()
    };
    json!({ "exact_rules": rules(false), "pattern_rules": rules(true) })
}

fn indexed(workload: &Workload) -> Json {
    let (mut exact, mut wildcard) = (Map::new(), Map::new());
    for rule in &workload.rules {
        for endpoint in &rule.endpoints {
            let host = endpoint.host.as_str();
            let (hosts, key, label) = match host.split_once('.') {
                Some((label, behind)) if label.contains('*') => (&mut wildcard, behind, label),
                _ => (&mut exact, host, ""),
            };
            let programs = hosts.entry(key).or_insert_with(|| json!({}));
            let Json::Object(programs) = programs else { continue };
            let there = programs.entry(&rule.program).or_insert_with(|| json!([]));
            let Json::Array(there) = there else { continue };
            add(there, label, &endpoint.paths);
        }
    }
    json!({ "exact": exact, "wildcard": wildcard })
}

/// Endpoints that differ in their paths only become one.
fn add(there: &mut Vec<Json>, label: &str, paths: &[String]) {
    let same = |known: &Json| known.get("label").and_then(Json::as_str) == Some(label);
    if !there.iter().any(same) {
        there.push(json!({ "label": label, "port": PORT, "paths": { METHOD: [] } }));
    }
    let known = there.iter_mut().find(|known| same(known));
    let list = known.and_then(|known| known.pointer_mut(&format!("/paths/{METHOD}")));
    if let Some(Json::Array(list)) = list {
        list.extend(paths.iter().map(|path| json!(path)));
    }
}

fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}
