//! Who is calling.

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::lab::{ALLOWED, Lab, as_each_user, open_to_all};

const COPIES: &str = include_str!("attempts/copies.py");
const SUCCESSOR: &str = include_str!("attempts/successor.py");
const SWAP: &str = include_str!("attempts/swap.py");

fn stolen(lab: &Lab<'_>) -> usize {
    lab.allowed.requests().iter().filter(|request| request.target == "/stolen").count()
}

pub fn j01_a_copy_or_another_name_of_a_binary_is_another_program() {
    as_each_user(|lab| {
        lab.sandbox("box", &[]);
        let at = lab.allowed.address().ip().to_string();
        for way in ["copy", "memfd", "deleted", "renamed", "path"] {
            lab.outside(COPIES, &[ALLOWED, way]).must_succeed();
            assert!(stolen(lab) > 0);
            let before = lab.packets(&at);
            lab.inside("box", COPIES, &[ALLOWED, way]).must_fail(&["denied"]);
            assert_eq!(lab.packets(&at), before, "{way}");
        }
        // A second name needs a place on the same mount, and there is none.
        assert_ne!(lab.exec("box", &["ln", "/usr/bin/curl", "/tmp/curl"]).code, Some(0));
        // A symbolic link runs the file itself, which is the one that may.
        let url = format!("http://{ALLOWED}/");
        let script = "ln -s /usr/bin/curl /tmp/link && /tmp/link -sS \"$0\"";
        assert_eq!(lab.exec("box", &["sh", "-c", script, &url]).succeeded().stdout, "hello");
        let event = lab.denied("box", ALLOWED, 80);
        assert_eq!(event["reason"]["predicate"], "binary");
    });
}

pub fn j01_a_read_only_mount_of_what_another_mount_lets_write_proves_nothing() {
    as_each_user(|lab| {
        // One folder, shown twice: whole to work in, and its tools read-only.
        let folder = lab.folder("project");
        open_to_all(&folder, 0o777);
        let tool = lab.folder("project/tools").join("tool");
        std::fs::copy("/usr/bin/curl", &tool).unwrap();
        open_to_all(&tool, 0o777);
        let mounts = [
            format!("{}:/sandbox/project", folder.display()),
            format!("{}:/tools:ro", folder.join("tools").display()),
        ];
        let policy = crate::lab::POLICY.replace("/usr/bin/curl", "/tools/tool");
        lab.sandbox_under("box", &policy, &["--mount", &mounts[0], "--mount", &mounts[1]]);
        let before = stolen(lab);
        // The agent puts another program into the file that the rule names.
        let script = "cat /usr/bin/bash > /sandbox/project/tools/tool && exec /tools/tool -c \
             'exec 3<>/dev/tcp/allowed.example.com/80 && \
              printf \"GET /stolen HTTP/1.1\\r\\nHost: allowed.example.com\\r\\n\\r\\n\" >&3 && \
              head -c 300 <&3'";
        let said = lab.exec("box", &["sh", "-c", script]);
        assert!(!said.stdout.contains("200 OK"), "{said}");
        assert_eq!(stolen(lab), before, "{said}");
        // A tool that no mount lets write is what the rule says.
        let policy = crate::lab::POLICY.replace("/usr/bin/curl", "/tools/curl");
        let own = lab.folder("own");
        std::fs::copy("/usr/bin/curl", own.join("curl")).unwrap();
        open_to_all(&own.join("curl"), 0o755);
        let mount = format!("{}:/tools:ro", own.display());
        lab.sandbox_under("honest", &policy, &["--mount", &mounts[0], "--mount", &mount]);
        let url = format!("http://{ALLOWED}/");
        assert_eq!(lab.exec("honest", &["/tools/curl", "-sS", &url]).succeeded().stdout, "hello");
    });
}

pub fn j07_a_program_replaced_while_it_connects_is_not_its_successor() {
    as_each_user(|lab| {
        lab.sandbox("box", &[]);
        lab.outside(SUCCESSOR, &[ALLOWED, "20"]).must_succeed();
        let before = stolen(lab);
        assert!(before > 0);
        lab.inside("box", SUCCESSOR, &[ALLOWED, "150"]).must_fail(&["denied"]);
        assert_eq!(stolen(lab), before);
    });
}

pub fn j08_a_connection_belongs_to_who_opened_it() {
    as_each_user(|lab| {
        let policy = crate::lab::POLICY.replace("/usr/bin/curl", "/usr/bin/bash");
        lab.sandbox_under("box", &policy, &[]);
        let hand_on = "import os, sys\n\
            os.write(3, b'GET /own HTTP/1.1\\r\\nHost: allowed.example.com\\r\\n\\r\\n')\n\
            sys.stdout.write(os.read(3, 4096).decode())";
        // It was bash that connected; what it lends it has lent.
        let lend = format!("exec 3<>/dev/tcp/{ALLOWED}/80 && exec /usr/bin/python3 -I -c \"$0\"");
        let lent = lab.exec("box", &["/usr/bin/bash", "-c", &lend, hand_on]).succeeded();
        assert!(lent.stdout.contains("hello"), "{lent}");
        let event = lab.audited("box", |event| event["outcome"] == "allowed");
        assert_eq!(event["caller"]["binary"], "/usr/bin/bash");
        // What python opens stays python's, whoever reads it.
        let open = "import os, socket\n\
            s = socket.create_connection(('allowed.example.com', 80))\n\
            os.dup2(s.fileno(), 3)\n\
            say = 'printf \"GET /stolen HTTP/1.1\\r\\nHost: allowed.example.com\\r\\n\\r\\n\" >&3'\n\
            os.execv('/usr/bin/bash', ['bash', '-c', say + '; head -c 300 <&3'])";
        let before = stolen(lab);
        let taken = lab.exec("box", &["/usr/bin/python3", "-I", "-c", open]);
        assert!(!taken.stdout.contains("hello"), "{taken}");
        assert_eq!(stolen(lab), before);
        let event = lab.denied("box", ALLOWED, 80);
        assert!(event["caller"]["binary"].as_str().unwrap().contains("python3"));
    });
}

pub fn k25_swapping_socket_and_address_reaches_nothing_else() {
    as_each_user(|lab| {
        let folder = lab.folder("project");
        open_to_all(&folder, 0o777);
        let path = folder.join("agent.sock");
        let count = Arc::new(AtomicUsize::new(0));
        let (listener, counted) = (UnixListener::bind(&path).unwrap(), count.clone());
        open_to_all(&path, 0o777);
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                counted.fetch_add(1, Ordering::SeqCst);
                drop(stream.read(&mut [0; 64]));
                drop(stream.write_all(b"of the host"));
            }
        });
        lab.sandbox("box", &["--mount", &format!("{}:/sandbox/project", folder.display())]);
        lab.outside(SWAP, &[path.to_str().unwrap(), "1"]).must_succeed();
        let outside = count.load(Ordering::SeqCst);
        assert!(outside > 0);
        let inside = ["/sandbox/project/agent.sock", "4"];
        lab.inside("box", SWAP, &inside).must_fail(&["the own one only"]);
        assert_eq!(count.load(Ordering::SeqCst), outside, "the host's service heard of it");
    });
}
