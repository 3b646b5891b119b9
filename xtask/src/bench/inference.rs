//! What the router for model calls adds to one: the same call at `inference.local`, to the server by
//! its name and judged, and direct; and when a streamed answer's first byte is there.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::backend::{Backend, CALL, PAUSE};
use super::load::{ASK, Load, Sandbox, Way, compare, has, rounds, scripts};
use super::place::{HOST, Place};
use super::requests::{Site, endpoint, find};
use super::samples::{Samples, show};
use crate::run::{Outcome, output};

/// How many calls are under way at once.
const AT_ONCE: [u32; 2] = [1, 16];

/// Where the router is.
const ROUTER: &str = "inference.local";

/// Bytes of a call's body.
const QUESTION: usize = 2048;

/// Measures.
pub fn measure(place: &Place, runs: u32) -> Outcome {
    if !has(&["nginx", "wrk", "curl", "openssl"], "inference") {
        return Ok(());
    }
    let rounds = rounds(runs);
    place.run(&["gateway", "stop"])?;
    let (site, backend) = (Site::start(place)?, Backend::start()?);
    let call = format!(
        "wrk.method, wrk.body = \"POST\", [[{}]]\nwrk.headers[\"Content-Type\"] = \"application/json\"",
        question()
    );
    let ask = scripts(place, &[("call.lua", &call)])?;
    let body = ask.join("question.json");
    std::fs::write(&body, question()).map_err(|error| format!("`{}`: {error}", body.display()))?;
    let policy = place.policy("inference.yaml", &policy(&site))?;
    route(place, "buffered", site.plain)?;
    let sandbox = Sandbox::start(place, "bench-inference", &ask, &["--policy", &policy])?;
    for connections in AT_ONCE {
        let load = Load { script: "call.lua", connections };
        let title = format!(
            "model calls, {QUESTION} bytes asked and 1 kB answered, {connections} at once over \
             connections that are kept, {rounds} rounds"
        );
        compare(&title, rounds, &mut ways(&site, &ask, &sandbox, load))?;
    }
    route(place, "streamed", backend.port)?;
    for connections in AT_ONCE {
        streams(&sandbox, &backend, (&ask, connections), (rounds, runs))?;
    }
    sandbox.delete()?;
    place.run(&["inference", "delete", "--protocol", "openai"])
}

fn ways(site: &Site, ask: &Path, sandbox: &Sandbox<'_>, load: Load<'_>) -> [Way; 6] {
    let inside = |name, url: String| Way::inside(name, sandbox, load, &format!("{url}{CALL}"));
    let outside = |name, url: String| Way::outside(name, ask, load, &format!("{url}{CALL}"));
    let Site { plain, secure, .. } = site;
    [
        inside("routed, within TLS", format!("https://{ROUTER}")),
        inside("routed, plain", format!("http://{ROUTER}")),
        inside("judged, TLS ended", format!("https://{HOST}:{secure}")),
        inside("judged, plain", format!("http://{HOST}:{plain}")),
        outside("direct, within TLS", format!("https://127.0.0.1:{secure}")),
        outside("direct, plain", format!("http://127.0.0.1:{plain}")),
    ]
}

fn policy(site: &Site) -> String {
    let rules = format!("rules: [{{ allow: {{ method: POST, path: {CALL} }} }}]");
    format!(
        "version: 1\nnetwork_policies:\n  bench:\n    endpoints:\n{}{}    binaries:\n      - {{ path: {} \
         }}\n",
        endpoint(site.plain, &rules),
        endpoint(site.secure, &rules),
        find("wrk").unwrap_or_default().display(),
    )
}

/// Lets the server on this port answer the calls.
fn route(place: &Place, name: &str, port: u16) -> Outcome {
    let base = format!("OPENAI_BASE_URL=http://{HOST}:{port}/v1");
    let provider = ["provider", "create", "--name", name, "--type", "openai-compatible"];
    place.run(
        &[&provider[..], &["--credential", "OPENAI_API_KEY=none", "--config", &base]].concat(),
    )?;
    place.run(&["inference", "set", "--provider", name, "--model", "bench", "--no-verify"])
}

/// The body of a call.
fn question() -> String {
    let (begin, end) = (
        "{\"model\":\"any\",\"messages\":[{\"role\":\"system\",\"content\":\"Be brief.\"},\
         {\"role\":\"user\",\"content\":\"",
        "\"}]}",
    );
    let words = "Which of these lines was changed last, and why? ".repeat(QUESTION / 48 + 1);
    let room = QUESTION.saturating_sub(begin.len() + end.len());
    format!("{begin}{}{end}", words.get(..room).unwrap_or_default())
}

/// When the first byte of a streamed answer is there, and the last.
fn streams(
    sandbox: &Sandbox<'_>,
    backend: &Backend,
    (ask, at_once): (&Path, u32),
    (rounds, calls): (u32, u32),
) -> Outcome {
    let base = format!("http://127.0.0.1:{}", backend.port);
    let routed = curl(Path::new(ASK), &format!("https://{ROUTER}"), at_once, calls);
    let direct = curl(ask, &base, at_once, calls);
    let mut beside = Command::new("curl");
    beside.args(direct.iter().skip(1)).stdin(Stdio::null());
    let words: Vec<&str> = routed.iter().map(String::as_str).collect();
    let mut ways = [("routed, within TLS", sandbox.exec(&words)), ("direct, plain", beside)].map(
        |(name, command)| {
            let of = |what: &str| Samples::of(format!("{name}: {what}"));
            (command, of("first byte"), of("last byte"))
        },
    );
    for round in 0..=rounds {
        for (command, first, last) in &mut ways {
            for (to_first, to_last) in times(&output(command)?)? {
                if round > 0 {
                    first.add(to_first);
                    last.add(to_last);
                }
            }
        }
    }
    let [(_, routed, routed_last), (_, direct, direct_last)] = &ways;
    let title = format!(
        "streamed answers, {at_once} at once over connections that are kept; the server waits {} ms \
         behind the first event",
        PAUSE.as_millis()
    );
    show(&title, &[routed, direct, routed_last, direct_last], direct);
    Ok(())
}

fn curl(ask: &Path, base: &str, at_once: u32, calls: u32) -> Vec<String> {
    // Those that had to connect first are not counted, and no more than these do.
    let url = format!("{base}{CALL}?[1-{}]", calls.saturating_add(at_once));
    let body = format!("@{}", ask.join("question.json").display());
    let told = "%{num_connects} %{time_starttransfer} %{time_total}\\n";
    let mut words = vec!["curl", "-sfk", "--http1.1", "--noproxy", "*", "-o", "/dev/null"];
    words.extend(["-H", "Content-Type: application/json", "--data-binary", &body, "-w", told]);
    let at_once = at_once.to_string();
    words.extend(["--parallel", "--parallel-max", &at_once, &url]);
    words.into_iter().map(str::to_owned).collect()
}

/// Reads what `curl` tells of each call: the time from its beginning to its answer's first and last
/// byte.
fn times(text: &str) -> Outcome<Vec<(Duration, Duration)>> {
    let read = |line: &str| {
        let figures: Vec<f64> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
        match figures[..] {
            [connects, first, last] if first > 0.0 && last >= first => {
                let times = [first, last].map(Duration::from_secs_f64);
                Ok((connects == 0.0).then_some(times.into()))
            }
            _ => Err(format!("curl said `{line}`")),
        }
    };
    text.lines().filter_map(|line| read(line).transpose()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_json_of_its_size() {
        let question = question();
        assert_eq!(question.len(), QUESTION);
        serde_json::from_str::<serde_json::Value>(&question).expect("JSON");
    }

    #[test]
    fn calls_that_had_to_connect_do_not_count() {
        let ms = Duration::from_millis;
        let read = times("1 0.003 0.004\n0 0.001 0.008\n").expect("times");
        assert_eq!(read, [(ms(1), ms(8))]);
        assert!(times("0 0.2 0.1\n").is_err() && times("curl: (7)\n").is_err());
    }
}
