//! The expressions that rules are made of, as the kernel wants them encoded.

use std::net::IpAddr;

use super::super::netlink::Attrs;

const NFTA_LIST_ELEM: u16 = 1;
const NFTA_EXPR_NAME: u16 = 1;
const NFTA_EXPR_DATA: u16 = 2;
const NFTA_DATA_VALUE: u16 = 1;
const NFTA_DATA_VERDICT: u16 = 2;
const NFTA_VERDICT_CODE: u16 = 1;
const NF_ACCEPT: u32 = 1;

/// The register that verdicts go to, and two for values.
const VERDICT: u32 = 0;
const REGISTER_1: u32 = 1;
const REGISTER_2: u32 = 2;

const META_MARK: u32 = 3;
const META_NFPROTO: u32 = 15;
const META_L4PROTO: u32 = 16;
const NETWORK_HEADER: u32 = 1;
const TRANSPORT_HEADER: u32 = 2;
const TCP_SYN: u8 = 0x02;
const TCP_ACK: u8 = 0x10;
const REJECT_TCP_RESET: u32 = 1;
const REJECT_ICMPX: u32 = 2;
const ICMPX_ADMIN_PROHIBITED: u8 = 3;
const NFPROTO_IPV4: u8 = 2;
const NFPROTO_IPV6: u8 = 10;

/// One rule: matches in order, then what is done.
pub(super) struct Rule {
    pub(super) name: &'static str,
    pub(super) expressions: Attrs,
    is_v6: bool,
}

impl Rule {
    pub(super) fn new(name: &'static str) -> Self {
        Self { name, expressions: Attrs::new(), is_v6: false }
    }

    /// Matches packets of the family of `address`.
    pub(super) fn family(mut self, address: IpAddr) -> Self {
        self.is_v6 = address.is_ipv6();
        self.meta(META_NFPROTO).equals(&[nfproto(address)])
    }

    /// Matches a transport protocol, behind IPv6 extension headers too.
    pub(super) fn protocol(self, number: u8) -> Self {
        self.meta(META_L4PROTO).equals(&[number])
    }

    /// Matches packets with this mark.
    pub(super) fn mark(self, mark: u32) -> Self {
        self.meta(META_MARK).equals(&mark.to_ne_bytes())
    }

    pub(super) fn source_port(self, port: u16) -> Self {
        self.payload(TRANSPORT_HEADER, 0, 2).equals(&port.to_be_bytes())
    }

    pub(super) fn destination_port(self, port: u16) -> Self {
        self.payload(TRANSPORT_HEADER, 2, 2).equals(&port.to_be_bytes())
    }

    /// Matches destinations in 127.0.0.0/8: the first byte of the address tells.
    pub(super) fn for_v4_loopback(self) -> Self {
        self.payload(NETWORK_HEADER, 16, 1).equals(&[127])
    }

    pub(super) fn for_v6_loopback(self) -> Self {
        let localhost = std::net::Ipv6Addr::LOCALHOST.octets();
        self.payload(NETWORK_HEADER, 24, 16).equals(&localhost)
    }

    /// Matches destinations that begin with `network`, of the rule's family.
    pub(super) fn destination_network(self, network: &[u8]) -> Self {
        let offset = if self.is_v6 { 24 } else { 16 };
        self.payload(NETWORK_HEADER, offset, network.len() as u32).equals(network)
    }

    /// The same for sources.
    pub(super) fn source_network(self, network: &[u8]) -> Self {
        let offset = if self.is_v6 { 8 } else { 12 };
        self.payload(NETWORK_HEADER, offset, network.len() as u32).equals(network)
    }

    pub(super) fn icmp_type(self, number: u8) -> Self {
        self.payload(TRANSPORT_HEADER, 0, 1).equals(&[number])
    }

    /// Matches the first packet of a TCP connection.
    pub(super) fn tcp_opens(self) -> Self {
        let value = |byte: u8| Attrs::new().bytes(NFTA_DATA_VALUE, &[byte]);
        let mask = Attrs::new()
            .be32(1, REGISTER_1)
            .be32(2, REGISTER_1)
            .be32(3, 1)
            .nest(4, value(TCP_SYN | TCP_ACK))
            .nest(5, value(0));
        self.payload(TRANSPORT_HEADER, 13, 1).push("bitwise", mask).equals(&[TCP_SYN])
    }

    /// Hands the packet to the socket of its connection, or else to the one bound to
    /// `address:port`. Does not match if that socket is not transparent.
    pub(super) fn tproxy(self, address: IpAddr, port: u16) -> Self {
        let octets = match address {
            IpAddr::V4(v4) => v4.octets().to_vec(),
            IpAddr::V6(v6) => v6.octets().to_vec(),
        };
        let target = Attrs::new()
            .be32(1, u32::from(nfproto(address)))
            .be32(2, REGISTER_1)
            .be32(3, REGISTER_2);
        self.load(REGISTER_1, &octets).load(REGISTER_2, &port.to_be_bytes()).push("tproxy", target)
    }

    /// Matches at most `rate` packets a second.
    pub(super) fn limit(self, rate: u64) -> Self {
        let burst = u32::try_from(rate).unwrap_or(u32::MAX);
        let attrs = Attrs::new().be64(1, rate).be64(2, 1).be32(3, burst).be32(4, 0).be32(5, 0);
        self.push("limit", attrs)
    }

    pub(super) fn log(self, group: u16, bytes: u32) -> Self {
        self.push("log", Attrs::new().be16(1, group).be32(3, bytes))
    }

    pub(super) fn counter(self) -> Self {
        self.push("counter", Attrs::new())
    }

    pub(super) fn accept(self) -> Self {
        let verdict = Attrs::new().be32(NFTA_VERDICT_CODE, NF_ACCEPT);
        let data = Attrs::new().nest(NFTA_DATA_VERDICT, verdict);
        self.push("immediate", Attrs::new().be32(1, VERDICT).nest(2, data))
    }

    /// Drops the packet and resets the connection.
    pub(super) fn reset(self) -> Self {
        self.push("reject", Attrs::new().be32(1, REJECT_TCP_RESET))
    }

    /// Drops the packet and tells the sender that an administrator forbade it.
    pub(super) fn refuse(self) -> Self {
        let attrs = Attrs::new().be32(1, REJECT_ICMPX).bytes(2, &[ICMPX_ADMIN_PROHIBITED]);
        self.push("reject", attrs)
    }

    fn meta(self, key: u32) -> Self {
        self.push("meta", Attrs::new().be32(1, REGISTER_1).be32(2, key))
    }

    fn payload(self, base: u32, offset: u32, length: u32) -> Self {
        let attrs = Attrs::new().be32(1, REGISTER_1).be32(2, base).be32(3, offset).be32(4, length);
        self.push("payload", attrs)
    }

    fn equals(self, value: &[u8]) -> Self {
        let data = Attrs::new().bytes(NFTA_DATA_VALUE, value);
        self.push("cmp", Attrs::new().be32(1, REGISTER_1).be32(2, 0).nest(3, data))
    }

    fn load(self, register: u32, value: &[u8]) -> Self {
        let data = Attrs::new().bytes(NFTA_DATA_VALUE, value);
        self.push("immediate", Attrs::new().be32(1, register).nest(2, data))
    }

    fn push(mut self, name: &str, data: Attrs) -> Self {
        let element = Attrs::new().text(NFTA_EXPR_NAME, name).nest(NFTA_EXPR_DATA, data);
        self.expressions = self.expressions.nest(NFTA_LIST_ELEM, element);
        self
    }
}

fn nfproto(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => NFPROTO_IPV4,
        IpAddr::V6(_) => NFPROTO_IPV6,
    }
}
