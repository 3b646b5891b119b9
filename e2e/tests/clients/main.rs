//! Clients that no one here wrote, against servers that no one here wrote, under rules for their
//! requests: what is allowed works unchanged, and what is denied is told in words.

use std::process::ExitCode;

use openshell_testkit::harness::{self, Case};

#[cfg(test)]
mod certificates;
#[cfg(test)]
mod curl;
#[cfg(test)]
mod fetched;
#[cfg(test)]
mod git;
#[cfg(test)]
mod http;
#[cfg(test)]
mod judged;
#[cfg(test)]
mod languages;
#[cfg(test)]
mod libraries;
#[cfg(test)]
mod packages;
#[cfg(test)]
mod site;
#[cfg(test)]
mod slow;
#[cfg(test)]
mod web;

fn main() -> ExitCode {
    let cases = openshell_e2e::both![
        curl::curl_reads_what_it_may,
        curl::curl_sends_what_it_may,
        http::answers_without_a_body_end,
        http::parts_and_packed_answers_are_passed_on,
        http::connections_end_when_a_side_says_so,
        http::large_bodies_pass_both_ways,
        http::events_come_when_they_are_sent,
        http::a_server_that_ends_idle_connections_is_no_error,
        certificates::a_wrong_certificate_is_an_alert_and_an_event,
        certificates::d07_a_clients_certificate_goes_where_nothing_is_judged,
        git::git_clones_and_pushes_what_it_may,
        packages::pip_installs_what_it_may,
        packages::n03_uv_installs_a_large_tree,
        packages::n03_hundreds_of_connections_at_once,
        packages::npm_installs_what_it_may,
        languages::python_reads_what_it_may,
        languages::requests_and_httpx_read_what_they_may,
        languages::node_reads_what_it_may,
        languages::java_reads_what_it_may,
        languages::wget_reads_what_it_may,
        libraries::grpc_calls_what_it_may,
        libraries::websockets_says_what_it_may,
        libraries::mcp_calls_the_tools_that_it_may,
    ];
    if harness::is_case() || std::env::args().any(|argument| argument == "--list") {
        return openshell_e2e::main(&cases);
    }
    let mut others: Vec<Case> = Vec::new();
    for case in cases {
        match cannot_run(case.name) {
            Some(reason) => println!("skipped {}: {reason}", case.name),
            None => others.push(case),
        }
    }
    openshell_e2e::main(&others)
}

/// Why a case cannot run here: what it needs is not installed, or cannot be fetched.
fn cannot_run(case: &str) -> Option<String> {
    let starts = |words: &[&str]| words.iter().any(|word| case.starts_with(word));
    let missing = |program: &str| {
        (!std::path::Path::new(program).exists()).then(|| format!("there is no {program}"))
    };
    site::cannot_run().or_else(|| {
        if starts(&["requests_and_httpx", "n03_uv"]) {
            fetched::cannot_fetch()
        } else if starts(&["npm"]) {
            missing("/usr/bin/npm")
        } else if starts(&["grpc", "websockets", "mcp"]) {
            libraries::missing()
        } else if starts(&["node"]) {
            missing("/usr/bin/node")
        } else if starts(&["wget"]) {
            missing("/usr/bin/wget")
        } else if starts(&["java"]) {
            languages::java().is_none().then(|| "there is no JDK".to_owned())
        } else {
            None
        }
    })
}
