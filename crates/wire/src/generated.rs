//! The code that the build makes of `proto/`.

#![expect(
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::large_enum_variant,
    clippy::too_many_lines,
    reason = "generated code waives lints in its own way"
)]

include!(concat!(env!("OUT_DIR"), "/openshell.rs"));
include!(concat!(env!("OUT_DIR"), "/redact.rs"));
