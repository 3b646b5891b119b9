//! The egress: what is dialled and for whom, what of a request or an answer passes, and what is counted.

use super::{Edit, Mutant, Test};

const EGRESS: &str = "openshell-egress";

const fn edit(file: &'static str, from: &'static str, to: &'static str) -> Edit {
    Edit { file, from, to }
}

/// Every one.
pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "egress: answers of a look-up are not vetted (B1, B2)",
        edits: &[edit("crates/egress/src/vet.rs", "permit.admits(*address)?;", "")],
        test: Test::Unit(EGRESS, "b0"),
        says: "b02_one_bad_answer",
    },
    Mutant {
        name: "egress: a name leads to this host (B9)",
        edits: &[edit("crates/egress/src/vet.rs", "is_own(*address, &own) {", "false {")],
        test: Test::Unit(EGRESS, "b09_a_name_that_leads_to_this_host"),
        says: "b09",
    },
    Mutant {
        name: "egress: another name in the TLS hello (D1)",
        edits: &[edit(
            "crates/egress/src/exchange.rs",
            "Some(sni) if sni == *name => return Some(Ok(())),",
            "Some(sni) if !sni.as_str().is_empty() || sni == *name => return Some(Ok(())),",
        )],
        test: Test::Unit(EGRESS, "d01_a_hello_for_another_name"),
        says: "d01",
    },
    Mutant {
        name: "budgets: bytes of a tunnel",
        edits: &[edit(
            "crates/egress/src/relay.rs",
            "buffer.truncate(meter.take(read));",
            "let _ = meter.take(0);",
        )],
        test: Test::Unit(EGRESS, "a_tunnel_is_cut_off"),
        says: "a_tunnel_is_cut_off",
    },
    Mutant {
        name: "budgets: bytes that are not copied",
        edits: &[edit(
            "crates/egress/src/pipe.rs",
            "let granted = meter.take(taken);",
            "let granted = taken + meter.take(0);",
        )],
        test: Test::Unit(EGRESS, "much_at_once_is_counted"),
        says: "much_at_once",
    },
    Mutant {
        name: "budgets: bytes of an answer (H12)",
        edits: &[edit(
            "crates/egress/src/http/inbox.rs",
            "let granted = meter.take(read);",
            "let granted = read + meter.take(0);",
        )],
        test: Test::Unit(EGRESS, "h12_an_answer"),
        says: "h12",
    },
    Mutant {
        name: "budgets: bytes of an answer that are not copied (H12)",
        edits: &[edit(
            "crates/egress/src/http/body.rs",
            "let granted = from.charge(taken);",
            "let granted = taken + from.charge(0);",
        )],
        test: Test::Unit(EGRESS, "h12_of_a_long_body"),
        says: "h12",
    },
    Mutant {
        name: "http: no more than a body is taken of its server (E11)",
        edits: &[edit(
            "crates/egress/src/http/body.rs",
            "pipe.fill(from.source(), left.unwrap_or(usize::MAX))",
            "pipe.fill(from.source(), left.map_or(usize::MAX, |_| usize::MAX))",
        )],
        test: Test::Unit(EGRESS, "a_long_body_passes_to_the_byte"),
        says: "a_long_body",
    },
    Mutant {
        name: "budgets: bytes of a body",
        edits: &[edit(
            "crates/egress/src/counted.rs",
            "let granted = meter.take(wanted);",
            "let granted = wanted + meter.take(0);",
        )],
        test: Test::Unit(EGRESS, "a_body_is_cut_off"),
        says: "a_body_is_cut_off",
    },
    Mutant {
        name: "budgets: bytes of a stream",
        edits: &[edit(
            "crates/egress/src/http/h2/relay.rs",
            "meter.charge(octets).map_err",
            "meter.charge(octets.min(0)).map_err",
        )],
        test: Test::Unit(EGRESS, "streams_are_reset_when_bytes"),
        says: "streams_are_reset",
    },
    Mutant {
        name: "budgets: requests at once",
        edits: &[edit(
            "crates/egress/src/http/h1.rs",
            "meter.count(passed.count)",
            "meter.check(passed.count)",
        )],
        test: Test::Unit(EGRESS, "of_fifty_requests_at_once"),
        says: "of_fifty",
    },
    Mutant {
        name: "budgets: streams at once",
        edits: &[edit(
            "crates/egress/src/http/h2/stream.rs",
            "meter.count(passed.count)",
            "meter.check(passed.count)",
        )],
        test: Test::Unit(EGRESS, "of_fifty_streams_at_once"),
        says: "of_fifty",
    },
    Mutant {
        name: "budgets: calls hide in a batch",
        edits: &[edit(
            "crates/egress/src/http/content.rs",
            "Self::Rpc(calls) => count(calls.len()),",
            "Self::Rpc(calls) => count(calls.len().min(1)),",
        )],
        test: Test::Unit(EGRESS, "each_call_of_a_batch"),
        says: "each_call",
    },
    Mutant {
        name: "budgets: a clock is set back",
        edits: &[edit(
            "crates/egress/src/ledger.rs",
            "&& open.number >= number",
            "&& open.number == number",
        )],
        test: Test::Unit(EGRESS, "requests_beyond_a_budget"),
        says: "requests_beyond",
    },
    Mutant {
        name: "budgets: a new one spares what is open",
        edits: &[edit(
            "crates/egress/src/ledger.rs",
            "if self.policies.has_changed().unwrap_or(true) {",
            "if self.policies.has_changed().is_err() {",
        )],
        test: Test::Unit(EGRESS, "a_budget_that_comes_into_force"),
        says: "comes_into_force",
    },
    Mutant {
        name: "egress: rules are asked about the space around a field of HTTP/2 (F2)",
        edits: &[edit(
            "crates/egress/src/http/h2/stream.rs",
            "is_space(value.first()) || is_space(value.last())",
            "is_space(None) && value.is_empty()",
        )],
        test: Test::Unit(EGRESS, "f02_no_line"),
        says: "f02",
    },
    Mutant {
        name: "egress: a list of fields of any length (F5)",
        edits: &[edit(
            "crates/egress/src/http/h2.rs",
            ".max_header_list_size(HEAD)",
            ".max_header_list_size(HEAD * 1024)",
        )],
        test: Test::Unit(EGRESS, "f05_a_list"),
        says: "f05",
    },
    Mutant {
        name: "egress: what a server says unasked answers the next request (E11)",
        edits: &[edit(
            "crates/egress/src/http/line.rs",
            "&& is_quiet(self.inbox.stream()).await",
            "&& (true || is_quiet(self.inbox.stream()).await)",
        )],
        test: Test::Unit(EGRESS, "e11_what"),
        says: "e11",
    },
    Mutant {
        name: "mcp: versions that are not named (H7)",
        edits: &[edit(
            "crates/egress/src/http/judge.rs",
            "match self.version(permit, question, &carried) {",
            "match self.version(permit, question, &carried).or(Ok::<(), Refusal>(())) {",
        )],
        test: Test::Unit(EGRESS, "h07_only_named"),
        says: "h07",
    },
    Mutant {
        name: "egress: datagrams are judged as connections",
        edits: &[edit(
            "crates/egress/src/authorize.rs",
            "Transport::Udp => policy.policy.datagram(&destination, by, now),",
            "Transport::Udp => policy.policy.connect(&destination, by, now),",
        )],
        test: Test::Unit(EGRESS, "tcp_and_udp_are_permitted_apart"),
        says: "",
    },
    Mutant {
        name: "egress: an empty datagram passes a budget that is used up",
        edits: &[edit(
            "crates/egress/src/udp/flow.rs",
            "    meter.check(0)?;\n    meter.charge(length)",
            "    meter.charge(length)",
        )],
        test: Test::Unit(EGRESS, "an_empty_datagram_does_not_pass"),
        says: "an_empty_datagram_does_not_pass",
    },
    Mutant {
        name: "egress: what came before there was a peer is an answer",
        edits: &[edit(
            "crates/egress/src/udp/flow.rs",
            "Ok((_, from)) if (from.ip(), from.port()) != (address.ip(), address.port()) => {}",
            "Ok((_, from)) if from.port() == 0 => {}",
        )],
        test: Test::Unit(EGRESS, "what_came_before_the_socket_had_a_peer"),
        says: "what_came_before_the_socket_had_a_peer",
    },
    Mutant {
        name: "egress: an address that is nobody's is that of a name (A13)",
        edits: &[edit(
            "crates/egress/src/names.rs",
            "usize::try_from(pool.place_of(address)?).ok()?;",
            "usize::try_from(pool.place_of(address).unwrap_or(0)).ok()?;",
        )],
        test: Test::Unit(EGRESS, "a13_what_a_program_takes"),
        says: "a13",
    },
    Mutant {
        name: "egress: sandboxes share the names of their addresses (A14)",
        edits: &[edit(
            "crates/egress/src/names.rs",
            "let [tcp, both] = &self.0;",
            "let _ = &self.0; static ALL: std::sync::LazyLock<[Mutex<Bindings>; 2]> = \
             std::sync::LazyLock::new(Default::default); let [tcp, both] = &*ALL;",
        )],
        test: Test::Unit(EGRESS, "a14_one_address"),
        says: "a14",
    },
    Mutant {
        name: "tls: any certificate is a server's (D4, D9)",
        edits: &[edit(
            "crates/egress/src/tls/outward.rs",
            ".with_webpki_verifier(verifier)",
            ".dangerous().with_custom_certificate_verifier({
                use rustls::client::danger as d;
                #[derive(Debug)]
                struct All(Arc<WebPkiServerVerifier>);
                type Signed = Result<d::HandshakeSignatureValid, rustls::Error>;
                impl d::ServerCertVerifier for All {
                    fn verify_server_cert(&self, _: &CertificateDer<'_>, _: &[CertificateDer<'_>],
                        _: &rustls::pki_types::ServerName<'_>, _: &[u8],
                        _: rustls::pki_types::UnixTime,
                    ) -> Result<d::ServerCertVerified, rustls::Error> {
                        Ok(d::ServerCertVerified::assertion())
                    }
                    fn verify_tls12_signature(&self, m: &[u8], c: &CertificateDer<'_>,
                        s: &rustls::DigitallySignedStruct) -> Signed {
                        self.0.verify_tls12_signature(m, c, s)
                    }
                    fn verify_tls13_signature(&self, m: &[u8], c: &CertificateDer<'_>,
                        s: &rustls::DigitallySignedStruct) -> Signed {
                        self.0.verify_tls13_signature(m, c, s)
                    }
                    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
                        self.0.supported_verify_schemes()
                    }
                }
                Arc::new(All(verifier))
            })",
        )],
        test: Test::Unit(EGRESS, "d09_a_sandboxs_own"),
        says: "d09",
    },
];
