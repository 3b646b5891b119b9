//! Sets of ports, as lists of ranges: what both have, what one has more.

use openshell_types::Port;

use super::PortRange;

/// The ports of `left` that are not in `right`.
pub(crate) fn without(left: &[PortRange], right: &[PortRange]) -> Vec<PortRange> {
    let right = PortRange::merged(right.to_vec());
    let mut rest = Vec::new();
    for range in PortRange::merged(left.to_vec()) {
        let (mut from, last) = numbers(&range);
        for cut in &right {
            let (low, high) = numbers(cut);
            if high < from || low > last {
                continue;
            }
            rest.extend(range_of(from, low.saturating_sub(1)));
            from = high.saturating_add(1);
        }
        rest.extend(range_of(from, last));
    }
    rest
}

/// The ports that both have.
pub(crate) fn common(left: &[PortRange], right: &[PortRange]) -> Vec<PortRange> {
    without(left, &without(left, right))
}

/// Whether `left` has every port of `right`.
pub(crate) fn covers(left: &[PortRange], right: &[PortRange]) -> bool {
    without(right, left).is_empty()
}

/// The same ports in order, ranges merged.
pub(crate) fn union(left: &[PortRange], right: &[PortRange]) -> Vec<PortRange> {
    PortRange::merged(left.iter().chain(right).copied().collect())
}

/// `443, 8000-8100`.
pub(crate) fn words(ports: &[PortRange]) -> String {
    let merged = PortRange::merged(ports.to_vec());
    merged.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn numbers(range: &PortRange) -> (u32, u32) {
    let (first, last) = range.ends();
    (first.number().into(), last.number().into())
}

fn range_of(first: u32, last: u32) -> Option<PortRange> {
    let port = |number: u32| Port::new(u16::try_from(number).ok()?);
    PortRange::new(port(first)?, port(last)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str) -> Vec<PortRange> {
        text.split(' ').filter_map(PortRange::parse).collect()
    }

    #[test]
    fn ports_subtract_and_meet() {
        for (left, right, rest, both) in [
            ("80 443", "443", "80", "443"),
            ("1-65535", "1 65535", "2-65534", "1, 65535"),
            ("10-20 30-40", "15-35", "10-14, 36-40", "15-20, 30-35"),
            ("10-20", "12 14 16-30", "10-11, 13, 15", "12, 14, 16-20"),
            ("5", "6", "5", ""),
        ] {
            assert_eq!(words(&without(&set(left), &set(right))), rest, "{left} - {right}");
            assert_eq!(words(&common(&set(left), &set(right))), both, "{left} & {right}");
        }
        assert!(covers(&set("1-10 11-20"), &set("5-15")));
        assert!(!covers(&set("1-10"), &set("5-15")));
    }
}
