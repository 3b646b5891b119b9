//! Whether one rule matches: every field that it names.

use std::collections::BTreeMap;

use super::item::Item;
use super::{Side, World};
use crate::model::{Clause, Endpoint, PathCase, Patterns, Protocol};
use crate::mutant::Mutant;
use crate::question::{Asked, Call, Kind};
use crate::text::{self, Star};

/// What `*` stands for as a method of rest.
const REST_METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
/// The same for websocket.
const WEBSOCKET_METHODS: [&str; 2] = ["GET", "WEBSOCKET_TEXT"];

/// Service and method of a path `/service/method`.
pub(super) fn grpc_call(path: &str) -> Option<(&str, &str)> {
    let (service, method) = path.strip_prefix('/')?.split_once('/')?;
    (!method.contains('/')).then_some((service, method))
}

impl World {
    /// Whether a rule matches one item of a request.
    pub(super) fn matches(
        &self,
        endpoint: &Endpoint,
        (clause, side): (&Clause, Side),
        asked: &Asked,
        item: &Item<'_>,
    ) -> bool {
        // A missing field is `None`; the others say whether they match.
        let mut fields: Vec<Option<bool>> = match (endpoint.protocol, item) {
            (Protocol::Rest | Protocol::WebSocket, _) => vec![
                self.method(endpoint.protocol, (clause, side), asked),
                self.path(endpoint, (clause, side), asked),
                self.query(clause, asked, side),
                self.headers(clause, asked, side),
            ],
            (Protocol::Grpc, _) => {
                let call = grpc_call(&asked.path);
                let field = |pattern: &Option<String>, part: Option<&str>| {
                    let pattern = pattern.as_ref()?;
                    Some(part.is_some_and(|part| self.string(pattern, part)))
                };
                let service = field(&clause.service, call.map(|(service, _)| service));
                vec![
                    service.filter(|_| !self.is(Mutant::ServiceIgnored)),
                    field(&clause.method, call.map(|(_, method)| method)),
                ]
            }
            (Protocol::JsonRpc | Protocol::Mcp, Item::Call(call)) => self.call(clause, call, side),
            _ => Vec::new(),
        };
        if clause.names_operations() {
            fields.extend(self.operation(clause, item, side));
        }
        let mut named = fields.into_iter().flatten();
        if self.is(Mutant::OneFieldIsEnough) { named.any(|ok| ok) } else { named.all(|ok| ok) }
    }

    fn method(
        &self,
        protocol: Protocol,
        (clause, side): (&Clause, Side),
        asked: &Asked,
    ) -> Option<bool> {
        let written = clause.method.as_deref()?;
        let wanted = if self.is(Mutant::RuleMethodKeepsCase) {
            written.to_owned()
        } else {
            written.to_ascii_uppercase()
        };
        let found = if self.is(Mutant::MethodIgnoresCase) {
            asked.method.to_ascii_uppercase()
        } else {
            asked.method.clone()
        };
        if wanted == "*" {
            let known: &[&str] = match protocol {
                Protocol::WebSocket => &WEBSOCKET_METHODS,
                _ => &REST_METHODS,
            };
            return Some(known.contains(&found.as_str()) || self.is(Mutant::StarIsEveryMethod));
        }
        let head_too = match side {
            Side::Allow => !self.is(Mutant::HeadIsNotGet),
            Side::Deny => self.is(Mutant::DeniedGetDeniesHead),
        };
        Some(wanted == found || head_too && wanted == "GET" && found == "HEAD")
    }

    fn path(
        &self,
        endpoint: &Endpoint,
        (clause, side): (&Clause, Side),
        asked: &Asked,
    ) -> Option<bool> {
        let written = clause.path.as_ref()?;
        let case = endpoint.path_case;
        let insensitive = case == PathCase::Insensitive && !self.is(Mutant::InsensitiveIgnored);
        let sensitive = case == PathCase::Sensitive && !self.is(Mutant::SensitiveIgnored);
        let ignore_case = match side {
            Side::Allow => insensitive || self.is(Mutant::AllowingIgnoresCase),
            Side::Deny => !sensitive && !self.is(Mutant::DenialsExact) || insensitive,
        };
        let mut paths = self.alternatives(written).into_iter();
        if side == Side::Deny && !self.is(Mutant::DenialsUndecoded) {
            let stays = self.is(Mutant::EncodedSlashStopsStar);
            let how = text::Denied { stays, ignore_case };
            return Some(paths.any(|pattern| text::denied(&pattern, &asked.path, how)));
        }
        Some(paths.any(|pattern| self.path_matches(&pattern, &asked.path, ignore_case)))
    }

    fn query(&self, clause: &Clause, asked: &Asked, side: Side) -> Option<bool> {
        if side == Side::Allow || self.is(Mutant::QueryNamesExact) {
            return self.values(&clause.query, &asked.query, side);
        }
        let brackets = |rest: &str| {
            rest.is_empty()
                || rest.starts_with('[') && rest.ends_with(']') && !self.is(Mutant::BracketsCount)
        };
        // Whatever the key, a value under it is one of the name that it may be read as.
        let mut verdict = None;
        for (name, patterns) in &clause.query {
            let name = name.to_ascii_lowercase();
            let name = name.strip_suffix("[]").unwrap_or(&name);
            let read = asked.query.iter().filter(|(key, _)| {
                key.to_ascii_lowercase().strip_prefix(name).is_some_and(brackets)
            });
            let read: Vec<_> = read.map(|(_, value)| (name.to_owned(), value.clone())).collect();
            let wanted = std::iter::once((name.to_owned(), patterns));
            let fits = self.each_value(wanted, &read, side).unwrap_or_default();
            verdict = Some(verdict.unwrap_or(true) && fits);
        }
        verdict
    }

    fn headers(&self, clause: &Clause, asked: &Asked, side: Side) -> Option<bool> {
        if self.is(Mutant::HeaderNamesKeepCase) {
            return self.values(&clause.headers, &asked.headers, side);
        }
        let lower = |(name, value): &(String, String)| (name.to_ascii_lowercase(), value.clone());
        let headers: Vec<(String, String)> = asked.headers.iter().map(lower).collect();
        let named = clause.headers.iter().map(|(name, one)| (name.to_ascii_lowercase(), one));
        self.each_value(named, &headers, side)
    }

    fn values(
        &self,
        wanted: &BTreeMap<String, Patterns>,
        found: &[(String, String)],
        side: Side,
    ) -> Option<bool> {
        let named = wanted.iter().map(|(name, patterns)| (name.clone(), patterns));
        self.each_value(named, found, side)
    }

    fn each_value<'a>(
        &self,
        wanted: impl Iterator<Item = (String, &'a Patterns)>,
        found: &[(String, String)],
        side: Side,
    ) -> Option<bool> {
        let mut verdict = None;
        for (name, patterns) in wanted {
            let values: Vec<&str> = found
                .iter()
                .filter(|(other, _)| *other == name)
                .map(|(_, value)| value.as_str())
                .collect();
            let matches = |value: &&str| self.any_of(patterns, value);
            let every = match side {
                Side::Allow => !self.is(Mutant::AllowingByOneValue),
                Side::Deny => self.is(Mutant::DenyingByEveryValue),
            };
            let fits = if values.is_empty() {
                self.is(Mutant::MissingNamePasses)
            } else if every {
                values.iter().all(matches)
            } else {
                values.iter().any(matches)
            };
            verdict = Some(verdict.unwrap_or(true) && fits);
        }
        verdict
    }

    fn any_of(&self, patterns: &Patterns, value: &str) -> bool {
        let mut all = patterns.all().iter();
        if self.is(Mutant::FirstOfAny) {
            return all.next().is_some_and(|pattern| self.string(pattern, value));
        }
        if self.is(Mutant::EveryOfAny) {
            return all.all(|pattern| self.string(pattern, value));
        }
        all.any(|pattern| self.string(pattern, value))
    }

    fn call(&self, clause: &Clause, call: &Call, side: Side) -> Vec<Option<bool>> {
        let method = clause.method.as_ref().map(|method| self.string(method, &call.method));
        let tool = clause.tool.as_ref().map(|pattern| {
            let found = call.tool.as_deref().unwrap_or_default();
            self.string(pattern, found)
        });
        vec![method, tool, self.values(&clause.params, &call.params, side)]
    }

    fn operation(&self, clause: &Clause, item: &Item<'_>, side: Side) -> Vec<Option<bool>> {
        let (kind, name, fields) = match item {
            Item::Operation { kind, name, fields } => (kind, name, fields),
            Item::Control => {
                let passes = side == Side::Allow && !self.is(Mutant::ControlNeverPasses);
                return vec![Some(passes)];
            }
            Item::Text => {
                // What cannot be read cannot slip past a denial.
                let matches = match side {
                    Side::Allow => self.is(Mutant::TextPassesOperationRules),
                    Side::Deny => !self.is(Mutant::TextEscapesDenials),
                };
                return vec![Some(matches)];
            }
            Item::Whole => {
                let passes = side == Side::Allow && self.is(Mutant::OperationRulesUpgrade);
                return vec![Some(passes)];
            }
            // Nor can what is not known.
            Item::Unknown => {
                let denied = side == Side::Deny && !self.is(Mutant::UnknownHashEscapesDenials);
                return vec![Some(denied)];
            }
            Item::Call(_) => return vec![Some(false)],
        };
        let kind = clause.operation_type.as_deref().map(|wanted| match wanted {
            "query" => *kind == Kind::Query,
            "mutation" => *kind == Kind::Mutation,
            "subscription" => *kind == Kind::Subscription,
            _ => wanted == "*",
        });
        let name = clause
            .operation_name
            .as_ref()
            .map(|pattern| self.string(pattern, name) || self.is(Mutant::OperationNameIgnored));
        vec![kind, name, self.root_fields(&clause.fields, fields, side)]
    }

    fn root_fields(&self, patterns: &[String], fields: &[&str], side: Side) -> Option<bool> {
        if patterns.is_empty() {
            return None;
        }
        let matches = |field: &&str| patterns.iter().any(|pattern| self.string(pattern, field));
        let every = match side {
            Side::Allow => !self.is(Mutant::OneRootFieldIsEnough),
            Side::Deny => self.is(Mutant::DenyingEveryRootField),
        };
        if fields.is_empty() {
            return Some(every && self.is(Mutant::NoRootFieldIsEnough));
        }
        Some(if every { fields.iter().all(matches) } else { fields.iter().any(matches) })
    }

    /// A pattern over a string that is no path.
    fn string(&self, pattern: &str, value: &str) -> bool {
        if self.is(Mutant::StringStarStopsAtSlash) {
            return text::glob(pattern, value, Star::Segment);
        }
        if self.is(Mutant::StringStarStopsAtDot) && !pattern.contains("**") {
            // The same pattern where `.` takes the place of the separator.
            let swap = |text: &str| -> String {
                let swapped = text.chars().map(|c| match c {
                    '.' => '/',
                    '/' => '.',
                    other => other,
                });
                swapped.collect()
            };
            return text::glob(&swap(pattern), &swap(value), Star::Segment);
        }
        text::glob(pattern, value, Star::Anywhere)
    }
}
