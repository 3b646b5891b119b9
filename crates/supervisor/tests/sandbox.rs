//! The supervisor end to end: real driver, real jail, and a gateway of the test's own.

#![expect(clippy::expect_used, clippy::panic, reason = "tests say what they expect")]

mod world;

use std::fs::{self, Permissions};
use std::io::{Write as _, stdout};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

use openshell_driver::{Driver, Observed};
use openshell_types::TerminalSize;
use openshell_wire::session::gateway_frame::Payload as Told;
use openshell_wire::session::supervisor_frame::Payload;
use openshell_wire::session::{self as wire, open::Target};

use world::{World, exec};

#[tokio::test]
async fn the_main_command_runs_and_its_code_is_told() {
    let mut world = World::new();
    let spec = world.spec(&["sh", "-c", "echo out; echo err >&2; exit 7"]);
    let mut link = world.start(spec).await;
    let stream = link.open(Target::Attach(wire::Attach::default())).await;
    let ran = link.finish(stream).await;
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (Some(7), "out\n", "err\n"));
    link.drain().await;
    let last = link.statuses.last().expect("a status");
    assert_eq!((last.phase, last.exit_code), (i32::from(wire::Phase::Completed), Some(7)));
    world.gone().await;

    let audit = fs::read_to_string(world.path("audit.jsonl")).expect("audit log");
    let summary = openshell_audit::verify(audit.lines()).expect("chain");
    assert_eq!(link.events.last().map(|event| event.seq), Some(summary.last_seq));
    assert!(audit.contains("\"completed\""), "{audit}");
    assert_eq!(fs::read_to_string(world.path("main.log")).expect("log").len(), 8);
    world.driver.delete(&world.id).await.expect("delete");
    assert!(!world.path("").exists());
}

#[tokio::test]
async fn a_command_that_is_not_there_is_127() {
    let mut world = World::new();
    let spec = world.spec(&["no-such-command"]);
    let mut link = world.start(spec).await;
    let status = link.phase(wire::Phase::Completed).await;
    assert_eq!(status.exit_code, Some(127));
    assert!(status.error.contains("not found"), "{}", status.error);
    world.driver.delete(&world.id).await.expect("delete");
}

#[tokio::test]
async fn execs_have_streams_codes_environment_and_a_view() {
    let mut world = World::new();
    let spec = world.spec(&["sleep", "1000"]);
    let mut link = world.start(spec).await;
    let status = link.phase(wire::Phase::Ready).await;
    assert_ne!(status.main_pid, 0);

    let ran = link.exec(&["sh", "-c", "echo $FROM_SPEC $HOME; pwd; echo bad >&2; exit 3"]).await;
    assert_eq!(ran.stdout, "yes /sandbox\n/sandbox\n");
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(3), "bad\n"));
    assert_eq!(link.exec(&["no-such-command"]).await.code, Some(127));
    assert_eq!(link.exec(&["sh", "-c", "kill -9 $$"]).await.code, Some(137));
    assert_eq!(link.exec(&["sh", "-c", "echo kept > f; cat f"]).await.stdout, "kept\n");
    assert_eq!(link.exec(&["id", "-u"]).await.stdout, "1000\n");
    let seen = link.exec(&[
        "sh",
        "-c",
        "ls /home /root /var 2>/dev/null; tr '\\0' '\\n' < /proc/1/environ",
    ]);
    let seen = seen.await;
    assert_eq!(seen.stdout, "");

    let stream = link.open(Target::Exec(exec(&["cat"]))).await;
    link.data(stream, b"one ").await;
    link.data(stream, b"two").await;
    link.send(Told::HalfClose(wire::HalfClose { stream })).await;
    let ran = link.finish(stream).await;
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "one two"));

    let big = link.exec(&["head", "-c", "3000000", "/dev/zero"]).await;
    assert_eq!((big.code, big.stdout.len()), (Some(0), 3_000_000));
    world.driver.delete(&world.id).await.expect("delete");
}

#[tokio::test]
async fn d08_the_jail_trusts_an_authority_whose_key_is_nowhere_in_it() {
    let mut world = World::new();
    let spec = world.spec(&["sh", "-c", "cat $SSL_CERT_FILE | tail -n 40; sleep 1000"]);
    let mut link = world.start(spec).await;
    link.phase(wire::Phase::Ready).await;
    let outside = fs::read_to_string(world.path("trust/openshell-ca.pem")).expect("a certificate");
    assert!(outside.starts_with("-----BEGIN CERTIFICATE-----"), "{outside}");
    assert_eq!(link.exec(&["sh", "-c", "cat $NODE_EXTRA_CA_CERTS"]).await.stdout, outside);
    // It was there when the first command started.
    let deadline = Instant::now() + Duration::from_secs(10);
    while !fs::read_to_string(world.path("main.log")).unwrap_or_default().contains(&outside) {
        assert!(Instant::now() < deadline, "the first command saw no authority");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    let lists = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];
    let own = "/etc/openshell-tls/ca-bundle.pem";
    for list in lists.iter().filter(|list| fs::exists(list).expect("looked")).chain([&own]) {
        let ran = link.exec(&["cat", list]).await;
        assert!(ran.stdout.ends_with(&outside) && ran.error.is_empty(), "{list}");
        let ran = link.exec(&["sh", "-c", &format!("echo mine > {list} || rm {list}")]).await;
        assert_ne!(ran.code, Some(0), "{list}");
    }
    let ran =
        link.exec(&["sh", "-c", "grep -rl PRIVATE /etc/openshell-tls; ls /etc/openshell-tls"]);
    assert_eq!(ran.await.stdout, "ca-bundle.pem\njava-cacerts.jks\nopenshell-ca.pem\n");

    // Java in the jail finds its own files and the list.
    let list = "keytool -list -storepass changeit -keystore /etc/openshell-tls/java-cacerts.jks";
    let ran = link.exec(&["sh", "-c", list]).await;
    if ran.code == Some(127) {
        let _ = writeln!(stdout(), "skipped keytool: not here");
    } else {
        assert!(ran.stdout.contains("trustedCertEntry"), "{ran:?}");
    }
    world.driver.delete(&world.id).await.expect("delete");
    assert!(!world.path("").exists());
}

#[tokio::test]
async fn an_exec_can_have_a_terminal_and_a_deadline() {
    let mut world = World::new();
    let spec = world.spec(&["sleep", "1000"]);
    let mut link = world.start(spec).await;
    let tty =
        wire::Exec { tty: true, cols: 101, rows: 33, ..exec(&["sh", "-c", "stty size; tty"]) };
    let stream = link.open(Target::Exec(tty)).await;
    let ran = link.finish(stream).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.starts_with("33 101\r\n/dev/pts/"), "{ran:?}");

    let slow = wire::Exec { timeout_ms: 200, ..exec(&["sleep", "1000"]) };
    let started = Instant::now();
    let stream = link.open(Target::Exec(slow)).await;
    assert_eq!(link.finish(stream).await.code, Some(124));
    assert!(started.elapsed() < Duration::from_secs(5));
    world.driver.delete(&world.id).await.expect("delete");
}

#[tokio::test]
async fn a_command_ends_with_its_client() {
    let mut world = World::new();
    let spec = world.spec(&["sleep", "1000"]);
    let mut link = world.start(spec).await;
    let script = "touch running; sleep 1000 & wait";
    let stream = link.open(Target::Exec(exec(&["sh", "-c", script]))).await;
    while link.exec(&["test", "-e", "running"]).await.code != Some(0) {}
    link.send(Told::Close(wire::Close { stream })).await;
    // Only the main command's sleep is left.
    let count = "n=0; for p in /proc/[0-9]*; do grep -q '^Name:.sleep' $p/status && n=$((n+1)); done 2>/dev/null; echo $n";
    let deadline = Instant::now() + Duration::from_secs(10);
    while link.exec(&["sh", "-c", count]).await.stdout != "1\n" {
        assert!(Instant::now() < deadline, "the command lives on");
    }
    world.driver.delete(&world.id).await.expect("delete");
}

#[tokio::test]
async fn a_client_that_comes_back_goes_on_at_its_offset() {
    let mut world = World::new();
    let mut spec = world.spec(&["sh", "-c", "while read line; do echo got $line; done; echo end"]);
    spec.await_attach = true;
    let mut link = world.start(spec).await;
    let attach = wire::Attach { hold_stdin: true, ..wire::Attach::default() };
    let first = link.open(Target::Attach(attach)).await;
    link.data(first, b"one\n").await;
    let mut offset = 0;
    while offset < 8 {
        match link.next().await {
            Some(Payload::Data(data)) => offset = data.offset + data.data.len() as u64,
            Some(Payload::Opened(opened)) => assert!(opened.stdin_held && !opened.tty),
            other => panic!("{other:?}"),
        }
    }
    // A second client sees all, and may not write as long as the first one does.
    let second = link.open(Target::Attach(attach)).await;
    match link.next().await {
        Some(Payload::Opened(opened)) => assert!(!opened.stdin_held),
        other => panic!("{other:?}"),
    }
    link.send(Told::Close(wire::Close { stream: first })).await;
    link.send(Told::Close(wire::Close { stream: second })).await;

    // The gateway is restarted; the sandbox goes on, and so does the client.
    world.end_gateway();
    drop(link);
    world.start_gateway();
    let mut link = world.session().await;
    let resume = wire::Attach { resume_offset: Some(offset), ..attach };
    let third = link.open(Target::Attach(resume)).await;
    link.data(third, b"two\n").await;
    link.send(Told::HalfClose(wire::HalfClose { stream: third })).await;
    let ran = link.finish(third).await;
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "got two\nend\n"));
    world.driver.delete(&world.id).await.expect("delete");
}

#[tokio::test]
async fn a_main_command_with_a_terminal_is_resized() {
    let mut world = World::new();
    let mut spec = world.spec(&["sh", "-c", "stty size; read x; stty size"]);
    spec.terminal = Some(TerminalSize { cols: 80, rows: 24 });
    spec.await_attach = true;
    let mut link = world.start(spec).await;
    let attach = wire::Attach { hold_stdin: true, cols: 90, rows: 30, ..wire::Attach::default() };
    let stream = link.open(Target::Attach(attach)).await;
    match link.next().await {
        Some(Payload::Opened(opened)) => assert!(opened.tty && opened.stdin_held),
        other => panic!("{other:?}"),
    }
    match link.next().await {
        Some(Payload::Data(data)) => assert_eq!(data.data, b"30 90\r\n"),
        other => panic!("{other:?}"),
    }
    link.send(Told::Resize(wire::Resize { stream, cols: 120, rows: 40 })).await;
    link.data(stream, b"\n").await;
    let ran = link.finish(stream).await;
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "\r\n40 120\r\n"));
    world.driver.delete(&world.id).await.expect("delete");
}

#[tokio::test]
async fn m03_a_pushed_policy_comes_into_force_and_a_broken_one_does_not() {
    let mut world = World::new();
    let spec = world.spec(&["sleep", "1000"]);
    let mut link = world.start(spec).await;
    link.phase(wire::Phase::Ready).await;
    let good = "version: 1\nnetwork_policies:\n  web:\n    endpoints:\n      - host: example.com\n        port: 443\n    binaries:\n      - path: /usr/bin/curl\n";
    let push = |generation, text: &str| {
        Told::Policy(wire::Policy { generation, text: text.into(), ..wire::Policy::default() })
    };
    // What the egress cannot enforce is no less broken.
    let signed = "port: 443\n        allow_uninspected_credentials: true";
    let signed = good.replace("port: 443", signed);
    for (generation, text, accepted) in [
        (2, good, true),
        (3, "version: 1\nnot_a_field: 1\n", false),
        (4, &signed, false),
        (1, good, false),
    ] {
        link.send(push(generation, text)).await;
        let Some(Payload::PolicyAck(ack)) = link.next().await else { panic!("an answer") };
        assert_eq!((ack.generation, ack.error.is_empty()), (generation, accepted), "{ack:?}");
    }
    // Many events are told some at a time, and a command may end before the last of them.
    for _ in 0..100 {
        link.exec(&["true"]).await;
        if link.events.iter().filter(|e| e.record.contains("\"config\"")).count() >= 5 {
            break;
        }
    }
    let told: Vec<&str> = link
        .events
        .iter()
        .map(|e| e.record.as_str())
        .filter(|r| r.contains("\"config\""))
        .collect();
    assert_eq!(told.len(), 5, "{told:?}");
    world.driver.delete(&world.id).await.expect("delete");
}

#[tokio::test]
async fn what_the_jail_tries_past_the_egress_is_told() {
    let mut world = World::new();
    let spec = world.spec(&["sleep", "1000"]);
    let mut link = world.start(spec).await;
    let script = "(exec 3<>/dev/tcp/203.0.113.7/443 && cat <&3); echo x > /dev/udp/203.0.113.9/999";
    let ran = link.exec(&["bash", "-c", script]).await;
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let text: String = link.events.iter().map(|event| event.record.as_str()).collect();
        let denied = text.contains("\"denied\"") && text.contains("203.0.113.7");
        if denied && text.contains("\"bypass\"") && text.contains("203.0.113.9") {
            assert!(text.contains("/bash"), "{text}");
            break;
        }
        assert!(Instant::now() < deadline, "{ran:?}\n{text}\n{}", world.log());
        link.exec(&["true"]).await;
    }
    world.driver.delete(&world.id).await.expect("delete");
}

#[tokio::test]
async fn stop_ends_everything_and_start_runs_it_again() {
    let mut world = World::new();
    let script = "trap 'echo bye; exit 5' TERM; echo up; while :; do sleep 0.1; done";
    let spec = world.spec(&["sh", "-c", script]);
    let mut link = world.start(spec.clone()).await;
    let stream = link.open(Target::Attach(wire::Attach::default())).await;
    while !matches!(link.next().await, Some(Payload::Data(_))) {}
    link.send(Told::Stop(wire::Stop {})).await;
    let ran = link.finish(stream).await;
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(5), "bye\n"));
    world.gone().await;

    let mut link = world.start(spec).await;
    link.phase(wire::Phase::Ready).await;
    world.driver.stop(&world.id).await.expect("stop");
    assert_eq!(world.driver.observe(&world.id).await.expect("observe"), Observed::Absent);
    let audit = fs::read_to_string(world.path("audit.jsonl")).expect("audit log");
    openshell_audit::verify(audit.lines()).expect("one chain over both lives");
    world.driver.delete(&world.id).await.expect("delete");
}

#[tokio::test]
async fn m14_killing_the_supervisor_ends_every_process_of_the_jail() {
    let mut world = World::new();
    let marker = format!("1{}", std::process::id());
    let spec = world.spec(&["sh", "-c", &format!("sleep {marker} & sleep {marker}")]);
    let mut link = world.start(spec).await;
    link.phase(wire::Phase::Ready).await;
    while running(&marker) < 2 {
        link.exec(&["true"]).await;
    }
    let Observed::Running { pid: Some(pid) } = world.driver.observe(&world.id).await.unwrap()
    else {
        panic!("it runs");
    };
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("kill");
    let deadline = Instant::now() + Duration::from_secs(5);
    while running(&marker) > 0 {
        assert!(Instant::now() < deadline, "processes of the jail live on");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    world.gone().await;
    world.driver.delete(&world.id).await.expect("delete");
}

#[tokio::test]
async fn a_jail_that_cannot_be_built_is_told_with_its_reason() {
    let mut world = World::new();
    let mut spec = world.spec(&["true"]);
    spec.tool_binds = vec!["/no/such/tool".into()];
    let mut link = world.start(spec).await;
    let status = link.phase(wire::Phase::Error).await;
    assert!(status.error.contains("/no/such/tool"), "{}", status.error);
    drop(link);
    world.gone().await;
    assert!(world.log().contains("/no/such/tool"), "{}", world.log());
    world.driver.delete(&world.id).await.expect("delete");
}

#[tokio::test]
async fn a_policy_that_cannot_be_enforced_starts_nothing() {
    let mut world = World::new();
    let policy = "version: 1\nnetwork_policies:\n  api:\n    endpoints:\n      - { host: example.com, port: 443, allow_uninspected_credentials: true }\n    binaries:\n      - path: /usr/bin/curl\n";
    let mut link = world.start_with(world.spec(&["true"]), policy).await;
    let status = link.phase(wire::Phase::Error).await;
    for part in ["line 5", "`allow_uninspected_credentials`", "P0420"] {
        assert!(status.error.contains(part), "{part}: {}", status.error);
    }
    drop(link);
    world.gone().await;
    world.driver.delete(&world.id).await.expect("delete");
}

/// Processes of this machine whose command line ends with the argument `marker`.
fn running(marker: &str) -> usize {
    let processes = fs::read_dir("/proc").expect("proc").filter_map(Result::ok);
    processes
        .filter_map(|process| fs::read(process.path().join("cmdline")).ok())
        .filter(|line| line == format!("sleep\0{marker}\0").as_bytes())
        .count()
}

/// Root's run repeats everything as an ordinary user, whose jail is made another way.
#[test]
fn all_of_this_holds_for_an_ordinary_user() {
    const NOBODY: u32 = 65_534;
    if !rustix::process::geteuid().is_root() {
        // Past the capture of what passing tests print: a test that does not run is named.
        let line = b"skipped all_of_this_holds_for_an_ordinary_user: it is what runs now\n";
        stdout().write_all(line).expect("standard output");
        return;
    }
    // The target folder may be one that only root enters: a copy, and a link that walks nowhere.
    let folder = tempfile::tempdir().expect("temporary folder");
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("open to all");
    let supervisor = folder.path().join("openshell-supervisor");
    fs::copy(world::supervisor_binary(), &supervisor).expect("a copy");
    let run = Command::new("/proc/self/exe")
        .uid(NOBODY)
        .gid(NOBODY)
        .env(world::SUPERVISOR, supervisor)
        .current_dir("/")
        .output()
        .expect("run");
    assert!(
        run.status.success(),
        "{}{}",
        String::from_utf8_lossy(&run.stdout),
        String::from_utf8_lossy(&run.stderr)
    );
}
