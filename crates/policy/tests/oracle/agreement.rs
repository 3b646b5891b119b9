//! The compiled policy against the interpreter.

use openshell_policy_oracle::{Run, run, run_bytes};

#[test]
fn the_compiled_policy_means_what_the_page_says() {
    match run(Run { pairs: 20_000, seed: 3, questions: 40 }) {
        Ok(tally) => println!("{tally}"),
        Err(difference) => panic!("{difference}"),
    }
}

#[test]
fn every_input_of_a_fuzzer_is_a_comparison() {
    let mut pairs = 0;
    for length in 0..60_u8 {
        let bytes: Vec<u8> =
            (0..length).map(|at| at.wrapping_mul(37).wrapping_add(length)).collect();
        let tally =
            run_bytes(&bytes).unwrap_or_else(|difference| panic!("{bytes:?}\n{difference}"));
        pairs += tally.pairs;
    }
    // A few documents are refused, since options of theirs disagree.
    assert!(pairs >= 50 * 8, "{pairs}");
}
