//! Deciding a request.

use jiff::Timestamp;
use smallvec::SmallVec;

use super::clause::{Decides, Names, Rest, TOOLS_CALL, hold};
use super::connect::{Parts, Transport};
use super::{Binaries, CompiledRule, Entry, Index, PROTOCOLS, Place};
use crate::decision::{Caller, Destination, Grant};
use crate::document::Protocol;
use crate::document::model::Enforcement;
use crate::request::{
    Call, Content, GraphqlOperation, Refused, Request, RequestDenial, RequestGrant, Verdict,
};
use crate::sets::Union;

/// One request that is being decided.
pub(crate) struct Judge<'a> {
    index: &'a Index,
    rules: &'a [CompiledRule],
    request: &'a Request<'a>,
    now: Timestamp,
    parts: Parts,
    method: Union,
}

/// What a rule is tried on.
#[derive(Clone, Copy)]
enum Item<'a> {
    /// The head alone.
    Head,
    /// A message without operations.
    Silent {
        control: bool,
    },
    Operation(&'a GraphqlOperation<'a>),
    Call(&'a Call<'a>),
}

/// The unions that one search intersects.
type Unions<'s> = SmallVec<[&'s Union; 8]>;

impl<'a> Judge<'a> {
    /// `None` when the destination is never reachable.
    pub fn new(
        (index, rules, binaries): (&'a Index, &'a [CompiledRule], &'a Binaries),
        to: &Destination<'_>,
        by: &Caller,
        request: &'a Request<'a>,
        now: Timestamp,
    ) -> Option<Self> {
        let parts = index.parts(binaries, (to, Transport::Tcp), by)?;
        let mut method = Union::new();
        index.methods.put(request.method, &index.sets, &mut method);
        Some(Self { index, rules, request, now, parts, method })
    }

    pub fn verdict(&self) -> Verdict {
        let index = self.index;
        let matching = if index.selectors.is_empty() {
            SmallVec::new()
        } else {
            index.selectors.matching(self.request.path)
        };
        // `None`: no endpoint of the policy is narrowed.
        let narrowed = (!index.selectors.is_empty()).then(|| {
            let mut narrowed = Union::new();
            index.sets.put(index.selectors.whole, &mut narrowed);
            matching.iter().for_each(|selector| index.sets.put(selector.set, &mut narrowed));
            narrowed
        });
        let noted = match self.first_denying(narrowed.as_ref()) {
            Some((denial, Enforcement::Enforce)) => return Verdict::Deny(denial),
            Some((denial, Enforcement::Audit)) => Some(denial),
            None => None,
        };
        let kept = match narrowed {
            None => None,
            Some(_) => match index.most_specific(&self.parts, &matching, self.now) {
                Some(kept) => Some(kept),
                None => return self.uncovered(),
            },
        };
        // SECURITY: a denial that is only noted takes nothing away from other denials: what stops
        // the request without it still does.
        match (self.decide(kept.as_ref()), noted) {
            (Verdict::Allow(_) | Verdict::Audit(_), Some(denial)) => Verdict::Audit(denial),
            (verdict, _) => verdict,
        }
    }

    /// What a connection must agree with, and more; what is likely the smallest comes first.
    fn with<'s>(&'s self, more: &[&'s Union]) -> Unions<'s> {
        let Parts { host, port, program } = &self.parts;
        more.iter().copied().chain([host, program, port]).collect()
    }

    /// The first enforced denial that matches; without one the first of those that are noted.
    fn first_denying(&self, narrowed: Option<&Union>) -> Option<(RequestDenial, Enforcement)> {
        let index = self.index;
        if index.deny.is_empty() {
            return None;
        }
        let mut path = Union::new();
        index.deny.put(self.request.path, &index.sets, &mut path);
        let judging = self.judging(Decides::Deny);
        let mut more: Unions<'_> = SmallVec::from_slice(&[&path, &self.method, &judging]);
        more.extend(narrowed);
        let mut best: Option<(Enforcement, u32)> = None;
        // Without operations or calls the head is judged all the same.
        let items = self.items().max(1);
        for item in 0..items {
            let item = self.item(item).unwrap_or(Item::Head);
            self.search(&more, item, (Decides::Deny, 0), &mut |id, enforcement| {
                if best.is_none_or(|known| (enforcement, id) < known) {
                    best = Some((enforcement, id));
                }
                enforcement == Enforcement::Enforce
            });
        }
        let (enforcement, id) = best?;
        let grant = index.entry(id)?.grant;
        let denial = RequestDenial {
            refused: Refused::DenyRule,
            endpoint: Some(grant),
            clause: index.place(id).map(|place| place.position),
        };
        Some((denial, enforcement))
    }

    /// What the kept endpoints say.
    fn decide(&self, kept: Option<&Union>) -> Verdict {
        let index = self.index;
        let mut opaque = Union::new();
        index.sets.put(index.opaque, &mut opaque);
        if !opaque.is_empty() {
            let mut unions = self.with(&[&opaque]);
            unions.extend(kept);
            if let Some(entry) = self.first_entry(&unions) {
                let endpoint = entry.grant;
                return Verdict::Allow(RequestGrant { endpoint, clause: None });
            }
        }
        let judging = self.judging(Decides::Allow);
        let mut path = Union::new();
        index.allow.put(self.request.path, &index.sets, &mut path);
        let mut more: Unions<'_> = SmallVec::from_slice(&[&path, &self.method, &judging]);
        more.extend(kept);
        match self.first_allowing(&more) {
            Some(grant) => Verdict::Allow(grant),
            None => self.refuse(kept, &judging),
        }
    }

    /// The first endpoint with a rule for each item, and its rule for the first of them.
    fn first_allowing(&self, more: &[&Union]) -> Option<RequestGrant> {
        let items = self.items();
        let (mut from, mut agreed, mut item) = (0, 0_usize, 0_usize);
        let mut first: Option<u32> = None;
        // Each item in turn names the next endpoint that has a rule for it, until all name one.
        while agreed < items {
            let id = self.first_matching(more, self.item(item)?, from)?;
            let entry = self.index.entry(id)?;
            agreed = if entry.first > from { 1 } else { agreed.saturating_add(1) };
            from = entry.first.max(from);
            if item == 0 {
                first = Some(id);
            }
            item = item.saturating_add(1) % items;
        }
        let place = self.index.place(first?)?;
        let endpoint = self.index.entry(first?)?.grant;
        let clause = (place.position != u32::MAX).then_some(place.position);
        Some(RequestGrant { endpoint, clause })
    }

    fn first_matching(&self, more: &[&Union], item: Item<'_>, from: u32) -> Option<u32> {
        let mut found = None;
        self.search(more, item, (Decides::Allow, from), &mut |id, _| {
            found = Some(id);
            true
        });
        found
    }

    /// Offers the clauses from `from` on that match, in order, until one is taken.
    fn search(
        &self,
        more: &[&Union],
        item: Item<'_>,
        (decides, from): (Decides, u32),
        take: &mut impl FnMut(u32, Enforcement) -> bool,
    ) {
        let mut calls = Union::new();
        let mut unions = self.with(more);
        if let Item::Call(call) = item {
            self.index.calls.put(call, &self.index.sets, &mut calls);
            unions.push(&calls);
        } else if matches!(self.request.content, Content::Rpc(_)) {
            self.index.calls.put_any(&self.index.sets, &mut calls);
            unions.push(&calls);
        }
        let mut all = self.index.sets.common(&unions, from);
        while let Some(id) = all.next() {
            let (Some(place), Some(entry)) = (self.index.place(id), self.index.entry(id)) else {
                return;
            };
            if entry.is_expired(self.now) {
                all.skip_to(entry.end);
            } else if self.passes(place, entry, item, decides) && take(id, entry.enforcement) {
                return;
            }
        }
    }

    /// The conditions of a clause that are not looked up.
    fn passes(&self, place: &Place, entry: &Entry, item: Item<'_>, decides: Decides) -> bool {
        if place.strict_tools
            && let Item::Call(call) = item
            && call.method == TOOLS_CALL
            && !is_plain_tool(call.tool.unwrap_or_default())
        {
            return false;
        }
        if place.rest == u32::MAX {
            return true;
        }
        let Some(rest) = self.index.rests.get(place.rest as usize) else { return false };
        let params = match item {
            Item::Call(call) => call.params,
            Item::Head | Item::Silent { .. } | Item::Operation(_) => &[],
        };
        hold(&rest.query, (decides, Names::Query), self.request.query)
            && hold(&rest.headers, (decides, Names::Plain), self.request.headers)
            && hold(&rest.params, (decides, Names::Plain), params)
            && self.operation_passes(rest, entry, item, decides)
    }

    fn operation_passes(
        &self,
        rest: &Rest,
        entry: &Entry,
        item: Item<'_>,
        decides: Decides,
    ) -> bool {
        let Some(wanted) = &rest.operation else { return true };
        match item {
            Item::Head | Item::Call(_) => false,
            // SECURITY: what is in a message without operations is not known, so a denial of
            // operations stops it, too. Control messages carry nothing.
            Item::Silent { control } => control == (decides == Decides::Allow),
            Item::Operation(GraphqlOperation::Document { operation_type, name, fields }) => {
                wanted.holds(decides, (*operation_type, name), fields.iter().copied())
            }
            Item::Operation(GraphqlOperation::Hash(hash)) => {
                let registered = self
                    .rules
                    .get(entry.grant.rule as usize)
                    .and_then(|rule| rule.endpoints.get(entry.grant.endpoint as usize))
                    .and_then(|endpoint| endpoint.persisted.get(*hash));
                // SECURITY: what stands behind another hash is not known, so a denial stops it.
                registered.map_or(decides == Decides::Deny, |known| {
                    let fields = known.fields.iter().map(String::as_str);
                    wanted.holds(decides, (known.operation_type, &known.operation_name), fields)
                })
            }
        }
    }

    /// The endpoints whose rules of this kind see such a request.
    fn judging(&self, decides: Decides) -> Union {
        let mut judging = Union::new();
        for (protocol, set) in PROTOCOLS.iter().zip(&self.index.protocols) {
            let heads = decides == Decides::Deny && *protocol == Protocol::Rest;
            if heads || self.request.judged_by(*protocol) {
                self.index.sets.put(*set, &mut judging);
            }
        }
        judging
    }

    /// How many operations or calls each need a rule.
    fn items(&self) -> usize {
        match self.request.content {
            Content::Plain | Content::Message { operations: [], .. } => 1,
            Content::Message { operations, .. } | Content::Graphql(operations) => operations.len(),
            Content::Rpc(calls) => calls.len(),
        }
    }

    fn item(&self, at: usize) -> Option<Item<'a>> {
        match self.request.content {
            Content::Plain => Some(Item::Head),
            Content::Message { operations: [], control } => Some(Item::Silent { control }),
            Content::Message { operations, .. } | Content::Graphql(operations) => {
                operations.get(at).map(Item::Operation)
            }
            Content::Rpc(calls) => calls.get(at).map(Item::Call),
        }
    }

    fn first_entry(&self, unions: &[&Union]) -> Option<&'a Entry> {
        self.index.first_in_force(unions, self.now).and_then(|id| self.index.entry(id))
    }

    /// No kept endpoint allows it.
    fn refuse(&self, kept: Option<&Union>, judging: &Union) -> Verdict {
        let mut enforcing = Union::new();
        self.index.sets.put(self.index.enforcing, &mut enforcing);
        let mut unions = self.with(&[]);
        unions.extend(kept);
        let Some(first) = self.first_entry(&unions) else { return self.uncovered() };
        let mut judged = self.with(&[judging]);
        judged.extend(kept);
        let (refused, endpoint) = match self.first_entry(&judged) {
            Some(entry) => (Refused::Rule, entry.grant),
            None => (Refused::Protocol, first.grant),
        };
        let denial = RequestDenial { refused, endpoint: Some(endpoint), clause: None };
        unions.push(&enforcing);
        if self.first_entry(&unions).is_some() {
            Verdict::Deny(denial)
        } else {
            Verdict::Audit(denial)
        }
    }

    /// No endpoint of the connection takes this path, or there is none at all.
    fn uncovered(&self) -> Verdict {
        let endpoint: Option<Grant> = self.first_entry(&self.with(&[])).map(|entry| entry.grant);
        let refused = if endpoint.is_some() { Refused::Path } else { Refused::Connection };
        Verdict::Deny(RequestDenial { refused, endpoint, clause: None })
    }
}

/// What `strict_tool_names` takes for the name of a tool.
fn is_plain_tool(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}
