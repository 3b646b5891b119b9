//! `cargo xtask fuzz`: runs the targets of `fuzz/` with cargo-fuzz, without a sanitizer, so that the
//! pinned toolchain builds them: there is no unsafe code that one could find something in.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::run::{Outcome, cargo, output, root, succeed};

/// Options of `fuzz`.
#[derive(Args)]
pub struct Options {
    /// Seconds for each target.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Only this target.
    target: Option<String>,
}

/// The targets, and the folders whose files each begins with.
const TARGETS: [(&str, &[&str]); 12] = [
    ("policy_document", &["crates/policy/tests/cases", "crates/policy/tests/diagnostics"]),
    ("policy_decide_vs_oracle", &["crates/policy/tests/cases"]),
    ("provider_profile", &["crates/credential/profiles"]),
    // These begin with nothing: their grammars are small.
    ("websocket", &[]),
    ("json_rpc", &[]),
    ("graphql", &[]),
    ("content", &[]),
    ("answer", &[]),
    ("http1", &[]),
    ("request_target", &[]),
    ("client_hello", &[]),
    ("dns_query", &[]),
];
/// Longest input, in bytes.
const LONGEST: u32 = 8192;
/// Seconds that one input may take.
const PATIENCE: u32 = 20;

/// Runs one target or all of them.
pub fn fuzz(options: &Options) -> Outcome {
    let chosen: Vec<_> = TARGETS
        .iter()
        .filter(|(name, _)| options.target.as_ref().is_none_or(|wanted| wanted == name))
        .collect();
    if chosen.is_empty() {
        let names = TARGETS.map(|(name, _)| name).join(", ");
        return Err(format!("there is no such target; there are {names}"));
    }
    if output(cargo().args(["fuzz", "--version"])).is_err() {
        return Err("`cargo fuzz` is missing: `cargo install cargo-fuzz` brings it; it needs a \
                    compiler for C++, too"
            .to_owned());
    }
    for (name, folders) in chosen {
        let corpus = root().join("fuzz/corpus").join(name);
        for folder in *folders {
            seed(&root().join(folder), &corpus)
                .map_err(|error| format!("cannot seed {}: {error}", corpus.display()))?;
        }
        let seconds = options.seconds;
        println!("{name} for {seconds} s");
        let mut run = cargo();
        run.args(["fuzz", "run", "--sanitizer", "none", name, "--"]);
        run.args([
            format!("-max_total_time={seconds}"),
            format!("-max_len={LONGEST}"),
            format!("-timeout={PATIENCE}"),
            "-print_final_stats=1".to_owned(),
        ]);
        succeed(&mut run)?;
    }
    Ok(())
}

/// Copies the policies of a folder to the corpus.
fn seed(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let path: PathBuf = entry?.path();
        if let (Some("yaml"), Some(name)) =
            (path.extension().and_then(|extension| extension.to_str()), path.file_name())
        {
            fs::copy(&path, to.join(name))?;
        }
    }
    Ok(())
}
