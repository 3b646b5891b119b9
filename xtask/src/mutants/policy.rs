//! Wrong turns in the tables of a compiled policy. Its comparison with the interpreter has to notice
//! every one: the name says what a question gets wrong.

use super::{Edit, Mutant, Test};

const COMPARISON: Test = Test::Target("openshell-policy", "oracle", "the_compiled_policy");
const SAYS: &str = "the page says";

const CLAUSE: &str = "crates/policy/src/compiled/clause.rs";
const CONNECT: &str = "crates/policy/src/compiled/connect.rs";
const HOST: &str = "crates/policy/src/compiled/host.rs";
const BINARY: &str = "crates/policy/src/compiled/binary.rs";
const PORT: &str = "crates/policy/src/compiled/port.rs";
const PATH: &str = "crates/policy/src/compiled/path.rs";
const REQUEST: &str = "crates/policy/src/compiled/request.rs";
const INDEX: &str = "crates/policy/src/compiled/mod.rs";
const GLOBSET: &str = "crates/policy/src/pattern/globset.rs";
const SETS: &str = "crates/policy/src/sets.rs";

macro_rules! mutants {
    ($($name:literal: $file:ident, $from:literal => $to:literal;)+) => {
        /// Every one.
        pub(super) const MUTANTS: &[Mutant] = &[$(Mutant {
            name: concat!("policy: ", $name),
            edits: &[Edit { file: $file, from: $from, to: $to }],
            test: COMPARISON,
            says: SAYS,
        },)+];
    };
}

mutants! {
    "`*` in a path crosses a slash": GLOBSET,
        "self.within.clear();" => "let _ = &self.within;";
    "a star at the end crosses a slash": GLOBSET,
        "if at >= self.tail {" => "if at >= self.tail.min(0) {";
    "`*` stops at an encoded slash": GLOBSET,
        "if *byte == self.set.separator {" => "if *byte == self.set.separator || *byte == b'%' {";
    "denials read no escapes": GLOBSET,
        "decodes: self.spelling == Spelling::Decoded && text" => "decodes: self.spelling != Spelling::Decoded && text";
    "letter case counts within labels": GLOBSET,
        "Case::Folded => found.eq_ignore_ascii_case(label)," => "Case::Folded => found == label,";
    "a glob matches when its beginning does": GLOBSET,
        "if at == self.text.len() {" => "if at <= self.text.len() {";
    "an intersection forgets a word": SETS,
        "                bits &= more;" => "                bits = more;";
    "the search starts at the word of its first number": SETS,
        "bits: 0, mask: u64::MAX << (from & 63) }" => "bits: 0, mask: u64::MAX }";
    "a union is its first set": SETS,
        "Some((first, found)) if first == at => Some((at, found | bits))," => "Some((first, found)) if first == at => Some((at, found)),";
    "an expired rule is in force": INDEX,
        "self.until.is_some_and(|until| now >= until)" => "self.until.is_some_and(|until| now > until)";
    "audit stops requests": INDEX,
        "if endpoint.enforcement == Enforcement::Enforce {" => "if endpoint.enforcement <= Enforcement::Audit {";
    "UDP's ports are TCP's": INDEX,
        "Protocol::Udp => (&mut self.udp, &mut self.over_udp)," => "Protocol::Udp => (&mut self.tcp, &mut self.over_udp),";
    "the rule names no binary of its own": CONNECT,
        "let unions = [&parts.host, &parts.program, &parts.port];" => "let unions = [&parts.host, &parts.port, &parts.port];";
    "never-reachable addresses are looked up": CONNECT,
        "if matches!(classify(*address), AddressClass::Never(_)) =>" => "if matches!(classify(*address), AddressClass::Public) && to.port().number() == 0 =>";
    "wildcards reach the host itself": HOST,
        "if name != HOST_ALIAS && !self.wildcards.is_empty() {" => "if !name.is_empty() && !self.wildcards.is_empty() {";
    "an embedded address is another": HOST,
        "let address = canonical(address);" => "let _ = canonical(address);";
    "every program covers its descendants": BINARY,
        "takes(entry) && (entry.descendants || !ancestor)" => "takes(entry) && (entry.descendants || ancestor || !ancestor)";
    "a digest is not looked at": BINARY,
        "plain: self.pair(entries, |entry| entry.sha256.is_none())," => "plain: self.pair(entries, |_| true),";
    "a range has one port less": PORT,
        "let end = u32::from(last.number()).saturating_add(1);" => "let end = u32::from(last.number()).max(u32::from(first.number()).saturating_add(1));";
    "tools are those of any call": PATH,
        "if call.method == TOOLS_CALL {" => "if !call.method.is_empty() {";
    "the longer path is less specific": PATH,
        "before_star: Reverse(text.find('*').unwrap_or(text.len()))," => "before_star: Reverse(0),";
    "HEAD needs a rule": CLAUSE,
        "decides == Decides::Allow;\n        std::iter" => "decides == Decides::Deny;\n        std::iter";
    "one allowed value is enough": CLAUSE,
        "own.next().is_some_and(fits) && own.all(fits)" => "own.any(fits)";
    "no root field passes": CLAUSE,
        "fields.next().is_some_and(fits) && fields.all(fits)" => "fields.all(fits)";
    "keys of a query deny by their spelling only": CLAUSE,
        "head.eq_ignore_ascii_case(name) && (tail" => "head == name && (tail";
    "an unknown hash escapes denials": REQUEST,
        "registered.map_or(decides == Decides::Deny, |known| {" => "registered.map_or(decides == Decides::Nothing, |known| {";
    "a message that is not read escapes denials": REQUEST,
        "control == (decides == Decides::Allow)" => "control && decides == Decides::Allow";
    "one rule of a batch is enough": REQUEST,
        "while agreed < items {" => "while agreed < items.min(1) {";
    "a noted denial is forgotten": REQUEST,
        "(Verdict::Allow(_) | Verdict::Audit(_), Some(denial)) => Verdict::Audit(denial)," => "(Verdict::Audit(_), Some(denial)) => Verdict::Audit(denial),";
    "denials of rest see plain content only": REQUEST,
        "let heads = decides == Decides::Deny &&" => "let heads = decides == Decides::Nothing &&";
}
