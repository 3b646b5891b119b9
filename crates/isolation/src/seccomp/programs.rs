//! What agents run, under the agent's filter. Programs that this machine lacks are left out.

use std::path::Path;
use std::process::Command;

use super::{Connect, Options, install};
use crate::testing::in_child;

/// Runs `script` in a shell under the filter when `program` is here.
fn works(program: &str, script: &'static str) {
    if !Path::new(program).exists() {
        println!("{program} is not here");
        return;
    }
    in_child(|| {
        let folder = tempfile::tempdir().expect("a folder");
        rustix::thread::set_no_new_privs(true).expect("no_new_privs");
        install(&Options { connect: Connect::Unwatched }).expect("the filter");
        let output = Command::new("/bin/bash")
            .args(["-euc", script])
            .current_dir(folder.path())
            .output()
            .expect("a shell");
        let (out, err) = (output.stdout, output.stderr);
        let words = [out, err].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        assert!(output.status.success(), "{words:?}");
    });
}

#[test]
fn bash_and_its_tools_run() {
    works(
        "/bin/bash",
        "mkdir a; echo x > a/b; cp -a a c; chmod 600 c/b; mv c d; ln -s d e; tar cf t d; tar xf t; \
         seq 100 | sort -n | uniq | wc -l; (sleep 0.01 & wait); mkfifo f; test -p f; ls -laR; \
         find . -name b; sed -i s/x/y/ a/b; grep y a/b; touch -d yesterday a/b; df .; id; ps || :",
    );
}

#[test]
fn git_runs() {
    works(
        "/usr/bin/git",
        "git init -q r; cd r; git config user.email a@b; git config user.name a; echo 1 > f; \
         git add f; git commit -qm 1; git gc -q; git clone -q . ../s; git -C ../s log",
    );
}

#[test]
fn python_runs() {
    works(
        "/usr/bin/python3",
        r#"python3 - <<'EOF'
import asyncio, concurrent.futures, multiprocessing, os, socket, subprocess, tempfile, threading
threading.Thread(target=print).start()
print(subprocess.check_output(["echo", "x"]))
with concurrent.futures.ProcessPoolExecutor(2) as pool: print(list(pool.map(abs, [-1, 2])))
async def main():
    server = await asyncio.start_server(lambda r, w: w.close(), "127.0.0.1", 0)
    r, w = await asyncio.open_connection(*server.sockets[0].getsockname())
    print(await r.read()); w.close()
    print(await (await asyncio.create_subprocess_exec("true")).wait())
asyncio.run(main())
print(socket.getaddrinfo("localhost", 80)); os.urandom(4)
with tempfile.TemporaryFile() as f: f.write(b"x")
queue = multiprocessing.Queue(); queue.put(1); assert queue.get() == 1
EOF"#,
    );
}

#[test]
fn node_runs() {
    works(
        "/usr/bin/node",
        r#"node -e '
const { Worker } = require("worker_threads"), net = require("net"), fs = require("fs");
fs.watch(".", () => {}).close();
console.log(require("child_process").execSync("echo x").toString());
new Worker("1", { eval: true }).on("exit", () => {
  const server = net.createServer(s => s.end("x")).listen(0, () =>
    net.connect(server.address().port).on("data", String).on("close", () => server.close()));
});'"#,
    );
}

#[test]
fn compilers_run() {
    works("/usr/bin/gcc", "echo 'int main(){return 0;}' > a.c; gcc -O2 a.c -o a; ./a");
    works("/usr/bin/java", "java -version");
    works("/usr/bin/go", "export HOME=$PWD; go version; go env");
    works("/usr/bin/perl", "perl -e 'fork // die; use Socket; print 1'");
    works("/usr/bin/curl", "curl --version");
}
