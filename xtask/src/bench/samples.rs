//! What was measured, and how it is shown.

use std::time::Duration;

/// Times of one thing.
#[derive(Debug)]
pub struct Samples {
    what: String,
    nanoseconds: Vec<u64>,
}

impl Samples {
    /// None yet.
    pub fn of(what: impl Into<String>) -> Self {
        Self { what: what.into(), nanoseconds: Vec::new() }
    }

    /// One more.
    pub fn add(&mut self, time: Duration) {
        self.add_nanoseconds(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    /// One more.
    pub fn add_nanoseconds(&mut self, time: u64) {
        self.nanoseconds.push(time);
    }

    /// The value below which this share of all samples lies, in milliseconds.
    fn quantile(&self, share: f64) -> f64 {
        let mut sorted = self.nanoseconds.clone();
        sorted.sort_unstable();
        let last = sorted.len().saturating_sub(1);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "an index between 0 and the last one"
        )]
        let at = (last as f64 * share).ceil() as usize;
        milliseconds(sorted.get(at).copied().unwrap_or(0))
    }

    /// The median in milliseconds.
    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }
}

#[expect(clippy::cast_precision_loss, reason = "no sample is a month long")]
fn milliseconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e6
}

/// Prints a table; the ratio is that of the medians to the one named `against`.
pub fn show(title: &str, all: &[&Samples], against: &Samples) {
    println!("\n{title}");
    println!(
        "  {:<44} {:>9} {:>9} {:>9} {:>9} {:>9} {:>7}",
        "", "p50", "p90", "p99", "min", "max", "ratio"
    );
    for samples in all {
        print!("  {:<44}", samples.what);
        for share in [0.5, 0.9, 0.99, 0.0, 1.0] {
            print!(" {:>9.3}", samples.quantile(share));
        }
        println!(" {:>7.2}", samples.median() / against.median());
    }
}

/// Prints one line of another kind.
pub fn say(what: &str, figure: &str) {
    println!("  {what:<44} {figure}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_samples_that_were_taken() {
        let mut samples = Samples::of("x");
        for ms in (1..=100).rev() {
            samples.add(Duration::from_millis(ms));
        }
        let of = |share| samples.quantile(share);
        assert_eq!([of(0.0), of(0.5), of(0.99), of(1.0)], [1.0, 51.0, 100.0, 100.0]);
    }
}
