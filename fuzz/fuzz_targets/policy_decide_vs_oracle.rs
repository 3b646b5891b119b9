//! The compiled policy and the interpreter of its meaning give one answer, to documents and
//! questions that the bytes choose.

#![no_main]

use libfuzzer_sys::fuzz_target;
use openshell_policy_oracle::run_bytes;

fuzz_target!(|bytes: &[u8]| {
    if let Err(difference) = run_bytes(bytes) {
        panic!("{difference}");
    }
});
