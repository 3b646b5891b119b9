//! What tells a gRPC request from others ("gRPC over HTTP2", section Requests).
//!
//! Services and methods are those of the canonical path, and are the policy's to read.

use crate::content::MediaType;

/// Whether a request of this media type carries length-prefixed gRPC messages: `application/grpc`,
/// or with `+proto` or `+json`. gRPC-Web and Connect frame theirs in another way.
pub fn is_grpc(media_type: &MediaType) -> bool {
    matches!(
        media_type.essence(),
        "application/grpc" | "application/grpc+proto" | "application/grpc+json"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f09_grpc_web_and_connect_are_no_grpc() {
        let read = |value: &str| is_grpc(&MediaType::parse(value.as_bytes()).unwrap());
        for value in ["application/grpc", "Application/gRPC+proto", "application/grpc+json;a=b"] {
            assert!(read(value), "{value}");
        }
        for value in [
            "application/grpc-web",
            "application/grpc-web+proto",
            "application/grpc-web-text",
            "application/connect+json",
            "application/grpc+thrift",
            "application/grpcx",
            "application/json",
        ] {
            assert!(!read(value), "{value}");
        }
    }
}
