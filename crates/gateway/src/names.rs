//! Names for sandboxes that were given none: two words joined by a hyphen.

use openshell_types::{NameError, SandboxName};

/// A name out of two random numbers.
pub(crate) fn invent(random: [u8; 2]) -> Result<SandboxName, NameError> {
    let [first, second] = random.map(usize::from);
    let pick = |words: &[&'static str], at: usize| {
        at.checked_rem(words.len()).and_then(|at| words.get(at).copied()).unwrap_or("x")
    };
    SandboxName::parse(&format!("{}-{}", pick(&FIRST, first), pick(&SECOND, second)))
}

// At most nine letters each, so that both and the hyphen fit nineteen characters.
const FIRST: [&str; 64] = [
    "able", "agile", "amber", "apt", "azure", "bold", "brave", "bright", "brisk", "calm", "civil",
    "clear", "clever", "cool", "cosy", "crisp", "deft", "eager", "early", "easy", "fair", "fast",
    "fine", "firm", "fleet", "fond", "fresh", "gentle", "glad", "golden", "grand", "green",
    "happy", "hardy", "honest", "humble", "jolly", "keen", "kind", "light", "lively", "lucky",
    "mellow", "merry", "mild", "modest", "neat", "noble", "patient", "plain", "polite", "proud",
    "quick", "quiet", "rapid", "ready", "robust", "serene", "silver", "steady", "sunny", "swift",
    "tidy", "warm",
];
const SECOND: [&str; 64] = [
    "acorn", "alder", "badger", "beaver", "birch", "bison", "brook", "cedar", "clover", "comet",
    "coral", "crane", "cricket", "dolphin", "dune", "eagle", "elk", "falcon", "fern", "finch",
    "fjord", "fox", "garnet", "gecko", "glacier", "harbor", "hazel", "heron", "ibis", "island",
    "jasper", "juniper", "kestrel", "lagoon", "lark", "linden", "lynx", "maple", "marten",
    "meadow", "moss", "newt", "oak", "ocean", "orchid", "osprey", "otter", "owl", "panda",
    "pebble", "petrel", "pine", "puffin", "quartz", "raven", "reef", "river", "robin", "salmon",
    "sparrow", "spruce", "thistle", "walnut", "willow",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_two_lower_case_words() {
        for first in 0..=u8::MAX {
            for second in 0..=u8::MAX {
                let name = invent([first, second]).expect("a valid name");
                let words: Vec<_> = name.as_str().split('-').collect();
                assert_eq!(words.len(), 2);
                assert!(words.iter().all(|w| w.chars().all(|c| c.is_ascii_lowercase())));
            }
        }
    }
}
