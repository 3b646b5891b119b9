//! Two policies, and the values that they are asked with.

use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::Timestamp;
use openshell_types::{Digest, FileId, HostName, Port};

use crate::binary::{BinaryTable, Binding};
use crate::compiled::Transport;
use crate::decision::{Caller, Decision, Destination, Program};
use crate::document::{Document, Endpoint, Rule};
use crate::pattern::Glob;
use crate::policy::Policy;
use crate::request::Verdict;

use super::sample::SampleRequest;

/// Which of the two documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Side {
    /// The one that is to allow no less.
    Bound,
    /// The one that is to allow no more.
    Tested,
}

/// One endpoint of one of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Site<'a> {
    pub side: Side,
    /// Position of its rule in its document.
    pub rule_at: usize,
    pub rule: &'a Rule,
    pub endpoint: &'a Endpoint,
}

impl Site<'_> {
    pub fn is_of(&self, rule: (Side, usize)) -> bool {
        (self.side, self.rule_at) == rule
    }
}

/// Where to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Name(HostName),
    Address(IpAddr),
}

/// One connection.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub place: Place,
    pub port: Port,
    pub by: Caller,
    pub now: Timestamp,
    pub transport: Transport,
}

impl Case {
    pub fn to(&self) -> Destination<'_> {
        match &self.place {
            Place::Name(name) => Destination::Name(name, self.port),
            Place::Address(address) => Destination::Address(*address, self.port),
        }
    }
}

/// Both policies, bound so that each literal path is a file of its own.
pub(super) struct World<'a> {
    pub sites: Vec<Site<'a>>,
    bound: Policy,
    tested: Policy,
    files: BTreeMap<&'a str, FileId>,
}

impl<'a> World<'a> {
    pub fn new(bound: &'a Document, tested: &'a Document) -> Self {
        let documents = [(Side::Bound, bound), (Side::Tested, tested)];
        let mut sites = Vec::new();
        let mut files = BTreeMap::new();
        let mut table = BinaryTable::new();
        for (side, document) in documents {
            for (rule_at, rule) in document.rules.iter().enumerate() {
                sites.extend(rule.endpoints.iter().map(|endpoint| Site {
                    side,
                    rule_at,
                    rule,
                    endpoint,
                }));
                for binary in &rule.binaries {
                    let path = binary.path.value.as_str();
                    let inode = u64::try_from(files.len()).unwrap_or(u64::MAX);
                    if !Glob::is_glob(path) {
                        let file = *files.entry(path).or_insert(FileId { device: 1, inode });
                        table.insert(path, Binding::Files(vec![file]));
                    }
                }
            }
        }
        let compile = |document| Policy::from_document("", document).bind(&table);
        let (bound, tested) = (compile(bound), compile(tested));
        Self { sites, bound, tested, files }
    }

    /// A program by its path: the file that a literal path stands for.
    pub fn program(&self, path: Option<&str>, sha256: Option<Digest>) -> Program {
        let nameless = FileId { device: 2, inode: 0 };
        let file = path.and_then(|path| self.files.get(path)).copied().unwrap_or(nameless);
        Program { file, path: path.map(Into::into), sha256 }
    }

    pub const fn policy(&self, side: Side) -> &Policy {
        match side {
            Side::Bound => &self.bound,
            Side::Tested => &self.tested,
        }
    }

    pub fn connect(&self, side: Side, case: &Case) -> Decision {
        let policy = self.policy(side);
        match case.transport {
            Transport::Tcp => policy.connect(&case.to(), &case.by, case.now),
            Transport::Udp => policy.datagram(&case.to(), &case.by, case.now),
        }
    }

    /// Whether a request gets through, noted or not.
    pub fn passes(&self, side: Side, case: &Case, request: &SampleRequest) -> bool {
        let verdict = request
            .with(|request| self.policy(side).request(&case.to(), &case.by, request, case.now));
        matches!(verdict, Verdict::Allow(_) | Verdict::Audit(_))
    }
}
