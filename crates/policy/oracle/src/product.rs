//! The compiled policy, asked the same questions.

use openshell_policy::{
    BinaryTable, Binding, Caller, Content, Decision, Destination, GraphqlOperation, OperationType,
    Policy, Program as Compiled, Request, RequestDenial, Verdict,
};
use openshell_types::{Digest, FileId, HostName, Port};

use crate::question::{
    Answer, Asked, Call, Carried, Connection, Kind, Operation, Program, Question, Target,
};

/// A compiled and bound policy.
pub struct Product {
    policy: Policy,
}

impl Product {
    /// Compiles a text; the error is what its reader says.
    pub fn new(text: &str, bound: &[(&str, &[u64])]) -> Result<Self, String> {
        let (policy, _) = Policy::compile(text).map_err(|findings| {
            let errors = findings.iter().filter(|finding| finding.is_error());
            errors.map(|finding| finding.render("policy.yaml", text)).collect::<Vec<_>>().join("\n")
        })?;
        let mut table = BinaryTable::new();
        for (path, files) in bound {
            table.insert(path, Binding::Files(files.iter().map(|inode| file(*inode)).collect()));
        }
        Ok(Self { policy: policy.bind(&table) })
    }

    /// Answers; the error says what of the question is no value of the product.
    pub fn answer(&self, question: &Question) -> Result<Answer, String> {
        let connection = question.connection();
        let port = Port::new(connection.port).ok_or("port 0")?;
        let name;
        let to = match &connection.to {
            Target::Name(text) => {
                name = HostName::parse(text).map_err(|error| error.to_string())?;
                Destination::Name(&name, port)
            }
            Target::Address(address) => Destination::Address(*address, port),
        };
        let by = Caller {
            exe: program(&connection.exe)?,
            ancestors: connection.ancestors.iter().map(program).collect::<Result<_, _>>()?,
        };
        let answer = match question {
            Question::Connect(_) => {
                self.decision(&to, &by, &self.policy.connect(&to, &by, connection.now))
            }
            Question::Datagram(_) => {
                self.decision(&to, &by, &self.policy.datagram(&to, &by, connection.now))
            }
            Question::Request(_, asked) => self.request((&to, &by), connection, asked),
        };
        Ok(answer)
    }

    fn decision(&self, to: &Destination<'_>, by: &Caller, decision: &Decision) -> Answer {
        match decision {
            Decision::Allow(grant) => {
                let words = self.policy.explain(to, Some(by), decision);
                Answer::Allow {
                    rule: self.policy.rule_name(grant).to_owned(),
                    endpoint: words.line.and_then(|line| endpoint_at(self.policy.text(), line)),
                    clause: None,
                }
            }
            Decision::Deny(denial) => Answer::Deny { word: denial.predicate.as_str(), by: None },
        }
    }

    fn request(
        &self,
        (to, by): (&Destination<'_>, &Caller),
        connection: &Connection,
        asked: &Asked,
    ) -> Answer {
        let query = pairs(&asked.query);
        let headers = pairs(&asked.headers);
        let fields: Vec<Vec<&str>> = match &asked.content {
            Carried::Message { operations, .. } | Carried::Graphql(operations) => {
                operations.iter().map(fields).collect()
            }
            Carried::Plain | Carried::Rpc(_) => Vec::new(),
        };
        let operations: Vec<GraphqlOperation<'_>> = match &asked.content {
            Carried::Message { operations, .. } | Carried::Graphql(operations) => {
                operations.iter().zip(&fields).map(|(one, fields)| operation(one, fields)).collect()
            }
            Carried::Plain | Carried::Rpc(_) => Vec::new(),
        };
        let calls: &[Call] = match &asked.content {
            Carried::Rpc(calls) => calls,
            _ => &[],
        };
        let params: Vec<Vec<(&str, &str)>> = calls.iter().map(|call| pairs(&call.params)).collect();
        let calls: Vec<openshell_policy::Call<'_>> = calls
            .iter()
            .zip(&params)
            .map(|(call, params)| openshell_policy::Call {
                method: &call.method,
                tool: call.tool.as_deref(),
                params,
            })
            .collect();
        let content = match &asked.content {
            Carried::Plain => Content::Plain,
            Carried::Message { control, .. } => {
                Content::Message { operations: &operations, control: *control }
            }
            Carried::Graphql(_) => Content::Graphql(&operations),
            Carried::Rpc(_) => Content::Rpc(&calls),
        };
        let request = Request {
            method: &asked.method,
            path: &asked.path,
            query: &query,
            headers: &headers,
            content,
        };
        match self.policy.request(to, by, &request, connection.now) {
            Verdict::Allow(grant) => Answer::Allow {
                rule: self.policy.rule_name(grant.endpoint()).to_owned(),
                // To say it takes an explanation, which costs more than all decisions.
                endpoint: None,
                clause: grant.clause().and_then(|clause| usize::try_from(clause).ok()),
            },
            Verdict::Deny(denial) => {
                Answer::Deny { word: denial.refused.as_str(), by: self.denying(&denial) }
            }
            Verdict::Audit(denial) => {
                Answer::Audit { word: denial.refused.as_str(), by: self.denying(&denial) }
            }
        }
    }

    /// The denying rule of a denial, when it names one.
    fn denying(&self, denial: &RequestDenial) -> Option<(String, Option<usize>)> {
        let clause = denial.clause().and_then(|clause| usize::try_from(clause).ok())?;
        let rule = denial.endpoint().map(|endpoint| self.policy.rule_name(endpoint));
        Some((rule.unwrap_or_default().to_owned(), Some(clause)))
    }
}

/// Which endpoint of its rule stands on a line of a generated text.
fn endpoint_at(text: &str, line: u32) -> Option<usize> {
    let line = usize::try_from(line).ok()?;
    let before: Vec<&str> = text.lines().take(line).collect();
    let start = before.iter().rposition(|line| line.starts_with("    endpoints:"))?;
    before.len().checked_sub(start)?.checked_sub(2)
}

const fn file(inode: u64) -> FileId {
    FileId { device: 1, inode }
}

fn program(program: &Program) -> Result<Compiled, String> {
    let sha256 = program.sha256.as_deref().map(Digest::parse).transpose();
    Ok(Compiled {
        file: file(program.inode),
        path: program.path.as_deref().map(Into::into),
        sha256: sha256.map_err(|error| error.to_string())?,
    })
}

fn pairs(owned: &[(String, String)]) -> Vec<(&str, &str)> {
    owned.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

fn fields(operation: &Operation) -> Vec<&str> {
    match operation {
        Operation::Document { fields, .. } => fields.iter().map(String::as_str).collect(),
        Operation::Hash(_) => Vec::new(),
    }
}

fn operation<'a>(operation: &'a Operation, fields: &'a [&'a str]) -> GraphqlOperation<'a> {
    match operation {
        Operation::Document { kind, name, .. } => GraphqlOperation::Document {
            operation_type: match kind {
                Kind::Query => OperationType::Query,
                Kind::Mutation => OperationType::Mutation,
                Kind::Subscription => OperationType::Subscription,
            },
            name,
            fields,
        },
        Operation::Hash(hash) => GraphqlOperation::Hash(hash),
    }
}
