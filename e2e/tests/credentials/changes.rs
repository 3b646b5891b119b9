//! Values that change, and providers that go, while requests are sent.

use std::time::{Duration, Instant};

use openshell_e2e::{Sandbox, eventually};
use openshell_testkit::{Product, RunAs, finish, world};

use crate::agent::{ASK, HOST, KEY, POLICY, serve, start};

const NEXT: &str = "sk-ant-api03-nextNEXTnextNEXTnextNEXTnextNEXTnextNEXTnextNEXTnext0002";

/// Asks without end over kept and new connections; prints each status that is not 200.
const LOAD: &str = r#"
import http.client, os, ssl, sys, threading, time
key = os.environ["ANTHROPIC_API_KEY"]
end = time.time() + float(sys.argv[1])
counts = {}
lock = threading.Lock()

def ask():
    while time.time() < end:
        connection = http.client.HTTPSConnection("api.anthropic.com", timeout=30)
        for _ in range(50):
            if time.time() >= end:
                break
            try:
                connection.request("GET", "/v1/models", headers={"x-api-key": key})
                answer = connection.getresponse()
                answer.read()
                status = answer.status
                keeps = not answer.will_close
            except (http.client.HTTPException, OSError) as error:
                status, keeps = repr(error), False
            with lock:
                counts[status] = counts.get(status, 0) + 1
            if not keeps:
                break
        connection.close()

threads = [threading.Thread(target=ask) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(counts)
"#;

pub fn i13_values_change_and_go_while_requests_are_sent(run_as: RunAs) {
    world(|w| {
        let (_server, keys) = serve(w, HOST);
        let product = Product::new(run_as);
        let sandbox = start(&product, w, POLICY);
        std::thread::scope(|scope| {
            let load = scope.spawn(|| sandbox.python(LOAD, &["6"]));
            let came = |key: &str| {
                eventually(key, || {
                    let keys = keys.lock().expect("nobody panics");
                    (keys.iter().filter(|(own, _)| own == key).count() >= 200).then_some(())
                });
            };
            came(KEY);
            let mut update = product.command(&[
                "provider",
                "update",
                "claude",
                "--credential",
                "ANTHROPIC_API_KEY",
            ]);
            finish(update.env("ANTHROPIC_API_KEY", NEXT), Duration::from_secs(30)).succeeded();
            let updated = Instant::now();
            came(NEXT);
            product.run(&["provider", "detach", "agent", "claude"]).succeeded();
            let detached = Instant::now();
            let said = load.join().expect("it ran").succeeded();
            println!("{said}");

            let keys = keys.lock().expect("nobody panics");
            let of = |key: &str| keys.iter().filter(|(own, _)| own == key).count();
            println!("{} with the old value, {} with the new", of(KEY), of(NEXT));
            assert!(of(KEY) > 0 && of(NEXT) > 0, "{said}");
            assert_eq!(of(KEY) + of(NEXT), keys.len());
            // What was sent before lies in the server's buffers for a moment.
            let moment = Duration::from_millis(100);
            for (key, last) in [(KEY, updated), (NEXT, detached)] {
                let late = keys.iter().filter(|(own, at)| own == key && *at > last + moment);
                assert_eq!(late.count(), 0, "{key}");
            }
            // None failed that should not: 403 came after the end only.
            let line = said.stdout.trim_end();
            assert!(line.contains(&format!("200: {}", keys.len())), "{line}");
            assert!(line.contains("403: ") && line.matches(':').count() == 2, "{line}");
        });
        assert!(sandbox.sh(ASK).succeeded().stdout.contains("invalid_credential_placeholder"));
        // Attached again, the same placeholder is good again.
        product.run(&["provider", "attach", "agent", "claude"]).succeeded();
        assert_eq!(sandbox.sh(ASK).succeeded().stdout, "200 hello");
        assert_eq!(keys.lock().expect("nobody panics").last().expect("one").0, NEXT);
    });
}

pub fn bad_input_is_told(run_as: RunAs) {
    world(|w| {
        let product = Product::new(run_as);
        let sandbox = start(&product, w, POLICY);
        let create = ["provider", "create", "--name"];
        let fails = |arguments: &[&str], words: &str| {
            let said = product.run(&[&create[..], arguments].concat());
            assert!(said.code != Some(0) && said.stderr.contains(words), "{said}");
        };
        fails(&["claude", "--type", "anthropic", "--credential", "ANTHROPIC_API_KEY=x"], "exists");
        fails(&["b", "--type", "nothing", "--credential", "K=x"], "there is no type");
        fails(&["b", "--type", "anthropic", "--credential", "OTHER=x"], "has no `OTHER`");
        fails(
            &["b", "--type", "anthropic", "--credential", "ANTHROPIC_API_KEY"],
            "is not set here",
        );
        fails(&["b", "--type", "generic", "--credential", "K=a\r\nb: c"], "line break");
        fails(&["b", "--type", "anthropic", "--from-existing"], "no credential");
        let of_s3 = ["b", "--type", "aws-s3", "--credential", "AWS_ACCESS_KEY_ID=x"];
        let region = ["--credential", "AWS_SECRET_ACCESS_KEY=x", "--config", "AWS_REGION=EU"];
        fails(&[&of_s3[..], &region].concat(), "`AWS_REGION` is no region");
        let taken = product.run(&["provider", "delete", "claude"]);
        assert!(taken.stderr.contains("detach it first"), "{taken}");
        let absent = product.run(&["provider", "attach", "agent", "nobody"]);
        assert!(absent.stderr.contains("not found"), "{absent}");
        let create = ["sandbox", "create", "--provider", "nobody", "--detach", "--", "true"];
        let absent = product.run(&create);
        assert!(absent.stderr.contains("provider 'nobody' not found"), "{absent}");

        product.run(&["provider", "detach", "agent", "claude"]).succeeded();
        product.run(&["provider", "delete", "claude"]).succeeded();
        let none = product.run(&["provider", "list", "--names"]).succeeded();
        assert_eq!(none.stdout, "");
        assert_eq!(Sandbox::existing(&product, sandbox.name()).phase(), "Ready");
    });
}
