//! Sections 3 and 4 of the page: which endpoints cover a connection.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use jiff::Timestamp;

use crate::model::{Binary, Endpoint, File, Protocol, Rule};
use crate::mutant::Mutant;
use crate::question::{Answer, Connection, Program, Question, Target};
use crate::text::{self, Star};

/// A policy with what its binaries stand for, interpreted.
#[derive(Debug)]
pub struct World {
    pub(crate) file: File,
    bound: BTreeMap<String, Vec<u64>>,
    mutant: Option<Mutant>,
}

/// An endpoint and where it stands. Places are compared by rule, then endpoint.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub key: &'a str,
    pub rule: &'a Rule,
    pub number: usize,
    pub endpoint: &'a Endpoint,
}

impl<'a> Place<'a> {
    pub fn name(&self) -> &'a str {
        self.rule.name.as_deref().unwrap_or(self.key)
    }
}

/// How far an endpoint came towards covering.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reached {
    Nothing,
    Host,
    Port,
    Path,
    Binary,
    Time,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transport {
    Tcp,
    Udp,
}

impl World {
    /// Reads a policy; `bound` are the files of its literal binary paths.
    pub fn new(text: &str, bound: &[(&str, &[u64])]) -> Result<Self, String> {
        let file = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
        let bound = bound.iter().map(|(path, files)| ((*path).to_owned(), files.to_vec()));
        Ok(Self { file, bound: bound.collect(), mutant: None })
    }

    /// The same policy with one sentence of the page read wrongly, or none.
    pub const fn set_mutant(&mut self, mutant: Option<Mutant>) {
        self.mutant = mutant;
    }

    pub(crate) fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    /// Answers.
    pub fn answer(&self, question: &Question) -> Answer {
        match question {
            Question::Connect(connection) => self.connection(connection, Transport::Tcp),
            Question::Datagram(connection) => self.connection(connection, Transport::Udp),
            Question::Request(connection, asked) => {
                let granted = self.connection(connection, Transport::Tcp);
                if !matches!(granted, Answer::Allow { .. })
                    && !self.is(Mutant::RequestIgnoresConnection)
                {
                    return Answer::Deny { word: "connection", by: None };
                }
                self.request(&self.covering(connection), asked)
            }
        }
    }

    fn connection(&self, connection: &Connection, transport: Transport) -> Answer {
        if let Target::Address(address) = connection.to
            && never_reachable(address)
            && !self.is(Mutant::EverythingReachable)
        {
            return Answer::Deny { word: "never_reachable", by: None };
        }
        let mut best: Option<(u8, Place<'_>)> = None;
        let mut furthest = Reached::Nothing;
        for place in self.places() {
            let reached = self.reach(&place, connection, transport);
            if reached != Reached::Time {
                if !self.is(Mutant::DenialNamesFirst) || furthest == Reached::Nothing {
                    furthest = furthest.max(reached);
                }
                continue;
            }
            let rank = self.rank(place.endpoint);
            let better = best.is_none_or(|(other, _)| {
                if self.is(Mutant::GrantNamesLast) { rank <= other } else { rank < other }
            });
            if better {
                best = Some((rank, place));
            }
        }
        if let Some((_, place)) = best {
            return Answer::Allow {
                rule: place.name().to_owned(),
                endpoint: Some(place.number),
                clause: None,
            };
        }
        let word = match furthest {
            Reached::Nothing => "host",
            Reached::Host => "port",
            Reached::Port => "binary",
            Reached::Path => "binary_digest",
            Reached::Binary | Reached::Time => "expired",
        };
        Answer::Deny { word, by: None }
    }

    /// The endpoints that cover a TCP connection, in their order.
    fn covering(&self, connection: &Connection) -> Vec<Place<'_>> {
        let covers =
            |place: &Place<'_>| self.reach(place, connection, Transport::Tcp) == Reached::Time;
        self.places().into_iter().filter(covers).collect()
    }

    /// Every endpoint, by rule key, then place.
    fn places(&self) -> Vec<Place<'_>> {
        let mut places = Vec::new();
        for (key, rule) in &self.file.network_policies {
            for (number, endpoint) in rule.endpoints.iter().enumerate() {
                places.push(Place { key, rule, number, endpoint });
            }
        }
        if self.is(Mutant::NamesOrderRules) {
            places.sort_by(|a, b| a.name().cmp(b.name()));
        }
        places
    }

    fn reach(&self, place: &Place<'_>, connection: &Connection, transport: Transport) -> Reached {
        if !self.host_matches(place.endpoint, &connection.to) {
            return Reached::Nothing;
        }
        let udp = place.endpoint.protocol == Protocol::Udp;
        if udp != (transport == Transport::Udp) && !self.is(Mutant::TransportIgnored) {
            return Reached::Host;
        }
        if !self.port_matches(place.endpoint, connection.port) {
            return Reached::Host;
        }
        match self.binary_matches(place.rule, connection) {
            Match::None => return Reached::Port,
            Match::OtherDigest => return Reached::Path,
            Match::Whole => {}
        }
        let until = place.rule.until.as_ref().and_then(|text| text.parse::<Timestamp>().ok());
        let in_time = until.is_none_or(|until| {
            connection.now < until
                || self.is(Mutant::UntilIgnored)
                || self.is(Mutant::UntilIncludesItsMoment) && connection.now == until
        });
        if in_time { Reached::Time } else { Reached::Binary }
    }

    fn host_matches(&self, endpoint: &Endpoint, to: &Target) -> bool {
        match (&endpoint.host, to) {
            (Some(pattern), Target::Name(name)) => self.name_matches(pattern, name),
            (Some(host), Target::Address(address)) => {
                let same = host.parse::<IpAddr>().is_ok_and(|host| plain(host) == plain(*address));
                same || self.is(Mutant::ListBesideHostCovers) && is_listed(endpoint, *address)
            }
            (None, Target::Address(address)) => is_listed(endpoint, *address),
            (None, Target::Name(_)) => self.is(Mutant::HostlessCoversNames),
        }
    }

    fn name_matches(&self, pattern: &str, name: &str) -> bool {
        if self.is(Mutant::HostCaseMatters) && pattern != pattern.to_ascii_lowercase() {
            return false;
        }
        let mut pattern = pattern.to_owned();
        if self.is(Mutant::HostStarSpansLabels) {
            return text::glob_ignoring_case(&pattern, name, Star::Anywhere)
                && name != text::HOST_ALIAS;
        }
        if self.is(Mutant::HostDoubleStarIsOne) {
            pattern = pattern.replace("**", "*");
        }
        if self.is(Mutant::WildcardMatchesAlias) && name == text::HOST_ALIAS {
            return text::glob(&pattern, name, Star::Anywhere);
        }
        if self.is(Mutant::WildcardMatchesApex)
            && pattern.strip_prefix("*.").or(pattern.strip_prefix("**.")) == Some(name)
        {
            return true;
        }
        text::host(&pattern, name)
    }

    fn port_matches(&self, endpoint: &Endpoint, port: u16) -> bool {
        let mut written = endpoint.port.iter().chain(&endpoint.ports);
        written.any(|ports| {
            ports.bounds().is_some_and(|(first, last)| {
                if self.is(Mutant::RangesAreTheirFirst) {
                    return port == first;
                }
                if self.is(Mutant::RangesExcludeTheirLast) && first != last {
                    return first <= port && port < last;
                }
                first <= port && port <= last
            })
        })
    }

    fn binary_matches(&self, rule: &Rule, connection: &Connection) -> Match {
        let mut best = Match::None;
        for binary in &rule.binaries {
            let mut programs = vec![&connection.exe];
            let descendants = binary.descendants && !self.is(Mutant::DescendantsNever);
            if descendants || self.is(Mutant::DescendantsAlways) {
                let most = if self.is(Mutant::ParentOnly) { 1 } else { usize::MAX };
                programs.extend(connection.ancestors.iter().take(most));
            }
            for program in &programs {
                if !self.program_matches(binary, program) {
                    continue;
                }
                let same = programs.iter().any(|other| {
                    let judged = if self.is(Mutant::DigestOfAnyProgram) { other } else { program };
                    self.digest_matches(binary, judged)
                });
                best = best.max(if same { Match::Whole } else { Match::OtherDigest });
            }
        }
        best
    }

    fn program_matches(&self, binary: &Binary, program: &Program) -> bool {
        if binary.path.contains('*') {
            let path = program.path.as_deref();
            return path.is_some_and(|path| self.path_glob(&binary.path, path));
        }
        if self.is(Mutant::LiteralMatchesByPath) {
            return program.path.as_ref() == Some(&binary.path);
        }
        let files = self.bound.get(&binary.path).map_or(&[][..], Vec::as_slice);
        let most = if self.is(Mutant::OneFileAPath) { 1 } else { usize::MAX };
        files.iter().take(most).any(|file| *file == program.inode)
    }

    fn digest_matches(&self, binary: &Binary, program: &Program) -> bool {
        match (&binary.sha256, &program.sha256) {
            (None, _) => true,
            (Some(_), None) => {
                self.is(Mutant::UnknownDigestEquals) || self.is(Mutant::DigestIgnored)
            }
            (Some(wanted), Some(found)) => {
                wanted.eq_ignore_ascii_case(found) || self.is(Mutant::DigestIgnored)
            }
        }
    }

    /// How constrained the resolved addresses of an endpoint are. The alias stands for one address,
    /// which no list constrains.
    pub(crate) fn rank(&self, endpoint: &Endpoint) -> u8 {
        if self.is(Mutant::GrantIgnoresRank) {
            return 0;
        }
        let listed = u8::from(!endpoint.allowed_ips.is_empty());
        match &endpoint.host {
            Some(host) if host == text::HOST_ALIAS && !self.is(Mutant::ListConstrainsAlias) => 0,
            Some(host) if !host.contains('*') => listed,
            Some(_) => listed.saturating_add(2),
            None => 4,
        }
    }

    /// A pattern over a path.
    pub(crate) fn path_glob(&self, pattern: &str, path: &str) -> bool {
        if self.is(Mutant::StarCrossesSlash) {
            return text::glob(pattern, path, Star::Anywhere);
        }
        if self.is(Mutant::DoubleStarStays) && pattern != "**" {
            return text::glob(&pattern.replace("**", "*"), path, Star::Segment);
        }
        if self.is(Mutant::DoubleStarMatchesFolder) && pattern.strip_suffix("/**") == Some(path) {
            return true;
        }
        text::glob(pattern, path, Star::Segment)
    }
}

/// How well a rule's binaries match a caller.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Match {
    None,
    OtherDigest,
    Whole,
}

/// An IPv4 address in its IPv6 form is that IPv4 address.
const fn plain(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// Whether one of the endpoint's networks holds the address.
pub(crate) fn is_listed(endpoint: &Endpoint, address: IpAddr) -> bool {
    endpoint.allowed_ips.iter().any(|network| in_network(network, plain(address)))
}

/// Compares the first bits, written out as text.
fn in_network(network: &str, address: IpAddr) -> bool {
    let (base, length) = network.split_once('/').unwrap_or((network, "128"));
    let (Ok(base), Ok(length)) = (base.parse::<IpAddr>(), length.parse::<usize>()) else {
        return false;
    };
    let bits = |address: IpAddr| match address {
        IpAddr::V4(four) => format!("four {:032b}", u32::from(four)),
        IpAddr::V6(six) => format!("six_ {:0128b}", u128::from(six)),
    };
    let prefix: String = bits(plain(base)).chars().take(length.saturating_add(5)).collect();
    bits(address).starts_with(&prefix)
}

/// The addresses of which the page says that no policy opens them.
fn never_reachable(address: IpAddr) -> bool {
    const METADATA: [&str; 3] = ["100.100.100.200", "168.63.129.16", "fd00:ec2::254"];
    let address = match plain(address) {
        IpAddr::V6(six) => match six.segments() {
            [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
                let number = u32::from(high).wrapping_mul(0x1_0000).wrapping_add(u32::from(low));
                IpAddr::V4(Ipv4Addr::from(number))
            }
            _ => IpAddr::V6(six),
        },
        four => four,
    };
    let named = METADATA.iter().any(|known| known.parse() == Ok(address));
    named
        || address.is_loopback()
        || address.is_unspecified()
        || address.is_multicast()
        || match address {
            IpAddr::V4(four) => four.is_link_local() || four.is_broadcast(),
            IpAddr::V6(six) => six.is_unicast_link_local(),
        }
}
