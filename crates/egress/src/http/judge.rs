//! Asking the policy about one request, whatever version of HTTP it came in.

use std::sync::Arc;

use jiff::Timestamp;
use openshell_codec::graphql;
use openshell_codec::http1::{Header, goes_upstream};
use openshell_codec::target::{Doubtful, Method, Options, Target, TargetError, methods_to_judge};
use openshell_codec::websocket::Message;
use openshell_credential::{Asked as Using, Echoes, Misuse, Placed};
use openshell_policy::{
    BoundEndpoint, Content, Grant, GraphqlOperation, Inspection, McpVersions, Refused, Request,
    RequestDenial, Verdict,
};
use openshell_types::{Authority, Host};
use smallvec::SmallVec;

use super::Session;
use super::content::{self, Carried, Looked};
use super::record::RequestRecord;
use super::searched::{self, Search};
use crate::authorize::{Permit, destination};
use crate::limits;
use crate::refusal::{Asked, Refusal};
use crate::sending::InFlight;

/// A request as it came in.
#[derive(Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) method: &'a str,
    /// The target of the request line, or `:path`.
    pub(crate) target: &'a str,
    /// What `Host`, or `:authority`, says.
    pub(crate) authority: Option<&'a str>,
    /// All fields, names in lower case.
    pub(crate) headers: &'a [Header],
    /// Whether a body follows.
    pub(crate) has_body: bool,
}

/// A request that was read, and what is missing before it can be judged.
pub(crate) struct Reading {
    method: Method,
    target: Target,
    inspection: Inspection,
    /// Whether it is encrypted on its way to the server.
    is_secure: bool,
    /// Whether its body is held for the credentials: values are put into it, or it is signed.
    is_held: bool,
}

/// What of a body has to be read first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wants {
    /// Nothing: it is passed on as it comes.
    Nothing,
    /// All, of at most so many octets; a longer one is denied.
    Whole(usize),
    /// All, of at most so many octets; a longer one is passed on, judged for the worst.
    Form(usize),
}

/// What the policy allowed.
pub(crate) struct Passed {
    /// The target that goes upstream.
    pub(crate) target: String,
    /// The rule that allowed it.
    pub(crate) rule: String,
    /// The denial that was only noted.
    pub(crate) noted: Option<Refusal>,
    /// What is asked for beyond the head, for the audit.
    pub(crate) operations: Vec<String>,
    /// The body that was judged, its codings undone. It goes upstream in place of the one that was
    /// read, and without `Content-Encoding`; `None` when they are the same.
    pub(crate) body: Option<Vec<u8>>,
    /// As what it was judged, when it was.
    protocol: Option<&'static str>,
    /// For how many requests of a budget it counts: each operation and each call is one.
    pub(crate) count: u64,
    /// What goes out in the place of the placeholders in its head.
    pub(crate) placed: Placed,
    /// Whether values are in `body`, too.
    pub(crate) is_filled: bool,
    /// Looks for placeholders in a body that was not read.
    pub(crate) search: Option<Search>,
    /// Held until that is sent.
    pub(crate) sending: Option<InFlight>,
    /// What is looked for in the answer.
    pub(crate) echoes: Option<Arc<Echoes>>,
}

impl Passed {
    /// The canonical path.
    pub(crate) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// A refusal, told with the request that it is about.
    pub(crate) fn about(&self, method: &str, refusal: Refusal) -> Refusal {
        let Some(protocol) = self.protocol else { return refusal };
        refusal.about(Asked {
            method: method.to_owned(),
            path: self.path().to_owned(),
            protocol,
            operations: self.operations.clone(),
        })
    }

    /// A request over a connection whose requests are not judged: it passes as it is.
    pub(crate) fn unjudged(permit: &Permit, target: &str) -> Self {
        let (target, rule) = (target.to_owned(), permit.rule().to_owned());
        let (noted, operations, body, placed) = (None, Vec::new(), None, Placed::default());
        Self {
            target,
            rule,
            noted,
            operations,
            body,
            protocol: None,
            count: 1,
            placed,
            is_filled: false,
            search: None,
            sending: None,
            echoes: None,
        }
    }

    /// The target that goes upstream.
    pub(crate) fn sent_target(&self) -> &str {
        self.placed.target.as_ref().map_or(&self.target, |target| target.expose())
    }
}

/// Reads a request and checks that it is for the server that the connection was allowed for.
pub(crate) fn read(
    session: &Session<'_>,
    permit: &Permit,
    question: &Question<'_>,
    record: &mut RequestRecord,
) -> Result<Reading, Refusal> {
    record.asks(question.method, "");
    let method = Method::parse(question.method.as_bytes())
        .map_err(|error| Refusal::malformed_request(error.to_string()))?;
    if method.as_str() == "CONNECT" {
        let detail = "a tunnel within a tunnel is not allowed".to_owned();
        return Err(Refusal::unsupported(detail));
    }
    let target = parse(permit, &method, question.target.as_bytes())?;
    record.asks(method.as_str(), target.path());
    same_server(session, &target, question.authority)?;
    let inspection = inspection(permit, target.path());
    let is_held = question.has_body && searched::is_held(permit, target.path(), question.headers);
    Ok(Reading { method, target, inspection, is_secure: session.is_secure(), is_held })
}

fn parse(permit: &Permit, method: &Method, raw: &[u8]) -> Result<Target, Refusal> {
    let parse = |encoded_slash, query| Target::parse(method, raw, Options { encoded_slash, query });
    let (yes, no) = (Doubtful::Allowed, Doubtful::Refused);
    if let Ok(target) = parse(no, no) {
        return Ok(target);
    }
    // SECURITY: G2, G7; what is doubtful passes only where no rule could be led astray by it.
    let doubtful = parse(yes, yes).map_err(malformed)?;
    let inspection = inspection(permit, doubtful.path());
    let slash = if inspection.encoded_slash { yes } else { no };
    let query = if inspection.query || inspection.graphql { no } else { yes };
    parse(slash, query).map_err(malformed)
}

fn inspection(permit: &Permit, path: &str) -> Inspection {
    let to = destination(permit.to());
    permit.policy().inspection(&to, permit.by(), path, Timestamp::now())
}

fn malformed(error: TargetError) -> Refusal {
    Refusal::malformed_request(format!("the request target was refused: {error}"))
}

/// SECURITY: C3, C4, D3, F4; another name in the request would reach another site of the same
/// server.
fn same_server(
    session: &Session<'_>,
    target: &Target,
    authority: Option<&str>,
) -> Result<(), Refusal> {
    if let Some(origin) = target.origin()
        && origin.authority != session.to
    {
        return Err(Refusal::other_authority(&session.to));
    }
    let Some(text) = authority else { return Ok(()) };
    let is_same = match Host::parse(text) {
        Ok(host) => host == session.to.host && session.to.port.number() == session.default_port(),
        Err(_) => Authority::parse(text).is_ok_and(|named| named == session.to),
    };
    if is_same { Ok(()) } else { Err(Refusal::other_authority(&session.to)) }
}

impl Reading {
    /// What of the body has to be read before the request can be judged.
    pub(crate) fn wants(&self, question: &Question<'_>) -> Wants {
        let is_encoded = || question.headers.iter().any(|own| own.name == "content-encoding");
        if content::is_read(&self.inspection) {
            Wants::Whole(self.inspection.max_body_bytes as usize)
        } else if self.is_held {
            Wants::Whole(limits::FILLED)
        } else if question.has_body && is_form(question.headers) && !is_encoded() {
            Wants::Form(limits::FORM)
        } else {
            Wants::Nothing
        }
    }

    /// Asks the policy. `body` is what was read of it, as it came; `None` when nothing was asked
    /// for, or when a form was not looked through.
    pub(crate) fn decide(
        &self,
        permit: &Permit,
        question: &Question<'_>,
        body: Option<&[u8]>,
    ) -> Result<Passed, Refusal> {
        let headers = fields(question)?;
        let query: SmallVec<[(&str, &str); 16]> = self.target.pairs().collect();
        let raw = body.unwrap_or_default();
        let decoded = if content::is_read(&self.inspection) {
            content::decoded(&self.inspection, question.headers, raw)
                .map_err(|refusal| self.about(refusal))?
        } else if body.is_some() {
            searched::decoded(question.headers, raw).map_err(|misuse| self.misused(&misuse))?
        } else {
            None
        };
        let looked = Looked {
            method: self.method.as_str(),
            pairs: &query,
            headers: question.headers,
            body: decoded.as_deref().unwrap_or(raw),
        };
        let carried = content::read(&self.inspection, &looked);
        let mut answer: Option<Answer> = None;
        let (methods, named) = self.methods(question, body.map(|_| looked.body))?;
        for (at, method) in methods.iter().enumerate() {
            let request = Request {
                method,
                path: self.target.path(),
                query: &query,
                headers: &headers,
                content: Content::Plain,
            };
            let next = self.ask(permit, &request, &carried).map_err(|refusal| {
                if at < named { refusal } else { refusal.of_unread_form(limits::FORM) }
            })?;
            // The written method comes first and names the rule; a note of any is kept.
            if answer.as_ref().is_none_or(|known| known.noted.is_none() && next.noted.is_some()) {
                answer = Some(next);
            }
        }
        let Answer { rule, noted } = answer
            .ok_or_else(|| Refusal::malformed_request("the request has no method".to_owned()))?;
        let protocol = match &carried {
            Carried::Plain | Carried::Unread(_) => self.protocol(Content::Plain),
            Carried::Graphql(_) => self.protocol(Content::Graphql(&[])),
            Carried::Rpc(_) => self.calls(),
        };
        let target = self.target.to_string();
        let sent = body.map(|_| looked.body).or((!question.has_body).then_some(&[][..]));
        let bound = permit.bound_endpoints(self.target.path());
        let asked = self.using(permit, (&target, question.headers), &bound);
        let asked = Using { body: sent, ..asked };
        let mut placed = self.authenticate(permit, &asked)?;
        let filled = match body {
            Some(_) => self.fill(permit, &asked, looked.body, &mut placed)?,
            None => None,
        };
        let is_searched = body.is_none() && question.has_body;
        let search = || Search::new(permit.credentials(), &asked);
        let passed = Passed {
            sending: (!placed.names.is_empty()).then(|| permit.begin_sending()),
            placed,
            is_filled: filled.is_some(),
            search: is_searched.then(search).flatten(),
            target,
            rule,
            noted,
            operations: carried.words(),
            body: filled.or(decoded),
            protocol: Some(protocol),
            count: carried.count(),
            echoes: permit.credentials().echoes(permit.to()).cloned(),
        };
        match self.version(permit, question, &carried) {
            Ok(()) => Ok(passed),
            Err(refusal) => Err(passed.about(self.method.as_str(), refusal)),
        }
    }

    /// A request as credentials are put into it. `bound` are the endpoints that give it some.
    fn using<'a>(
        &'a self,
        permit: &'a Permit,
        (target, headers): (&'a str, &'a [Header]),
        bound: &'a [BoundEndpoint],
    ) -> Using<'a> {
        let (to, method, is_secure) = (permit.to(), self.method.as_str(), self.is_secure);
        Using { to, method, is_secure, target, headers, bound, body: None }
    }

    /// What goes out in the place of the placeholders in a head.
    fn authenticate(&self, permit: &Permit, asked: &Using<'_>) -> Result<Placed, Refusal> {
        permit
            .credentials()
            .place(asked, Timestamp::now().as_millisecond())
            .map_err(|misuse| self.misused(&misuse))
    }

    /// Searches a body that was read, and puts values into it: the body that goes out, if it is
    /// another.
    fn fill(
        &self,
        permit: &Permit,
        asked: &Using<'_>,
        body: &[u8],
        placed: &mut Placed,
    ) -> Result<Option<Vec<u8>>, Refusal> {
        let filled = searched::fill(permit.credentials(), asked, body);
        let Some(filled) = filled.map_err(|misuse| self.misused(&misuse))? else { return Ok(None) };
        placed.names.extend(filled.names);
        Ok(Some(filled.body.expose().clone()))
    }

    /// Asks about a request as what it carries. Where that is not allowed, and no rule denies it,
    /// endpoints that judge plain content are asked about its head.
    fn ask(
        &self,
        permit: &Permit,
        request: &Request<'_>,
        carried: &Carried,
    ) -> Result<Answer, Refusal> {
        let ask = |content: Content<'_>| {
            let told = || Told { protocol: self.protocol(content), words: carried.words() };
            ask(permit, &Request { content, ..*request }, told)
        };
        let plain = || ask(Content::Plain);
        let first = match carried {
            Carried::Plain => return plain().into_answer(),
            Carried::Unread(unread) => {
                let refuse = || Err(self.about(unread.refusal.clone()));
                if !unread.may_be_plain {
                    return refuse();
                }
                // SECURITY: H3; what cannot be read does not slip past a denial of operations.
                let hidden = ask(Content::Graphql(&[GraphqlOperation::Hash("")]));
                if hidden.is_final_denial() {
                    return hidden.into_answer();
                }
                let plain = plain();
                return if plain.refused() == Some(Refused::Protocol) {
                    refuse()
                } else {
                    plain.into_answer()
                };
            }
            Carried::Graphql(operations) => {
                content::with_operations(operations, |shown| ask(Content::Graphql(shown)))
            }
            Carried::Rpc(calls) => content::with_calls(calls, |shown| ask(Content::Rpc(shown))),
        };
        if !matches!(first.refused(), Some(Refused::Rule | Refused::Protocol)) {
            return first.into_answer();
        }
        let plain = plain();
        let is_better = match plain.refused() {
            None | Some(Refused::DenyRule) => true,
            Some(Refused::Protocol) => false,
            Some(_) => first.refused() == Some(Refused::Protocol),
        };
        if is_better { plain.into_answer() } else { first.into_answer() }
    }

    /// The canonical path.
    pub(crate) fn path(&self) -> &str {
        self.target.path()
    }

    /// Whether messages over a WebSocket that it opens are judged.
    pub(crate) const fn has_messages(&self) -> bool {
        self.inspection.websocket
    }

    /// Asks about a client's message over the WebSocket that this request opened: a text, or one
    /// that cannot be read.
    pub(crate) fn message(
        &self,
        permit: &Permit,
        question: &Question<'_>,
        text: Option<&str>,
    ) -> Result<Passed, Refusal> {
        let headers = fields(question)?;
        let query: SmallVec<[(&str, &str); 16]> = self.target.pairs().collect();
        // A text that is too long to be read is judged like one that is none.
        let longest = self.inspection.max_body_bytes as usize;
        let read = text.filter(|text| text.len() <= longest).map(graphql::message);
        let graphql::Message { operations, control } = read.unwrap_or_default();
        let answer = content::with_operations(&operations, |shown| {
            let content = Content::Message { operations: shown, control };
            let request = Request {
                method: MESSAGE,
                path: self.target.path(),
                query: &query,
                headers: &headers,
                content,
            };
            let told =
                || Told { protocol: self.protocol(content), words: content::words(&operations) };
            ask(permit, &request, told).into_answer()
        })?;
        let Answer { rule, noted } = answer;
        let count = content::count(operations.len());
        let (target, operations) = (self.target.to_string(), content::words(&operations));
        let protocol = Some(self.protocol(Content::Message { operations: &[], control }));
        Ok(Passed {
            target,
            rule,
            noted,
            operations,
            body: None,
            protocol,
            count,
            placed: Placed::default(),
            is_filled: false,
            search: None,
            sending: None,
            echoes: None,
        })
    }

    /// Searches a message that such a request's WebSocket carries, and puts values into a text: the
    /// one that goes out, if it is another.
    pub(crate) fn fill_message(
        &self,
        permit: &Permit,
        message: &Message,
    ) -> Result<Option<Message>, Refusal> {
        let target = self.target.to_string();
        let bound = permit.bound_endpoints(self.target.path());
        let asked = self.using(permit, (&target, &[]), &bound);
        searched::fill_message(permit.credentials(), &asked, message)
            .map_err(|misuse| self.misused(&misuse))
    }

    /// Holds calls to the versions of MCP that the path's endpoints admit: each of them, and
    /// whatever else allows the request. SECURITY: H7.
    fn version(
        &self,
        permit: &Permit,
        question: &Question<'_>,
        carried: &Carried,
    ) -> Result<(), Refusal> {
        let Carried::Rpc(calls) = carried else { return Ok(()) };
        let (to, path) = (destination(permit.to()), self.target.path());
        let all = permit.policy().mcp_versions(&to, permit.by(), path, Timestamp::now());
        for McpVersions { admitted, rule, line } in all {
            let is_admitted = |said: &str| admitted.iter().any(|one| **one == *said);
            let why = match content::mcp_versions(question.headers, calls) {
                Ok(said) => match said.iter().find(|said| !is_admitted(said)) {
                    None => continue,
                    Some(other) => format!("is of `{}`", shown(other)),
                },
                Err(why) => why.to_owned(),
            };
            let admitted = admitted.join("`, `");
            let detail = format!("of MCP only `{admitted}` is admitted, and the request {why}");
            return Err(Refusal::mcp_version(rule, line, detail));
        }
        Ok(())
    }

    /// A refusal, told with the request that it is about.
    fn about(&self, refusal: Refusal) -> Refusal {
        let protocol = if self.inspection.graphql { "graphql" } else { self.calls() };
        self.told_as(refusal, protocol)
    }

    /// The same of one that is not about its content.
    fn told(&self, refusal: Refusal) -> Refusal {
        self.told_as(refusal, self.protocol(Content::Plain))
    }

    fn misused(&self, misuse: &Misuse) -> Refusal {
        self.told(Refusal::credential(misuse))
    }

    fn told_as(&self, refusal: Refusal, protocol: &'static str) -> Refusal {
        refusal.about(Asked {
            method: self.method.as_str().to_owned(),
            path: self.target.path().to_owned(),
            protocol,
            operations: Vec::new(),
        })
    }

    const fn calls(&self) -> &'static str {
        if self.inspection.mcp { "mcp" } else { "json-rpc" }
    }

    const fn protocol(&self, content: Content<'_>) -> &'static str {
        match content {
            Content::Plain if self.inspection.grpc => "grpc",
            Content::Plain => "rest",
            Content::Message { .. } => "websocket",
            Content::Graphql(_) => "graphql",
            Content::Rpc(_) => self.calls(),
        }
    }

    /// The methods under which the request must be allowed, each of them, and how many of them it
    /// names. SECURITY: G5.
    fn methods(
        &self,
        question: &Question<'_>,
        body: Option<&[u8]>,
    ) -> Result<(SmallVec<[String; 4]>, usize), Refusal> {
        let headers = question.headers.iter().map(|h| (h.name.as_str(), h.value.as_slice()));
        let form = body.filter(|_| is_form(question.headers)).unwrap_or_default();
        let forms = [self.target.query().unwrap_or_default(), form];
        let methods = methods_to_judge(&self.method, headers, &forms)
            .map_err(|error| Refusal::malformed_request(error.to_string()))?;
        let mut methods: SmallVec<[String; 4]> =
            methods.iter().map(|method| method.as_str().to_owned()).collect();
        let named = methods.len();
        let is_unread_form = body.is_none() && question.has_body && is_form(question.headers);
        if is_unread_form {
            // A form that is too long to be looked through may name any of these.
            for method in ["PUT", "PATCH", "DELETE"] {
                if !methods.iter().any(|known| known == method) {
                    methods.push(method.to_owned());
                }
            }
        }
        Ok((methods, named))
    }
}

/// Names and values, as the policy takes them.
fn fields<'a>(question: &Question<'a>) -> Result<SmallVec<[(&'a str, &'a str); 32]>, Refusal> {
    let mut fields = SmallVec::new();
    // SECURITY: C9; a rule is held against what the server gets.
    let sent = |header: &&Header| goes_upstream(&header.name) || header.name == "host";
    for header in question.headers.iter().filter(sent) {
        let value = std::str::from_utf8(&header.value).map_err(|_| {
            // SECURITY: a rule could not be held against it.
            Refusal::malformed_request(format!("the field `{}` is not UTF-8", header.name))
        })?;
        fields.push((header.name.as_str(), value));
    }
    Ok(fields)
}

/// The method of a WebSocket message, as rules have it.
pub(crate) const MESSAGE: &str = "WEBSOCKET_TEXT";

/// The policy's yes.
struct Answer {
    rule: String,
    noted: Option<Refusal>,
}

/// What is told of a request beyond its head.
struct Told {
    protocol: &'static str,
    words: Vec<String>,
}

/// What the policy answered to one question.
struct Verdicted {
    verdict: Verdict,
    answer: Result<Answer, Refusal>,
}

impl Verdicted {
    /// What was refused, be it only noted.
    const fn refused(&self) -> Option<Refused> {
        match &self.verdict {
            Verdict::Allow(_) => None,
            Verdict::Audit(RequestDenial { refused, .. })
            | Verdict::Deny(RequestDenial { refused, .. }) => Some(*refused),
        }
    }

    /// Whether nothing else can allow the request.
    const fn is_final_denial(&self) -> bool {
        matches!(self.refused(), Some(Refused::DenyRule | Refused::Connection | Refused::Path))
    }

    fn into_answer(self) -> Result<Answer, Refusal> {
        self.answer
    }
}

/// One question to the policy.
fn ask(permit: &Permit, request: &Request<'_>, told: impl FnOnce() -> Told) -> Verdicted {
    let (to, by, policy) = (destination(permit.to()), permit.by(), permit.policy());
    let verdict = policy.request(&to, by, request, Timestamp::now());
    let name = |grant: &Grant| policy.rule_name(grant).to_owned();
    let refusal = || {
        let why = policy.explain_request(&to, Some(by), request, &verdict);
        let Told { protocol, words } = told();
        let asked = Asked {
            method: request.method.to_owned(),
            path: request.path.to_owned(),
            protocol,
            operations: words,
        };
        Refusal::policy(why).about(asked)
    };
    let answer = match &verdict {
        Verdict::Allow(grant) => Ok(Answer { rule: name(grant.endpoint()), noted: None }),
        Verdict::Audit(denial) => Ok(Answer {
            rule: denial.endpoint().map(name).unwrap_or_default(),
            noted: Some(refusal()),
        }),
        Verdict::Deny(_) => Err(refusal()),
    };
    Verdicted { verdict, answer }
}

/// The beginning of a text that a client wrote.
fn shown(text: &str) -> String {
    text.chars().take(LONGEST_VERSION).flat_map(char::escape_default).collect()
}

/// Most characters of a version that a policy can name.
const LONGEST_VERSION: usize = 32;

fn is_form(headers: &[Header]) -> bool {
    const FORM: &[u8] = b"application/x-www-form-urlencoded";
    headers.iter().any(|header| {
        header.name == "content-type"
            && header.value.get(..FORM.len()).is_some_and(|start| start.eq_ignore_ascii_case(FORM))
    })
}
