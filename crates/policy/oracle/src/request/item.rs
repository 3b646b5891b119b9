//! What of a request the rules of an endpoint are held against, one by one.

use super::World;
use crate::model::{Endpoint, Persisted, Protocol};
use crate::mutant::Mutant;
use crate::question::{Asked, Call, Carried, Kind, Operation};

/// One thing that needs a rule.
pub(super) enum Item<'a> {
    /// A plain request.
    Whole,
    /// A message without operations.
    Text,
    /// A control message.
    Control,
    /// A GraphQL operation.
    Operation { kind: Kind, name: &'a str, fields: Vec<&'a str> },
    /// A hash that stands for nothing here.
    Unknown,
    /// A call.
    Call(&'a Call),
}

impl World {
    /// The items of a request that an endpoint judges; none when there is nothing that it could
    /// allow.
    pub(super) fn items<'a>(&self, endpoint: &'a Endpoint, asked: &'a Asked) -> Vec<Item<'a>> {
        if !self.judges(endpoint, asked) {
            return Vec::new();
        }
        match &asked.content {
            _ if endpoint.protocol == Protocol::Rest => vec![Item::Whole],
            Carried::Plain => vec![Item::Whole],
            Carried::Message { operations, control: true } if operations.is_empty() => {
                vec![Item::Control]
            }
            Carried::Message { operations, control: false } if operations.is_empty() => {
                vec![Item::Text]
            }
            Carried::Message { operations, .. } | Carried::Graphql(operations) => {
                operations.iter().map(|operation| self.resolve(endpoint, operation)).collect()
            }
            Carried::Rpc(calls) => calls.iter().map(Item::Call).collect(),
        }
    }

    /// The same for denying rules: those of rest see every request.
    pub(super) fn items_to_deny<'a>(
        &self,
        endpoint: &'a Endpoint,
        asked: &'a Asked,
    ) -> Vec<Item<'a>> {
        if endpoint.protocol == Protocol::Rest && !self.is(Mutant::RestDeniesPlainOnly) {
            return vec![Item::Whole];
        }
        self.items(endpoint, asked)
    }

    /// The operation, or the registered one in its place.
    fn resolve<'a>(&self, endpoint: &'a Endpoint, operation: &'a Operation) -> Item<'a> {
        let hash = match operation {
            Operation::Document { kind, name, fields } => {
                let fields = fields.iter().map(String::as_str).collect();
                return Item::Operation { kind: *kind, name, fields };
            }
            Operation::Hash(hash) => hash,
        };
        let registered = endpoint.graphql_persisted_queries.get(hash).filter(|_| {
            endpoint.persisted_queries == Persisted::AllowRegistered
                && !self.is(Mutant::HashesAreUnknown)
        });
        match registered {
            Some(known) => Item::Operation {
                kind: known.operation_type,
                name: &known.operation_name,
                fields: known.fields.iter().map(String::as_str).collect(),
            },
            None if self.is(Mutant::UnregisteredIsQuery) => {
                Item::Operation { kind: Kind::Query, name: "", fields: Vec::new() }
            }
            None => Item::Unknown,
        }
    }
}
