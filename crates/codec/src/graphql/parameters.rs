//! The parameters of one operation, wherever they stand.

use sha2::{Digest as _, Sha256};

use super::{GraphqlError, Operation, document};
use crate::json::{Json, Object};
use crate::target::folded;

/// Longest hash or id, in bytes.
const HASH_BYTES: usize = 256;

/// The parameters that say which operation is meant; those that do not are checked and left out.
#[derive(Default)]
pub(super) struct Parameters {
    query: Option<String>,
    operation_name: Option<String>,
    /// `extensions.persistedQuery.sha256Hash`.
    hash: Option<String>,
    /// `id` and its like.
    ids: Vec<String>,
    /// How many there were, null and empty ones counted.
    count: usize,
}

/// What a name stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Parameter {
    Query,
    OperationName,
    Variables,
    Extensions,
    Id,
}

impl Parameter {
    const NAMES: [(&'static str, Self); 7] = [
        ("query", Self::Query),
        ("operationName", Self::OperationName),
        ("variables", Self::Variables),
        ("extensions", Self::Extensions),
        ("id", Self::Id),
        ("documentId", Self::Id),
        ("doc_id", Self::Id),
    ];

    fn of(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(own, _)| *own == name).map(|(_, parameter)| *parameter)
    }

    /// Whether some servers take such a key for one of the names.
    fn resembles(key: &str) -> bool {
        let key = folded(key);
        let base = key.split('[').next().unwrap_or_default();
        Self::NAMES.iter().any(|(name, _)| base.eq_ignore_ascii_case(name))
    }
}

impl Parameters {
    /// Those in the pairs of a query; others are let be.
    pub(super) fn of_pairs(pairs: &[(&str, &str)]) -> Result<Self, GraphqlError> {
        let mut parameters = Self::default();
        let mut seen: Vec<&str> = Vec::new();
        for (key, value) in pairs {
            let Some(parameter) = Parameter::of(key) else {
                if Parameter::resembles(key) {
                    return Err(GraphqlError::Ambiguous);
                }
                continue;
            };
            if seen.contains(key) {
                return Err(GraphqlError::Ambiguous);
            }
            seen.push(key);
            let value = match parameter {
                _ if value.is_empty() => Json::Null,
                Parameter::Variables | Parameter::Extensions => Json::parse(value.as_bytes())?,
                Parameter::Query | Parameter::OperationName | Parameter::Id => {
                    Json::String((*value).to_owned())
                }
            };
            parameters.take(parameter, &value)?;
        }
        Ok(parameters)
    }

    /// Those in an object; it has no others.
    pub(super) fn of_object(object: &Object) -> Result<Self, GraphqlError> {
        let mut parameters = Self::default();
        for (name, value) in object.iter() {
            let parameter = Parameter::of(name).ok_or(GraphqlError::Member)?;
            parameters.take(parameter, value)?;
        }
        Ok(parameters)
    }

    /// Whether there were none.
    pub(super) const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The operation that they mean.
    pub(super) fn operation(self) -> Result<Operation, GraphqlError> {
        let hashes = || self.hash.iter().chain(&self.ids);
        for hash in hashes() {
            if hash.is_empty()
                || hash.len() > HASH_BYTES
                || !hash.bytes().all(|byte| byte.is_ascii_graphic())
            {
                return Err(GraphqlError::Hash);
            }
        }
        if let Some(query) = &self.query {
            let judged = document::operation(query, self.operation_name.as_deref())?;
            // SECURITY: H1; a server that knows the hash may not look at the document.
            if hashes().next().is_some() {
                let own = hex::encode(Sha256::digest(query.as_bytes()));
                if hashes().any(|hash| *hash != own) {
                    return Err(GraphqlError::OtherHash);
                }
            }
            return Ok(judged);
        }
        let hash = hashes().next().ok_or(GraphqlError::NoDocument)?;
        if hashes().any(|other| other != hash) {
            return Err(GraphqlError::OtherHash);
        }
        Ok(Operation::Hash(hash.clone()))
    }

    /// Null is what many clients write for none, and an empty document or name is none to most
    /// servers and an error to the others.
    fn take(&mut self, parameter: Parameter, value: &Json) -> Result<(), GraphqlError> {
        self.count = self.count.saturating_add(1);
        match (parameter, value) {
            (_, Json::Null) | (Parameter::Variables, Json::Object(_)) => {}
            (Parameter::Query, Json::String(text)) => {
                self.query = Some(text.clone()).filter(|text| !text.is_empty());
            }
            (Parameter::OperationName, Json::String(text)) => {
                self.operation_name = Some(text.clone()).filter(|text| !text.is_empty());
            }
            (Parameter::Id, Json::String(text)) => self.ids.push(text.clone()),
            (Parameter::Id, Json::Number(number)) => self.ids.push(number.as_str().to_owned()),
            (Parameter::Extensions, Json::Object(extensions)) => self.hash = hash(extensions)?,
            _ => return Err(GraphqlError::Type),
        }
        Ok(())
    }
}

fn hash(extensions: &Object) -> Result<Option<String>, GraphqlError> {
    for (name, _) in extensions.iter() {
        if name != PERSISTED && name.eq_ignore_ascii_case(PERSISTED) {
            return Err(GraphqlError::Ambiguous);
        }
    }
    let persisted = match extensions.get(PERSISTED) {
        None | Some(Json::Null) => return Ok(None),
        Some(persisted) => persisted.as_object().ok_or(GraphqlError::Type)?,
    };
    let mut hash = None;
    for (name, value) in persisted.iter() {
        match (name, value) {
            ("version", Json::Number(_)) => {}
            ("sha256Hash", Json::String(text)) => hash = Some(text.clone()),
            ("version" | "sha256Hash", _) => return Err(GraphqlError::Type),
            _ => return Err(GraphqlError::Member),
        }
    }
    hash.map(Some).ok_or(GraphqlError::Hash)
}

const PERSISTED: &str = "persistedQuery";
