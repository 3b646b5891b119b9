//! Lints: where a profile would put secrets.

use std::collections::BTreeSet;

use openshell_policy::yaml::{Findings, Position, shown};
use openshell_policy::{EndpointHost, EndpointView};

use super::binding::{is_read, part, ports};
use super::{CredentialSpec, Draft, Profile};
use crate::limits::BOUND_PORTS;

/// Ports on which plain HTTP is spoken.
const PLAIN: [u16; 2] = [80, 8080];

/// Finds errors; and what is worth a warning when there is none, because of a text that was read in
/// part that is noise.
pub(super) fn check(draft: &Draft, findings: &mut Findings) {
    unique(draft, findings);
    outputs(draft, findings);
    // Without a placement nothing is put anywhere.
    let is_placed = draft.profile.credentials.iter().any(CredentialSpec::is_placed);
    let signs = draft.profile.credentials.iter().any(|spec| part(spec).is_some());
    let is_bound = |own: &EndpointView<'_>| is_placed || signs && own.signing.is_some();
    let bound = || draft.profile.endpoints().filter(is_bound);
    for endpoint in bound().filter(is_read) {
        refuse_wide(&endpoint, findings);
    }
    for endpoint in draft.profile.endpoints() {
        refuse_no_region(&endpoint, findings);
        refuse_policys(&endpoint, findings);
    }
    if findings.has_errors() {
        return;
    }
    unused(draft, findings);
    for endpoint in bound() {
        unbound(&endpoint, findings);
        plain(&endpoint, findings);
    }
}

/// Credentials that nobody gets, or that stand nowhere.
fn unused(draft: &Draft, findings: &mut Findings) {
    let has_endpoints = draft.profile.endpoints().next().is_some();
    for (spec, at) in draft.profile.credentials.iter().zip(&draft.places) {
        if spec.env_vars.is_empty() {
            let message = format!("no program gets `{}`: it has no `env_vars`", spec.name);
            let help = "name the variables in which programs look for it".to_owned();
            findings.warning("C0201", *at, message, Some(help));
        }
        let signs =
            part(spec).is_some() && draft.profile.endpoints().any(|own| own.signing.is_some());
        let is_used = spec.is_placed() || signs || is_renewal(&draft.profile, spec);
        if has_endpoints && !is_used {
            let message = format!("no request has `{}`: it has no `auth_style`", spec.name);
            let help = "say where in a request it stands: `auth_style: bearer`".to_owned();
            findings.warning("C0205", *at, message, Some(help));
        }
    }
}

/// Whether a credential is there only for others to be renewed.
fn is_renewal(profile: &Profile, spec: &CredentialSpec) -> bool {
    let outputs = profile.credentials.iter().filter_map(|one| one.refresh.as_ref());
    let mut outputs = outputs.flat_map(|refresh| &refresh.additional_outputs);
    spec.refresh.is_some() || outputs.any(|output| output.credential == spec.name)
}

/// Names, and variables over all credentials.
fn unique(draft: &Draft, findings: &mut Findings) {
    let (mut names, mut variables) = (BTreeSet::new(), BTreeSet::new());
    for (spec, at) in draft.profile.credentials.iter().zip(&draft.places) {
        if !spec.name.is_empty() && !names.insert(&spec.name) {
            refuse_twice("the credential", &spec.name, *at, findings);
        }
        for variable in &spec.env_vars {
            if !variables.insert(variable) {
                refuse_twice("the variable", variable.as_str(), *at, findings);
            }
        }
    }
}

fn refuse_twice(what: &str, name: &str, at: Position, findings: &mut Findings) {
    findings.error("C0103", at, format!("{what} `{}` stands here a second time", shown(name)));
}

/// What renewal makes beside has to be there.
fn outputs(draft: &Draft, findings: &mut Findings) {
    let profile: &Profile = &draft.profile;
    for (spec, at) in profile.credentials.iter().zip(&draft.places) {
        for output in spec.refresh.iter().flat_map(|refresh| &refresh.additional_outputs) {
            if profile.credential(&output.credential).is_none() {
                let name = shown(&output.credential);
                let message =
                    format!("`additional_outputs` names `{name}`, which is no credential");
                findings.error("C0103", *at, message);
            }
        }
    }
}

/// SECURITY: I2; a secret goes to hosts that somebody named, one by one.
fn refuse_wide(endpoint: &EndpointView<'_>, findings: &mut Findings) {
    if let Some(EndpointHost::Wildcard(pattern)) = &endpoint.host {
        findings.error_with_help(
            "C0203",
            endpoint.at,
            format!("the credentials would go to each host that `{pattern}` matches"),
            "name each host".to_owned(),
        );
    }
    if ports(&endpoint.ports).len() > BOUND_PORTS {
        findings.error_with_help(
            "C0203",
            endpoint.at,
            format!("the credentials would go to more than {BOUND_PORTS} ports"),
            "name the ports that are meant".to_owned(),
        );
    }
}

/// SECURITY: I10; nothing is signed for whatever region a program likes.
fn refuse_no_region(endpoint: &EndpointView<'_>, findings: &mut Findings) {
    if endpoint.signing.is_some_and(|signing| signing.region.is_none()) {
        findings.error_with_help(
            "C0206",
            endpoint.at,
            "`credential_signing` of a profile needs a `signing_region`, since the host does not say one"
                .to_owned(),
            "name the region of this host: `signing_region: eu-central-1`".to_owned(),
        );
    }
}

/// Only a person's policy says that other credentials go to an endpoint.
fn refuse_policys(endpoint: &EndpointView<'_>, findings: &mut Findings) {
    if endpoint.provider.is_some() {
        findings.error_with_help(
            "C0207",
            endpoint.at,
            "a profile has no `credential_binding`: its own credentials go to its endpoints"
                .to_owned(),
            "remove it, or put the endpoint into a policy".to_owned(),
        );
    }
}

/// Endpoints to which no credential goes, unless that is said.
fn unbound(endpoint: &EndpointView<'_>, findings: &mut Findings) {
    let (why, help) = if endpoint.host.is_none() {
        ("there is no `host`", "name the host")
    } else if !is_read(endpoint) && !endpoint.allows_uninspected {
        (
            "requests are not read",
            "add a `protocol` such as `rest`; or, if none is needed here, \
             `allow_uninspected_credentials: true`",
        )
    } else {
        return;
    };
    let message = format!("no credential goes here: {why}");
    findings.warning("C0202", endpoint.at, message, Some(help.to_owned()));
}

fn plain(endpoint: &EndpointView<'_>, findings: &mut Findings) {
    let ports = ports(&endpoint.ports);
    let plain = ports.iter().find(|port| PLAIN.contains(&port.number()));
    if let Some(plain) = plain.filter(|_| is_read(endpoint)) {
        findings.warning(
            "C0204",
            endpoint.at,
            format!("on port {plain} the credentials would go out without encryption"),
            Some("use the port on which the server speaks TLS".to_owned()),
        );
    }
}
