//! Asking the policy about one request, whatever version of HTTP it came in.

use jiff::Timestamp;
use openshell_codec::http1::Header;
use openshell_codec::target::{Doubtful, Method, Options, Target, TargetError, methods_to_judge};
use openshell_policy::{Content, Grant, Inspection, Request, Verdict};
use openshell_types::{Authority, Host};
use smallvec::SmallVec;

use super::Session;
use super::record::RequestRecord;
use crate::authorize::{Permit, destination};
use crate::limits;
use crate::refusal::Refusal;

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
}

impl Passed {
    /// A request over a connection whose requests are not judged: it passes as it is.
    pub(crate) fn unjudged(permit: &Permit, target: &str) -> Self {
        Self { target: target.to_owned(), rule: permit.rule().to_owned(), noted: None }
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
    Ok(Reading { method, target, inspection })
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
    let query = if inspection.query { no } else { yes };
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
        if self.inspection.graphql || self.inspection.json_rpc || self.inspection.mcp {
            Wants::Whole(self.inspection.max_body_bytes as usize)
        } else if question.has_body && is_form(question.headers) {
            Wants::Form(limits::FORM)
        } else {
            Wants::Nothing
        }
    }

    /// Asks the policy. `body` is what was read of it; `None` when nothing was asked for, or when
    /// a form was too long.
    pub(crate) fn decide(
        &self,
        permit: &Permit,
        question: &Question<'_>,
        body: Option<&[u8]>,
    ) -> Result<Passed, Refusal> {
        let mut headers = SmallVec::<[(&str, &str); 32]>::new();
        for header in question.headers {
            let value = std::str::from_utf8(&header.value).map_err(|_| {
                // SECURITY: a rule could not be held against it.
                Refusal::malformed_request(format!("the field `{}` is not UTF-8", header.name))
            })?;
            headers.push((&header.name, value));
        }
        let query: SmallVec<[(&str, &str); 16]> = self.target.pairs().collect();
        let mut answer: Option<Answer> = None;
        for method in self.methods(question, body)? {
            let request = Request {
                method: &method,
                path: self.target.path(),
                query: &query,
                headers: &headers,
                content: Content::Plain,
            };
            let next = ask(permit, &request)?;
            // The written method comes first and names the rule; a note of any is kept.
            if answer.as_ref().is_none_or(|known| known.noted.is_none() && next.noted.is_some()) {
                answer = Some(next);
            }
        }
        let Answer { rule, noted } = answer
            .ok_or_else(|| Refusal::malformed_request("the request has no method".to_owned()))?;
        Ok(Passed { target: self.target.to_string(), rule, noted })
    }

    /// The methods under which the request must be allowed, each of them. SECURITY: G5.
    fn methods(
        &self,
        question: &Question<'_>,
        body: Option<&[u8]>,
    ) -> Result<SmallVec<[String; 4]>, Refusal> {
        let headers = question.headers.iter().map(|h| (h.name.as_str(), h.value.as_slice()));
        let forms = [self.target.query().unwrap_or_default(), body.unwrap_or_default()];
        let methods = methods_to_judge(&self.method, headers, &forms)
            .map_err(|error| Refusal::malformed_request(error.to_string()))?;
        let mut methods: SmallVec<[String; 4]> =
            methods.iter().map(|method| method.as_str().to_owned()).collect();
        let is_unread_form = body.is_none() && question.has_body && is_form(question.headers);
        if is_unread_form {
            // A form that is too long to be looked through may name any of these.
            for method in ["PUT", "PATCH", "DELETE"] {
                if !methods.iter().any(|known| known == method) {
                    methods.push(method.to_owned());
                }
            }
        }
        Ok(methods)
    }
}

/// The policy's yes.
struct Answer {
    rule: String,
    noted: Option<Refusal>,
}

/// One question to the policy.
fn ask(permit: &Permit, request: &Request<'_>) -> Result<Answer, Refusal> {
    let (to, by, policy) = (destination(permit.to()), permit.by(), permit.policy());
    let verdict = policy.request(&to, by, request, Timestamp::now());
    let name = |grant: &Grant| policy.rule_name(grant).to_owned();
    let refusal = || {
        let why = policy.explain_request(&to, Some(by), request, &verdict);
        Refusal::request(why, request.method, request.path)
    };
    match &verdict {
        Verdict::Allow(grant) => Ok(Answer { rule: name(grant.endpoint()), noted: None }),
        Verdict::Audit(denial) => Ok(Answer {
            rule: denial.endpoint().map(name).unwrap_or_default(),
            noted: Some(refusal()),
        }),
        Verdict::Deny(_) => Err(refusal()),
    }
}

fn is_form(headers: &[Header]) -> bool {
    const FORM: &[u8] = b"application/x-www-form-urlencoded";
    headers.iter().any(|header| {
        header.name == "content-type"
            && header.value.get(..FORM.len()).is_some_and(|start| start.eq_ignore_ascii_case(FORM))
    })
}
