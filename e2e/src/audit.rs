//! The audit log of a sandbox, as it lies on the disk.

use std::fs;
use std::path::PathBuf;

use openshell_audit::{Bypass, Dns, Event, Http, Inference, Network, Outcome, Record, verify};

/// The audit log of one sandbox.
#[derive(Clone, Debug)]
pub struct Log {
    path: PathBuf,
}

impl Log {
    /// The log at `path`.
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// All records. The chain is unbroken and no number is missing, or the test fails.
    #[track_caller]
    pub fn records(&self) -> Vec<Record> {
        let text = fs::read_to_string(&self.path)
            .unwrap_or_else(|error| panic!("{}: {error}", self.path.display()));
        // A line is written in one piece, but it may be read before its end is there.
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let lines: Vec<&str> = text.get(..whole).unwrap_or_default().lines().collect();
        if let Err(error) = verify(lines.iter().copied()) {
            panic!("{}: {error}", self.path.display());
        }
        lines.iter().map(|line| Record::parse(line).expect("it was verified")).collect()
    }

    /// The connections, in order.
    #[track_caller]
    pub fn connections(&self) -> Vec<Network> {
        let network = |record: Record| match record.event {
            Event::Network(network) => Some(network),
            _ => None,
        };
        self.records().into_iter().filter_map(network).collect()
    }

    /// The judged requests, in order.
    #[track_caller]
    pub fn requests(&self) -> Vec<Http> {
        let http = |record: Record| match record.event {
            Event::Http(http) => Some(http),
            _ => None,
        };
        self.records().into_iter().filter_map(http).collect()
    }

    /// The calls of models, in order.
    #[track_caller]
    pub fn calls(&self) -> Vec<Inference> {
        let call = |record: Record| match record.event {
            Event::Inference(call) => Some(call),
            _ => None,
        };
        self.records().into_iter().filter_map(call).collect()
    }

    /// The refused questions, in order.
    #[track_caller]
    pub fn questions(&self) -> Vec<Dns> {
        let dns = |record: Record| match record.event {
            Event::Dns(dns) => Some(dns),
            _ => None,
        };
        self.records().into_iter().filter_map(dns).collect()
    }

    /// The attempts to go around the egress, in order.
    #[track_caller]
    pub fn bypasses(&self) -> Vec<Bypass> {
        let bypass = |record: Record| match record.event {
            Event::Bypass(bypass) => Some(bypass),
            _ => None,
        };
        self.records().into_iter().filter_map(bypass).collect()
    }

    /// How many connections had this outcome.
    #[track_caller]
    pub fn count(&self, outcome: Outcome) -> usize {
        self.connections().iter().filter(|network| network.outcome == outcome).count()
    }
}
