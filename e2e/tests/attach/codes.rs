//! Exit codes (contract 8).

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use openshell_e2e::Sandbox;
use openshell_testkit::{Product, RunAs, world};
use rustix::process::{Pid, Signal, kill_process};

const NO_NETWORK: &str = "version: 1\n";

pub fn the_exit_code_is_the_command_s(run_as: RunAs) {
    world(|_| {
        let product = Product::new(run_as);
        for code in [0, 1, 7, 125, 255] {
            let script = format!("exit {code}");
            product.run(&["sandbox", "create", "--", "sh", "-c", &script]).exited(code);
        }
        product.run(&["sandbox", "create", "--", "true"]).exited(0);
        let said = product.run(&["sandbox", "create", "--", "echo", "hello"]).exited(0);
        assert_eq!(said.stdout, "hello\n");
    });
}

pub fn a_command_that_cannot_be_run_is_126_and_one_that_is_absent_127(run_as: RunAs) {
    world(|_| {
        let product = Product::new(run_as);
        let sandbox = Sandbox::start(&product, "codes", NO_NETWORK);
        for (command, code) in [("/etc/passwd", 126), ("/sandbox/absent", 127)] {
            let said = product.run(&["sandbox", "create", "--", command]).exited(code);
            assert!(said.stderr.contains("error: "), "{said}");
            let said = sandbox.exec(&[command]).exited(code);
            assert!(said.stderr.contains("the command "), "{said}");
        }
        product.run(&["sandbox", "create", "--", "no-such-command"]).exited(127);
        sandbox.exec(&["no-such-command"]).exited(127);
        product.run(&["sandbox", "create", "--", "/sandbox"]).exited(126);
    });
}

pub fn a_signal_is_128_and_its_number(run_as: RunAs) {
    world(|_| {
        let product = Product::new(run_as);
        let sandbox = Sandbox::start(&product, "signals", NO_NETWORK);
        for (signal, code) in [("KILL", 137), ("TERM", 143), ("SEGV", 139)] {
            let script = format!("kill -{signal} $$");
            product.run(&["sandbox", "create", "--", "sh", "-c", &script]).exited(code);
            sandbox.sh(&script).exited(code);
        }
    });
}

pub fn a_signal_reaches_a_command_without_a_terminal(run_as: RunAs) {
    world(|_| {
        let product = Product::new(run_as);
        for (name, signal) in [("TERM", Signal::TERM), ("INT", Signal::INT)] {
            let script = format!(
                "trap 'echo caught; exit 11' {name}; echo ready; while :; do sleep 0.05; done"
            );
            let mut child = product
                .command(&["sandbox", "create", "--", "bash", "-c", &script])
                .stdout(Stdio::piped())
                .spawn()
                .expect("openshell runs");
            let mut lines = BufReader::new(child.stdout.take().expect("it was piped")).lines();
            let mut line = || lines.next().expect("it goes on").expect("it writes text");
            assert_eq!(line(), "ready");
            let pid = Pid::from_child(&child);
            kill_process(pid, signal).expect("it runs");
            assert_eq!(line(), "caught");
            assert_eq!(child.wait().expect("it ends").code(), Some(11), "{name}");
        }
    });
}
