//! Decisions in words, for agents and for people.

mod request;

use std::net::IpAddr;

use crate::HOST_ALIAS;
use crate::address::{AddressClass, classify};
use crate::check::is_always_writable;
use crate::compiled::{Bound, CompiledEndpoint, CompiledRule, Fit};
use crate::decision::{AddressRefusal, Caller, Decision, Destination, Grant, Predicate, Program};
use crate::document::{Protocol, quoted};
use crate::policy::Policy;
use crate::propose::nearest;

/// Why a decision came out as it did. The denial body, the log line and the screens all show this
/// one value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// A stable word for the predicate that decided, such as `host` or `binary`; `allowed` when
    /// all held.
    pub predicate: &'static str,
    /// The rule that allowed it or came closest.
    pub rule: Option<String>,
    /// Line of that rule's endpoint in the policy text.
    pub line: Option<u32>,
    /// A sentence for people.
    pub detail: String,
    /// The smallest edit that would allow it, as one line to paste.
    pub nearest: Option<String>,
}

impl Policy {
    /// Puts a decision into words. `by` is `None` when the caller could not be told.
    pub fn explain(
        &self,
        to: &Destination<'_>,
        by: Option<&Caller>,
        decision: &Decision,
    ) -> Explanation {
        let (predicate, closest) = match decision {
            Decision::Allow(grant) => (None, Some(grant)),
            Decision::Deny(denial) => (Some(denial.predicate), denial.closest.as_ref()),
        };
        let place = closest.and_then(|grant| Some((self.rule(grant)?, self.endpoint(grant)?)));
        let rule = place.map(|(rule, _)| rule.name.to_string());
        let line = place.map(|(_, endpoint)| endpoint.line);
        let (detail, nearest) = match (predicate, place) {
            (None, place) => (allowed(to, place), None),
            (Some(Predicate::NeverReachable), _) => never(to),
            (Some(Predicate::Host), _) | (Some(_), None) => (no_rule(to), Some(self.edit(to, by))),
            (Some(Predicate::Port), Some(place)) => {
                let (detail, remedy) = port(to, place);
                (detail, remedy.line(|| Some(self.edit(to, by))))
            }
            (Some(Predicate::Binary), Some(place)) => {
                let (detail, remedy) = binary(by, &self.bound(), place);
                (detail, remedy.line(|| nearest(self.document()?, to, by?)))
            }
            (Some(Predicate::BinaryDigest), Some(place)) => digest(by, &self.bound(), place),
            (Some(Predicate::Expired), Some(place)) => expired(place),
        };
        let predicate = predicate.map_or("allowed", Predicate::as_str);
        Explanation { predicate, rule, line, detail, nearest }
    }

    /// The least edit that allows a connection; where the program cannot be named, with a place
    /// for one that can.
    fn edit(&self, to: &Destination<'_>, by: Option<&Caller>) -> String {
        let own = self.document().zip(by).and_then(|(document, by)| nearest(document, to, by));
        own.unwrap_or_else(|| new_rule(to, by))
    }

    /// Puts the refusal of a resolved address into words.
    pub fn explain_address(&self, grant: &Grant, refusal: &AddressRefusal) -> Explanation {
        let endpoint = self.endpoint(grant);
        let host = endpoint.map_or("", |endpoint| &endpoint.host);
        let line = endpoint.map(|endpoint| endpoint.line);
        let at = line.map(|line| format!(" (line {line})")).unwrap_or_default();
        let address = refusal.address();
        let why = match classify(address) {
            AddressClass::Never(why) | AddressClass::Private(why) => why,
            AddressClass::Public => "public",
        };
        let (detail, nearest) = match refusal {
            AddressRefusal::NeverReachable(_) => (
                format!("the host resolves to {address}, which is never reachable: {why}"),
                loopback_hint(address),
            ),
            AddressRefusal::NotPublic(_) => (
                format!(
                    "the host resolves to {address}, which is not public ({why}), and `{host}` \
                     is a wildcard"
                ),
                Some(format!("declare the host by its exact name beside `{host}`{at}")),
            ),
            AddressRefusal::NotListed(_) => (
                format!("the host resolves to {address}, which is not in `allowed_ips`"),
                Some(format!("add `{address}` to `allowed_ips` of `{host}`{at}")),
            ),
        };
        Explanation {
            predicate: refusal.as_str(),
            rule: self.rule(grant).map(|rule| rule.name.to_string()),
            line,
            detail,
            nearest,
        }
    }
}

type Place<'a> = (&'a CompiledRule, &'a CompiledEndpoint);
type Words = (String, Option<String>);

fn host_text(to: &Destination<'_>) -> String {
    match to {
        Destination::Name(name, _) => name.to_string(),
        Destination::Address(address, _) => address.to_string(),
    }
}

fn allowed(to: &Destination<'_>, place: Option<Place<'_>>) -> String {
    let rule = place.map_or("", |(rule, _)| &rule.name);
    format!("the rule `{rule}` allows {} on port {}", host_text(to), to.port())
}

fn never(to: &Destination<'_>) -> Words {
    let why = match to {
        Destination::Address(address, _) => match classify(*address) {
            AddressClass::Never(why) => why,
            AddressClass::Private(_) | AddressClass::Public => "guarded",
        },
        Destination::Name(..) => "guarded",
    };
    let hint = match to {
        Destination::Address(address, _) => loopback_hint(*address),
        Destination::Name(..) => None,
    };
    (format!("{} is never reachable: {why}", host_text(to)), hint)
}

fn loopback_hint(address: IpAddr) -> Option<String> {
    address.to_canonical().is_loopback().then(|| {
        format!("a service of the host itself is reached as `{HOST_ALIAS}`, declared exactly")
    })
}

fn no_rule(to: &Destination<'_>) -> String {
    match to {
        Destination::Name(name, _) => format!("no rule names the host {name}"),
        Destination::Address(address, _) => {
            format!("no rule names the address {address}, and it was dialled without a name")
        }
    }
}

/// A whole rule, as one entry of `network_policies`.
fn new_rule(to: &Destination<'_>, by: Option<&Caller>) -> String {
    let host = host_text(to);
    let key: String =
        host.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let host = if host.contains(':') { quoted(&host) } else { host };
    let path = by
        .and_then(|caller| caller.exe.path.as_deref())
        .filter(|path| !is_always_writable(path))
        .unwrap_or("/path/to/program");
    format!(
        "add `{key}: {{ endpoints: [{{ host: {host}, port: {} }}], binaries: [{{ path: {} }}] }}` \
         to `network_policies`",
        to.port(),
        scalar(path),
    )
}

/// Whether an edit of the policy would help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Remedy {
    Edit,
    None,
}

impl Remedy {
    fn line(self, edit: impl FnOnce() -> Option<String>) -> Option<String> {
        match self {
            Self::Edit => edit(),
            Self::None => None,
        }
    }
}

fn port(to: &Destination<'_>, (rule, endpoint): Place<'_>) -> (String, Remedy) {
    if endpoint.has_port(to.port()) {
        // A port of UDP is another than that of TCP.
        let (named, asked, remedy) = match endpoint.protocol {
            Protocol::Udp => ("UDP", "TCP", Remedy::Edit),
            _ => ("TCP", "UDP", Remedy::None),
        };
        let detail = format!(
            "the rule `{}` names {} on port {} of {named}, not of {asked}",
            rule.name,
            host_text(to),
            to.port(),
        );
        return (detail, remedy);
    }
    let ports: Vec<String> = endpoint
        .ports
        .iter()
        .map(|range| if range.is_single() { range.to_string() } else { format!("\"{range}\"") })
        .collect();
    let detail = format!(
        "the rule `{}` names {} on port {}, not on {}",
        rule.name,
        host_text(to),
        ports.join(", "),
        to.port(),
    );
    (detail, Remedy::Edit)
}

fn binary(by: Option<&Caller>, bound: &Bound<'_>, (rule, endpoint): Place<'_>) -> (String, Remedy) {
    let Some(caller) = by else {
        return ("which program asked could not be told".to_owned(), Remedy::None);
    };
    let Some(path) = caller.exe.path.as_deref() else {
        let detail = format!(
            "the rule `{}` names other programs, and the caller has no path (a deleted or \
             in-memory file)",
            rule.name
        );
        return (detail, Remedy::None);
    };
    // Tools call through others: git through git-remote-https.
    let through = rule.binaries.iter().find(|binary| {
        caller.ancestors.iter().any(|ancestor| binary.fit(ancestor, bound) == Fit::Full)
    });
    if let Some(parent) = through {
        let detail = format!(
            "the rule `{}` names {}, and {path} was only started by it",
            rule.name,
            parent.text(),
        );
        return (detail, Remedy::Edit);
    }
    if rule.binaries.iter().any(|binary| binary.text() == path) {
        let detail = format!(
            "the rule `{}` names {path}, but the file that runs is another than the one that \
             the path stood for, or lies where the agent can write",
            rule.name
        );
        return (detail, Remedy::None);
    }
    if is_always_writable(path) {
        let detail = format!(
            "the rule `{}` does not name the program {path}, and none can: it lies where the \
             agent can write",
            rule.name
        );
        return (detail, Remedy::None);
    }
    let detail = format!(
        "the rule `{}` (endpoint in line {}) does not name the program {path}",
        rule.name, endpoint.line
    );
    (detail, Remedy::Edit)
}

fn digest(by: Option<&Caller>, bound: &Bound<'_>, (rule, _): Place<'_>) -> Words {
    let fits = |program: &&Program| {
        rule.binaries.iter().any(|binary| binary.fit(program, bound) == Fit::Digest)
    };
    let program =
        by.and_then(|caller| std::iter::once(&caller.exe).chain(&caller.ancestors).find(fits));
    let path = program.and_then(|program| program.path.as_deref()).unwrap_or("the program");
    let found = match program.and_then(|program| program.sha256) {
        Some(digest) => format!("has the digest {digest}"),
        None => "has an unknown digest".to_owned(),
    };
    (format!("{path} {found}, which is not the one that rule `{}` asks for", rule.name), None)
}

fn expired((rule, _): Place<'_>) -> Words {
    let until = rule.until.map(|until| until.to_string()).unwrap_or_default();
    (
        format!("the rule `{}` allowed it until {until}", rule.name),
        Some(format!("set a later `until` in rule `{}` (line {})", rule.name, rule.line)),
    )
}

/// A path as a YAML scalar: plain where that is safe.
fn scalar(path: &str) -> String {
    let plain = path.starts_with('/')
        && path.bytes().all(|b| {
            b.is_ascii_alphanumeric() || matches!(b, b'/' | b'.' | b'_' | b'-' | b'+' | b'*')
        });
    if plain { path.to_owned() } else { quoted(path) }
}
