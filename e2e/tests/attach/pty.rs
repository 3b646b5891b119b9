//! A person at a terminal, played by a small program on a pty.

use std::time::Duration;

use openshell_testkit::{Finished, Product, finish};
use serde_json::{Value, json};

/// Plays the steps against a program on a terminal of its own; prints all that the program wrote,
/// and ends as it ended.
const DRIVER: &str = r#"
import fcntl, json, os, pty, select, struct, sys, termios, time
steps, argv = json.loads(sys.argv[1]), sys.argv[2:]
ready, go = os.pipe()
pid, fd = pty.fork()
if pid == 0:
    os.read(ready, 1)
    os.execv(argv[0], argv)

def resize(rows, cols):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

transcript, read = b"", 0
def receive(timeout):
    global transcript
    if not select.select([fd], [], [], timeout)[0]:
        return True
    try:
        data = os.read(fd, 65536)
    except OSError:
        data = b""
    transcript += data
    return bool(data)

def finish(why):
    sys.stdout.write(transcript.decode(errors="replace"))
    if why:
        sys.exit(f"{why}; read so far: {transcript!r}")

resize(24, 80)
os.write(go, b"x")
for step in steps:
    if "expect" in step:
        wanted, deadline = step["expect"].encode(), time.monotonic() + 15
        while (at := transcript.find(wanted, read)) < 0:
            if time.monotonic() > deadline or not receive(0.2):
                os.kill(pid, 9)
                finish(f"no {wanted!r}")
        read = at + len(wanted)
    elif "send" in step:
        os.write(fd, step["send"].encode())
    elif "resize" in step:
        resize(*step["resize"])
    elif "hangup" in step:
        os.close(fd)
        os.waitpid(pid, 0)
        finish("")
        sys.exit(0)
deadline = time.monotonic() + 15
while receive(0.2):
    if time.monotonic() > deadline:
        os.kill(pid, 9)
        finish("it did not end")
finish("")
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"#;

/// What a person does at a terminal.
pub struct Session<'p> {
    product: &'p Product,
    steps: Vec<Value>,
}

impl<'p> Session<'p> {
    /// Nothing yet. The terminal has 24 rows and 80 columns.
    pub fn new(product: &'p Product) -> Self {
        Self { product, steps: Vec::new() }
    }

    /// Waits until this is on the screen, behind what was waited for before.
    pub fn expect(mut self, text: &str) -> Self {
        self.steps.push(json!({ "expect": text }));
        self
    }

    /// Types.
    pub fn send(mut self, keys: &str) -> Self {
        self.steps.push(json!({ "send": keys }));
        self
    }

    /// Gives the window another size.
    pub fn resize(mut self, rows: u16, cols: u16) -> Self {
        self.steps.push(json!({ "resize": [rows, cols] }));
        self
    }

    /// Closes the window.
    pub fn hang_up(mut self) -> Self {
        self.steps.push(json!({ "hangup": true }));
        self
    }

    /// Plays it with `openshell`; all that was on the screen, and how it ended.
    pub fn play(self, arguments: &[&str]) -> Finished {
        let steps = Value::Array(self.steps).to_string();
        let openshell = self.product.home().join("bin/openshell");
        let program = openshell.to_str().expect("a plain path");
        let head = ["-c", DRIVER, &steps, program];
        let mut command = self.product.program("/usr/bin/python3", &[&head, arguments].concat());
        finish(&mut command, Duration::from_secs(60))
    }
}
