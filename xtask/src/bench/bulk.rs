//! A large download through the egress, beside a direct one.

use super::connect::{Probe, Server};
use super::place::{HOST, Place, policy_text};
use super::probe::BULK_BYTES;
use super::samples::say;
use crate::run::Outcome;

/// Downloads of each kind.
const ROUNDS: u32 = 7;

/// Measures.
pub fn measure(place: &Place) -> Outcome {
    let server = Server::start()?;
    let port = server.port.to_string();
    let policy = place.policy("bulk.yaml", &policy_text(Some(server.port)))?;
    place.sandbox("bench-bulk", &policy)?;
    let mut inside = Probe::start(&mut place.probe_in("bench-bulk", &["download", HOST, &port]))?;
    let mut outside = Probe::start(&mut place.probe_outside(&["download", "127.0.0.1", &port]))?;
    let (mut captured, mut direct) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        for (probe, rates) in [(&mut inside, &mut captured), (&mut outside, &mut direct)] {
            probe.ask("go")?;
            let nanoseconds = probe.number()?;
            if round > 0 {
                rates.push(megabytes_a_second(nanoseconds));
            }
        }
    }
    inside.end()?;
    outside.end()?;
    println!("\nbulk download, plain, {} MiB, {ROUNDS} rounds each", BULK_BYTES >> 20);
    let (captured, direct) = (median(captured), median(direct));
    say("through the egress, median", &format!("{captured:.0} MB/s"));
    say("direct, median", &format!("{direct:.0} MB/s"));
    say("ratio", &format!("{:.2}", captured / direct));
    place.run(&["sandbox", "delete", "bench-bulk"])
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn megabytes_a_second(nanoseconds: u64) -> f64 {
    BULK_BYTES as f64 * 1e3 / nanoseconds as f64
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied().unwrap_or(0.0)
}
