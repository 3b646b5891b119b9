//! The engine of this repository.

use std::fmt::Write;
use std::hint::black_box;

use jiff::Timestamp;
use openshell_policy::{
    BinaryTable, Binding, Caller, Content, Decision, Destination, Policy, Program, Request, Verdict,
};
use openshell_types::{FileId, HostName, Port};

use crate::Outcome;
use crate::engine::{Engine, Source};
use crate::workload::{About, METHOD, PORT, Question, Workload};

/// A policy in force, and the questions.
pub struct Ours {
    policy: Policy,
    asked: Vec<Asked>,
}

struct Asked {
    about: About,
    host: HostName,
    port: Port,
    caller: Caller,
    path: String,
}

impl Ours {
    /// A policy file.
    pub fn source(workload: &Workload) -> Source {
        let mut text = String::from("version: 1\nnetwork_policies:\n");
        for (number, rule) in workload.rules.iter().enumerate() {
            // Writing into a string cannot fail.
            let _ = writeln!(text, "  r{number}:\n    endpoints:");
            for endpoint in &rule.endpoints {
                let _ = writeln!(
                    text,
                    "    - {{host: \"{}\", port: {PORT}, protocol: rest, rules: [{}]}}",
                    endpoint.host,
                    endpoint
                        .paths
                        .iter()
                        .map(|path| format!("{{allow: {{method: {METHOD}, path: \"{path}\"}}}}"))
                        .collect::<Vec<_>>()
                        .join(", ")
                );
            }
            let _ = writeln!(text, "    binaries: [{{path: {}}}]", rule.program);
        }
        Source { text, data: String::new() }
    }

    /// From text to a policy whose programs are bound to files, as in a sandbox.
    pub fn compile(source: &Source) -> Outcome<Self> {
        let (policy, _) = Policy::compile(&source.text).map_err(|findings| {
            let first = findings.first();
            format!("the policy is refused: {first:?}")
        })?;
        let mut table = BinaryTable::new();
        for path in policy.binary_paths() {
            table.insert(path, Binding::Files(vec![file(path)]));
        }
        Ok(Self { policy: policy.bind(&table), asked: Vec::new() })
    }
}

impl Engine for Ours {
    fn prepare(&mut self, workload: &Workload) -> Outcome {
        self.asked = workload.questions.iter().map(asked).collect::<Outcome<_>>()?;
        Ok(())
    }

    fn ask(&mut self, question: usize, times: u32) -> Outcome<u32> {
        let Asked { about, host, port, caller, path } =
            self.asked.get(question).ok_or("no such question")?;
        let (to, now) = (Destination::Name(host, *port), Timestamp::UNIX_EPOCH);
        let mut yes = 0_u32;
        match about {
            About::Connection => {
                for _ in 0..times {
                    let decision = self.policy.connect(black_box(&to), black_box(caller), now);
                    yes += u32::from(matches!(black_box(decision), Decision::Allow(_)));
                }
            }
            About::Request => {
                let content = Content::Plain;
                let request = Request { method: METHOD, path, query: &[], headers: &[], content };
                for _ in 0..times {
                    let request = black_box(&request);
                    let verdict =
                        self.policy.request(black_box(&to), black_box(caller), request, now);
                    yes += u32::from(matches!(black_box(verdict), Verdict::Allow(_)));
                }
            }
        }
        Ok(yes)
    }
}

fn asked(question: &Question) -> Outcome<Asked> {
    Ok(Asked {
        about: question.about,
        host: HostName::parse(&question.host).map_err(|error| error.to_string())?,
        port: Port::new(PORT).ok_or("the port is no port")?,
        caller: Caller {
            exe: Program {
                file: file(&question.program),
                path: Some(question.program.as_str().into()),
                sha256: None,
            },
            ancestors: Vec::new(),
        },
        path: question.path.clone(),
    })
}

/// Stands for the file at a path: the digits at its end are its inode.
fn file(path: &str) -> FileId {
    let digits = path.trim_start_matches(|c: char| !c.is_ascii_digit());
    FileId { device: 1, inode: digits.parse::<u64>().map_or(1, |number| number + 2) }
}
