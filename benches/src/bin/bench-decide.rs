//! Times of decisions: all engines on the same rules and questions, taking turns.
//!
//! No time is taken before every engine has given the right answer to every question.

use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};
use openshell_benches::table::{self, Row};
use openshell_benches::workload::{SIZES, Shape, Workload};
use openshell_benches::{Contender, Engine, Outcome, agree};

/// Samples of each figure.
const SAMPLES: usize = 31;

/// Samples of a compilation: the large ones take a second.
const COMPILATIONS: usize = 5;

/// How long one sample is at least; a decision that takes longer is a sample of its own.
const SAMPLE: Duration = Duration::from_micros(500);

/// Largest size that is only asked and not measured.
const SMOKE: usize = 100;

#[derive(Parser)]
struct Arguments {
    /// Only compare the answers, at 1 to 100 rules.
    #[arg(long)]
    smoke: bool,
    #[command(subcommand)]
    task: Option<Task>,
}

#[derive(Subcommand)]
enum Task {
    /// Ask our engine under a tool that counts: the calls of `ask_counted`, one for each question.
    Count {
        /// What grows.
        shape: Shape,
        /// How many rules.
        rules: usize,
        /// How often each question is asked.
        times: u32,
    },
    /// Print the questions in the order in which `count` asks.
    Questions,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.task {
        Some(Task::Count { shape, rules, times }) => count(shape, rules, times),
        Some(Task::Questions) => {
            for question in Workload::new(Shape::Hosts, 1).questions {
                println!("{}", question.title);
            }
            Ok(())
        }
        None if arguments.smoke => smoke(),
        None => measure(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn smoke() -> Outcome {
    for shape in Shape::ALL {
        for rules in SIZES.into_iter().filter(|size| *size <= SMOKE) {
            let workload = Workload::new(shape, rules);
            for contender in Contender::ALL {
                contender.ready(&workload).map_err(|error| format!("{rules} rules: {error}"))?;
            }
        }
        println!("{} engines agree: {}", Contender::ALL.len(), shape.title());
    }
    Ok(())
}

fn measure() -> Outcome {
    println!("medians of {SAMPLES} samples, of {COMPILATIONS} for compilations");
    for shape in Shape::ALL {
        let mut compiled: Vec<(usize, Row)> = Vec::new();
        table::head(shape.title(), "nanoseconds a decision");
        for rules in SIZES {
            let workload = Workload::new(shape, rules);
            let mut engines = Vec::new();
            for contender in Contender::ALL {
                let ready = contender.ready(&workload);
                engines.push(ready.map_err(|error| format!("{rules} rules: {error}"))?);
            }
            for (number, question) in workload.questions.iter().enumerate() {
                table::line(rules, question.title, &decisions(&mut engines, number)?);
            }
            drop(engines);
            compiled.push((rules, compilations(&workload)?));
        }
        table::head(shape.title(), "milliseconds from text to an engine that can be asked");
        for (rules, row) in compiled {
            table::line(rules, "compile", &row);
        }
    }
    Ok(())
}

fn decisions(engines: &mut [Box<dyn Engine>], question: usize) -> Outcome<Row> {
    let mut times = Vec::new();
    for engine in engines.iter_mut() {
        times.push(in_a_sample(engine.as_mut(), question)?);
    }
    let mut samples = vec![Vec::new(); engines.len()];
    for _ in 0..SAMPLES {
        for ((engine, times), samples) in engines.iter_mut().zip(&times).zip(&mut samples) {
            let started = Instant::now();
            black_box(engine.ask(question, *times)?);
            samples.push(started.elapsed().as_secs_f64() * 1e9 / f64::from(*times));
        }
    }
    row(samples)
}

/// How often a question is asked in one sample.
fn in_a_sample(engine: &mut dyn Engine, question: usize) -> Outcome<u32> {
    let mut times = 1_u32;
    loop {
        let started = Instant::now();
        engine.ask(question, times)?;
        if started.elapsed() >= SAMPLE {
            return Ok(times);
        }
        times = times.saturating_mul(2);
    }
}

fn compilations(workload: &Workload) -> Outcome<Row> {
    let sources = Contender::ALL.map(|contender| (contender, contender.source(workload)));
    let mut samples = vec![Vec::new(); sources.len()];
    for _ in 0..COMPILATIONS {
        for ((contender, source), samples) in sources.iter().zip(&mut samples) {
            let started = Instant::now();
            let engine = contender.compile(black_box(source))?;
            samples.push(started.elapsed().as_secs_f64() * 1e3);
            drop(engine);
        }
    }
    row(samples)
}

fn row(samples: Vec<Vec<f64>>) -> Outcome<Row> {
    let medians: Vec<f64> = samples.into_iter().map(table::median).collect();
    Row::try_from(medians).map_err(|_| "a contender is missing".to_owned())
}

fn count(shape: Shape, rules: usize, times: u32) -> Outcome {
    let workload = Workload::new(shape, rules);
    let mut engine = Contender::Ours.ready(&workload)?;
    for number in 0..workload.questions.len() {
        ask_counted(engine.as_mut(), number, times)?;
    }
    agree(Contender::Ours, engine.as_mut(), &workload)
}

/// Counters start and stop at this function, by its name.
#[inline(never)]
fn ask_counted(engine: &mut dyn Engine, question: usize, times: u32) -> Outcome<u32> {
    black_box(engine.ask(question, times))
}
