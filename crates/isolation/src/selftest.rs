//! The self-test: forbidden things, tried inside the finished jail.
//!
//! What is in force is not taken from what was asked for. A child under the same seal as every
//! command tries what no command may do, one attempt or fact for each layer; anything that is not
//! refused as it must be, and any probe that did not report, ends the building of the jail.

mod facts;
mod probes;

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd, OwnedFd};

use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{WaitOptions, setsid, waitpid};

use crate::error::{BuildError, Step};
use crate::report::{LandlockReport, ProbeResult, Report, SeccompReport};
use crate::seccomp::Connect;
use crate::spec::JailSpec;
use crate::sys;

use facts::Status;
use probes::PROBES;

const STEP: &str = "test the jail from inside";

/// Runs every probe in a child of this process, and reads back what is in force.
pub(crate) fn run(
    spec: &JailSpec,
    landlock: LandlockReport,
    connect: Connect,
) -> Result<Report, BuildError> {
    let self_test = probe_in_child(spec)?;
    // SECURITY: a child that died early, or left a probe out, proves nothing.
    if self_test.len() != PROBES.len() {
        let cause = format!("{} of {} probes reported", self_test.len(), PROBES.len());
        return Err(BuildError::new(STEP, cause));
    }
    let open: Vec<String> = self_test
        .iter()
        .filter(|probe| !probe.refused)
        .map(|probe| format!("layer `{}`: {}: {}", probe.layer, probe.attempt, probe.outcome))
        .collect();
    if !open.is_empty() {
        let cause = format!("it does not hold: {}", open.join("; "));
        return Err(BuildError::new(STEP, cause).fix(
            "do not run agents on this machine; `openshell doctor` shows what its kernel has",
        ));
    }
    report(landlock, connect, self_test)
}

fn report(
    landlock: LandlockReport,
    connect: Connect,
    self_test: Vec<ProbeResult>,
) -> Result<Report, BuildError> {
    let status = Status::read().step(STEP)?;
    let capture = match connect {
        Connect::Notified => "nftables, callers known before they connect",
        Connect::Unwatched => {
            "nftables, callers found by a scan: another program of this machine holds the one \
             seccomp listener that there can be"
        }
    };
    Ok(Report {
        landlock,
        seccomp: SeccompReport {
            mode: status.number("Seccomp"),
            filters: status.number("Seccomp_filters"),
        },
        no_new_privs: status.number("NoNewPrivs") == 1,
        capabilities_effective: status.text("CapEff"),
        capabilities_bounding: status.text("CapBnd"),
        uid_map: facts::id_map("uid_map").step(STEP)?,
        gid_map: facts::id_map("gid_map").step(STEP)?,
        namespaces: facts::namespaces(),
        capture: capture.to_owned(),
        self_test,
        notes: Vec::new(),
    })
}

fn probe_in_child(spec: &JailSpec) -> Result<Vec<ProbeResult>, BuildError> {
    let (results, inner) = pipe_with(PipeFlags::CLOEXEC).step(STEP)?;
    let pid = sys::fork(|| match probe_all(spec, &inner) {
        Ok(()) => 0,
        Err(_) => 1,
    })
    .step(STEP)?;
    drop(inner);
    let mut text = Vec::new();
    let read = File::from(results).read_to_end(&mut text);
    let ended = rustix::io::retry_on_intr(|| waitpid(Some(pid), WaitOptions::empty()));
    read.step(STEP)?;
    let code = ended.step(STEP)?.and_then(|(_, status)| status.exit_status());
    if code != Some(0) {
        return Err(BuildError::new(STEP, format!("the test ended early ({code:?})")));
    }
    serde_json::from_slice(&text).map_err(|error| BuildError::new(STEP, error))
}

/// In the child: stands where a command stands before its program is loaded, and tries everything.
fn probe_all(spec: &JailSpec, results: &OwnedFd) -> std::io::Result<()> {
    setsid()?;
    rustix::stdio::dup2_stdout(results)?;
    sys::close_all_but(&[])?;
    sys::reset_signals();
    let tried: Vec<ProbeResult> = PROBES.iter().map(|probe| probe.run(spec)).collect();
    let mut out = File::from(rustix::stdio::stdout().as_fd().try_clone_to_owned()?);
    out.write_all(&serde_json::to_vec(&tried)?)
}
