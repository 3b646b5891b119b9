//! Credentials in bodies: what is not searched, or goes where it must not.

use super::{Edit, Mutant, Test};

const BODY: &str = "crates/credential/src/body.rs";
const FILL: &str = "crates/credential/src/fill.rs";
const HTTP1: &str = "crates/egress/src/http/body.rs";
const STREAM: &str = "crates/egress/src/http/h2/relay.rs";
const SEARCHED: &str = "crates/egress/src/http/searched.rs";
const TALK: &str = "crates/egress/src/http/websocket.rs";

const fn unit(package: &'static str, filter: &'static str) -> Test {
    Test::Unit(package, filter)
}

macro_rules! mutants {
    ($($name:literal: $file:ident $from:literal => $to:literal, $package:literal $test:literal;)*) => {
        pub(super) const MUTANTS: &[Mutant] = &[$(Mutant {
            name: concat!("bodies: ", $name),
            edits: &[Edit { file: $file, from: $from, to: $to }],
            test: unit($package, $test),
            says: $test,
        }),*];
    };
}

mutants! {
    "each placeholder passes to each server (I2)":
        BODY "(!is_bound).then(" => "(is_bound && !is_bound).then(",
        "openshell-credential" "i02_a_placeholder_passes_to_the_server_of_its_credential";
    "one that is cut in two passes (I7)":
        BODY "self.credentials.forms.open(&bytes)" => "self.credentials.forms.open(&[])",
        "openshell-credential" "i07_nothing_of_a_placeholder_passes";
    "a value is put into a name of JSON":
        FILL "behind.next() == Some(&b':')" => "behind.next() == Some(&b'=')",
        "openshell-credential" "i02_a_value_is_put_nowhere_else";
    "bodies of HTTP/1 are not searched (I7)":
        HTTP1 "search.pass(data, done).map_err(Broken::Denied)?" => "search.pass(&[], done).map(|_| Cow::Borrowed(data)).map_err(Broken::Denied)?",
        "openshell-egress" "i07_a_placeholder_is_found_however_its_chunks";
    "bodies of HTTP/2 are not searched (I7)":
        STREAM "search.pass_shared(&data, ends).map_err(" => "search.pass_shared(&Bytes::new(), ends).map(|_| data).map_err(",
        "openshell-egress" "i07_a_placeholder_is_found_however_its_frames";
    "coded bodies are not searched (I7)":
        SEARCHED "self.credentials.in_body(&self.to, &self.path, &body)" => "self.credentials.in_body(&self.to, &self.path, &body[..0])",
        "openshell-egress" "i07_a_coded_body_is_searched_decoded";
    "what cannot be decoded passes to a bound server (I7)":
        SEARCHED "Err(error) if self.credentials.binds(&self.to)" => "Err(error) if !self.credentials.search_bodies()",
        "openshell-egress" "i07_a_coded_body_is_searched_decoded";
    "messages are not searched (I7)":
        TALK "let filled = reading.fill_message(&permit, message)?;" => "let filled = reading.fill_message(&permit, &Message::Ping(Vec::new()))?;",
        "openshell-egress" "i07_a_placeholder_in_a_message_closes_it";
}
