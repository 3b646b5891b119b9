//! Which requests the endpoints of one connection tell apart.

use std::collections::BTreeSet;

use super::automaton::{Atom, Row, Universe, atoms};
use super::budget::{Budget, Exhausted};
use super::contents::{batches, calls, operations};
use super::sample::{SampleContent, SampleRequest};
use super::values::{self, Conditions, Part, Values};
use super::world::{Side, Site};
use crate::compiled::clause::{Decides, Reading, alternatives};
use crate::document::Protocol;
use crate::document::model::Clause;

const MESSAGE: &str = "WEBSOCKET_TEXT";
/// What `*` stands for.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// What an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It is what is looked for.
    Found,
    /// The tested document lets it pass.
    Passes,
    /// It does not.
    Stopped,
}

/// Requests that differ in their content alone.
struct Kind<'a> {
    methods: Vec<&'a str>,
    contents: Vec<SampleContent>,
    /// Of how many items a batch may have to be, so that no endpoint of the bound allows it.
    most: usize,
}

/// Asks for each request that could make a difference, until one does; of paths only those that one
/// of `only` matches, if there are any.
pub(super) fn find(
    (sites, only): (&[Site<'_>], &[String]),
    budget: &mut Budget,
    ask: &mut dyn FnMut(&SampleRequest) -> Answer,
) -> Result<Option<SampleRequest>, Exhausted> {
    let paths = paths(sites, only, budget)?;
    let values = head_values(sites, budget)?;
    for kind in kinds(sites, budget)? {
        for path in &paths {
            for method in &kind.methods {
                for values in &values {
                    let head = SampleRequest {
                        method: (*method).to_owned(),
                        path: path.clone(),
                        query: values::of_part(values, Part::Query),
                        headers: values::of_part(values, Part::Header),
                        content: SampleContent::Plain,
                    };
                    let found = with_head(&head, &kind, budget, ask)?;
                    if found.is_some() {
                        return Ok(found);
                    }
                }
            }
        }
    }
    Ok(None)
}

/// Each content with one head; then batches of what passes alone, for nothing else of a batch can.
fn with_head(
    head: &SampleRequest,
    kind: &Kind<'_>,
    budget: &mut Budget,
    ask: &mut dyn FnMut(&SampleRequest) -> Answer,
) -> Result<Option<SampleRequest>, Exhausted> {
    let mut passing = Vec::new();
    for content in &kind.contents {
        budget.take_question()?;
        let request = SampleRequest { content: content.clone(), ..head.clone() };
        match ask(&request) {
            Answer::Found => return Ok(Some(request)),
            Answer::Passes => passing.push(content.clone()),
            Answer::Stopped => {}
        }
    }
    for batch in batches(&passing, kind.most)? {
        budget.take_question()?;
        let Some(content) = SampleContent::together(batch) else { continue };
        let request = SampleRequest { content, ..head.clone() };
        if ask(&request) == Answer::Found {
            return Ok(Some(request));
        }
    }
    Ok(None)
}

fn has_heads(site: &Site<'_>) -> bool {
    matches!(site.endpoint.protocol, Protocol::Rest | Protocol::WebSocket)
}

/// The kinds of content, each with the methods that matter.
fn kinds<'a>(sites: &'a [Site<'a>], budget: &mut Budget) -> Result<Vec<Kind<'a>>, Exhausted> {
    let any = |protocols: &[Protocol]| {
        sites.iter().any(|site| protocols.contains(&site.endpoint.protocol))
    };
    let most = |protocols: &[Protocol]| {
        let own = sites.iter().filter(|site| site.side == Side::Bound);
        own.filter(|site| protocols.contains(&site.endpoint.protocol)).count().max(1)
    };
    let methods = methods(sites);
    let other = if sites.iter().any(has_heads) { methods.clone() } else { vec!["POST"] };
    let mut all = vec![Kind { methods, contents: vec![SampleContent::Plain], most: 1 }];
    let sockets = [Protocol::WebSocket];
    let graphql = [Protocol::GraphQl];
    let rpc = [Protocol::JsonRpc, Protocol::Mcp];
    if any(&sockets) {
        let silent = |control| SampleContent::Message { operations: Vec::new(), control };
        let contents = vec![silent(false), silent(true)];
        all.push(Kind { methods: vec![MESSAGE], contents, most: 1 });
        let single =
            |operation| SampleContent::Message { operations: vec![operation], control: false };
        let contents = operations(sites, budget)?.into_iter().map(single).collect();
        all.push(Kind { methods: vec![MESSAGE], contents, most: most(&sockets) });
    }
    if any(&graphql) {
        let single = |operation| SampleContent::Graphql(vec![operation]);
        let contents = operations(sites, budget)?.into_iter().map(single).collect();
        all.push(Kind { methods: other.clone(), contents, most: most(&graphql) });
    }
    if any(&rpc) {
        let single = |call| SampleContent::Rpc(vec![call]);
        let contents = calls(sites, budget)?.into_iter().map(single).collect();
        all.push(Kind { methods: other, contents, most: most(&rpc) });
    }
    Ok(all)
}

/// The methods that are named, those that `*` stands for, and one that is none of them.
fn methods<'a>(sites: &'a [Site<'a>]) -> Vec<&'a str> {
    let clauses = sites
        .iter()
        .filter(|site| has_heads(site))
        .flat_map(|site| site.endpoint.rules.iter().chain(&site.endpoint.deny_rules));
    let named = clauses.filter_map(|clause| clause.method.as_ref());
    let named: BTreeSet<&str> =
        named.map(|method| method.value.as_str()).filter(|method| *method != "*").collect();
    let mut all = METHODS.to_vec();
    all.extend(named.into_iter().filter(|method| !METHODS.contains(method)));
    // Shorter than any that somebody names on purpose comes first.
    let other = ["X", "OTHER", "SOME-OTHER"].into_iter().find(|other| !all.contains(other));
    all.extend(other);
    all
}

fn paths(
    sites: &[Site<'_>],
    only: &[String],
    budget: &mut Budget,
) -> Result<Vec<String>, Exhausted> {
    let mut rows: Vec<Row> = only.iter().map(|path| Row::path(path, Reading::AS_IS)).collect();
    let mut add = |text: &str, reading: Reading| {
        for path in alternatives(text) {
            let row = Row::path(&path, reading);
            if !rows.contains(&row) {
                rows.push(row);
            }
        }
    };
    for site in sites {
        let endpoint = site.endpoint;
        let (case, protocol) = (endpoint.path_case, endpoint.protocol);
        if let Some(path) = &endpoint.path {
            // Whichever way it is compared.
            add(&path.value, Reading::AS_IS);
            add(&path.value, Reading::of(case, Protocol::Rest, Decides::Allow));
        }
        for (decides, list) in
            [(Decides::Allow, &endpoint.rules), (Decides::Deny, &endpoint.deny_rules)]
        {
            for path in list.iter().filter_map(|clause| clause.path.as_ref()) {
                add(&path.value, Reading::of(case, protocol, decides));
            }
        }
    }
    for site in sites.iter().filter(|site| site.endpoint.protocol == Protocol::Grpc) {
        rows.push(Row::grpc("*", "*"));
        let clauses = site.endpoint.rules.iter().chain(&site.endpoint.deny_rules);
        rows.extend(clauses.map(|clause| {
            let text = |field: &Option<_>| -> String {
                let field: &Option<crate::document::findings::Spanned<String>> = field;
                field.as_ref().map_or("*", |text| &text.value).to_owned()
            };
            Row::grpc(&text(&clause.service), &text(&clause.method))
        }));
    }
    let wanted = |atom: &Atom| only.is_empty() || atom.matched.iter().any(|row| *row < only.len());
    let atoms = atoms(&rows, Universe::Path, budget)?.into_iter().filter(wanted);
    Ok(atoms.map(|atom| atom.text).collect())
}

fn head_values(sites: &[Site<'_>], budget: &mut Budget) -> Result<Vec<Values>, Exhausted> {
    let of = |clause: &Clause| values::conditions(clause, &[Part::Query, Part::Header]);
    let mut all: Vec<Conditions> = sites
        .iter()
        .flat_map(|site| site.endpoint.rules.iter().chain(&site.endpoint.deny_rules))
        .map(of)
        .collect();
    let denying = sites.iter().flat_map(|site| &site.endpoint.deny_rules).map(of).collect();
    let seen = values::seen_by(&denying, &all);
    all.extend(seen);
    let classes = values::classes(all.iter(), budget)?;
    let tested = || sites.iter().filter(|site| site.side == Side::Tested);
    let mut allow: BTreeSet<Conditions> =
        tested().flat_map(|site| &site.endpoint.rules).map(of).collect();
    allow.insert(Conditions::new());
    let deny = tested().flat_map(|site| &site.endpoint.deny_rules).map(of).collect();
    values::candidates(&allow, &deny, &classes)
}
