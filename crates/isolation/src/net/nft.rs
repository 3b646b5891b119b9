//! The capture rules: one nftables table, encoded and loaded without the `nft` program.
//!
//! What it would print as:
//!
//! ```text
//! table inet openshell {
//!     chain capture {
//!         type filter hook prerouting priority mangle; policy drop;
//!         ip daddr 127.0.0.0/8 accept
//!         ip6 daddr ::1 accept
//!         meta nfproto ipv4 meta l4proto tcp tproxy ip to 198.18.0.1:3128 accept
//!         meta nfproto ipv4 udp dport 53 tproxy ip to 198.18.0.1:53 accept
//!         ip daddr 198.19.0.0/16 meta l4proto udp tproxy ip to 198.18.0.1:3128 accept
//!         meta nfproto ipv6 ...the same three, the pool being fd23:6f70:656e:2::/64
//!         tcp flags & (syn | ack) == syn reject with tcp reset
//!         meta l4proto tcp accept
//!         udp sport 53 accept
//!         ip saddr 198.19.0.0/16 ip daddr 198.18.0.1 meta l4proto udp meta mark 0xffffffff accept
//!         ip6 ...the same
//!         icmp type destination-unreachable accept
//!         icmpv6 type destination-unreachable accept
//!     }
//!     chain refuse {
//!         type filter hook output priority filter; policy drop;
//!         ip daddr 127.0.0.0/8 accept
//!         ip6 daddr ::1 accept
//!         meta l4proto tcp accept
//!         udp dport 53 accept
//!         ip daddr 198.19.0.0/16 meta l4proto udp accept
//!         ip6 ...the same
//!         udp sport 53 accept
//!         ip saddr 198.19.0.0/16 ip daddr 198.18.0.1 meta l4proto udp accept
//!         ip6 ...the same
//!         icmp type destination-unreachable accept
//!         icmpv6 type destination-unreachable accept
//!         limit rate 100/second burst 100 packets log group 1 snaplen 128
//!         counter reject with icmpx admin-prohibited
//!     }
//! }
//! ```
//!
//! The same packet passes both chains, since all of it goes round `lo`. `tproxy` finds the socket
//! of a connection that exists before it thinks of the listener, and does not match when that
//! socket is a client's: those are our answers, and they fall through to `accept`. A new
//! connection that falls through has no listener left to land on, and is reset.

use std::net::IpAddr;

use super::netlink::{self, Attrs, F_ACK, F_APPEND, F_CREATE, F_REQUEST, Family};
use super::{
    ANSWER_MARK, DNS_PORT, JAIL_V4, JAIL_V6, LOG_GROUP, NetError, PROXY_PORT, UDP_POOL_V4,
    UDP_POOL_V6,
};

use self::expr::Rule;

mod expr;

const TABLE: &str = "openshell";
const CAPTURE: &str = "capture";
const REFUSE: &str = "refuse";

const NFNL_MSG_BATCH_BEGIN: u16 = 16;
const NFNL_MSG_BATCH_END: u16 = 17;
const NFNL_SUBSYS_NFTABLES: u16 = 10;
const NFT_MSG_NEWTABLE: u16 = 0;
const NFT_MSG_NEWCHAIN: u16 = 3;
const NFT_MSG_NEWRULE: u16 = 6;
const NFPROTO_INET: u8 = 1;
const NFTA_TABLE_NAME: u16 = 1;
const NFTA_CHAIN_TABLE: u16 = 1;
const NFTA_CHAIN_NAME: u16 = 3;
const NFTA_CHAIN_HOOK: u16 = 4;
const NFTA_CHAIN_POLICY: u16 = 5;
const NFTA_CHAIN_TYPE: u16 = 7;
const NFTA_HOOK_NUMBER: u16 = 1;
const NFTA_HOOK_PRIORITY: u16 = 2;
const NFTA_RULE_TABLE: u16 = 1;
const NFTA_RULE_CHAIN: u16 = 2;
const NFTA_RULE_EXPRESSIONS: u16 = 4;
const NF_DROP: u32 = 0;
const HOOK_PREROUTING: u32 = 0;
const HOOK_OUTPUT: u32 = 3;
const PRIORITY_MANGLE: i32 = -150;
const PRIORITY_FILTER: i32 = 0;

const TCP: u8 = 6;
const UDP: u8 = 17;

/// Refused packets that are reported each second. The rest are refused all the same, so a flood
/// costs its sender and not the reader of the log.
const REPORTS_PER_SECOND: u64 = 100;
/// Enough of a packet for both headers and a few IPv6 extension headers.
const REPORTED_BYTES: u32 = 128;

/// Loads the table into the calling thread's network namespace, whole or not at all.
pub(super) fn load(has_v6: bool) -> Result<(), NetError> {
    let socket = netlink::open(Family::Netfilter)
        .map_err(|source| NetError::Socket { what: "nftables", source })?;
    let batch = Batch::new(has_v6);
    netlink::transact(&socket, &batch.encode(), batch.steps.len()).map_err(|refused| {
        NetError::Rules { step: batch.name(refused.sequence), source: refused.source }
    })
}

/// One change of the table and the words for it in an error.
struct Step {
    name: String,
    kind: u16,
    flags: u16,
    attrs: Attrs,
}

struct Batch {
    steps: Vec<Step>,
}

impl Batch {
    fn new(has_v6: bool) -> Self {
        let mut batch = Self { steps: Vec::new() };
        batch.push("the table", NFT_MSG_NEWTABLE, Attrs::new().text(NFTA_TABLE_NAME, TABLE));
        batch.chain(CAPTURE, HOOK_PREROUTING, PRIORITY_MANGLE);
        batch.chain(REFUSE, HOOK_OUTPUT, PRIORITY_FILTER);
        for rule in capture(has_v6) {
            batch.rule(CAPTURE, rule);
        }
        for rule in refuse() {
            batch.rule(REFUSE, rule);
        }
        batch
    }

    fn push(&mut self, name: impl Into<String>, kind: u16, attrs: Attrs) {
        self.steps.push(Step { name: name.into(), kind, flags: F_CREATE, attrs });
    }

    fn chain(&mut self, name: &'static str, hook: u32, priority: i32) {
        let place = Attrs::new()
            .be32(NFTA_HOOK_NUMBER, hook)
            .bytes(NFTA_HOOK_PRIORITY, &priority.to_be_bytes());
        let attrs = Attrs::new()
            .text(NFTA_CHAIN_TABLE, TABLE)
            .text(NFTA_CHAIN_NAME, name)
            .nest(NFTA_CHAIN_HOOK, place)
            .be32(NFTA_CHAIN_POLICY, NF_DROP)
            .text(NFTA_CHAIN_TYPE, "filter");
        self.push(format!("chain `{name}`"), NFT_MSG_NEWCHAIN, attrs);
    }

    fn rule(&mut self, chain: &'static str, rule: Rule) {
        let attrs = Attrs::new()
            .text(NFTA_RULE_TABLE, TABLE)
            .text(NFTA_RULE_CHAIN, chain)
            .nest(NFTA_RULE_EXPRESSIONS, rule.expressions);
        let name = format!("rule `{}` of chain `{chain}`", rule.name);
        self.steps.push(Step { name, kind: NFT_MSG_NEWRULE, flags: F_CREATE | F_APPEND, attrs });
    }

    fn name(&self, sequence: Option<u32>) -> String {
        let index = sequence.and_then(|number| usize::try_from(number).ok());
        let step = index.and_then(|number| self.steps.get(number.checked_sub(1)?));
        step.map_or_else(|| "the batch".to_owned(), |step| step.name.clone())
    }

    /// A step's sequence number is its position, counted from 1.
    fn encode(&self) -> Vec<u8> {
        let mut out = edge(NFNL_MSG_BATCH_BEGIN);
        for (step, sequence) in self.steps.iter().zip(1u32..) {
            let kind = (NFNL_SUBSYS_NFTABLES << 8) | step.kind;
            let flags = F_REQUEST | F_ACK | step.flags;
            let fixed = [NFPROTO_INET, 0, 0, 0];
            out.extend(netlink::message(kind, flags, sequence, &fixed, &step.attrs));
        }
        out.extend(edge(NFNL_MSG_BATCH_END));
        out
    }
}

/// The first or last message of a transaction.
fn edge(kind: u16) -> Vec<u8> {
    let [high, low] = NFNL_SUBSYS_NFTABLES.to_be_bytes();
    netlink::message(kind, F_REQUEST, 0, &[0, 0, high, low], &Attrs::new())
}

fn capture(has_v6: bool) -> Vec<Rule> {
    let mut rules = loopback();
    let families = [Some(IpAddr::V4(JAIL_V4)), has_v6.then_some(IpAddr::V6(JAIL_V6))];
    for address in families.into_iter().flatten() {
        rules.push(
            Rule::new("tcp to the listener")
                .family(address)
                .protocol(TCP)
                .tproxy(address, PROXY_PORT)
                .accept(),
        );
        rules.push(
            Rule::new("dns to the name server")
                .family(address)
                .protocol(UDP)
                .destination_port(DNS_PORT)
                .tproxy(address, DNS_PORT)
                .accept(),
        );
        rules.push(
            Rule::new("udp to the pool")
                .family(address)
                .protocol(UDP)
                .destination_network(pool(address))
                .tproxy(address, PROXY_PORT)
                .accept(),
        );
    }
    // SECURITY: with the listener gone, a new connection must not fall through to a socket that
    // some program of the jail has bound to the wildcard.
    rules.push(Rule::new("reset new tcp").protocol(TCP).tcp_opens().reset());
    rules.push(Rule::new("accept tcp").protocol(TCP).accept());
    rules.extend(answers());
    rules
}

fn refuse() -> Vec<Rule> {
    let mut rules = loopback();
    rules.push(Rule::new("accept tcp").protocol(TCP).accept());
    rules.push(Rule::new("accept dns questions").protocol(UDP).destination_port(DNS_PORT).accept());
    for address in [IpAddr::V4(JAIL_V4), IpAddr::V6(JAIL_V6)] {
        let to_pool = Rule::new("accept udp to the pool").family(address).protocol(UDP);
        rules.push(to_pool.destination_network(pool(address)).accept());
    }
    rules.extend(answers());
    rules.push(Rule::new("report").limit(REPORTS_PER_SECOND).log(LOG_GROUP, REPORTED_BYTES));
    rules.push(Rule::new("refuse").counter().refuse());
    rules
}

/// What programs of the jail say to each other over loopback is none of our business.
fn loopback() -> Vec<Rule> {
    vec![
        Rule::new("accept ipv4 loopback").family(IpAddr::V4(JAIL_V4)).for_v4_loopback().accept(),
        Rule::new("accept ipv6 loopback").family(IpAddr::V6(JAIL_V6)).for_v6_loopback().accept(),
    ]
}

/// Our answers, and the errors that the kernel and we send. No program of the jail can send any of
/// them: the port of DNS is privileged, ICMP errors need a raw socket, and answers from the pool have
/// our mark, since a program could bind the address that they come from.
fn answers() -> Vec<Rule> {
    let unreachable = |address, protocol, kind| {
        Rule::new("accept icmp errors").family(address).protocol(protocol).icmp_type(kind).accept()
    };
    let from_pool = |address| {
        let answers =
            Rule::new("accept udp answers").mark(ANSWER_MARK).family(address).protocol(UDP);
        answers
            .source_network(pool(address))
            .destination_network(octets(address).as_slice())
            .accept()
    };
    vec![
        Rule::new("accept dns answers").protocol(UDP).source_port(DNS_PORT).accept(),
        from_pool(IpAddr::V4(JAIL_V4)),
        from_pool(IpAddr::V6(JAIL_V6)),
        unreachable(IpAddr::V4(JAIL_V4), 1, 3),
        unreachable(IpAddr::V6(JAIL_V6), 58, 1),
    ]
}

/// What the addresses of the pool of UDP begin with, in the family of `address`.
const fn pool(address: IpAddr) -> &'static [u8] {
    match address {
        IpAddr::V4(_) => &UDP_POOL_V4,
        IpAddr::V6(_) => &UDP_POOL_V6,
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_batch_is_a_few_kilobytes_of_whole_messages() {
        let batch = Batch::new(true);
        let bytes = batch.encode();
        assert!(bytes.len() < 12 * 1024, "{} bytes", bytes.len());
        assert_eq!(netlink::Messages(&bytes).count(), batch.steps.len() + 2);
    }

    #[test]
    fn an_error_names_the_step_that_was_refused() {
        let batch = Batch::new(true);
        assert_eq!(batch.name(Some(1)), "the table");
        assert_eq!(batch.name(Some(2)), "chain `capture`");
        assert_eq!(batch.name(None), "the batch");
        assert_eq!(batch.name(Some(9999)), "the batch");
    }
}
