//! Standard input, output and errors, without a terminal.

use std::fs::File;
use std::time::Duration;

use openshell_testkit::{Product, RunAs, finish, world};

const DEADLINE: Duration = Duration::from_secs(30);

pub fn input_is_forwarded_to_its_end(run_as: RunAs) {
    world(|_| {
        let product = Product::new(run_as);
        let path = product.home().join("input");
        product.write(&path, "one\ntwo\nthree\n");
        let mut create = product.command(&["sandbox", "create", "--", "wc", "-l"]);
        create.stdin(File::open(&path).expect("it was written"));
        assert_eq!(finish(&mut create, DEADLINE).succeeded().stdout.trim(), "3");
        // An input that is at its end already.
        let said = product.run(&["sandbox", "create", "--", "cat"]).succeeded();
        assert_eq!(said.stdout, "");
        // A command that does not read its input ends all the same.
        let mut create = product.command(&["sandbox", "create", "--", "sh", "-c", "exit 4"]);
        create.stdin(File::open("/dev/zero").expect("it is there"));
        finish(&mut create, DEADLINE).exited(4);
    });
}

pub fn output_and_errors_stay_apart(run_as: RunAs) {
    world(|_| {
        let product = Product::new(run_as);
        let script = "echo out; echo err >&2; echo out again; echo err again >&2";
        let said = product.run(&["sandbox", "create", "--", "sh", "-c", script]).succeeded();
        assert_eq!(
            (said.stdout.as_str(), said.stderr.as_str()),
            ("out\nout again\n", "err\nerr again\n")
        );
    });
}

pub fn binary_data_passes_unchanged_both_ways(run_as: RunAs) {
    world(|_| {
        let product = Product::new(run_as);
        let data = product.home().join("data");
        let script =
            format!("head -c 3000000 /dev/urandom > '{0}'; sha256sum < '{0}'", data.display());
        let sum = finish(&mut product.program("sh", &["-c", &script]), DEADLINE).succeeded().stdout;
        let openshell = product.home().join("bin/openshell");
        let both = format!(
            "'{0}' sandbox create -- sha256sum < '{1}' && \
             '{0}' sandbox create -- cat < '{1}' | sha256sum",
            openshell.display(),
            data.display()
        );
        let said = finish(&mut product.program("sh", &["-c", &both]), DEADLINE).succeeded();
        assert_eq!(said.stdout, format!("{sum}{sum}"), "{said}");
    });
}
