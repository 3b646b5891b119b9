//! Any bytes are read as JSON, and as JSON-RPC, without a panic, and within the bounds.

#![no_main]

use libfuzzer_sys::fuzz_target;
use openshell_codec::json::Json;
use openshell_codec::rpc::{BATCH, Message, PATH_BYTES, calls};

fuzz_target!(|bytes: &[u8]| {
    let Ok(json) = Json::parse(bytes) else {
        return;
    };
    let Ok(messages) = calls(&json) else {
        return;
    };
    assert!(!messages.is_empty() && messages.len() <= BATCH);
    for message in messages {
        if let Message::Call(call) = message {
            assert!(!call.method.is_empty());
            assert!(call.tool.is_none() || call.method == "tools/call");
            assert!(call.params.iter().all(|(path, _)| path.len() <= PATH_BYTES));
        }
    }
});
