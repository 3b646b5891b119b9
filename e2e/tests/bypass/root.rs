//! For attempts that only root can make outside.

use openshell_testkit::http::Response;
use openshell_testkit::{Product, RunAs, world};

use crate::lab::{ALLOWED, Lab};

/// Runs `test` in a world of its own, with the product of root's.
pub fn as_root(test: impl Fn(&Lab<'_>)) {
    world(|world| {
        let allowed = world.serve_http(ALLOWED, |_| Response::text("hello"));
        test(&Lab { world, product: Product::new(RunAs::Tester), allowed });
    });
}
