//! With a terminal.

use openshell_e2e::{Sandbox, eventually};
use openshell_testkit::{Product, RunAs, world};

use crate::pty::Session;

pub fn a_terminal_has_its_size_and_hears_of_another(run_as: RunAs) {
    world(|_| {
        let product = Product::new(run_as);
        let script = "stty size; trap 'stty size; exit 3' WINCH; while :; do sleep 0.05; done";
        let said = Session::new(&product)
            .expect("24 80\r\n")
            .resize(40, 120)
            .expect("40 120\r\n")
            .play(&["sandbox", "create", "--", "bash", "-c", script])
            .exited(3);
        assert!(said.stdout.contains("24 80"), "{said}");
    });
}

pub fn keys_are_the_sandbox_s(run_as: RunAs) {
    world(|_| {
        let product = Product::new(run_as);
        let script = "trap 'echo caught; exit 9' INT; tty; echo ready; \
                      while :; do sleep 0.05; done";
        Session::new(&product)
            .expect("/dev/pts/")
            .expect("ready")
            .send("\u{3}")
            .expect("caught")
            .play(&["sandbox", "create", "--", "bash", "-c", script])
            .exited(9);
        // The end of input, as it is typed.
        Session::new(&product)
            .expect("ready")
            .send("word\n\u{4}")
            .expect("word\r\nword\r\n")
            .play(&["sandbox", "create", "--", "sh", "-c", "echo ready; exec cat"])
            .exited(0);
    });
}

pub fn two_keys_leave_and_connect_comes_back(run_as: RunAs) {
    world(|_| {
        let product = Product::new(run_as);
        let script = "echo first; read -r line; echo got $line; exit 6";
        let create = ["sandbox", "create", "--name", "left", "--", "bash", "-c", script];
        let said = Session::new(&product)
            .expect("first")
            .send("\u{10}\u{11}")
            .expect("openshell sandbox connect left")
            .play(&create)
            .exited(0);
        assert!(!said.stdout.contains("got"), "{said}");
        assert_eq!(Sandbox::existing(&product, "left").phase(), "Ready");
        Session::new(&product)
            .expect("first")
            .send("hello\n")
            .expect("got hello")
            .play(&["sandbox", "connect", "left"])
            .exited(6);
    });
}

pub fn a_hang_up_detaches(run_as: RunAs) {
    world(|_| {
        let product = Product::new(run_as);
        let script = "echo first; read -r line; echo got $line; exit 6";
        let create = ["sandbox", "create", "--name", "hung", "--", "bash", "-c", script];
        Session::new(&product).expect("first").hang_up().play(&create).exited(0);
        let sandbox = Sandbox::existing(&product, "hung");
        assert_eq!(sandbox.phase(), "Ready");
        let said = eventually("its input is free again", || {
            let session = Session::new(&product).expect("first").send("hello\n");
            let said = session.play(&["sandbox", "connect", "hung"]);
            said.stdout.contains("got hello").then_some(said)
        });
        said.exited(6);
    });
}

pub fn the_default_command_is_a_login_shell(run_as: RunAs) {
    world(|_| {
        let product = Product::new(run_as);
        Session::new(&product)
            .send("shopt -q login_shell && echo log''in; pwd; exit 12\n")
            .expect("login\r\n")
            .expect("/sandbox\r\n")
            .play(&["sandbox", "create"])
            .exited(12);
    });
}
