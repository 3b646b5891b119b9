//! Credentials, in heads and in bodies: what is not searched, or goes where it must not.

use super::{Edit, Mutant, Test};

const BODY: &str = "crates/credential/src/body.rs";
const HELD: &str = "crates/credential/src/held.rs";
const FILL: &str = "crates/credential/src/fill.rs";
const HTTP1: &str = "crates/egress/src/http/body.rs";
const STREAM: &str = "crates/egress/src/http/h2/relay.rs";
const SEARCHED: &str = "crates/egress/src/http/searched.rs";
const TALK: &str = "crates/egress/src/http/websocket.rs";
const PLACE: &str = "crates/credential/src/place.rs";
const AUTHORIZE: &str = "crates/egress/src/authorize.rs";
const JUDGE: &str = "crates/egress/src/http/judge.rs";
const ECHO: &str = "crates/credential/src/echo.rs";
const ANSWERS: &str = "crates/egress/src/http/echo.rs";
const HEADS: &str = "crates/egress/src/heads.rs";
const SENDING: &str = "crates/egress/src/sending.rs";

units! {
    "bodies: each placeholder passes to each server (I2)":
        BODY "if is_bound {" => "if is_bound || true {",
        "openshell-credential" "i02_a_placeholder_passes_to_the_server_of_its_credential";
    "bodies: one that is cut in two passes (I7)":
        BODY "self.credentials.forms.open(&bytes)" => "self.credentials.forms.open(&[])",
        "openshell-credential" "i07_nothing_of_a_placeholder_passes";
    "bodies: a value is put into a name of JSON":
        FILL "behind.next() == Some(&b':')" => "behind.next() == Some(&b'=')",
        "openshell-credential" "i02_a_value_is_put_nowhere_else";
    "bodies: bodies of HTTP/1 are not searched (I7)":
        HTTP1 "search.pass(data, done).map_err(Broken::Denied)?" => "search.pass(&[], done).map(|_| Cow::Borrowed(data)).map_err(Broken::Denied)?",
        "openshell-egress" "i07_a_placeholder_is_found_however_its_chunks";
    "bodies: bodies of HTTP/2 are not searched (I7)":
        STREAM "search.pass_shared(&data, ends).map_err(" => "search.pass_shared(&Bytes::new(), ends).map(|_| data).map_err(",
        "openshell-egress" "i07_a_placeholder_is_found_however_its_frames";
    "bodies: coded bodies are not searched (I7)":
        SEARCHED "self.credentials.in_body(self.going(), &body)" => "self.credentials.in_body(self.going(), &body[..0])",
        "openshell-egress" "i07_a_coded_body_is_searched_decoded";
    "bodies: what cannot be decoded passes to a bound server (I7)":
        SEARCHED "Err(error) if self.credentials.binds(&self.to)" => "Err(error) if self.credentials.binds(&self.to) && error.to_string().is_empty()",
        "openshell-egress" "i07_a_coded_body_is_searched_decoded";
    "bodies: messages are not searched (I7)":
        TALK "let filled = reading.fill_message(&permit, message)?;" => "let filled = reading.fill_message(&permit, &Message::Ping(Vec::new()))?;",
        "openshell-egress" "i07_a_placeholder_in_a_message_closes_it";
    "credentials: a value goes to any path of its server (I2)":
        PLACE ".filter(move |(_, bound)| bound.covers(going) && fits(&bound.placement))" => ".filter(move |(_, bound)| (bound.covers(going) || true) && fits(&bound.placement))",
        "openshell-credential" "i02_elsewhere_it_is_refused";
    "credentials: what a policy binds is for every program (I2)":
        HELD "going.bound.contains(own)," => "going.bound.contains(own) || true,",
        "openshell-credential" "i02_a_program_that_the_rule_does_not_name";
    "credentials: other placeholders pass (I2)":
        PLACE "if let Some(held) = self.forms.find(bytes).and_then(|at| self.all.get(at)) {" => "if let Some(held) = self.forms.find(&[]).and_then(|at| self.all.get(at)) {",
        "openshell-credential" "i02_elsewhere_it_is_refused";
    "credentials: any field authenticates (I5, I15)":
        PLACE "if !value.is_empty() && self.is_reserved_field(name) {" => "if value.is_empty() && self.is_reserved_field(name) {",
        "openshell-credential" "i05_i15_a_bound_server";
    "credentials: any field authenticates at a model API (O1)":
        PLACE "if !value.is_empty() && self.is_reserved_field(name) {" => "if value.is_empty() && self.is_reserved_field(name) {",
        "openshell-egress" "o01_an_attackers_key";
    "credentials: a value is sent without encryption":
        PLACE "if !self.is_secure && self.to.port.number() == 443 {" => "if self.is_secure && self.to.port.number() == 80 {",
        "openshell-credential" "an_expired_value_and_an_open_line";
    "credentials: a tunnel to a bound server is not read (I9)":
        AUTHORIZE "self.credentials().binds(&self.to)\n            || self.credentials().echoes(&self.to).is_some()\n            || self.policy()" => "self.policy()",
        "openshell-egress" "i09_a_connection_that_nobody_judged";
    "credentials: answers are not searched for values (I3)":
        JUDGE "echoes: permit.credentials().echoes(permit.to()).cloned()," => "echoes: permit.credentials().echoes(permit.to()).filter(|_| false).cloned(),",
        "openshell-egress" "i03_a_head_that_comes_back";
    "credentials: what may begin a value passes (I3)":
        ECHO "let open = if ends { bytes.len() } else { open };" => "let open = if ends { bytes.len() } else { open.max(bytes.len()) };",
        "openshell-credential" "i03_nothing_of_a_value_passes";
    "credentials: answers with a coding are not searched (I3)":
        ANSWERS "let decoded = self.decoder.push(part, &mut |given| {" => "let decoded = self.decoder.push(&[], &mut |given| {",
        "openshell-egress" "i03_a_coded_answer_is_broken_off";
    "credentials: a head counts as written before it is (I13)":
        HEADS "written.wait_for(|last| *last >= self.number)" => "written.wait_for(|_| self.number > 0)",
        "openshell-egress" "i13_a_head_of_http1";
    "credentials: nobody waits for what is being sent (I13)":
        SENDING "*count == 0" => "*count < usize::MAX",
        "openshell-egress" "i13_a_state_is_over";
}
