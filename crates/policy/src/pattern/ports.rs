//! Ports and ranges of them.

use std::fmt;

use openshell_types::Port;

/// One port, or a range with both ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PortRange {
    first: Port,
    last: Port,
}

impl PortRange {
    /// Reads `443` or `8000-8100`.
    pub fn parse(text: &str) -> Option<Self> {
        let (first, last) = match text.split_once('-') {
            Some((first, last)) => (Port::parse(first)?, Port::parse(last)?),
            None => (Port::parse(text)?, Port::parse(text)?),
        };
        (first <= last).then_some(Self { first, last })
    }

    /// Both ends belong to it. `None` when they are the wrong way round.
    pub fn new(first: Port, last: Port) -> Option<Self> {
        (first <= last).then_some(Self { first, last })
    }

    /// The lowest and the highest port.
    pub const fn ends(&self) -> (Port, Port) {
        (self.first, self.last)
    }

    pub fn contains(&self, port: Port) -> bool {
        (self.first..=self.last).contains(&port)
    }

    /// Whether some port is in both.
    pub fn meets(&self, other: &Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    /// The same ports in order, with overlapping and adjacent ranges made one.
    pub fn merged(mut ranges: Vec<Self>) -> Vec<Self> {
        ranges.sort_unstable();
        let mut merged: Vec<Self> = Vec::with_capacity(ranges.len());
        for range in ranges {
            match merged.last_mut() {
                Some(last) if range.first.number() <= last.last.number().saturating_add(1) => {
                    last.last = last.last.max(range.last);
                }
                _ => merged.push(range),
            }
        }
        merged
    }

    pub fn is_single(&self) -> bool {
        self.first == self.last
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_single() { self.first.fmt(f) } else { write!(f, "{}-{}", self.first, self.last) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_ports_and_ranges_strictly() {
        for good in ["1", "443", "65535", "8000-8100"] {
            assert_eq!(PortRange::parse(good).unwrap().to_string(), good);
        }
        for bad in ["0", "65536", "0443", "+1", "8100-8000", "-1", "1-", "a", "", "1-2-3", "1 - 2"]
        {
            assert_eq!(PortRange::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn merges_overlapping_and_adjacent_ranges() {
        let ranges = ["10-20", "21", "443", "15-18"].map(|text| PortRange::parse(text).unwrap());
        let merged: Vec<String> =
            PortRange::merged(ranges.to_vec()).iter().map(ToString::to_string).collect();
        assert_eq!(merged, ["10-21", "443"]);
    }
}
