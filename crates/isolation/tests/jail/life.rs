//! How jails begin, run commands and end.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use openshell_isolation::control::{Event, Request};
use openshell_types::{Identity, TerminalSize};
use rustix::event::PollFlags;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::Case;
use crate::lab::{self, Lab, is_ready_within};

pub const CASES: &[Case] = &[
    Case { name: "runs_a_command_with_pipes", outside: pipes, inside: || {} },
    Case { name: "makes_pipes_that_the_agent_may_open_again", outside: own_pipes, inside: || {} },
    Case { name: "passes_input_to_a_command_to_its_end", outside: input, inside: || {} },
    Case {
        name: "runs_a_command_in_a_terminal_of_the_jails_own",
        outside: terminal,
        inside: || {},
    },
    Case { name: "gives_the_exit_codes_of_a_shell", outside: exit_codes, inside: || {} },
    Case { name: "runs_many_commands_at_once", outside: many, inside: || {} },
    Case { name: "takes_long_arguments_and_refuses_too_long_ones", outside: long, inside: || {} },
    Case { name: "ends_a_command_and_its_group_by_signal", outside: signals, inside: || {} },
    Case {
        name: "gives_commands_default_signals_limits_and_a_session",
        outside: fresh,
        inside: fresh_inside,
    },
    Case { name: LEFT_IN_SOCKETS, outside: left_in_sockets, inside: left_in_sockets_inside },
    Case { name: "leaves_no_zombies", outside: orphans, inside: || {} },
    Case { name: "ends_with_its_control_socket", outside: hang_up, inside: || {} },
    Case { name: "ends_within_a_second_of_its_killed_supervisor", outside: killed, inside: || {} },
    Case { name: "reports_what_is_in_force", outside: report, inside: || {} },
    Case {
        name: "k20_the_supervisor_gives_root_up_and_keeps_its_jail",
        outside: drop_root,
        inside: || {},
    },
    Case { name: "refuses_a_process_with_threads", outside: threads, inside: || {} },
    Case { name: "k20_refuses_root_behind_the_jails_user", outside: root_behind, inside: || {} },
    Case { name: "leaves_nothing_behind_when_it_fails", outside: nothing_left, inside: || {} },
];

fn pipes(lab: &Lab) {
    let session = lab.jail();
    let output = session.sh("pwd; echo $HOME; id -u; echo oops >&2; exit 7");
    assert_eq!(output.code, 7);
    assert_eq!(output.stdout, "/sandbox\n/sandbox\n1000\n");
    assert_eq!(output.stderr, "oops\n");
}

const LEFT_IN_SOCKETS: &str = "n01_descriptors_left_in_sockets_do_not_keep_init_from_sending";

fn left_in_sockets(lab: &Lab) {
    let session = lab.jail();
    lab.spawn_attempt(&session);
    let spawned = session.event().unwrap();
    assert!(matches!(spawned.message, Event::Spawned { .. }));
    let [_stdin, stdout, _stderr] = <[OwnedFd; 3]>::try_from(spawned.descriptors).unwrap();
    let mut line = String::new();
    BufReader::new(File::from(stdout)).read_line(&mut line).unwrap();
    assert_eq!(line, "full\n");
    assert_eq!(session.sh("echo on").stdout, "on\n");
}

/// Leaves as many descriptors in sockets as the kernel takes from this process.
fn left_in_sockets_inside() {
    use rustix::net::{
        AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags,
        SocketType, sendmsg, socketpair,
    };
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
    let null = File::open("/dev/null").unwrap();
    let many = [null.as_fd(); 200];
    let mut kept = Vec::new();
    let refused = 'all: loop {
        let kind = SocketType::STREAM;
        let pair = socketpair(AddressFamily::UNIX, kind, SocketFlags::empty(), None).unwrap();
        for _ in 0..4 {
            let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(200))];
            let mut message = SendAncillaryBuffer::new(&mut space);
            assert!(message.push(SendAncillaryMessage::ScmRights(&many)));
            let bytes = [std::io::IoSlice::new(b"x")];
            if let Err(error) = sendmsg(&pair.0, &bytes, &mut message, SendFlags::empty()) {
                break 'all error;
            }
        }
        kept.push(pair);
    };
    assert_eq!(refused, rustix::io::Errno::TOOMANYREFS);
    println!("full");
    std::thread::sleep(Duration::from_secs(60));
}

fn own_pipes(lab: &Lab) {
    let session = lab.jail();
    let id = session.spawn(
        &["sh", "-c", "cat /dev/stdin > /dev/stdout; echo no > /dev/stderr"],
        None,
        Vec::new(),
    );
    let spawned = session.event().unwrap();
    assert!(matches!(spawned.message, Event::Spawned { id: of, .. } if of == id));
    let [stdin, stdout, stderr] = <[OwnedFd; 3]>::try_from(spawned.descriptors).unwrap();
    File::from(stdin).write_all(b"yes").unwrap();
    assert_eq!(session.end_of(id), 0);
    for (stream, expected) in [(stdout, "yes"), (stderr, "no\n")] {
        let mut text = String::new();
        File::from(stream).read_to_string(&mut text).unwrap();
        assert_eq!(text, expected);
    }
}

fn input(lab: &Lab) {
    let session = lab.jail();
    let (inner, outer) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    let (out, out_inner) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    let error = out_inner.try_clone().unwrap();
    let id = session.spawn(&["tr", "a-z", "A-Z"], None, vec![inner, out_inner, error]);
    File::from(outer).write_all(b"hello").unwrap();
    assert_eq!(session.end_of(id), 0);
    let mut text = String::new();
    File::from(out).read_to_string(&mut text).unwrap();
    assert_eq!(text, "HELLO");
}

fn terminal(lab: &Lab) {
    let session = lab.jail();
    let size = TerminalSize { cols: 81, rows: 23 };
    let script = "tty; stty size; test -t 0 && test -t 1 && echo both; echo > /dev/tty; exit 3";
    let id = session.spawn(&["sh", "-c", script], Some(size), Vec::new());
    let spawned = session.event().unwrap();
    assert!(matches!(spawned.message, Event::Spawned { id: of, .. } if of == id));
    let master = spawned.descriptors.into_iter().next().expect("the master end");
    let mut text = String::new();
    // The end of a terminal is an error (EIO) to its master.
    let _ = File::from(master).read_to_string(&mut text);
    assert_eq!(session.end_of(id), 3);
    assert_eq!(text, "/dev/pts/0\r\n23 81\r\nboth\r\n\r\n");
}

fn exit_codes(lab: &Lab) {
    let home = lab.home();
    std::fs::write(home.join("plain"), "echo from a plain file; exit 4\n").unwrap();
    std::fs::write(home.join("unmarked"), "not for running\n").unwrap();
    use std::os::unix::fs::PermissionsExt;
    let marked = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(home.join("plain"), marked).unwrap();
    let session = lab.jail();
    assert_eq!(session.run(&["no-such-program"]).code, 127);
    assert_eq!(session.run(&["/no/such/program"]).code, 127);
    assert_eq!(session.run(&["/sandbox/unmarked"]).code, 126);
    assert_eq!(session.run(&["/usr"]).code, 126);
    assert_eq!(session.run(&["/sandbox/plain"]).code, 4);
    assert_eq!(session.run(&["true"]).code, 0);
    assert_eq!(session.sh("kill -TERM $$").code, 143);
    assert_eq!(session.run(&[""]).code, 125);
}

fn many(lab: &Lab) {
    const COUNT: u64 = 40;
    let session = lab.jail();
    let null = || -> OwnedFd { File::open("/dev/null").unwrap().into() };
    for code in 0..COUNT {
        let script = format!("sleep 0.{}; exit {code}", COUNT - code);
        session.spawn(&["sh", "-c", &script], None, vec![null(), null(), null()]);
    }
    let mut ended = std::collections::BTreeMap::new();
    while ended.len() < COUNT as usize {
        if let Event::Exited { id, code } = session.event().unwrap().message {
            assert!(ended.insert(id, code).is_none());
        }
    }
    assert!(ended.iter().all(|(id, code)| *id == u64::try_from(*code).unwrap() + 1));
}

fn long(lab: &Lab) {
    let session = lab.jail();
    // One argument has at most 128 KiB in Linux; together they may be longer.
    let word = "x".repeat(100_000);
    let argv: Vec<&str> =
        ["sh", "-c", "echo $# ${#1}", "sh"].into_iter().chain([word.as_str(); 9]).collect();
    assert_eq!(session.run(&argv).stdout, "9 100000\n");
    assert_eq!(session.run(&["true", &"x".repeat(200_000)]).code, 126);
    assert_eq!(session.run(&["true"]).code, 0);
}

fn signals(lab: &Lab) {
    let session = lab.jail();
    let (out, out_inner) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    let null = || -> OwnedFd { File::open("/dev/null").unwrap().into() };
    let script = "sleep 1000 & echo started; wait";
    let id = session.spawn(&["sh", "-c", script], None, vec![null(), out_inner, null()]);
    assert!(matches!(session.event().unwrap().message, Event::Spawned { .. }));
    let mut out = BufReader::new(File::from(out));
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    // One to a command that never was, which does nothing.
    session.send(&Request::Signal { id: 999, signal: libc::SIGKILL, group: true }, Vec::new());
    session.send(&Request::Signal { id, signal: libc::SIGKILL, group: true }, Vec::new());
    assert_eq!(session.end_of(id), 137);
    // The sleeping child held the pipe: its end shows that it is gone, too.
    assert_eq!(out.read_line(&mut line).unwrap(), 0);
}

fn fresh(lab: &Lab) {
    lab.attempt();
}

fn fresh_inside() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    // Rust's own start-up ignores SIGPIPE (signal 13) in this program, and nothing else is.
    for (key, value) in [("SigBlk", 0), ("ShdPnd", 0), ("SigIgn", 1 << 12)] {
        let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        assert_eq!(u64::from_str_radix(line[1..].trim(), 16).unwrap(), value, "{key}");
    }
    use rustix::process::{Resource, getpgid, getpid, getrlimit, getsid};
    assert_eq!(getrlimit(Resource::Core).maximum, Some(0));
    assert_eq!(getsid(None).unwrap(), getpid());
    assert_eq!(getpgid(None).unwrap(), getpid());
    assert!(status.contains("Umask:\t0022"));
    // Commands can be traced by nobody, but they are ordinary otherwise.
    File::open("/proc/self/maps").unwrap();
}

fn orphans(lab: &Lab) {
    let session = lab.jail();
    assert_eq!(session.sh("for i in 1 2 3 4 5; do (sleep 0.05 &) ; done").code, 0);
    std::thread::sleep(Duration::from_millis(300));
    let output = session.sh("cat /proc/[0-9]*/stat | grep -c ' Z '");
    assert_eq!(output.stdout, "0\n", "{}", output.stderr);
}

fn hang_up(lab: &Lab) {
    let session = lab.jail();
    let null = || -> OwnedFd { File::open("/dev/null").unwrap().into() };
    session.spawn(&["sleep", "1000"], None, vec![null(), null(), null()]);
    assert!(matches!(session.event().unwrap().message, Event::Spawned { .. }));
    let init = session.jail.init.try_clone().unwrap();
    drop(session);
    assert!(is_ready_within(&init, PollFlags::IN, Duration::from_secs(1)));
}

/// Says how long a jail takes to its first command's end, and one more command in it.
pub fn time(lab: &Lab) {
    const TIMES: usize = 51;
    let mut built = Vec::new();
    let mut first = Vec::new();
    let mut further = Vec::new();
    for _ in 0..TIMES {
        let start = Instant::now();
        let session = lab.jail();
        built.push(start.elapsed());
        assert_eq!(session.run(&["true"]).code, 0);
        first.push(start.elapsed());
        let start = Instant::now();
        assert_eq!(session.run(&["true"]).code, 0);
        further.push(start.elapsed());
    }
    for (what, mut times) in [("build", built), ("build and run", first), ("run", further)] {
        times.sort();
        println!("{what}: median {:?}, longest {:?}", times[TIMES / 2], times[TIMES - 1]);
    }
}

/// Builds a jail, says the process id of its init, and stays.
pub fn hold(lab: &Lab) -> ! {
    let session = lab.jail();
    let null = || -> OwnedFd { File::open("/dev/null").unwrap().into() };
    session.spawn(&["sleep", "1000"], None, vec![null(), null(), null()]);
    assert!(matches!(session.event().unwrap().message, Event::Spawned { .. }));
    println!("{}", session.jail.init_pid);
    loop {
        std::thread::park();
    }
}

fn killed(_: &Lab) {
    let mut holder =
        Command::new("/proc/self/exe").arg("--hold").stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let pid = Pid::from_raw(line.trim().parse().unwrap()).unwrap();
    let init = pidfd_open(pid, PidfdFlags::empty()).unwrap();
    assert!(!is_ready_within(&init, PollFlags::IN, Duration::ZERO));
    let start = Instant::now();
    holder.kill().unwrap();
    // A process id namespace's first process ends after all others of it.
    assert!(is_ready_within(&init, PollFlags::IN, Duration::from_secs(1)));
    println!("the jail ended after {:?}", start.elapsed());
    holder.wait().unwrap();
}

fn report(lab: &Lab) {
    let session = lab.jail();
    let report = &session.report;
    assert!(report.landlock.enforced && report.landlock.abi >= 1);
    assert_eq!((report.seccomp.mode, report.seccomp.filters), (2, 1));
    assert!(report.no_new_privs);
    for set in [&report.capabilities_effective, &report.capabilities_bounding] {
        assert_eq!(u64::from_str_radix(set, 16).unwrap(), 0);
    }
    let expected = match lab.identity() {
        Identity::Caller { uid, .. } => vec![[1000, uid, 1]],
        Identity::Block { start } => vec![[0, start, 65_534]],
    };
    assert_eq!(report.uid_map, expected);
    assert_eq!(report.namespaces.len(), 7);
    for namespace in &report.namespaces {
        let kind = namespace.split(':').next().unwrap();
        let ours = std::fs::read_link(format!("/proc/self/ns/{kind}")).unwrap();
        assert_ne!(ours.to_string_lossy(), *namespace);
    }
    let layers = [
        "user namespace",
        "mounts",
        "proc",
        "network",
        "descriptors",
        "capabilities",
        "no_new_privs",
        "landlock",
        "seccomp",
    ];
    for layer in layers {
        assert!(report.self_test.iter().any(|probe| probe.layer == layer), "{layer}");
    }
    assert!(report.self_test.iter().all(|probe| probe.refused));
    // It is looked at from outside through these.
    let passwd = rustix::fs::openat(
        &session.jail.root,
        "etc/passwd",
        rustix::fs::OFlags::RDONLY,
        rustix::fs::Mode::empty(),
    );
    let mut text = String::new();
    File::from(passwd.unwrap()).read_to_string(&mut text).unwrap();
    assert!(text.contains("sandbox:x:1000:1000"));
}

fn drop_root(lab: &Lab) {
    let session = lab.jail();
    openshell_isolation::drop_privileges(lab.identity()).unwrap();
    assert_eq!(session.sh("exit 5").code, 5);
    let root = &session.jail.root;
    let flags = rustix::fs::OFlags::RDONLY;
    let resolve = rustix::fs::ResolveFlags::IN_ROOT;
    rustix::fs::openat2(root, "/bin/sh", flags, rustix::fs::Mode::empty(), resolve).unwrap();
    if let Identity::Block { start } = lab.identity() {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let own = start + 65_535;
        for line in [
            format!("Uid:\t{own}\t{own}\t{own}\t{own}"),
            format!("Gid:\t{own}\t{own}\t{own}\t{own}"),
            "Groups:\t \n".to_owned(),
            "CapPrm:\t0000000000000000".to_owned(),
            "CapEff:\t0000000000000000".to_owned(),
            "CapBnd:\t0000000000000000".to_owned(),
        ] {
            assert!(status.contains(&line), "{line} in {status}");
        }
        assert!(File::open("/etc/shadow").is_err());
        assert!(rustix::thread::set_thread_uid(rustix::process::Uid::ROOT).is_err());
    }
    let init = session.jail.init.try_clone().unwrap();
    drop(session);
    assert!(is_ready_within(&init, PollFlags::IN, Duration::from_secs(1)));
}

fn threads(lab: &Lab) {
    let spec = lab.spec();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || stopped.recv());
    let error = openshell_isolation::build(&spec).unwrap_err();
    assert!(error.cause.contains("before the first thread"), "{error}");
    drop(stop);
    let _ = thread.join();
}

fn root_behind(lab: &Lab) {
    let error =
        lab.build(|spec| spec.identity = Identity::Caller { uid: 0, gid: 0 }).err().unwrap();
    assert!(error.cause.contains("root"), "{error}");
}

fn nothing_left(lab: &Lab) {
    let descriptors = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let mounts = || std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let before = (descriptors(), mounts());
    let missing = lab.home().join("not-there");
    let error = lab
        .build(|spec| {
            spec.binds.push(openshell_isolation::Bind::read_only(
                &missing,
                openshell_isolation::Origin::Tool,
            ));
        })
        .err()
        .unwrap();
    assert_eq!(error.path.as_deref(), Some(missing.as_path()));
    assert!(error.fix.is_some(), "{error}");
    assert_eq!((descriptors(), mounts()), before);
    let children = std::fs::read_to_string("/proc/self/task/self/children").unwrap_or_default();
    assert_eq!(children, "");
    lab::wait(lab.jail().jail.control.as_fd(), PollFlags::OUT);
}
