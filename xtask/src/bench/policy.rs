//! From `policy set --wait` to the first connection that is decided by the new policy.

use std::thread;
use std::time::Duration;

use super::connect::{Probe, Server};
use super::place::{HOST, Place, policy_text};
use super::probe::now;
use super::samples::{Samples, say, show};
use crate::run::Outcome;

/// Changes, half of them in each direction.
const FLIPS: u32 = 40;

/// Measures.
pub fn measure(place: &Place) -> Outcome {
    let server = Server::start()?;
    let allow = place.policy("allow.yaml", &policy_text(Some(server.port)))?;
    let deny = place.policy("deny.yaml", &policy_text(None))?;
    place.sandbox("bench-policy", &allow)?;
    let port = server.port.to_string();
    // A denied name has no address: the probe keeps the one that it found while it was allowed.
    let mut probe =
        Probe::start_unready(&mut place.probe_in("bench-policy", &["watch", HOST, &port]))?;
    Change::next(&mut probe, true)?;

    let mut enforced = Samples::of("policy set called → first new decision");
    let mut returned = Samples::of("policy set called → --wait returned");
    let mut stale: u32 = 0;
    for flip in 0..FLIPS {
        let allowed = flip % 2 == 1;
        let file = if allowed { &allow } else { &deny };
        let called = now();
        place.run(&["policy", "set", "bench-policy", "--policy", file, "--wait"])?;
        let back = now();
        let change = Change::next(&mut probe, allowed)?;
        enforced.add_nanoseconds(nanoseconds(called, change.decided));
        returned.add_nanoseconds(nanoseconds(called, back));
        stale = stale.saturating_add(u32::from(change.last_old > back));
        thread::sleep(Duration::from_millis(30));
    }
    show(
        "policy change → enforced, 20 from allow to deny and 20 back, probed every millisecond",
        &[&enforced, &returned],
        &returned,
    );
    say("old decisions begun after --wait returned", &stale.to_string());
    probe.kill()?;
    place.run(&["sandbox", "delete", "bench-policy"])
}

/// A change as the probe saw it.
struct Change {
    last_old: u128,
    decided: u128,
}

impl Change {
    /// The next one, which must be to this.
    fn next(probe: &mut Probe, allowed: bool) -> Outcome<Self> {
        let line = probe.line()?;
        let mut words = line.split(' ');
        let expected = if allowed { "allowed" } else { "denied" };
        let time = |word: Option<&str>| word.and_then(|word| word.parse().ok());
        let change = match (words.next(), time(words.next()), time(words.next())) {
            (Some(word), Some(last_old), Some(decided)) if word == expected => {
                Some(Self { last_old, decided })
            }
            _ => None,
        };
        change.ok_or_else(|| format!("the probe said `{line}`, not `{expected}`"))
    }
}

fn nanoseconds(from: u128, to: u128) -> u64 {
    u64::try_from(to.saturating_sub(from)).unwrap_or(u64::MAX)
}
