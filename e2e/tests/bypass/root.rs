//! For attempts that only the machine's root can make outside.

use openshell_testkit::http::Response;
use openshell_testkit::{Product, RunAs, world};

use crate::lab::{ALLOWED, Lab, is_machine_root};

/// As [`as_each_user`], for what only the machine's root can try; `name` is the case's.
pub fn as_root(name: &str, test: impl Fn(&Lab<'_>)) {
    if !is_machine_root() {
        println!("skipped {name}: needs root");
        return;
    }
    world(|world| {
        let allowed = world.serve_http(ALLOWED, |_| Response::text("hello"));
        let product = Product::new(RunAs::Tester);
        test(&Lab { world, product, run_as: RunAs::Tester, allowed });
    });
}
