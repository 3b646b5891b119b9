//! A canonical target is its own canonical form, has no dot segment left, and reads the same when
//! it is decoded once more.

#![no_main]

use libfuzzer_sys::fuzz_target;
use openshell_codec::target::{Doubtful, Method, Options, Target, methods_to_judge};

fuzz_target!(|input: (bool, bool, &[u8])| {
    let (slash, query, raw) = input;
    let doubtful = |allowed| if allowed { Doubtful::Allowed } else { Doubtful::Refused };
    let options = Options { encoded_slash: doubtful(slash), query: doubtful(query) };
    let get = Method::parse(b"GET").expect("a method");
    let Ok(target) = Target::parse(&get, raw, options) else { return };
    let sent = target.to_bytes();
    assert!(sent.len() <= Target::LONGEST);
    let again = Target::parse(&get, &sent, options).expect("ours is well-formed");
    assert_eq!(again.to_bytes(), sent);
    assert_eq!((again.path(), again.query()), (target.path(), target.query()));
    assert!(target.path().starts_with('/'));
    assert!(!target.path().split('/').any(|part| part == "." || part == ".."));
    assert!(!target.path().contains("//"));
    let methods = methods_to_judge(&get, [], &[target.query().unwrap_or_default()]);
    assert!(methods.is_ok_and(|methods| methods[0] == get) || target.query().is_some());
});
