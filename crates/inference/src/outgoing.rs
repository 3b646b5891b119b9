//! The request that a backend gets, written anew.

use bytes::Bytes;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderName, USER_AGENT,
};
use http::{HeaderMap, HeaderValue, Method, Uri};
use openshell_codec::content;
use openshell_types::{ModelProtocol, Route};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::door::Door;
use crate::json;
use crate::limits;
use crate::operation::Operation;
use crate::refused::Refused;

/// A call, of which the body was not read yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// What it asks for.
    pub operation: Operation,
    /// What of its query goes on, with `?` before it.
    query: String,
}

/// The request that a backend gets.
#[derive(Debug)]
pub struct Outgoing {
    /// Its method.
    pub method: Method,
    /// Its path and query.
    pub target: String,
    /// Its fields, `Host` among them.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Call {
    /// Reads what a request asks for that came in by `door`.
    pub fn read(door: &Door, method: &Method, uri: &Uri) -> Result<Self, Refused> {
        let operation = Operation::recognise(door, method, uri.path())?;
        Ok(Self { operation, query: query(operation.protocol(), uri.query().unwrap_or_default()) })
    }
}

impl Outgoing {
    /// Writes the request for the backend of `route`. SECURITY: H8, H10; the model is the route's
    /// wherever one stands, and of the caller's fields those go on that are on a list.
    pub fn write(
        call: &Call,
        route: &Route,
        asked: &HeaderMap,
        body: Bytes,
    ) -> Result<Self, Refused> {
        let operation = call.operation;
        let (method, body) = if operation.has_body() {
            let body = decoded(asked, body)?;
            let body = json::with_model(operation, &route.model, &body)?;
            (Method::POST, body.into())
        } else {
            (Method::GET, Bytes::new())
        };
        let model = utf8_percent_encode(&route.model, PATH).to_string();
        let target = format!("{}{}{}", route.base.path, operation.path(&model), call.query);
        Ok(Self { method, target, headers: headers(operation, route, asked)?, body })
    }
}

/// What of a query goes on.
fn query(protocol: ModelProtocol, query: &str) -> String {
    let known: &[&str] = match protocol {
        ModelProtocol::OpenAi => &[],
        ModelProtocol::Anthropic => &["beta"],
        // How a stream is framed.
        ModelProtocol::Gemini => &["alt"],
    };
    let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let mut out = String::new();
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if known.contains(&name) && is_plain(value) {
            out.push(if out.is_empty() { '?' } else { '&' });
            out.push_str(pair);
        }
    }
    out
}

/// The body with its codings undone. SECURITY: H3; what is not read is not sent.
fn decoded(asked: &HeaderMap, body: Bytes) -> Result<Bytes, Refused> {
    if body.len() > limits::BODY {
        return Err(Refused::TooLong);
    }
    let codings: Result<Vec<&str>, _> =
        asked.get_all(CONTENT_ENCODING).iter().map(HeaderValue::to_str).collect();
    let codings = codings.map_err(|_| Refused::Coding("it cannot be read".to_owned()))?;
    if codings.is_empty() {
        return Ok(body);
    }
    match content::decode(&codings, &body, limits::BODY) {
        Ok(body) => Ok(body.into()),
        Err(content::ContentError::TooLong) => Err(Refused::TooLong),
        Err(error) => Err(Refused::Coding(error.to_string())),
    }
}

fn headers(operation: Operation, route: &Route, asked: &HeaderMap) -> Result<HeaderMap, Refused> {
    let mut out = HeaderMap::new();
    let mut put = |name: &HeaderName, value: HeaderValue| {
        out.append(name, value);
    };
    for name in [&ACCEPT, &USER_AGENT] {
        if let Some(value) = asked.get(name) {
            put(name, value.clone());
        }
    }
    // SECURITY: I3; what the backend says is searched, and masked, as it comes.
    put(&ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    if operation.has_body() {
        // What was read and written is this, whatever the caller called it.
        put(&CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    for name in route.passed.iter().filter(|name| !NEVER.contains(&name.as_str())) {
        let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else { continue };
        if MODEL.contains(&name.as_str()) && asked.contains_key(&name) {
            put(&name, value(&route.model)?);
            continue;
        }
        for value in asked.get_all(&name) {
            put(&name, value.clone());
        }
    }
    for (name, default) in &route.defaults {
        let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else { continue };
        if !out.contains_key(&name) {
            out.insert(name, value(default)?);
        }
    }
    if let Some((name, secret)) = &route.auth {
        let broken = || Refused::Expired(route.provider.clone());
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| broken())?;
        let mut secret = HeaderValue::from_str(secret.expose()).map_err(|_| broken())?;
        secret.set_sensitive(true);
        out.insert(name, secret);
    }
    out.insert(HOST, value(&route.base.host())?);
    Ok(out)
}

fn value(text: &str) -> Result<HeaderValue, Refused> {
    HeaderValue::from_str(text)
        .map_err(|_| Refused::Json("the route's model cannot stand in a field".to_owned()))
}

/// Whether a field of a backend's answer goes to the caller: not what concerns the connection, nor
/// what would have the caller keep something for the backend's name, or go around us.
pub fn is_passed_back(name: &HeaderName) -> bool {
    const NEVER: [&str; 12] = [
        "alt-svc",
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-connection",
        "set-cookie",
        "strict-transport-security",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "location",
    ];
    !NEVER.contains(&name.as_str())
}

/// Fields with which a caller authenticates itself, chooses whose account pays, or frames its
/// message. No list lets them through.
const NEVER: [&str; 14] = [
    "accept-encoding",
    "api-key",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "cookie",
    "host",
    "openai-organization",
    "openai-project",
    "transfer-encoding",
    "x-api-key",
    "x-goog-api-key",
    "x-goog-user-project",
];

/// Fields that name a model.
const MODEL: [&str; 2] = ["x-model-id", "x-model"];

/// What is encoded in a segment of a path; models have `/` in their names.
const PATH: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use openshell_types::{BaseUrl, Redacted};

    use super::*;

    fn route(protocol: ModelProtocol) -> Route {
        Route {
            protocol,
            provider: "own".to_owned(),
            model: "ours".to_owned(),
            base: BaseUrl::parse("https://models.example.com:8443/base/v1").expect("a base URL"),
            auth: Some(("x-api-key".to_owned(), Redacted::new("real".to_owned()))),
            expires_ms: None,
            passed: vec!["anthropic-beta".to_owned(), "x-model-id".to_owned(), "cookie".to_owned()],
            defaults: vec![("anthropic-version".to_owned(), "2023-06-01".to_owned())],
            idle: Duration::from_secs(1),
            budget: None,
        }
    }

    fn call(method: &Method, uri: &str) -> Call {
        Call::read(&Door::Own, method, &uri.parse().expect(uri)).expect(uri)
    }

    fn fields(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        pairs.collect()
    }

    #[test]
    fn h10_of_the_callers_fields_only_those_on_a_list_go_on() {
        let asked = fields(&[
            ("authorization", "Bearer theirs"),
            ("x-api-key", "theirs"),
            ("api-key", "theirs"),
            ("cookie", "theirs"),
            ("host", "inference.local"),
            ("openai-organization", "theirs"),
            ("anthropic-beta", "a"),
            ("x-model-id", "theirs"),
            ("x-forwarded-host", "theirs"),
            ("accept", "text/event-stream"),
            ("accept-encoding", "br"),
            ("user-agent", "agent/1"),
            ("content-type", "text/plain"),
            ("content-length", "2"),
        ]);
        let call = call(&Method::POST, "/v1/messages?beta=true&key=theirs&beta=a%26b");
        let route = route(ModelProtocol::Anthropic);
        let out = Outgoing::write(&call, &route, &asked, "{}".into()).expect("a call");
        assert_eq!(out.target, "/base/v1/messages?beta=true");
        let mut sent: Vec<(&str, &str)> = out
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.to_str().expect("text")))
            .collect();
        sent.sort_unstable();
        assert_eq!(
            sent,
            [
                ("accept", "text/event-stream"),
                ("accept-encoding", "identity"),
                ("anthropic-beta", "a"),
                ("anthropic-version", "2023-06-01"),
                ("content-type", "application/json"),
                ("host", "models.example.com:8443"),
                ("user-agent", "agent/1"),
                ("x-api-key", "real"),
                ("x-model-id", "ours"),
            ]
        );
        assert!(!format!("{:?}", out.headers).contains("real"));
    }

    #[test]
    fn h08_the_model_in_a_path_is_the_routes() {
        let gemini = Route { model: "a:b/c d".to_owned(), ..route(ModelProtocol::Gemini) };
        let uri = "/v1beta/models/theirs:streamGenerateContent?key=theirs&alt=sse";
        let call = call(&Method::POST, uri);
        let out = Outgoing::write(&call, &gemini, &HeaderMap::new(), "{}".into()).expect("a call");
        let expected = "/base/v1/models/a%3Ab/c%20d:streamGenerateContent?alt=sse";
        assert_eq!(out.target, expected);
    }

    #[test]
    fn a_question_without_a_body_has_none() {
        let call = call(&Method::GET, "/v1/models/theirs?limit=1");
        let route = route(ModelProtocol::OpenAi);
        let out = Outgoing::write(&call, &route, &HeaderMap::new(), "{}".into()).expect("a call");
        assert_eq!((out.method, out.target.as_str()), (Method::GET, "/base/v1/models/ours"));
        assert!(out.body.is_empty() && !out.headers.contains_key(CONTENT_TYPE));
    }

    #[test]
    fn h03_codings_of_a_body_are_undone_or_refused() {
        let call = call(&Method::POST, "/v1/messages");
        let route = route(ModelProtocol::Anthropic);
        let write = |coding, body: &'static [u8]| {
            let asked = fields(&[("content-encoding", coding)]);
            Outgoing::write(&call, &route, &asked, Bytes::from_static(body))
        };
        let out = write("identity", b"{}").expect("no coding");
        assert_eq!(out.body, r#"{"model":"ours"}"#);
        assert!(matches!(write("gzip", b"{}"), Err(Refused::Coding(_))));
        assert!(matches!(write("rot13", b"{}"), Err(Refused::Coding(_))));
    }
}
