//! Ports. A range is cut into blocks of 1, 16, 256, 4096 or all ports, so that a port is looked up
//! at most five times, and only once in a policy without ranges, and memory goes with the ranges.

use std::collections::HashMap;

use foldhash::fast::FixedState;
use openshell_types::Port;

use super::host::finish;
use crate::pattern::PortRange;
use crate::sets::{SetId, Sets, SetsBuilder, Span, Union, extend};

/// The ports of one transport.
#[derive(Clone, Debug)]
pub(crate) struct PortIndex {
    blocks: HashMap<Block, SetId, FixedState>,
    /// The sizes that occur.
    shifts: Box<[u8]>,
}

/// All ports that are `number` without their lowest `shift` bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Block {
    shift: u8,
    number: u32,
}

/// Makes a [`PortIndex`].
#[derive(Debug, Default)]
pub(crate) struct PortIndexBuilder {
    blocks: HashMap<Block, Vec<Span>, FixedState>,
}

const SHIFTS: [u8; 5] = [16, 12, 8, 4, 0];

impl PortIndexBuilder {
    pub fn insert(&mut self, ranges: &[PortRange], span: &Span) {
        for range in ranges {
            for block in blocks(*range) {
                extend(self.blocks.entry(block).or_default(), span);
            }
        }
    }

    pub fn finish(self, sets: &mut SetsBuilder) -> PortIndex {
        let used = |shift: &u8| self.blocks.keys().any(|block| block.shift == *shift);
        PortIndex {
            shifts: SHIFTS.into_iter().filter(used).collect(),
            blocks: finish(self.blocks, sets),
        }
    }
}

/// The blocks of a range, the largest that fit.
fn blocks(range: PortRange) -> impl Iterator<Item = Block> {
    let (first, last) = range.ends();
    // There is no port 0, so a range may as well begin with it.
    let mut at = if first.number() == 1 { 0 } else { u32::from(first.number()) };
    let end = u32::from(last.number()).saturating_add(1);
    std::iter::from_fn(move || {
        let shift = SHIFTS.into_iter().find(|shift| {
            let size = 1_u32 << shift;
            at & size.wrapping_sub(1) == 0 && at.saturating_add(size) <= end
        })?;
        let block = Block { shift, number: at >> shift };
        at = at.saturating_add(1 << shift);
        Some(block)
    })
}

impl PortIndex {
    /// The clauses with this port.
    pub fn put(&self, port: Port, sets: &Sets, into: &mut Union) {
        let port = u32::from(port.number());
        for shift in &self.shifts {
            if let Some(set) = self.blocks.get(&Block { shift: *shift, number: port >> shift }) {
                sets.put(*set, into);
            }
        }
    }

    pub fn bytes(&self) -> usize {
        self.blocks.len().saturating_mul(16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_in_the_ranges_that_hold_it() {
        let texts = [
            "443",
            "1-65535",
            "1-1023",
            "8000-8100",
            "440-450",
            "65535",
            "16-31",
            "15-32",
            "1",
            "4096-8191",
            "2-65534",
        ];
        let ranges = texts.map(|text| PortRange::parse(text).unwrap());
        let (mut sets, mut builder) = (SetsBuilder::new(), PortIndexBuilder::default());
        for (range, id) in ranges.iter().zip(0..) {
            builder.insert(&[*range], &(id..id + 1));
        }
        let (index, sets) = (builder.finish(&mut sets), sets.finish());
        for number in 1..=65535 {
            let port = Port::new(number).unwrap();
            let mut union = Union::new();
            index.put(port, &sets, &mut union);
            let found: Vec<u32> = sets.common(&[&union], 0).collect();
            let holds = |range: &PortRange| range.contains(port);
            let wanted: Vec<u32> =
                (0..).zip(&ranges).filter(|(_, range)| holds(range)).map(|(id, _)| id).collect();
            assert_eq!(found, wanted, "{number}");
        }
    }

    #[test]
    fn no_range_has_many_blocks() {
        let range = |text| PortRange::parse(text).unwrap();
        assert_eq!(blocks(range("1-65535")).count(), 1);
        assert_eq!(blocks(range("443")).count(), 1);
        assert!(blocks(range("2-65534")).count() <= 120);
    }
}
