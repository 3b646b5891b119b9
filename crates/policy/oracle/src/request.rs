//! Section 6 of the page: what is decided about a request, given the endpoints that cover its
//! connection.

use std::cmp::Reverse;

use crate::connect::{Place, World};
use crate::model::{Endpoint, Enforcement, PathCase, Protocol};
use crate::mutant::Mutant;
use crate::question::{Answer, Asked, Carried};
use crate::text;

mod allow;
mod clause;
mod item;

use item::Item;

/// How narrow an endpoint's `path` is: bytes before the first `*`, bytes that are not `*`, and the
/// text. An endpoint without a path has none, which is least.
type Specificity = Option<(usize, usize, Reverse<String>)>;

/// Which way a rule works.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Allow,
    Deny,
}

/// A denying rule that matches.
struct Hit<'a> {
    place: Place<'a>,
    number: usize,
}

impl World {
    /// Decides a request over a connection that these endpoints cover.
    pub(crate) fn request(&self, covering: &[Place<'_>], asked: &Asked) -> Answer {
        let mut narrowed: Vec<(Place<'_>, Specificity)> = covering
            .iter()
            .filter_map(|place| Some((*place, self.specificity(place.endpoint, asked)?)))
            .collect();
        // The order in which a connection's grant is named; equals keep theirs.
        narrowed.sort_by_key(|(place, _)| self.rank(place.endpoint));
        if narrowed.is_empty() {
            if self.is(Mutant::OtherPathsAreNoted) {
                return Answer::Audit { word: "path", by: None };
            }
            return Answer::Deny { word: "path", by: None };
        }
        let kept = self.most_specific(&narrowed);
        let all: Vec<Place<'_>> = narrowed.iter().map(|(place, _)| *place).collect();
        let denying = if self.is(Mutant::DenyOfKeptOnly) { &kept } else { &all };
        let mut hits = self.hits(denying, asked);
        if self.is(Mutant::FirstDenialDecides) {
            hits.truncate(1);
        }
        let by = |hit: &Hit<'_>| Some((hit.place.name().to_owned(), Some(hit.number)));
        // A denial that stops the request comes before one that is only noted.
        if let Some(hit) = hits.iter().find(|hit| !self.only_notes(hit.place.endpoint)) {
            return Answer::Deny { word: "deny_rule", by: by(hit) };
        }
        let noted = hits.first().map(|hit| Answer::Audit { word: "deny_rule", by: by(hit) });
        if self.is(Mutant::NotedDenialEnds)
            && let Some(noted) = noted
        {
            return noted;
        }
        match (self.decide(&all, &kept, asked), noted) {
            (Answer::Allow { .. } | Answer::Audit { .. }, Some(noted)) => noted,
            (decided, _) => decided,
        }
    }

    /// How specific an endpoint is for this request; `None` when its path does not match.
    fn specificity(&self, endpoint: &Endpoint, asked: &Asked) -> Option<Specificity> {
        let Some(written) = &endpoint.path else { return Some(None) };
        if self.is(Mutant::EndpointPathIgnored) {
            return Some(None);
        }
        let ignore_case =
            endpoint.path_case == PathCase::Insensitive && !self.is(Mutant::InsensitiveIgnored);
        let alternatives = self.alternatives(written);
        let matching = alternatives
            .iter()
            .filter(|pattern| self.path_matches(pattern, &asked.path, ignore_case));
        let best = matching.map(|pattern| self.measure(pattern)).max()?;
        if self.is(Mutant::BracesCountTogether) {
            return Some(alternatives.iter().map(|pattern| self.measure(pattern)).max());
        }
        Some(Some(best))
    }

    fn measure(&self, pattern: &str) -> (usize, usize, Reverse<String>) {
        let before = pattern.split('*').next().unwrap_or_default().len();
        let plain = pattern.replace('*', "").len();
        let text = if self.is(Mutant::TextBreaksNoTie) { "" } else { pattern };
        let first = if self.is(Mutant::LongerIsMoreSpecific) { pattern.len() } else { before };
        (first, plain, Reverse(text.to_owned()))
    }

    fn most_specific<'a>(&self, narrowed: &[(Place<'a>, Specificity)]) -> Vec<Place<'a>> {
        let degrees = narrowed.iter().map(|(_, specificity)| specificity);
        let wanted =
            if self.is(Mutant::LeastSpecificDecides) { degrees.min() } else { degrees.max() };
        narrowed
            .iter()
            .filter(|(_, degree)| Some(degree) == wanted || self.is(Mutant::SpecificityIgnored))
            .map(|(place, _)| *place)
            .collect()
    }

    /// Every denying rule that matches.
    fn hits<'a>(&self, places: &[Place<'a>], asked: &Asked) -> Vec<Hit<'a>> {
        let mut hits = Vec::new();
        if self.is(Mutant::DenyLoses) {
            return hits;
        }
        for place in places {
            let endpoint = place.endpoint;
            let items = self.items_to_deny(endpoint, asked);
            for (number, clause) in endpoint.deny_rules.iter().enumerate() {
                let matches =
                    |item: &Item<'_>| self.matches(endpoint, (clause, Side::Deny), asked, item);
                let denied = if self.is(Mutant::DenyingNeedsWholeBatch) {
                    !items.is_empty() && items.iter().all(matches)
                } else {
                    items.iter().any(matches)
                };
                if denied {
                    hits.push(Hit { place: *place, number });
                }
            }
        }
        hits
    }

    /// Steps 2 to 6, without denying rules.
    fn decide(&self, all: &[Place<'_>], kept: &[Place<'_>], asked: &Asked) -> Answer {
        let opaque = |place: &&Place<'_>| place.endpoint.protocol < Protocol::Rest;
        let deciding = if self.is(Mutant::OpaqueAlwaysDecides) { all } else { kept };
        let allow = |place: &Place<'_>, clause| Answer::Allow {
            rule: place.name().to_owned(),
            endpoint: Some(place.number),
            clause,
        };
        if let Some(place) = deciding.iter().find(opaque)
            && !self.is(Mutant::OpaqueNeverDecides)
        {
            return allow(place, None);
        }
        let mut allowing =
            kept.iter().filter_map(|place| Some((place, self.allows(place.endpoint, asked)?)));
        let named =
            if self.is(Mutant::LastEndpointNamed) { allowing.next_back() } else { allowing.next() };
        if let Some((place, clause)) = named {
            return allow(place, clause);
        }
        let judged = kept.iter().any(|place| self.judges(place.endpoint, asked));
        let word = if judged { "rule" } else { "protocol" };
        let mut notes = kept.iter().map(|place| self.only_notes(place.endpoint));
        let noted = if self.is(Mutant::OneAuditIsEnough) {
            notes.any(|only| only)
        } else {
            notes.all(|only| only)
        };
        if noted { Answer::Audit { word, by: None } } else { Answer::Deny { word, by: None } }
    }

    fn only_notes(&self, endpoint: &Endpoint) -> bool {
        let audit = endpoint.enforcement == Enforcement::Audit;
        (audit || self.is(Mutant::AuditIsDefault)) && !self.is(Mutant::AuditIgnored)
    }

    /// Whether an endpoint judges what the request carries.
    fn judges(&self, endpoint: &Endpoint, asked: &Asked) -> bool {
        match (&asked.content, endpoint.protocol) {
            (Carried::Plain, Protocol::WebSocket) => {
                asked.method == "GET" || self.is(Mutant::WebSocketJudgesEveryMethod)
            }
            (_, Protocol::Rest) if self.is(Mutant::RestJudgesEverything) => true,
            (Carried::Plain, Protocol::Rest | Protocol::Grpc)
            | (Carried::Message { .. }, Protocol::WebSocket)
            | (Carried::Graphql(_), Protocol::GraphQl)
            | (Carried::Rpc(_), Protocol::JsonRpc | Protocol::Mcp) => true,
            _ => false,
        }
    }

    fn path_matches(&self, pattern: &str, path: &str, ignore_case: bool) -> bool {
        if ignore_case {
            return self.path_glob(&pattern.to_ascii_lowercase(), &path.to_ascii_lowercase());
        }
        self.path_glob(pattern, path)
    }

    fn alternatives(&self, written: &str) -> Vec<String> {
        if self.is(Mutant::BracesAreText) {
            return vec![written.to_owned()];
        }
        if self.is(Mutant::PatternsKeepTheirSpelling) {
            return text::alternatives_as_written(written);
        }
        text::alternatives(written)
    }
}
