//! The operation that a document means.

use std::collections::{BTreeMap, BTreeSet};

use apollo_parser::cst::{Definition, OperationDefinition, Selection, SelectionSet};
use apollo_parser::{Lexer, Parser, TokenKind};

use super::{GraphqlError, Operation, OperationType};

/// Longest document, in bytes: large applications send some ten thousand.
pub const DOCUMENT_BYTES: usize = 256 * 1024;
/// Most tokens of a document, white space and comments counted: each takes some hundred bytes.
pub const TOKENS: usize = 65_536;
/// Deepest nesting of selections and values, and longest chain of fragments.
pub const DEPTH: usize = 64;

/// The operation of a document, or the one that is wanted.
pub(super) fn operation(text: &str, wanted: Option<&str>) -> Result<Operation, GraphqlError> {
    if text.len() > DOCUMENT_BYTES {
        return Err(GraphqlError::TooLarge);
    }
    tokens(text)?;
    let tree = Parser::new(text).recursion_limit(DEPTH).token_limit(TOKENS).parse();
    // The parser mends what is broken; a server may mend it in another way.
    if tree.errors().any(|error| error.is_limit()) {
        return Err(GraphqlError::TooLarge);
    }
    if tree.errors().len() > 0 {
        return Err(GraphqlError::Syntax);
    }
    let mut operations: BTreeMap<String, OperationDefinition> = BTreeMap::new();
    let mut fragments: BTreeMap<String, SelectionSet> = BTreeMap::new();
    for definition in tree.document().definitions() {
        let name = definition.name().map(|name| name.text().to_string()).unwrap_or_default();
        let twice = match definition {
            Definition::OperationDefinition(operation) => {
                operations.insert(name, operation).is_some()
            }
            Definition::FragmentDefinition(fragment) => {
                let selections = fragment.selection_set().ok_or(GraphqlError::Syntax)?;
                fragments.insert(name, selections).is_some()
            }
            _ => return Err(GraphqlError::Definition),
        };
        if twice {
            return Err(GraphqlError::Duplicate);
        }
    }
    if operations.len() > 1 && operations.contains_key("") {
        return Err(GraphqlError::Duplicate);
    }
    let name = chosen(&operations, wanted)?;
    let operation = operations.remove(&name).ok_or(GraphqlError::Operation)?;
    let selections = operation.selection_set().ok_or(GraphqlError::Syntax)?;
    let mut roots =
        Roots { fragments: &fragments, names: BTreeSet::new(), followed: BTreeMap::new() };
    roots.add(&selections, DEPTH)?;
    let fields = roots.names.into_iter().collect();
    Ok(Operation::Document { operation_type: operation_type(&operation)?, name, fields })
}

/// Refuses what is not made of tokens, before the parser mends it.
fn tokens(text: &str) -> Result<(), GraphqlError> {
    for token in Lexer::new(text).with_limit(TOKENS) {
        let token = token.map_err(|error| match error.is_limit() {
            true => GraphqlError::TooLarge,
            false => GraphqlError::Syntax,
        })?;
        // SECURITY: H1; the library takes a string that begins with the end of its line (section
        // 2.9.4), behind which a careless server might read on.
        let is_line = token.kind() == TokenKind::StringValue && !token.data().starts_with("\"\"\"");
        if is_line && token.data().contains(['\n', '\r']) {
            return Err(GraphqlError::Syntax);
        }
    }
    Ok(())
}

fn chosen(
    operations: &BTreeMap<String, OperationDefinition>,
    wanted: Option<&str>,
) -> Result<String, GraphqlError> {
    let mut names = operations.keys();
    match (wanted, names.next(), names.next()) {
        (Some(wanted), ..) => Ok(wanted.to_owned()),
        (None, Some(only), None) => Ok(only.clone()),
        // SECURITY: H1; some servers run the first, others none, others the last.
        _ => Err(GraphqlError::Operation),
    }
}

fn operation_type(operation: &OperationDefinition) -> Result<OperationType, GraphqlError> {
    let Some(kind) = operation.operation_type() else {
        return Ok(OperationType::Query);
    };
    if kind.query_token().is_some() {
        Ok(OperationType::Query)
    } else if kind.mutation_token().is_some() {
        Ok(OperationType::Mutation)
    } else if kind.subscription_token().is_some() {
        Ok(OperationType::Subscription)
    } else {
        Err(GraphqlError::Syntax)
    }
}

/// Collects the names of root fields.
struct Roots<'a> {
    fragments: &'a BTreeMap<String, SelectionSet>,
    names: BTreeSet<String>,
    /// Fragments that were begun: each is followed once, so that the work is that of reading.
    followed: BTreeMap<String, Progress>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    Open,
    Done,
}

impl Roots<'_> {
    /// It calls itself at most `depth` times.
    fn add(&mut self, selections: &SelectionSet, depth: usize) -> Result<(), GraphqlError> {
        let depth = depth.checked_sub(1).ok_or(GraphqlError::TooLarge)?;
        for selection in selections.selections() {
            match selection {
                Selection::Field(field) => {
                    let name = field.name().ok_or(GraphqlError::Syntax)?;
                    self.names.insert(name.text().to_string());
                }
                Selection::InlineFragment(fragment) => {
                    let inner = fragment.selection_set().ok_or(GraphqlError::Syntax)?;
                    self.add(&inner, depth)?;
                }
                Selection::FragmentSpread(spread) => {
                    let name = spread.fragment_name().and_then(|name| name.name());
                    let name = name.ok_or(GraphqlError::Syntax)?.text().to_string();
                    self.follow(name, depth)?;
                }
            }
        }
        Ok(())
    }

    fn follow(&mut self, name: String, depth: usize) -> Result<(), GraphqlError> {
        match self.followed.get(&name) {
            Some(Progress::Done) => return Ok(()),
            Some(Progress::Open) => return Err(GraphqlError::FragmentCycle),
            None => {}
        }
        let inner = self.fragments.get(&name).ok_or(GraphqlError::UnknownFragment)?;
        self.followed.insert(name.clone(), Progress::Open);
        self.add(inner, depth)?;
        self.followed.insert(name, Progress::Done);
        Ok(())
    }
}
