//! Events in the Open Cybersecurity Schema Framework, version 1.8.

use serde_json::{Map, Value, json};

use crate::event::{
    Bypass, Caller, Config, Destination, Dns, Event, Http, Inference, Lifecycle, Network, Outcome,
    Process, Reason, Record, Way,
};

/// The schema version that is named in each event.
const SCHEMA: &str = "1.8.0";

/// The event as one OCSF object.
pub fn ocsf(record: &Record) -> Value {
    let (class, body) = match &record.event {
        Event::Network(event) => (NETWORK_ACTIVITY, network(event)),
        Event::Http(event) => (HTTP_ACTIVITY, http(event)),
        Event::Inference(event) => (API_ACTIVITY, inference(event)),
        Event::Dns(event) => (DNS_ACTIVITY, dns(event)),
        Event::Bypass(event) => (DETECTION_FINDING, bypass(event, record)),
        Event::Process(event) => (PROCESS_ACTIVITY, process(event)),
        Event::Config(event) => (CONFIG_STATE_CHANGE, config(event)),
        Event::Lifecycle(event) => (APPLICATION_LIFECYCLE, lifecycle(event)),
    };
    assemble(record, &class, body)
}

struct Class {
    uid: u32,
    name: &'static str,
    category_uid: u32,
    category: &'static str,
}

const PROCESS_ACTIVITY: Class =
    Class { uid: 1007, name: "Process Activity", category_uid: 1, category: "System Activity" };
const DETECTION_FINDING: Class =
    Class { uid: 2004, name: "Detection Finding", category_uid: 2, category: "Findings" };
const NETWORK_ACTIVITY: Class =
    Class { uid: 4001, name: "Network Activity", category_uid: 4, category: "Network Activity" };
const HTTP_ACTIVITY: Class =
    Class { uid: 4002, name: "HTTP Activity", category_uid: 4, category: "Network Activity" };
const DNS_ACTIVITY: Class =
    Class { uid: 4003, name: "DNS Activity", category_uid: 4, category: "Network Activity" };
const CONFIG_STATE_CHANGE: Class =
    Class { uid: 5019, name: "Device Config State Change", category_uid: 5, category: "Discovery" };
const APPLICATION_LIFECYCLE: Class = Class {
    uid: 6002,
    name: "Application Lifecycle",
    category_uid: 6,
    category: "Application Activity",
};
const API_ACTIVITY: Class =
    Class { uid: 6003, name: "API Activity", category_uid: 6, category: "Application Activity" };

#[derive(Clone, Copy)]
enum Severity {
    Informational = 1,
    Low = 2,
    Medium = 3,
    High = 4,
}

impl Severity {
    const fn name(self) -> &'static str {
        match self {
            Self::Informational => "Informational",
            Self::Low => "Low",
            Self::Medium => "Medium",
            Self::High => "High",
        }
    }
}

/// What differs from class to class.
struct Body {
    activity: (u32, &'static str),
    severity: Severity,
    succeeded: bool,
    fields: Map<String, Value>,
}

fn assemble(record: &Record, class: &Class, body: Body) -> Value {
    let (activity_id, activity_name) = body.activity;
    let mut event = Map::new();
    let common = json!({
        "class_uid": class.uid,
        "class_name": class.name,
        "category_uid": class.category_uid,
        "category_name": class.category,
        "activity_id": activity_id,
        "activity_name": activity_name,
        "type_uid": u64::from(class.uid) * 100 + u64::from(activity_id),
        "type_name": format!("{}: {activity_name}", class.name),
        "severity_id": body.severity as u32,
        "severity": body.severity.name(),
        "status_id": if body.succeeded { 1 } else { 2 },
        "status": if body.succeeded { "Success" } else { "Failure" },
        "time": record.time.as_millisecond(),
        "metadata": {
            "version": SCHEMA,
            "product": { "name": "OpenShell", "vendor_name": "OpenShell" },
            "sequence": record.seq,
            "uid": format!("{}:{}", record.sandbox_id, record.seq),
        },
        "container": { "name": record.sandbox, "uid": record.sandbox_id },
    });
    if let Value::Object(common) = common {
        event.extend(common);
    }
    event.extend(body.fields);
    Value::Object(event)
}

fn fields(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// The OCSF numbers of what a control did: `action_id`, `action`, `disposition_id`, `disposition`.
fn verdict(outcome: Outcome) -> (u32, &'static str, u32, &'static str) {
    match outcome {
        Outcome::Noted => (1, "Allowed", 17, "Logged"),
        Outcome::Allowed | Outcome::Failed => (1, "Allowed", 1, "Allowed"),
        Outcome::Denied => (2, "Denied", 2, "Blocked"),
        Outcome::Revoked => (2, "Denied", 6, "Dropped"),
    }
}

fn network(event: &Network) -> Body {
    let (action_id, action, disposition_id, disposition) = verdict(event.outcome);
    let (activity, severity) = match event.outcome {
        Outcome::Allowed | Outcome::Noted => ((1, "Open"), Severity::Informational),
        Outcome::Denied => ((5, "Refuse"), Severity::Medium),
        Outcome::Failed => ((4, "Fail"), Severity::Low),
        Outcome::Revoked => ((2, "Close"), Severity::Medium),
    };
    let (protocol, number) = match event.way {
        Way::Connect | Way::Forward | Way::Transparent => ("tcp", 6),
        Way::Datagram => ("udp", 17),
    };
    let mut body = fields(json!({
        "action_id": action_id,
        "action": action,
        "disposition_id": disposition_id,
        "disposition": disposition,
        "dst_endpoint": destination(&event.destination),
        "connection_info": { "protocol_name": protocol, "protocol_num": number, "direction": "Outbound", "direction_id": 2 },
        "firewall_rule": { "name": event.rule.as_deref().unwrap_or("-") },
        "actor": event.caller.as_ref().map(actor),
        "unmapped": {
            "way": way(event.way),
            "generation": event.generation,
            "line": event.reason.as_ref().and_then(|reason| reason.line),
            "nearest": event.reason.as_ref().and_then(|reason| reason.nearest.as_deref()),
        },
    }));
    explain(&mut body, event.reason.as_ref());
    Body { activity, severity, succeeded: event.outcome == Outcome::Allowed, fields: body }
}

fn destination(to: &Destination) -> Value {
    json!({ "hostname": to.name, "ip": to.address, "port": to.port })
}

fn explain(body: &mut Map<String, Value>, reason: Option<&Reason>) {
    if let Some(reason) = reason {
        body.insert("status_code".to_owned(), json!(reason.predicate));
        body.insert("status_detail".to_owned(), json!(reason.detail));
    }
}

/// OCSF numbers the methods that it knows; 99 is any other.
fn http_activity(method: &str) -> (u32, &'static str) {
    match method {
        "CONNECT" => (1, "Connect"),
        "DELETE" => (2, "Delete"),
        "GET" => (3, "Get"),
        "HEAD" => (4, "Head"),
        "OPTIONS" => (5, "Options"),
        "POST" => (6, "Post"),
        "PUT" => (7, "Put"),
        "TRACE" => (8, "Trace"),
        "PATCH" => (9, "Patch"),
        _ => (99, "Other"),
    }
}

fn http(event: &Http) -> Body {
    let (action_id, action, disposition_id, disposition) = verdict(event.outcome);
    let severity = match event.outcome {
        Outcome::Allowed => Severity::Informational,
        Outcome::Failed | Outcome::Noted => Severity::Low,
        Outcome::Denied | Outcome::Revoked => Severity::Medium,
    };
    let mut body = fields(json!({
        "action_id": action_id,
        "action": action,
        "disposition_id": disposition_id,
        "disposition": disposition,
        "dst_endpoint": destination(&event.destination),
        "http_request": {
            "http_method": event.method,
            "url": {
                "hostname": event.destination.name,
                "port": event.destination.port,
                "path": event.path,
            },
        },
        "firewall_rule": { "name": event.rule.as_deref().unwrap_or("-") },
        "actor": event.caller.as_ref().map(actor),
        "unmapped": {
            "way": way(event.way),
            "generation": event.generation,
            "operations": event.operations,
            "credentials": (!event.credentials.is_empty()).then_some(&event.credentials),
            "line": event.reason.as_ref().and_then(|reason| reason.line),
            "nearest": event.reason.as_ref().and_then(|reason| reason.nearest.as_deref()),
        },
    }));
    explain(&mut body, event.reason.as_ref());
    let succeeded = matches!(event.outcome, Outcome::Allowed | Outcome::Noted);
    Body { activity: http_activity(&event.method), severity, succeeded, fields: body }
}

/// A call of a model makes something: OCSF has no better word.
fn inference(event: &Inference) -> Body {
    let (action_id, action, disposition_id, disposition) = verdict(event.outcome);
    let severity = match event.outcome {
        Outcome::Allowed => Severity::Informational,
        Outcome::Failed | Outcome::Noted => Severity::Low,
        Outcome::Denied | Outcome::Revoked => Severity::Medium,
    };
    let tokens = event.tokens.map(
        |tokens| json!({ "input": tokens.input, "output": tokens.output, "cached": tokens.cached }),
    );
    let mut body = fields(json!({
        "action_id": action_id,
        "action": action,
        "disposition_id": disposition_id,
        "disposition": disposition,
        "api": {
            "operation": event.operation,
            "service": { "name": event.route },
            "response": { "code": event.status },
        },
        "dst_endpoint": destination(&event.destination),
        "actor": event.caller.as_ref().map(actor),
        "duration": event.duration_ms,
        "unmapped": {
            "way": way(event.way),
            "generation": event.generation,
            "provider": event.provider,
            "model": event.model,
            "tokens": tokens,
            "first_byte_ms": event.first_byte_ms,
        },
    }));
    explain(&mut body, event.reason.as_ref());
    let succeeded = event.outcome == Outcome::Allowed;
    Body { activity: (1, "Create"), severity, succeeded, fields: body }
}

const fn way(way: Way) -> &'static str {
    match way {
        Way::Connect => "connect",
        Way::Forward => "forward",
        Way::Transparent => "transparent",
        Way::Datagram => "datagram",
    }
}

fn actor(caller: &Caller) -> Value {
    let hashes: Vec<Value> = caller
        .sha256
        .iter()
        .map(|digest| json!({ "algorithm_id": 3, "algorithm": "SHA-256", "value": digest }))
        .collect();
    let lineage: Vec<&str> = caller.ancestors.iter().rev().map(String::as_str).collect();
    json!({
        "process": {
            "pid": caller.pid,
            "name": base_name(&caller.binary),
            "cmd_line": caller.argv.join(" "),
            "file": { "path": caller.binary, "name": base_name(&caller.binary), "type_id": 1, "hashes": hashes },
            "lineage": lineage,
        },
    })
}

fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn dns(event: &Dns) -> Body {
    let body = fields(json!({
        "action_id": 2,
        "action": "Denied",
        "disposition_id": 2,
        "disposition": "Blocked",
        "query": { "hostname": event.name, "type": event.record_type },
        "rcode": "NXDomain",
        "rcode_id": 3,
        "status_code": event.predicate,
        "count": event.count,
    }));
    Body { activity: (2, "Response"), severity: Severity::Low, succeeded: false, fields: body }
}

fn bypass(event: &Bypass, record: &Record) -> Body {
    let body = fields(json!({
        "action_id": 2,
        "action": "Denied",
        "disposition_id": 2,
        "disposition": "Blocked",
        "count": event.count,
        "is_alert": true,
        "finding_info": {
            "title": "Traffic that does not pass the egress was blocked",
            "uid": format!("{}:{}", record.sandbox_id, record.seq),
            "types": ["bypass"],
        },
        "evidences": [{
            "dst_endpoint": { "ip": event.address, "port": event.port },
            "connection_info": { "protocol_name": event.protocol, "direction": "Outbound", "direction_id": 2 },
        }],
    }));
    Body { activity: (1, "Create"), severity: Severity::High, succeeded: true, fields: body }
}

fn process(event: &Process) -> Body {
    let activity = if event.exit_code.is_none() { (1, "Launch") } else { (2, "Terminate") };
    let mut body = fields(json!({
        "process": {
            "pid": event.pid,
            "name": event.argv.first().map(|path| base_name(path)),
            "cmd_line": event.argv.join(" "),
        },
        "actor": { "app_name": "openshell-supervisor" },
        "unmapped": { "role": event.role },
    }));
    if let Some(code) = event.exit_code {
        body.insert("exit_code".to_owned(), json!(code));
    }
    Body { activity, severity: Severity::Informational, succeeded: true, fields: body }
}

fn config(event: &Config) -> Body {
    let refused = event.activity == "refused";
    let severity = if refused { Severity::Medium } else { Severity::Informational };
    let body = fields(json!({
        "device": { "type_id": 0, "type": "Sandbox" },
        "state_id": if refused { 1 } else { 2 },
        "state": if refused { "Disabled" } else { "Enabled" },
        "status_detail": event.detail,
        "unmapped": {
            "activity": event.activity,
            "generation": event.generation,
            "digest": event.digest,
        },
    }));
    Body { activity: (1, "Log"), severity, succeeded: !refused, fields: body }
}

fn lifecycle(event: &Lifecycle) -> Body {
    let failed = event.activity == "failed";
    let activity = if event.activity == "ready" { (3, "Start") } else { (4, "Stop") };
    let severity = if failed { Severity::High } else { Severity::Informational };
    let body = fields(json!({
        "app": { "name": "openshell-supervisor", "vendor_name": "OpenShell" },
        "status_detail": event.detail,
        "unmapped": { "activity": event.activity },
    }));
    Body { activity, severity, succeeded: !failed, fields: body }
}
