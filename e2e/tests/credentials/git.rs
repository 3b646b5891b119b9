//! git over HTTPS to a server that wants a token, from a sandbox that does not have it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openshell_audit::Outcome;
use openshell_e2e::{Repositories, Sandbox, eventually};
use openshell_testkit::http::Response;
use openshell_testkit::{Finished, Product, RunAs, Server, World, world};

use crate::agent::{provider, trust};

const TOKEN: &str = "glpat-canaryCANARYcanaryCANARY01";

/// A server of one's own: git may read everything there.
const PROFILE: &str = "
id: our-git
display_name: Our git
category: source_control
credentials:
  - { name: token, env_vars: [OUR_GIT_TOKEN], required: true, auth_style: bearer }
endpoints:
  - host: git.example.com
    port: 443
    protocol: rest
    enforcement: enforce
    rules:
      - allow: { method: GET, path: /** }
      - allow: { method: POST, path: /**/git-upload-pack }
binaries:
  - { path: /usr/bin/git, descendants: true }
  - { path: /usr/lib/git-core/git-remote-http }
";

/// Beside it: one repository may be written.
const POLICY: &str = "
version: 1
network_policies:
  code:
    endpoints:
      - host: git.example.com
        port: 443
        protocol: rest
        rules: [{ allow: { method: POST, path: /open.git/git-receive-pack } }]
    binaries: [{ path: /usr/bin/git, descendants: true }, { path: /usr/lib/git-core/git-remote-http }]
";

/// Repositories for whoever comes with the token, as a password with any name.
fn serve(w: &World) -> (Server, Repositories) {
    let repositories = Repositories::new(&["open", "closed"]);
    let own = repositories.clone();
    let server = w.serve_https("git.example.com", move |request| {
        let pair = request.header("authorization").and_then(|value| value.strip_prefix("Basic "));
        let pair = pair.and_then(|pair| STANDARD.decode(pair).ok());
        let pair = pair.and_then(|pair| String::from_utf8(pair).ok());
        match pair.as_deref().and_then(|pair| pair.split_once(':')) {
            Some((_, TOKEN)) => own.answer(request),
            _ => Response::new(401, "text/plain", "who are you?")
                .with("WWW-Authenticate", "Basic realm=\"git\""),
        }
    });
    (server, repositories)
}

/// Clones a repository, adds a commit with a file of so many bytes, and pushes it.
fn push(sandbox: &Sandbox<'_>, name: &str, message: &str, size: u64) -> Finished {
    sandbox.sh(&format!(
        "export GIT_TERMINAL_PROMPT=0
         git() {{ /usr/bin/git -c user.name=Test -c user.email=test@example.com \"$@\"; }}
         test -d {name} ||
             git clone -q https://oauth2:$OUR_GIT_TOKEN@git.example.com/{name}.git || exit 1
         cd {name} && cat greeting && head -c {size} /dev/urandom > {message} &&
         git add {message} && git commit -q --message={message} && git push -q"
    ))
}

pub fn git_clones_and_pushes_with_a_token_that_it_does_not_have(run_as: RunAs) {
    world(|w| {
        let (server, repositories) = serve(w);
        let product = Product::new(run_as);
        trust(&product, w);
        let file = product.home().join("our-git.yaml");
        product.write(&file, PROFILE);
        let file = file.to_str().expect("a text");
        product.run(&["provider", "profile", "import", "-f", file]).succeeded();
        provider(&product, "code", "our-git", "OUR_GIT_TOKEN", TOKEN);
        let sandbox = Sandbox::start(&product, "agent", POLICY);

        // Without the provider there is nothing to say, and with a token of one's own no more.
        let stranger = "GIT_TERMINAL_PROMPT=0 /usr/bin/git ls-remote \
             https://oauth2:glpat-mine@git.example.com/open.git";
        assert_ne!(sandbox.sh(stranger).code, Some(0));
        product.run(&["provider", "attach", "agent", "code"]).succeeded();
        assert_ne!(sandbox.sh(stranger).code, Some(0));

        // With a pack that is sent in chunks, too.
        let said = push(&sandbox, "open", "small", 10).succeeded();
        assert_eq!(said.stdout, "hello\n");
        push(&sandbox, "open", "large", 6 * 1024 * 1024).succeeded();
        assert_eq!(repositories.commits("open"), "large\nsmall\nOne\n");

        // Another repository of the same host can be read.
        let denied = push(&sandbox, "closed", "small", 10);
        assert_ne!(denied.code, Some(0), "{denied}");
        assert!(denied.stdout == "hello\n" && denied.stderr.contains("403"), "{denied}");
        assert_eq!(repositories.commits("closed"), "One\n");
        let to_closed = |target: &str| target == "/closed.git/git-receive-pack";
        let requests = server.requests();
        assert!(!requests.iter().any(|request| to_closed(&request.target)));
        let log = sandbox.log();
        eventually("the denial is on record", || {
            let mut denied =
                log.requests().into_iter().filter(|one| one.outcome == Outcome::Denied);
            denied.find(|one| one.path.ends_with("/closed.git/git-receive-pack")).map(drop)
        });

        // What the sandbox has is something else, in its files, too.
        let held = sandbox.sh("cat open/.git/config closed/.git/config; env").succeeded().stdout;
        assert!(held.contains("oauth2:glpat-") && !held.contains(TOKEN), "{held}");
        assert!(!held.contains(&STANDARD.encode(TOKEN)), "{held}");
    });
}
