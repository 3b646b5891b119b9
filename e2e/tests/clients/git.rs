//! git over HTTPS, with rules for what it may do.

use openshell_audit::Outcome;
use openshell_e2e::{Repository, Sandbox};
use openshell_testkit::{Finished, Product, RunAs, World, world};

use crate::judged::{all_on_record, start};
use crate::site::{Plan, Site};

/// The host, and a place for its rules.
const POLICY: &str = r#"
version: 1
network_policies:
  code:
    endpoints:
      - host: git.example.com
        port: 443
        protocol: rest
        rules:
          RULES
    binaries:
      - { path: /usr/lib/git-core/git-remote-https }
"#;

/// To read: the question before has the service in its query.
const READ: &str = r#"[
            { allow: { method: GET, path: "/**/info/refs", query: { service: git-upload-pack } } },
            { allow: { method: POST, path: "/**/git-upload-pack" } }
          ]"#;

/// To read, and to ask for what a push would change.
const ASK: &str = r#"[
            { allow: { method: GET, path: "/**/info/refs" } },
            { allow: { method: POST, path: "/**/git-upload-pack" } }
          ]"#;

/// To read and write one repository.
const WRITE: &str = r#"[
            { allow: { method: "*", path: "/project.git/**" } }
          ]"#;

pub fn git_clones_and_pushes_what_it_may(run_as: RunAs) {
    world(|w| {
        let (repository, site) = serve(w);
        let product = Product::new(run_as);
        let sandbox = start(&product, w, &POLICY.replace("RULES", READ));
        sandbox.sh("/usr/bin/git clone -q https://git.example.com/project.git").succeeded();
        assert_eq!(sandbox.sh("cat project/greeting").succeeded().stdout, "hello\n");
        let transparent =
            sandbox.direct("/usr/bin/git clone -q https://git.example.com/project.git two");
        transparent.succeeded();

        // By the query of the question before.
        let denied = push(&sandbox, "Two");
        assert_ne!(denied.code, Some(0), "{denied}");
        assert!(denied.stderr.contains("403"), "{denied}");
        assert!(!site.asked().contains("receive-pack"), "{}", site.asked());
        all_on_record(
            &sandbox,
            Outcome::Denied,
            &[("GET", "git.example.com/project.git/info/refs")],
        );

        // By the path of the push itself.
        sandbox.set_policy(&POLICY.replace("RULES", ASK)).succeeded();
        let denied = push(&sandbox, "Three");
        assert_ne!(denied.code, Some(0), "{denied}");
        assert!(!site.asked().contains("POST /project.git/git-receive-pack"), "{}", site.asked());
        all_on_record(
            &sandbox,
            Outcome::Denied,
            &[("POST", "git.example.com/project.git/git-receive-pack")],
        );
        assert_eq!(repository.commits(), "One\n");

        sandbox.set_policy(&POLICY.replace("RULES", WRITE)).succeeded();
        push(&sandbox, "Four").succeeded();
        assert_eq!(repository.commits(), "Four\nThree\nTwo\nOne\n");
        all_on_record(
            &sandbox,
            Outcome::Allowed,
            &[("POST", "git.example.com/project.git/git-receive-pack")],
        );
    });
}

fn push(sandbox: &Sandbox<'_>, message: &str) -> Finished {
    sandbox.sh(&format!(
        "cd project && /usr/bin/git -c user.name=Test -c user.email=test@example.com \
         commit -q --allow-empty --message={message} && /usr/bin/git push -q"
    ))
}

fn serve(w: &World) -> (Repository, Site) {
    let behind = (w.fresh_v4(), 8080).into();
    let repository = Repository::serve_at(w.listen(behind));
    let mut plan = Plan::new(w);
    plan.host("git.example.com", &format!("location / {{ proxy_pass http://{behind}; }}"));
    (repository, plan.start())
}
