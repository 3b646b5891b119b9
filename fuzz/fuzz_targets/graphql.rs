//! Any text is read as a document, a request and a WebSocket message without a panic.

#![no_main]

use libfuzzer_sys::fuzz_target;
use openshell_codec::content::MediaType;
use openshell_codec::graphql::{Operation, Request, message, operations};

fuzz_target!(|text: &str| {
    let pairs = [("query", text), ("variables", text)];
    let get = Request { method: "GET", pairs: &pairs[..1], media_type: None, body: b"" };
    let requests = [get, Request { pairs: &pairs, ..get }];
    let posts = ["application/json", "application/graphql"].map(|media_type| {
        let media_type = MediaType::parse(media_type.as_bytes()).expect("it is one");
        operations(&Request {
            method: "POST",
            pairs: &[],
            media_type: Some(&media_type),
            body: text.as_bytes(),
        })
    });
    let read = requests.iter().map(operations).chain(posts);
    let message = message(text);
    assert!(message.operations.is_empty() || !message.control);
    for operation in read.flatten().flatten().chain(message.operations) {
        match operation {
            Operation::Document { fields, .. } => {
                assert!(fields.iter().all(|field| text.contains(field.as_str())) && !fields.is_empty());
            }
            Operation::Hash(hash) => assert!(!hash.is_empty()),
        }
    }
});
