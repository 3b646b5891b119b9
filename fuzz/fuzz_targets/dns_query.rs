//! A question is read, or refused with an answer, without a panic; a name that is taken for a host
//! is one.

#![no_main]

use libfuzzer_sys::fuzz_target;
use openshell_codec::dns::{Answer, Query};
use openshell_types::HostName;

fuzz_target!(|bytes: &[u8]| {
    match Query::parse(bytes) {
        Ok(query) => {
            let answer = query.answer(&Answer::NxDomain { prohibited: true });
            assert!(answer.len() >= 12 && answer[..2] == bytes[..2]);
            if let Some(host) = query.host() {
                assert_eq!(HostName::parse(host.as_str()).as_ref(), Ok(&host));
            }
            assert!(query.display_name().chars().all(|c| !c.is_control()));
        }
        Err(error) => {
            let _answer = error.answer();
        }
    }
});
