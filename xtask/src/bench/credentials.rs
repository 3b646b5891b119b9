//! What credentials cost: a request into which a value is put beside the same without one, and an
//! upload that is searched for placeholders beside one that is not.

use std::path::Path;
use std::process::Command;

use super::backend::Backend;
use super::connect::Probe;
use super::load::{Load, Sandbox, Way, compare, has, rounds, scripts};
use super::place::{HOST, PROBE_INSIDE, Place};
use super::probe::UPLOAD_BYTES;
use super::requests::{SECRET, Site, endpoint, find, median, processor_time};
use crate::run::Outcome;

/// Connections of one round.
const CONNECTIONS: u32 = 16;

/// Measures.
pub fn measure(place: &Place, runs: u32) -> Outcome {
    if !has(&["nginx", "wrk", "openssl"], "credentials") {
        return Ok(());
    }
    let rounds = rounds(runs);
    place.run(&["gateway", "stop"])?;
    let (site, backend) = (Site::start(place)?, Backend::start()?);
    let ask = scripts(place, &[("plain.lua", ""), ("credential.lua", CREDENTIAL)])?;
    let policy = place.policy("credentials.yaml", &policy(&site, &backend))?;
    let profile = place.policy("profile.yaml", &profile(&site))?;
    place.run(&["provider", "profile", "import", "-f", &profile])?;
    let token = format!("BENCH_TOKEN={SECRET}");
    place.run(&[
        "provider",
        "create",
        "--name",
        "bench",
        "--type",
        "bench",
        "--credential",
        &token,
    ])?;
    let policy = ["--policy", policy.as_str()];
    let without = Sandbox::start(place, "bench-without", &ask, &policy)?;
    let more = [policy[0], policy[1], "--provider", "bench"];
    let with = Sandbox::start(place, "bench-with", &ask, &more)?;

    for (title, scheme, port) in
        [("plain", "http", site.plain), ("within TLS, HTTP/1.1", "https", site.secure)]
    {
        let title = format!(
            "judged requests, {title}, {CONNECTIONS} connections that are kept, {rounds} rounds"
        );
        compare(&title, rounds, &mut ways((scheme, port), &ask, &without, &with))?;
    }
    uploads(rounds, &backend, &without, &with)?;
    without.delete()?;
    with.delete()
}

fn ways(
    (scheme, port): (&str, u16),
    ask: &Path,
    without: &Sandbox<'_>,
    with: &Sandbox<'_>,
) -> [Way; 4] {
    let plain = Load { script: "plain.lua", connections: CONNECTIONS };
    let bears = Load { script: "credential.lua", connections: CONNECTIONS };
    let (inside, outside) =
        (format!("{scheme}://{HOST}:{port}"), format!("{scheme}://127.0.0.1:{port}/"));
    let (open, guarded) = (format!("{inside}/"), format!("{inside}/guarded"));
    [
        Way::inside("with the credential put in", with, bears, &guarded),
        Way::inside("without it, from the same sandbox", with, plain, &open),
        Way::inside("from a sandbox without credentials", without, plain, &open),
        Way::outside("direct", ask, plain, &outside),
    ]
}

fn policy(site: &Site, backend: &Backend) -> String {
    let rules = "rules: [{ allow: { method: GET, path: /** } }]";
    let uploads = "rules: [{ allow: { method: PUT, path: /upload } }]";
    format!(
        "version: 1\nnetwork_policies:\n  bench:\n    endpoints:\n{}{}{}    binaries:\n      - {{ path: \
         {} }}\n      - {{ path: {PROBE_INSIDE} }}\n",
        endpoint(site.plain, rules),
        endpoint(site.secure, rules),
        endpoint(backend.port, uploads),
        find("wrk").unwrap_or_default().display(),
    )
}

/// A profile that binds a credential to the site.
fn profile(site: &Site) -> String {
    let at =
        |port| format!("  - {{ host: {HOST}, port: {port}, protocol: rest, access: read-only }}\n");
    format!(
        "id: bench\ndisplay_name: Bench\ndescription: A server of this machine\ncategory: other\n\
         credentials:\n  - {{ name: token, env_vars: [BENCH_TOKEN], auth_style: bearer }}\n\
         endpoints:\n{}{}",
        at(site.plain),
        at(site.secure)
    )
}

/// Lets `wrk` send what the sandbox has in the place of the credential.
const CREDENTIAL: &str =
    "wrk.headers[\"Authorization\"] = \"Bearer \" .. os.getenv(\"BENCH_TOKEN\")";

/// One way to upload.
struct Upload {
    name: &'static str,
    probe: Probe,
    pid: Option<String>,
    rates: Vec<f64>,
    costs: Vec<f64>,
}

impl Upload {
    fn new(name: &'static str, command: &mut Command, pid: Option<&str>) -> Outcome<Self> {
        let pid = pid.map(str::to_owned);
        let (rates, costs) = (Vec::new(), Vec::new());
        Ok(Self { name, probe: Probe::start(command)?, pid, rates, costs })
    }

    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    fn round(&mut self) -> Outcome<(f64, f64)> {
        const GIB: f64 = (1_u64 << 30) as f64;
        let now = |pid: &Option<String>| pid.as_deref().map_or(Ok(0.0), processor_time);
        let before = now(&self.pid)?;
        self.probe.ask("go")?;
        let nanoseconds = self.probe.number()? as f64;
        let bytes = UPLOAD_BYTES as f64;
        Ok((bytes * 1e3 / nanoseconds, (now(&self.pid)? - before) * GIB / bytes))
    }
}

fn uploads(rounds: u32, to: &Backend, without: &Sandbox<'_>, with: &Sandbox<'_>) -> Outcome {
    let port = to.port.to_string();
    let words = ["upload", HOST, &port];
    let mut all = [
        Upload::new("searched", &mut with.probe(&words), Some(&with.pid))?,
        Upload::new(
            "from a sandbox without credentials",
            &mut without.probe(&words),
            Some(&without.pid),
        )?,
        Upload::new(
            "direct",
            &mut with.place.probe_outside(&["upload", "127.0.0.1", &port]),
            None,
        )?,
    ];
    for round in 0..=rounds {
        for upload in &mut all {
            let (rate, cost) = upload.round()?;
            if round > 0 {
                upload.rates.push(rate);
                upload.costs.push(cost);
            }
        }
    }
    println!("\njudged upload, plain, {} MiB of text, {rounds} rounds", UPLOAD_BYTES >> 20);
    println!("  {:<44} {:>9} {:>9} {:>7}", "", "MB/s", "CPU s/GiB", "ratio");
    let direct = all.last().map_or(1.0, |upload| median(&upload.rates));
    for upload in all {
        let (rate, cost) = (median(&upload.rates), median(&upload.costs));
        let cost = upload.pid.as_ref().map_or("–".to_owned(), |_| format!("{cost:.2}"));
        println!("  {:<44} {rate:>9.0} {cost:>9} {:>7.2}", upload.name, rate / direct);
        upload.probe.end()?;
    }
    Ok(())
}
