//! A world around an ordinary `#[test]`.

use openshell_testkit::http::Response;
use openshell_testkit::{finish, world};

#[test]
fn an_ordinary_test_can_have_a_world() {
    world(|w| {
        let server = w.serve_http("api.example.com", |_| Response::text("hello"));
        let mut curl = std::process::Command::new("curl");
        let said = finish(
            curl.args(["-sS", "http://api.example.com"]),
            std::time::Duration::from_secs(10),
        );
        assert_eq!(said.succeeded().stdout, "hello");
        assert_eq!(server.counts().connections, 1);
    });
}

#[test]
#[should_panic(expected = "failed in its world")]
fn what_fails_in_the_world_fails_outside() {
    world(|_| panic!("as it should"));
}
