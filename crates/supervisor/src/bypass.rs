//! Packets that the jail's network refused, counted by destination and told once a second.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};

use openshell_audit::{Bypass, Event};
use openshell_egress::Report;

use crate::limits::BYPASS_DESTINATIONS;

/// One destination: protocol number, address and port.
pub(crate) type Target = (u8, IpAddr, u16);

/// Counts that were not told yet.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    by_target: HashMap<Target, u64>,
}

impl Counts {
    /// Counts one packet.
    pub(crate) fn add(&mut self, target: Target) {
        // SECURITY: N7: a scan of the whole address space must not become as many events.
        let full = self.by_target.len() >= BYPASS_DESTINATIONS;
        let target = if full && !self.by_target.contains_key(&target) {
            (target.0, IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0)
        } else {
            target
        };
        let count = self.by_target.entry(target).or_default();
        *count = count.saturating_add(1);
    }

    /// Tells the counts and starts again.
    pub(crate) fn tell(&mut self, report: &dyn Report) {
        let mut counts: Vec<_> = self.by_target.drain().collect();
        counts.sort_unstable();
        for ((protocol, address, port), count) in counts {
            let protocol = protocol_name(protocol);
            report.record(Event::Bypass(Bypass { protocol, address, port, count }));
        }
    }
}

fn protocol_name(number: u8) -> String {
    match number {
        1 => "icmp".into(),
        6 => "tcp".into(),
        17 => "udp".into(),
        33 => "dccp".into(),
        58 => "icmpv6".into(),
        132 => "sctp".into(),
        136 => "udplite".into(),
        other => format!("protocol {other}"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Default)]
    struct Kept(Mutex<Vec<Event>>);

    impl Report for Kept {
        fn record(&self, event: Event) -> bool {
            self.0.lock().expect("lock").push(event);
            true
        }
    }

    #[test]
    fn n07_a_flood_of_destinations_becomes_a_bounded_number_of_events_with_exact_counts() {
        let mut counts = Counts::default();
        let packets = 5000_u32;
        for n in 0..packets {
            counts.add((17, IpAddr::V4(Ipv4Addr::from_bits(0x0101_0000 + n)), 443));
        }
        let kept = Kept::default();
        counts.tell(&kept);
        let events = kept.0.into_inner().expect("lock");
        assert!(events.len() <= BYPASS_DESTINATIONS + 1);
        let total: u64 = events
            .iter()
            .map(|event| match event {
                Event::Bypass(bypass) => bypass.count,
                _ => 0,
            })
            .sum();
        assert_eq!(total, u64::from(packets));
    }
}
