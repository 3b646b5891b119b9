//! Further commands in a running sandbox.

use std::fs::File;
use std::time::Duration;

use openshell_e2e::{Sandbox, eventually};
use openshell_testkit::{Product, RunAs, finish, world};

use crate::pty::Session;

const NO_NETWORK: &str = "version: 1\n";
const DEADLINE: Duration = Duration::from_secs(30);

pub fn a_further_command_has_streams_and_a_code_of_its_own(run_as: RunAs) {
    world(|_| {
        let product = Product::new(run_as);
        let sandbox = Sandbox::start(&product, "streams", NO_NETWORK);
        let said = sandbox.sh("echo out; echo err >&2; exit 21").exited(21);
        assert_eq!((said.stdout.as_str(), said.stderr.as_str()), ("out\n", "err\n"));
        let input = product.home().join("input");
        product.write(&input, "some input");
        let mut exec = sandbox.exec_command(&[], &["sh", "-c", "cat; echo; cat | wc -c"]);
        exec.stdin(File::open(input).expect("it was written"));
        assert_eq!(finish(&mut exec, DEADLINE).succeeded().stdout, "some input\n0\n");
        // Several at once.
        std::thread::scope(|scope| {
            let run = |n: usize| sandbox.sh(&format!("sleep 0.2; echo {n}; exit {n}"));
            let all: Vec<_> = (1..=8).map(|n| (n, scope.spawn(move || run(n)))).collect();
            for (n, running) in all {
                let said = running.join().expect("it does not panic");
                assert_eq!(said.code, i32::try_from(n).ok());
                assert_eq!(said.stdout, format!("{n}\n"));
            }
        });
        product.run(&["sandbox", "exec", "--name", "absent", "--", "true"]).exited(125);
    });
}

pub fn a_further_command_ends_at_its_timeout(run_as: RunAs) {
    world(|_| {
        let product = Product::new(run_as);
        let sandbox = Sandbox::start(&product, "timeout", NO_NETWORK);
        let command = ["sh", "-c", "trap '' TERM; sleep 7777 & wait; sleep 7777"];
        let mut exec = sandbox.exec_command(&["--timeout", "1"], &command);
        let said = finish(&mut exec, DEADLINE).exited(124);
        assert!(said.took >= Duration::from_secs(1), "{said}");
        // The pattern is not in this script's own command line.
        let left = "! grep -lz '[7]777' /proc/[0-9]*/cmdline";
        eventually("its processes are gone", || sandbox.sh(left).code.filter(|code| *code == 0));
        let mut exec = sandbox.exec_command(&["--timeout", "20"], &["sh", "-c", "exit 2"]);
        finish(&mut exec, DEADLINE).exited(2);
    });
}

pub fn variables_and_a_folder_are_given_to_a_further_command(run_as: RunAs) {
    world(|_| {
        let product = Product::new(run_as);
        let sandbox = Sandbox::start(&product, "folder", NO_NETWORK);
        assert_eq!(sandbox.sh("pwd").succeeded().stdout, "/sandbox\n");
        let options = ["--workdir", "/usr/share", "--env", "ONE=a b", "--env", "TWO="];
        let mut exec = sandbox.exec_command(&options, &["sh", "-c", "pwd; echo \"$ONE|${TWO-x}\""]);
        assert_eq!(finish(&mut exec, DEADLINE).succeeded().stdout, "/usr/share\na b|\n");
        let said = finish(&mut sandbox.exec_command(&["--workdir", "/absent"], &["pwd"]), DEADLINE);
        assert!(matches!(said.code, Some(125 | 126)), "{said}");
        assert!(said.stderr.contains("working directory"), "{said}");
        // Nothing is inherited but what a command needs.
        let mut env = sandbox.exec_command(&[], &["env"]);
        env.env("SECRET_OF_THE_CALLER", "x");
        let said = finish(&mut env, DEADLINE).succeeded().stdout;
        assert!(!said.contains("SECRET") && said.contains("OPENSHELL_SANDBOX=1\n"), "{said}");
        assert!(said.contains("HOME=/sandbox\n") && said.contains("https_proxy=http://"), "{said}");
    });
}

pub fn a_further_command_may_have_a_terminal(run_as: RunAs) {
    world(|_| {
        let product = Product::new(run_as);
        let _sandbox = Sandbox::start(&product, "tty", NO_NETWORK);
        let script = "tty; stty size; read -r word; echo got $word; exit 8";
        Session::new(&product)
            .expect("/dev/pts/")
            .expect("24 80")
            .send("hello\n")
            .expect("got hello")
            .play(&["sandbox", "exec", "-n", "tty", "--", "bash", "-c", script])
            .exited(8);
    });
}

pub fn arguments_arrive_as_they_are(run_as: RunAs) {
    world(|_| {
        let product = Product::new(run_as);
        let sandbox = Sandbox::start(&product, "arguments", NO_NETWORK);
        let words =
            ["-n", "a b", "", "$(id)", "`id`", ";", "new\nline", "*", "--", "\u{1b}[31m", "ü"];
        let print = ["/usr/bin/python3", "-c", "import sys; print(ascii(sys.argv[1:]))"];
        let said = sandbox.exec(&[&print[..], &words[..]].concat()).succeeded().stdout;
        let wanted = "['-n', 'a b', '', '$(id)', '`id`', ';', 'new\\nline', '*', '--', \
                      '\\x1b[31m', '\\xfc']\n";
        assert_eq!(said, wanted);
        let create = ["sandbox", "create", "--"];
        let said = product.run(&[&create[..], &print[..], &words[..]].concat()).succeeded().stdout;
        assert_eq!(said, wanted);
    });
}
