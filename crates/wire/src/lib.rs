//! The protobuf files, their generated code, and conversions both ways.
