//! Bytes and allocations: what each engine holds, and what a decision takes. It is a program of its
//! own, since an allocator that counts would slow those down that allocate.

use std::process::ExitCode;

use allocation_counter::{AllocationInfo, measure};
use openshell_benches::table::{self, Row};
use openshell_benches::workload::{SIZES, Shape, Workload};
use openshell_benches::{Contender, Outcome, agree};

/// Questions in a row, so that an allocation now and then shows.
const TIMES: u32 = 10;

/// What was counted of one engine.
struct Counts {
    /// KiB once it is compiled.
    compiled: f64,
    /// KiB once it has been asked everything, its caches and our six questions among them.
    warm: f64,
    /// Allocations of one decision, by question.
    allocations: Vec<f64>,
}

fn main() -> ExitCode {
    match print() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn print() -> Outcome {
    for shape in Shape::ALL {
        table::head(shape.title(), "KiB of heap, and allocations a decision");
        for rules in SIZES {
            let workload = Workload::new(shape, rules);
            let mut counts = Vec::new();
            for contender in Contender::ALL {
                counts.push(count(contender, &workload)?);
            }
            table::line(rules, "compiled", &row(&counts, |counts| counts.compiled)?);
            table::line(rules, "after questions", &row(&counts, |counts| counts.warm)?);
            for (number, question) in workload.questions.iter().enumerate() {
                let of =
                    |counts: &Counts| counts.allocations.get(number).copied().unwrap_or(f64::NAN);
                table::line(rules, question.title, &row(&counts, of)?);
            }
        }
    }
    Ok(())
}

fn row(counts: &[Counts], figure: impl Fn(&Counts) -> f64) -> Outcome<Row> {
    let figures: Vec<f64> = counts.iter().map(figure).collect();
    Row::try_from(figures).map_err(|_| "a contender is missing".to_owned())
}

fn count(contender: Contender, workload: &Workload) -> Outcome<Counts> {
    let source = contender.source(workload);
    // Tables that a library makes once and keeps belong to no engine: they are there by now.
    drop(contender.compile(&source)?);
    let (mut engine, compiled) = counted(|| contender.compile(&source))?;
    let ((), warm) = counted(|| {
        engine.prepare(workload)?;
        agree(contender, engine.as_mut(), workload)
    })?;
    let mut allocations = Vec::new();
    for number in 0..workload.questions.len() {
        let (_, counts) = counted(|| engine.ask(number, TIMES))?;
        let all = u32::try_from(counts.count_total).unwrap_or(u32::MAX);
        allocations.push(f64::from(all) / f64::from(TIMES));
    }
    let (compiled, warm) = (compiled.bytes_current, warm.bytes_current);
    Ok(Counts { compiled: kib(compiled), warm: kib(compiled + warm), allocations })
}

/// Runs something, and says what was allocated and is still held.
fn counted<T>(run: impl FnOnce() -> Outcome<T>) -> Outcome<(T, AllocationInfo)> {
    let mut made = Err("it was not run".to_owned());
    let info = measure(|| made = run());
    Ok((made?, info))
}

#[expect(clippy::cast_precision_loss, reason = "no heap here has an exabyte")]
fn kib(bytes: i64) -> f64 {
    bytes as f64 / 1024.0
}
