//! `cargo xtask bench`: the product beside what it is compared with, in one run.
//!
//! Things that are compared take turns, so that whatever else the machine does hits them alike.
//! Figures are printed and nothing is asserted: a busy machine is no failure. Everything happens
//! in a home of its own, which is removed at the end.

mod backend;
mod bulk;
mod connect;
mod credentials;
mod decide;
mod inference;
mod instructions;
mod load;
mod memory;
mod place;
mod policy;
mod probe;
mod requests;
mod rivals;
mod samples;
mod soak;
mod start;

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::run::{Outcome, cargo, command, output, succeed};

use place::Place;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// A sandbox's start, cold and warm, and a command in a running one.
    Start,
    /// New connections through the egress, also from a crowded jail.
    Connect,
    /// From a policy change to its enforcement.
    Policy,
    /// A large download through the egress.
    Bulk,
    /// Requests under rules, beside other proxies: needs nginx and wrk, and takes what there is of
    /// Envoy, haproxy and squid.
    Requests,
    /// Requests with a credential and uploads that are searched for some, beside others: needs nginx
    /// and wrk.
    Credentials,
    /// Model calls through the router, beside judged and direct ones: needs nginx and wrk.
    Inference,
    /// Idle connections, steady requests and policy changes for `--runs` seconds; not among `all`.
    Soak,
    /// Memory of supervisor and gateway.
    Memory,
    /// The decision itself: time, compile time and heap, beside other engines.
    Decide,
    /// Instructions of a decision, few rules and many; needs valgrind.
    Instructions,
    /// All of these.
    All,
}

/// Options of `bench`.
#[derive(Args)]
pub struct Options {
    /// What to measure.
    #[arg(value_enum, default_value = "all")]
    part: Part,
    /// How often each thing is done. Credentials and inference take rounds: one for 40, at most five.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    runs: u32,
    /// Take the programs from this folder instead of building them.
    #[arg(long, value_name = "FOLDER")]
    programs: Option<PathBuf>,
    /// With `decide`: only compare the engines' answers at 1 to 100 rules, and take no time.
    #[arg(long)]
    smoke: bool,
    #[command(subcommand)]
    role: Option<Role>,
}

/// This program as the other side of a measurement.
#[derive(Subcommand)]
enum Role {
    /// The client, inside a sandbox or outside.
    #[command(hide = true)]
    Probe(probe::Options),
}

/// Measures.
pub fn bench(options: &Options) -> Outcome {
    if let Some(Role::Probe(options)) = &options.role {
        return probe::run(options);
    }
    match options.part {
        Part::Decide => return decide::measure(options.smoke),
        Part::Instructions => return instructions::measure(),
        _ if options.smoke => return Err("`--smoke` goes with `decide`".to_owned()),
        _ => {}
    }
    let Some(programs) = &options.programs else { return build_and_bench(options) };
    let place = Place::new(programs)?;
    println!("{} runs each; times in milliseconds unless another unit is said", options.runs);
    let wants = |part| options.part == part || options.part == Part::All;
    if options.part == Part::All {
        decide::measure(false)?;
        if instructions::can_count() {
            instructions::measure()?;
        } else {
            println!("\nnot measured, since valgrind is not installed: instructions");
        }
    }
    if wants(Part::Start) {
        start::measure(&place, options.runs)?;
    }
    if wants(Part::Connect) {
        connect::measure(&place, options.runs)?;
    }
    if wants(Part::Policy) {
        policy::measure(&place)?;
    }
    if wants(Part::Bulk) {
        bulk::measure(&place)?;
    }
    if wants(Part::Requests) {
        requests::measure(&place)?;
    }
    if wants(Part::Credentials) {
        credentials::measure(&place, options.runs)?;
    }
    if wants(Part::Inference) {
        inference::measure(&place, options.runs)?;
    }
    if options.part == Part::Soak {
        soak::measure(&place, options.runs)?;
    }
    if wants(Part::Memory) {
        memory::measure(&place)?;
    }
    place.close()
}

/// Figures of a debug build say nothing: builds everything for release, this program included,
/// and goes on in that build.
fn build_and_bench(options: &Options) -> Outcome {
    let mut build = cargo();
    build.args(["build", "--release", "--locked"]);
    for program in ["openshell", "openshell-supervisor", "xtask"] {
        build.args(["--bin", program]);
    }
    succeed(&mut build)?;
    let programs = release_folder()?;
    let part = options.part.to_possible_value();
    let part = part.as_ref().map_or("all", |part| part.get_name());
    succeed(
        command(programs.join("xtask"))
            .args(["bench", part, "--runs", &options.runs.to_string(), "--programs"])
            .arg(&programs),
    )
}

/// Where programs built for release are.
fn release_folder() -> Outcome<PathBuf> {
    let metadata = output(cargo().args(["metadata", "--format-version", "1", "--no-deps"]))?;
    let metadata: serde_json::Value =
        serde_json::from_str(&metadata).map_err(|error| format!("cargo metadata: {error}"))?;
    let target = metadata
        .get("target_directory")
        .and_then(serde_json::Value::as_str)
        .ok_or("cargo metadata names no target folder")?;
    Ok(PathBuf::from(target).join("release"))
}
