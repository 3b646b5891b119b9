//! A request as a value of its own, for counter-examples.

use std::fmt;

use crate::document::OperationType;
use crate::request::{Call, Content, GraphqlOperation, Request};
use crate::words;

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SampleRequest {
    /// Its method; `WEBSOCKET_TEXT` for a message.
    pub method: String,
    /// Its canonical path.
    pub path: String,
    /// Query keys and values.
    pub query: Vec<(String, String)>,
    /// Header names and values.
    pub headers: Vec<(String, String)>,
    /// What it carries.
    pub content: SampleContent,
}

/// What a request carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SampleContent {
    /// Nothing that is looked at.
    Plain,
    /// A WebSocket message.
    Message {
        /// The GraphQL operations in it.
        operations: Vec<SampleOperation>,
        /// Whether it is a control message.
        control: bool,
    },
    /// GraphQL operations.
    Graphql(Vec<SampleOperation>),
    /// JSON-RPC or MCP calls.
    Rpc(Vec<SampleCall>),
}

/// One GraphQL operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SampleOperation {
    /// With its document.
    Document {
        /// What kind.
        operation_type: OperationType,
        /// Its name.
        name: String,
        /// Its root fields.
        fields: Vec<String>,
    },
    /// As a hash.
    Hash(String),
}

/// One call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SampleCall {
    /// Its method.
    pub method: String,
    /// Its tool.
    pub tool: Option<String>,
    /// Scalars in its parameters.
    pub params: Vec<(String, String)>,
}

impl SampleContent {
    /// The items of contents of one kind as one content.
    pub(super) fn together(contents: Vec<Self>) -> Option<Self> {
        contents.into_iter().reduce(|mut all, more| {
            match (&mut all, more) {
                (
                    Self::Message { operations: own, .. },
                    Self::Message { operations: mut more, .. },
                )
                | (Self::Graphql(own), Self::Graphql(mut more)) => own.append(&mut more),
                (Self::Rpc(own), Self::Rpc(mut more)) => own.append(&mut more),
                _ => {}
            }
            all
        })
    }
}

type Pairs<'a> = Vec<(&'a str, &'a str)>;

fn pairs(list: &[(String, String)]) -> Pairs<'_> {
    list.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

impl SampleRequest {
    /// Asks something with the request as the policy takes it.
    pub fn with<T>(&self, ask: impl FnOnce(&Request<'_>) -> T) -> T {
        let (query, headers) = (pairs(&self.query), pairs(&self.headers));
        let heads = (&query, &headers);
        match &self.content {
            SampleContent::Plain => ask(&self.request(heads, Content::Plain)),
            SampleContent::Message { operations, control } => {
                with_operations(operations, |operations| {
                    ask(&self.request(heads, Content::Message { operations, control: *control }))
                })
            }
            SampleContent::Graphql(operations) => with_operations(operations, |operations| {
                ask(&self.request(heads, Content::Graphql(operations)))
            }),
            SampleContent::Rpc(calls) => {
                let params: Vec<Pairs<'_>> = calls.iter().map(|call| pairs(&call.params)).collect();
                let calls: Vec<Call<'_>> = calls
                    .iter()
                    .zip(&params)
                    .map(|(call, params)| Call {
                        method: &call.method,
                        tool: call.tool.as_deref(),
                        params,
                    })
                    .collect();
                ask(&self.request(heads, Content::Rpc(&calls)))
            }
        }
    }
}

impl SampleRequest {
    fn request<'a>(
        &'a self,
        (query, headers): (&'a Pairs<'a>, &'a Pairs<'a>),
        content: Content<'a>,
    ) -> Request<'a> {
        Request { method: &self.method, path: &self.path, query, headers, content }
    }
}

fn with_operations<T>(
    operations: &[SampleOperation],
    ask: impl FnOnce(&[GraphqlOperation<'_>]) -> T,
) -> T {
    let fields: Vec<Vec<&str>> = operations
        .iter()
        .map(|operation| match operation {
            SampleOperation::Document { fields, .. } => fields.iter().map(String::as_str).collect(),
            SampleOperation::Hash(_) => Vec::new(),
        })
        .collect();
    let operations: Vec<GraphqlOperation<'_>> = operations
        .iter()
        .zip(&fields)
        .map(|(operation, fields)| match operation {
            SampleOperation::Document { operation_type, name, .. } => {
                GraphqlOperation::Document { operation_type: *operation_type, name, fields }
            }
            SampleOperation::Hash(hash) => GraphqlOperation::Hash(hash),
        })
        .collect();
    ask(&operations)
}

impl fmt::Display for SampleRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, words::scalar(&self.path))?;
        for (at, (name, value)) in self.query.iter().enumerate() {
            let separator = if at == 0 { '?' } else { '&' };
            write!(f, "{separator}{}={}", words::scalar(name), words::scalar(value))?;
        }
        for (name, value) in &self.headers {
            write!(f, ", header {}: {}", words::scalar(name), words::scalar(value))?;
        }
        match &self.content {
            SampleContent::Plain => Ok(()),
            SampleContent::Message { operations, control } if operations.is_empty() => {
                f.write_str(if *control { ", a control message" } else { ", a message" })
            }
            SampleContent::Message { operations, .. } | SampleContent::Graphql(operations) => {
                operations.iter().try_for_each(|operation| write!(f, ", {operation}"))
            }
            SampleContent::Rpc(calls) => calls.iter().try_for_each(|call| write!(f, ", {call}")),
        }
    }
}

impl fmt::Display for SampleOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Document { operation_type, name, fields } => {
                let fields: Vec<String> = fields.iter().map(|field| words::scalar(field)).collect();
                let kind = words::operation_type(*operation_type);
                write!(f, "{kind} {} {{ {} }}", words::scalar(name), fields.join(" "))
            }
            Self::Hash(hash) => write!(f, "the operation of hash {}", words::scalar(hash)),
        }
    }
}

impl fmt::Display for SampleCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "call {}", words::scalar(&self.method))?;
        if let Some(tool) = &self.tool {
            write!(f, " of {}", words::scalar(tool))?;
        }
        for (name, value) in &self.params {
            write!(f, ", {} = {}", words::scalar(name), words::scalar(value))?;
        }
        Ok(())
    }
}
