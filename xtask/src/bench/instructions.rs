//! Instructions of a decision at 10 and at 10,000 rules, counted by valgrind: unlike times they are
//! the same on a busy machine, so they show whether the cost grows with the rules.

use std::collections::BTreeMap;
use std::path::Path;

use crate::run::{Outcome, command, output};

use super::decide;

/// What may grow, as the program of `benches` calls it.
const SHAPES: [&str; 4] = ["hosts", "paths", "wildcards", "programs"];

/// Sizes that are compared.
const SMALL: u32 = 10;
const LARGE: u32 = 10_000;

/// Decisions of one count: few, since counting is slow, and enough to hide the loop around them.
const TIMES: u32 = 1_000;

/// The function whose calls are counted one by one. valgrind dumps nothing after a pattern, so it is
/// the whole name.
const COUNTED: &str = "bench_decide::ask_counted";

/// Whether this machine can count.
pub fn can_count() -> bool {
    output(command("valgrind").arg("--version")).is_ok()
}

/// Counts.
pub fn measure() -> Outcome {
    if !can_count() {
        return Err("instructions are counted by valgrind, which is not installed here".to_owned());
    }
    let program = decide::build()?.join("bench-decide");
    let questions = output(command(&program).arg("questions"))?;
    println!("\ninstructions a decision, mean of {TIMES}");
    println!("  {:<12} {:<16} {SMALL:>8} rules {LARGE:>8} rules {:>7}", "what grows", "", "ratio");
    for shape in SHAPES {
        let small = counts(&program, shape, SMALL)?;
        let large = counts(&program, shape, LARGE)?;
        let rows = questions.lines().zip(small.iter().zip(&large));
        let mut shown = 0;
        for (question, (small, large)) in rows {
            let ratio = large / small;
            println!("  {shape:<12} {question:<16} {small:>14.0} {large:>14.0} {ratio:>7.2}");
            shown += 1;
        }
        if shown != questions.lines().count() {
            return Err(format!("valgrind counted {shown} questions of {shape}"));
        }
    }
    Ok(())
}

/// Instructions of each question's decision, in the order in which the program asks.
fn counts(program: &Path, shape: &str, rules: u32) -> Outcome<Vec<f64>> {
    let folder = tempfile::tempdir().map_err(|error| format!("no temporary folder: {error}"))?;
    output(
        command("valgrind")
            .args(["--quiet", "--tool=callgrind", "--collect-atstart=no"])
            .arg(format!("--toggle-collect={COUNTED}"))
            .arg(format!("--dump-after={COUNTED}"))
            .arg(format!("--callgrind-out-file={}", folder.path().join("counts").display()))
            .arg(program)
            .args(["count", shape, &rules.to_string(), &TIMES.to_string()]),
    )?;
    // Every call is dumped into a file of its own, with its number at the end of the name; what
    // is left at the end comes without a number, and is empty.
    let mut dumps = BTreeMap::new();
    let entries = folder.path().read_dir().map_err(|error| format!("valgrind's files: {error}"))?;
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(number) = name.rsplit('.').next().and_then(|number| number.parse::<u32>().ok())
        else {
            continue;
        };
        let text =
            std::fs::read_to_string(entry.path()).map_err(|error| format!("{name}: {error}"))?;
        dumps.insert(number, total(&text).ok_or(format!("{name} has no total"))?);
    }
    Ok(dumps.into_values().map(|total| total / f64::from(TIMES)).collect())
}

/// The sum of a dump.
fn total(dump: &str) -> Option<f64> {
    let line = dump.lines().find_map(|line| line.strip_prefix("totals:"))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dump_without_a_total_is_no_count() {
        assert_eq!(total("events: Ir\nfn=(1) x\n3 70\ntotals: 70\n"), Some(70.0));
        assert_eq!(total("events: Ir\n"), None);
    }
}
