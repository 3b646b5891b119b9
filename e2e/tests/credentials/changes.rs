//! What is wrong with a change, and what a person is told.

use openshell_e2e::Sandbox;
use openshell_testkit::{Product, RunAs, world};

use crate::agent::{POLICY, start};

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
        fails(&[&of_s3[..], &region].concat(), "`AWS_REGION`: it is no region");
        let taken = product.run(&["provider", "delete", "claude"]);
        assert!(taken.stderr.contains("openshell provider detach agent claude"), "{taken}");
        let absent = product.run(&["provider", "attach", "agent", "nobody"]);
        assert!(absent.stderr.contains("not found"), "{absent}");
        let create = ["sandbox", "create", "--provider", "nobody", "--detach", "--", "true"];
        let absent = product.run(&create);
        assert!(absent.stderr.contains("there is no provider `nobody`"), "{absent}");

        product.run(&["provider", "detach", "agent", "claude"]).succeeded();
        product.run(&["provider", "delete", "claude"]).succeeded();
        let none = product.run(&["provider", "list", "--names"]).succeeded();
        assert_eq!(none.stdout, "");
        assert_eq!(Sandbox::existing(&product, sandbox.name()).phase(), "Ready");
    });
}
