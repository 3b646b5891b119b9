//! What a failure must not leave behind.

use std::fs;

use openshell_e2e::eventually;
use openshell_testkit::Product;
use rustix::process::Pid;

/// No sandbox, no folder of one, and no process but a gateway.
#[track_caller]
pub fn nothing(product: &Product) {
    eventually("no process is left but a gateway", || {
        supervisors(product).is_empty().then_some(())
    });
    let said = product.run(&["sandbox", "list", "-o", "json"]).succeeded();
    assert_eq!(said.stdout.trim(), "[]", "no sandbox is listed");
    no_folders(product);
}

/// No folder of a sandbox.
#[track_caller]
pub fn no_folders(product: &Product) {
    let folders = fs::read_dir(product.state().join("sandboxes"));
    let folders: Vec<_> = folders.into_iter().flatten().flatten().map(|e| e.path()).collect();
    assert!(folders.is_empty(), "{folders:?}");
}

/// The processes of the product, without gateways and command lines.
pub fn supervisors(product: &Product) -> Vec<Pid> {
    let mut found = product.processes();
    found.retain(|pid| {
        let exe = fs::read_link(format!("/proc/{}/exe", pid.as_raw_nonzero()));
        exe.is_ok_and(|exe| exe.ends_with("openshell-supervisor"))
    });
    found
}
