//! The one-line form of an event, for people.

use std::fmt::{self, Display, Write as _};

use crate::event::{
    Bypass, Caller, Config, Destination, Dns, Event, Http, Inference, Lifecycle, Network, Outcome,
    Process, Reason, Record, Way,
};

/// The event as one line: `CLASS:ACTIVITY [SEVERITY] ACTION details [context]`. Control characters
/// and everything else that would move a terminal's cursor are escaped.
pub fn shorthand(record: &Record) -> String {
    let mut line = String::new();
    // Writing to a String cannot fail.
    let _ = match &record.event {
        Event::Network(event) => network(&mut line, event),
        Event::Http(event) => http(&mut line, event),
        Event::Inference(event) => inference(&mut line, event),
        Event::Dns(event) => dns(&mut line, event),
        Event::Bypass(event) => bypass(&mut line, event),
        Event::Process(event) => process(&mut line, event),
        Event::Config(event) => config(&mut line, event),
        Event::Lifecycle(event) => lifecycle(&mut line, event),
    };
    line
}

fn network(line: &mut String, event: &Network) -> fmt::Result {
    let (severity, action) = outcome(event.outcome);
    let activity = if event.outcome == Outcome::Revoked { "CLOSE" } else { "OPEN" };
    write!(line, "NET:{activity} [{severity}] {action} ")?;
    caller(line, event.caller.as_ref())?;
    line.push_str(" -> ");
    destination(line, &event.destination)?;
    line.push_str(" [");
    basis(line, event.rule.as_deref(), event.reason.as_ref())?;
    write!(line, " via:{} gen:{}]", way(event.way), event.generation)?;
    detail(line, event.reason.as_ref())
}

fn http(line: &mut String, event: &Http) -> fmt::Result {
    let (severity, action) = outcome(event.outcome);
    let method = if event.method.is_empty() { "-" } else { &event.method };
    write!(line, "HTTP:{} [{severity}] {action} ", Safe(method))?;
    caller(line, event.caller.as_ref())?;
    line.push_str(" -> ");
    destination(line, &event.destination)?;
    write!(line, "{} [", Safe(&event.path))?;
    basis(line, event.rule.as_deref(), event.reason.as_ref())?;
    write!(line, " via:{} gen:{}]", way(event.way), event.generation)?;
    for operation in &event.operations {
        write!(line, " {}", Safe(operation))?;
    }
    for name in &event.credentials {
        write!(line, " with:{}", Safe(name))?;
    }
    detail(line, event.reason.as_ref())
}

fn inference(line: &mut String, event: &Inference) -> fmt::Result {
    let (severity, action) = outcome(event.outcome);
    write!(line, "API:INFERENCE [{severity}] {action} ")?;
    caller(line, event.caller.as_ref())?;
    line.push_str(" -> ");
    destination(line, &event.destination)?;
    write!(line, " {} [", Safe(&event.operation))?;
    match &event.route {
        Some(route) => write!(line, "route:{}", Safe(route))?,
        None => line.push_str("route:-"),
    }
    for (key, value) in [("provider", &event.provider), ("model", &event.model)] {
        if let Some(value) = value {
            write!(line, " {key}:{}", Safe(value))?;
        }
    }
    if let Some(status) = event.status {
        write!(line, " status:{status}")?;
    }
    if let Some(tokens) = event.tokens {
        let counts = [("in", tokens.input), ("out", tokens.output), ("cached", tokens.cached)];
        for (key, count) in counts {
            if let Some(count) = count {
                write!(line, " {key}:{count}")?;
            }
        }
    }
    if let Some(first) = event.first_byte_ms {
        write!(line, " first:{first}ms")?;
    }
    write!(line, " total:{}ms", event.duration_ms)?;
    if let Some(reason) = &event.reason {
        write!(line, " reason:{}", Safe(&reason.predicate))?;
    }
    write!(line, " via:{} gen:{}]", way(event.way), event.generation)?;
    detail(line, event.reason.as_ref())
}

const fn outcome(outcome: Outcome) -> (&'static str, &'static str) {
    match outcome {
        Outcome::Allowed => ("INFO", "ALLOWED"),
        Outcome::Denied => ("MED", "DENIED"),
        Outcome::Failed => ("LOW", "FAILED"),
        Outcome::Revoked => ("MED", "REVOKED"),
        Outcome::Noted => ("LOW", "NOTED"),
    }
}

fn caller(line: &mut String, caller: Option<&Caller>) -> fmt::Result {
    match caller {
        Some(Caller { binary, pid, .. }) => write!(line, "{}({pid})", Safe(binary)),
        None => line.write_str("unknown"),
    }
}

fn destination(line: &mut String, to: &Destination) -> fmt::Result {
    match (&to.name, to.address) {
        (Some(name), _) => write!(line, "{}", Safe(name))?,
        (None, Some(std::net::IpAddr::V6(address))) => write!(line, "[{address}]")?,
        (None, Some(address)) => write!(line, "{address}")?,
        (None, None) => line.push('?'),
    }
    write!(line, ":{}", to.port)
}

fn basis(line: &mut String, rule: Option<&str>, reason: Option<&Reason>) -> fmt::Result {
    match rule {
        Some(rule) => write!(line, "rule:{}", Safe(rule))?,
        None => line.push_str("rule:-"),
    }
    match reason {
        Some(reason) => write!(line, " reason:{}", Safe(&reason.predicate)),
        None => Ok(()),
    }
}

fn detail(line: &mut String, reason: Option<&Reason>) -> fmt::Result {
    match reason {
        Some(reason) => write!(line, " \"{}\"", Safe(&reason.detail)),
        None => Ok(()),
    }
}

const fn way(way: Way) -> &'static str {
    match way {
        Way::Connect => "connect",
        Way::Forward => "forward",
        Way::Transparent => "transparent",
        Way::Datagram => "datagram",
    }
}

fn dns(line: &mut String, event: &Dns) -> fmt::Result {
    write!(
        line,
        "DNS:QUERY [LOW] DENIED {} {} [reason:{} count:{}]",
        Safe(&event.record_type),
        if event.name.is_empty() { Safe("-") } else { Safe(&event.name) },
        Safe(&event.predicate),
        event.count,
    )
}

fn bypass(line: &mut String, event: &Bypass) -> fmt::Result {
    write!(
        line,
        "FINDING:CREATE [HIGH] BLOCKED {} -> {} [reason:bypass count:{}]",
        Safe(&event.protocol),
        std::net::SocketAddr::new(event.address, event.port),
        event.count,
    )
}

fn process(line: &mut String, event: &Process) -> fmt::Result {
    let (activity, action) = match event.exit_code {
        None => ("LAUNCH", "STARTED"),
        Some(_) => ("TERMINATE", "EXITED"),
    };
    write!(line, "PROC:{activity} [INFO] {action} {}({})", Safe(&event.role), event.pid)?;
    for item in &event.argv {
        // Quoted where a space would make two arguments of one.
        if item.is_empty() || item.contains([' ', '"']) {
            write!(line, " \"{}\"", Safe(item))?;
        } else {
            write!(line, " {}", Safe(item))?;
        }
    }
    if let Some(code) = event.exit_code {
        write!(line, " [exit:{code}]")?;
    }
    Ok(())
}

fn config(line: &mut String, event: &Config) -> fmt::Result {
    let refused = event.activity == "refused";
    write!(
        line,
        "CONFIG:{} [{}] {} policy [gen:{} digest:{}]",
        if refused { "REFUSED" } else { "LOADED" },
        if refused { "MED" } else { "INFO" },
        Safe(&event.activity.to_uppercase()),
        event.generation,
        event.digest.short(),
    )?;
    match &event.detail {
        Some(detail) => write!(line, " \"{}\"", Safe(detail)),
        None => Ok(()),
    }
}

fn lifecycle(line: &mut String, event: &Lifecycle) -> fmt::Result {
    let (activity, severity) = match event.activity.as_str() {
        "ready" => ("START", "INFO"),
        "failed" => ("FAIL", "HIGH"),
        _ => ("STOP", "INFO"),
    };
    write!(
        line,
        "LIFECYCLE:{activity} [{severity}] {} \"{}\"",
        Safe(&event.activity.to_uppercase()),
        Safe(&event.detail),
    )
}

/// Text of the jail as it may stand on a terminal.
struct Safe<'a>(&'a str);

impl Display for Safe<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            // SECURITY: escape sequences and line breaks forge lines (M12), and so do the
            // invisible and direction-changing characters of Unicode on a terminal.
            if character.is_control() || is_deceptive(character) {
                write!(f, "{}", character.escape_default())?;
            } else if matches!(character, '"' | '\\') {
                write!(f, "\\{character}")?;
            } else {
                f.write_char(character)?;
            }
        }
        Ok(())
    }
}

const fn is_deceptive(character: char) -> bool {
    matches!(
        character,
        '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
    )
}
