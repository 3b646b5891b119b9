//! Cedar: one policy a rule, parsed once; program and exact host in the scope, where Cedar compares
//! them first.
//!
//! `like` has one `*`, any run of characters: it is asked less than the other engines, and answers
//! the questions here alike.

use std::fmt::Write;
use std::hint::black_box;
use std::str::FromStr;

use cedar_policy::{
    Authorizer, Context, Decision, Entities, EntityId, EntityTypeName, EntityUid, PolicySet,
    Request, RestrictedExpression,
};

use crate::Outcome;
use crate::engine::{Engine, Source};
use crate::workload::{About, METHOD, PORT, Question, Workload};

/// A set of policies, and the questions.
pub struct Cedar {
    authorizer: Authorizer,
    policies: PolicySet,
    entities: Entities,
    asked: Vec<Request>,
}

impl Cedar {
    /// Policies. An endpoint of one path is one policy; of several, one for connections and one for
    /// each path, so that a connection is not judged by every path.
    pub fn source(workload: &Workload) -> Source {
        let mut text = String::new();
        for rule in &workload.rules {
            for endpoint in &rule.endpoints {
                let host = &endpoint.host;
                let (resource, when) = if host.contains('*') {
                    ("resource".to_owned(), format!("context.host like \"{host}\" && "))
                } else {
                    (format!("resource == Host::\"{host}\""), String::new())
                };
                let when = format!("{when}context.port == {PORT}");
                let asks = |path: &String| {
                    let path = path.replace("**", "*");
                    format!("context.method == \"{METHOD}\" && context.path like \"{path}\"")
                };
                let mut permit = |action: &str, when: &str| {
                    // Writing into a string cannot fail.
                    let _ = writeln!(
                        text,
                        "permit(principal == Program::\"{}\", {action}, {resource}) when {{ {when} }};",
                        rule.program
                    );
                };
                let connect = "action == Action::\"connect\"";
                if let [path] = endpoint.paths.as_slice() {
                    permit("action", &format!("{when} && ({connect} || {})", asks(path)));
                    continue;
                }
                permit(connect, &when);
                for path in &endpoint.paths {
                    let when = format!("{when} && {}", asks(path));
                    permit("action == Action::\"request\"", &when);
                }
            }
        }
        Source { text, data: String::new() }
    }

    /// From text to a parsed set.
    pub fn compile(source: &Source) -> Outcome<Self> {
        Ok(Self {
            authorizer: Authorizer::new(),
            policies: PolicySet::from_str(&source.text).map_err(|error| error.to_string())?,
            entities: Entities::empty(),
            asked: Vec::new(),
        })
    }
}

impl Engine for Cedar {
    fn prepare(&mut self, workload: &Workload) -> Outcome {
        self.asked = workload.questions.iter().map(asked).collect::<Outcome<_>>()?;
        Ok(())
    }

    fn ask(&mut self, question: usize, times: u32) -> Outcome<u32> {
        let request = self.asked.get(question).ok_or("no such question")?;
        let mut yes = 0_u32;
        for _ in 0..times {
            let response =
                self.authorizer.is_authorized(black_box(request), &self.policies, &self.entities);
            if let Some(error) = response.diagnostics().errors().next() {
                return Err(error.to_string());
            }
            yes += u32::from(black_box(response).decision() == Decision::Allow);
        }
        Ok(yes)
    }
}

fn asked(question: &Question) -> Outcome<Request> {
    let action = match question.about {
        About::Connection => "connect",
        About::Request => "request",
    };
    let text = |text: &str| RestrictedExpression::new_string(text.to_owned());
    let context = Context::from_pairs([
        ("host".to_owned(), text(&question.host)),
        ("port".to_owned(), RestrictedExpression::new_long(i64::from(PORT))),
        ("method".to_owned(), text(METHOD)),
        ("path".to_owned(), text(&question.path)),
    ])
    .map_err(|error| error.to_string())?;
    let (program, host) = (entity("Program", &question.program), entity("Host", &question.host));
    Request::new(program?, entity("Action", action)?, host?, context, None)
        .map_err(|error| error.to_string())
}

fn entity(kind: &str, name: &str) -> Outcome<EntityUid> {
    let kind = EntityTypeName::from_str(kind).map_err(|error| error.to_string())?;
    Ok(EntityUid::from_type_name_and_id(kind, EntityId::new(name)))
}
