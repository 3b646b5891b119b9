//! The decision itself: `Policy::connect`, for policies of several sizes.

use std::hint::black_box;
use std::time::Instant;

use jiff::Timestamp;
use openshell_policy::{Caller, Destination, Policy, Program};
use openshell_types::{FileId, HostName, Port};

use super::samples::say;
use crate::run::Outcome;

/// Decisions of one measurement.
const COUNT: u32 = 200_000;

/// Measurements, of which the median is shown.
const ROUNDS: usize = 9;

/// Measures.
pub fn measure() -> Outcome {
    println!("\na decision in nanoseconds, median of {ROUNDS} × {COUNT}");
    let port = Port::new(443).ok_or("443 is a port")?;
    let caller = Caller {
        exe: Program {
            file: FileId { device: 1, inode: 2 },
            path: Some("/usr/bin/tool".into()),
            sha256: None,
        },
        ancestors: Vec::new(),
    };
    for rules in [10, 1_000, 5_000] {
        let text = policy(rules);
        let started = Instant::now();
        let (policy, _) = Policy::compile(&text).map_err(|findings| format!("{findings:?}"))?;
        let compiled = started.elapsed();
        let name = |text: &str| HostName::parse(text).map_err(|error| error.to_string());
        // The last rule's host, and one that no rule names.
        let (known, unknown) = (name(&host(rules - 1))?, name("nothing.example.org")?);
        let time = |name| of_one(&policy, &Destination::Name(name, port), &caller);
        let figures = format!(
            "allow {:>5.0}   deny {:>5.0}   (compiled in {:.1} ms)",
            time(&known),
            time(&unknown),
            compiled.as_secs_f64() * 1e3
        );
        say(&format!("{rules} rules"), &figures);
    }
    Ok(())
}

fn of_one(policy: &Policy, to: &Destination<'_>, by: &Caller) -> f64 {
    let now = Timestamp::UNIX_EPOCH;
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let started = Instant::now();
            for _ in 0..COUNT {
                black_box(policy.connect(black_box(to), black_box(by), now));
            }
            started.elapsed().as_secs_f64() * 1e9 / f64::from(COUNT)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds.get(ROUNDS / 2).copied().unwrap_or(0.0)
}

fn host(number: u32) -> String {
    format!("api{number}.example.com")
}

/// Every fourth rule has a wildcard as well.
fn policy(rules: u32) -> String {
    let mut text = String::from("version: 1\nnetwork_policies:\n");
    for number in 0..rules {
        text.push_str(&format!(
            "  rule{number}:\n    endpoints:\n      - {{host: {}, port: 443}}\n",
            host(number)
        ));
        if number % 4 == 0 {
            text.push_str(&format!(
                "      - {{host: \"*.zone{number}.example.net\", port: 443}}\n"
            ));
        }
        text.push_str("    binaries:\n      - {path: \"/usr/bin/**\"}\n");
    }
    text
}
