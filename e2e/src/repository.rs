//! Repositories on this machine, served by git's own HTTP server.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use openshell_testkit::http::{Body, Request, Response};
use openshell_testkit::{Server, finish};
use tempfile::TempDir;

const GIT: &str = "/usr/bin/git";

/// Repositories that a server of the test's own answers for.
#[derive(Clone, Debug)]
pub struct Repositories {
    files: Arc<TempDir>,
}

impl Repositories {
    /// Makes some, each with one commit of the file `greeting`. Whoever is answered may also push.
    pub fn new(names: &[&str]) -> Self {
        let files = tempfile::tempdir().expect("/tmp is writable");
        let work = files.path().join("work");
        git(files.path(), &["init", "--quiet", "--initial-branch=main", "work"]);
        fs::write(work.join("greeting"), "hello\n").expect("our own folder is writable");
        git(&work, &["add", "greeting"]);
        git(&work, &["commit", "--quiet", "--message=One"]);
        for name in names {
            let bare = format!("{name}.git");
            git(files.path(), &["clone", "--quiet", "--bare", "work", &bare]);
            git(&files.path().join(bare), &["config", "http.receivepack", "true"]);
        }
        Self { files: Arc::new(files) }
    }

    /// The answer to a request; one of the name `NAME` is at `/NAME.git`.
    pub fn answer(&self, request: &Request) -> Response {
        answer(self.files.path(), request)
    }

    /// The messages of the commits of its main branch, the last one first.
    pub fn commits(&self, name: &str) -> String {
        git(&self.files.path().join(format!("{name}.git")), &["log", "--format=%s", "main"])
    }
}

/// A server of one repository.
#[derive(Debug)]
pub struct Repository {
    all: Repositories,
    server: Server,
}

impl Repository {
    /// Serves a repository with one commit of the file `greeting`.
    pub fn serve() -> Self {
        Self::serve_at(TcpListener::bind("127.0.0.1:0").expect("loopback has a free port"))
    }

    /// Serves it at a listener of the test's own. Whoever reaches that may also push.
    pub fn serve_at(listener: TcpListener) -> Self {
        let all = Repositories::new(&["project"]);
        let own = all.clone();
        let server = Server::http(listener, move |request| own.answer(request));
        Self { all, server }
    }

    /// The messages of the commits of its main branch, the last one first.
    pub fn commits(&self) -> String {
        self.all.commits("project")
    }

    /// Where it is for a client that calls this machine `host`.
    pub fn url(&self, host: &str) -> String {
        format!("http://{host}:{}/project.git", self.server.address().port())
    }
}

fn git(folder: &Path, arguments: &[&str]) -> String {
    let who = ["-c", "user.name=Test", "-c", "user.email=test@example.com"];
    let said = finish(command(folder).args(who).args(arguments), Duration::from_secs(20));
    said.succeeded().stdout
}

/// Git without the settings of whoever runs the test.
fn command(folder: &Path) -> Command {
    let mut command = Command::new(GIT);
    command
        .current_dir(folder)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", folder)
        .env("GIT_CONFIG_NOSYSTEM", "1");
    command
}

/// One call of `git http-backend`, which speaks CGI.
fn answer(root: &Path, request: &Request) -> Response {
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    let mut child = command(root)
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REQUEST_METHOD", &request.method)
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query)
        .env("CONTENT_TYPE", request.header("content-type").unwrap_or_default())
        .env("CONTENT_LENGTH", request.body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", request.header("content-encoding").unwrap_or_default())
        .env("GIT_PROTOCOL", request.header("git-protocol").unwrap_or_default())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("git can be run");
    // What git says before it has read all is smaller than a pipe.
    let input = child.stdin.take().map(|mut input| input.write_all(&request.body));
    input.transpose().expect("git reads its input");
    let said = child.wait_with_output().expect("git ends").stdout;
    let end =
        said.windows(4).position(|four| four == b"\r\n\r\n").expect("a CGI answer has a head");
    let (head, body) = said.split_at(end + 4);
    let mut response =
        Response { status: 200, headers: Vec::new(), body: Body::Whole(body.to_vec()) };
    for (name, value) in
        String::from_utf8_lossy(head).lines().filter_map(|line| line.split_once(": "))
    {
        match (name, value.split(' ').next().and_then(|code| code.parse().ok())) {
            ("Status", Some(code)) => response.status = code,
            _ => response.headers.push((name.to_owned(), value.to_owned())),
        }
    }
    response
}
