//! Only the crate `isolation` has unsafe code, and the test world's one module that breaks kernels.

use crate::checks::sources;
use crate::run::Outcome;

/// Where unsafe code may stand.
const ALLOWED: [&str; 2] = ["crates/isolation/", "crates/testkit/src/switch_off"];

/// Every other crate forbids unsafe code through the workspace's lints; this shows that none opts
/// out of them, and that no other file has an unsafe block.
pub fn check() -> Outcome {
    let bad: Vec<String> = sources::all()?
        .iter()
        .filter(|source| !ALLOWED.iter().any(|prefix| source.path.starts_with(prefix)))
        .filter(|source| source.text.lines().any(has_unsafe_code))
        .map(|source| source.path.clone())
        .collect();
    if bad.is_empty() { Ok(()) } else { Err(format!("unsafe code in {}", bad.join(", "))) }
}

/// A keyword followed by a block, a function or an impl, outside of comments and strings.
fn has_unsafe_code(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or(line);
    ["{", "fn", "impl", "extern"].iter().any(|next| {
        code.split_once(concat!("uns", "afe ")).is_some_and(|(before, after)| {
            after.trim_start().starts_with(next) && !before.contains('"')
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_keyword_and_not_the_word() {
        assert!(has_unsafe_code(concat!("    uns", "afe { x() }")));
        assert!(has_unsafe_code(concat!("pub uns", "afe fn x() {")));
        assert!(!has_unsafe_code(concat!("// an uns", "afe { block")));
        assert!(!has_unsafe_code(concat!("uns", "afe_code = \"forbid\"")));
    }
}
