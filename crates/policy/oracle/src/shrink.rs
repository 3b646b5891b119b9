//! Makes a document and its question smaller while both sides still differ.

use crate::question::{Asked, Call, Carried, Connection, Operation, Question};
use crate::tree::{Node, without_one};

/// A document and a question to it.
#[derive(Clone, Debug)]
pub struct Case {
    pub document: Node,
    pub question: Question,
}

impl Case {
    /// The smallest case found by taking one piece away at a time for which `holds` still does.
    pub fn shrink(self, holds: impl Fn(&Self) -> bool) -> Self {
        let mut case = self;
        'smaller: loop {
            for document in case.document.smaller() {
                let next = Self { document, question: case.question.clone() };
                if holds(&next) {
                    case = next;
                    continue 'smaller;
                }
            }
            for question in smaller_question(&case.question) {
                let next = Self { document: case.document.clone(), question };
                if holds(&next) {
                    case = next;
                    continue 'smaller;
                }
            }
            return case;
        }
    }
}

fn smaller_question(question: &Question) -> Vec<Question> {
    let connections = |connection: &Connection| {
        without_one(&connection.ancestors)
            .into_iter()
            .map(|ancestors| Connection { ancestors, ..connection.clone() })
            .collect::<Vec<_>>()
    };
    match question {
        Question::Connect(connection) => {
            connections(connection).into_iter().map(Question::Connect).collect()
        }
        Question::Datagram(connection) => {
            connections(connection).into_iter().map(Question::Datagram).collect()
        }
        Question::Request(connection, asked) => {
            let fewer = connections(connection).into_iter();
            let fewer = fewer.map(|connection| Question::Request(connection, asked.clone()));
            let less = smaller_request(asked).into_iter();
            let less = less.map(|asked| Question::Request(connection.clone(), asked));
            fewer.chain(less).collect()
        }
    }
}

fn smaller_request(asked: &Asked) -> Vec<Asked> {
    let queries = without_one(&asked.query).into_iter();
    let headers = without_one(&asked.headers).into_iter();
    let contents = smaller_content(&asked.content).into_iter();
    queries
        .map(|query| Asked { query, ..asked.clone() })
        .chain(headers.map(|headers| Asked { headers, ..asked.clone() }))
        .chain(contents.map(|content| Asked { content, ..asked.clone() }))
        .collect()
}

fn smaller_content(content: &Carried) -> Vec<Carried> {
    match content {
        Carried::Plain => Vec::new(),
        Carried::Message { operations, control } => smaller_operations(operations)
            .into_iter()
            .map(|operations| Carried::Message { operations, control: *control })
            .collect(),
        Carried::Graphql(operations) => {
            smaller_operations(operations).into_iter().map(Carried::Graphql).collect()
        }
        Carried::Rpc(calls) => {
            let mut all = without_one(calls);
            for (at, call) in calls.iter().enumerate() {
                for params in without_one(&call.params) {
                    let mut calls = calls.clone();
                    if let Some(place) = calls.get_mut(at) {
                        *place = Call { params, ..call.clone() };
                    }
                    all.push(calls);
                }
            }
            all.into_iter().map(Carried::Rpc).collect()
        }
    }
}

fn smaller_operations(operations: &[Operation]) -> Vec<Vec<Operation>> {
    let mut all = without_one(operations);
    for (at, operation) in operations.iter().enumerate() {
        let Operation::Document { kind, name, fields } = operation else { continue };
        for fields in without_one(fields).into_iter().filter(|fields| !fields.is_empty()) {
            let mut operations = operations.to_vec();
            if let Some(place) = operations.get_mut(at) {
                *place = Operation::Document { kind: *kind, name: name.clone(), fields };
            }
            all.push(operations);
        }
    }
    all
}
