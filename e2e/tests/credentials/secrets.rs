//! Where secrets could be found, and are not.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use openshell_testkit::{Product, RunAs, world};

use crate::agent::{ASK, HOST, KEY, POLICY, serve, start};

pub fn i01_i08_no_secret_is_to_be_found(run_as: RunAs) {
    world(|w| {
        let (_server, _) = serve(w, HOST);
        let product = Product::new(run_as);
        let sandbox = start(&product, w, POLICY);
        assert_eq!(sandbox.sh(ASK).succeeded().stdout, "200 hello");
        product.run(&["logs", "agent", "-n", "100"]).succeeded();

        // In the jail: the search finds what is planted first.
        // A pattern in brackets does not find the search itself.
        let search = "export PLANTED=planted-canary; echo $PLANTED > /sandbox/planted
             look() {
                 grep -lars -- $1 /sandbox /tmp /etc
                 cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n' |
                     grep -ac -- $1
             }
             sleep 9 & look 'planted-[c]anary' | tr '\\n' ' '
             rm /sandbox/planted; look 'canary[C]ANARY'; kill $!";
        let said = sandbox.sh(search);
        let words: Vec<&str> = said.stdout.split_whitespace().collect();
        let ["/sandbox/planted", planted, found] = words[..] else { panic!("{said}") };
        assert!(planted != "0" && found == "0", "{said}");

        // Beside it: everything that the product keeps or prints.
        let planted = product.home().join("planted");
        product.write(&planted, KEY);
        let holding = |needle: &str| -> Vec<PathBuf> {
            let mut all = Vec::new();
            files(product.home(), &mut all);
            all.retain(|path| {
                let bytes = fs::read(path).unwrap_or_default();
                bytes.windows(needle.len()).any(|window| window == needle.as_bytes())
            });
            all
        };
        assert_eq!(holding(KEY), std::slice::from_ref(&planted));
        fs::remove_file(planted).expect("it is ours");
        let base64 = "Y2FuYXJ5Q0FOQVJZY2FuYXJ5Q0FOQVJZ";
        for needle in [base64, "canaryCANARYcanary"] {
            assert_eq!(holding(needle), Vec::<PathBuf>::new(), "{needle}");
        }
        let key = product.state().join("gateway/credentials.key");
        assert_eq!(fs::metadata(key).expect("a key").mode() & 0o777, 0o600);
        for arguments in [
            &["provider", "get", "claude", "-o", "json"][..],
            &["sandbox", "get", "agent", "-o", "json"],
            &["sandbox", "provider", "list", "agent"],
        ] {
            let said = product.run(arguments).succeeded();
            assert!(!said.stdout.contains("canaryCANARY"), "{said}");
        }
        for process in product.processes() {
            let process = PathBuf::from(format!("/proc/{}", process.as_raw_pid()));
            for file in ["environ", "cmdline"] {
                let bytes = fs::read(process.join(file)).unwrap_or_default();
                assert!(!String::from_utf8_lossy(&bytes).contains("canaryCANARY"));
            }
        }
    });
}

/// All regular files beneath a folder.
fn files(folder: &Path, all: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            files(&entry.path(), all);
        } else if kind.is_file() {
            all.push(entry.path());
        }
    }
}
