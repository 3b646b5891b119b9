//! Model calls, and requests that are signed: whose key they get, what of the caller's goes on, and
//! what is no call at all.

use super::{Edit, Mutant, Test};

const AUTHORIZE: &str = "crates/egress/src/authorize.rs";
const CALL: &str = "crates/egress/src/inference/call.rs";
const ANSWER: &str = "crates/egress/src/inference/answer.rs";
const JSON: &str = "crates/inference/src/json.rs";
const OPERATION: &str = "crates/inference/src/operation.rs";
const OUTGOING: &str = "crates/inference/src/outgoing.rs";
const SIGV4: &str = "crates/credential/src/sigv4.rs";

units! {
    "inference: the model is the caller's (H8)":
        JSON "MODEL => out.member(MODEL, &forced)," => "MODEL => out.member(MODEL, value.get()),",
        "openshell-inference" "h08_the_model_is_the_routes";
    "inference: a second model in another case (H8)":
        JSON "if is(MODEL) && name != MODEL {" => "if is(MODEL) && name == INNER {",
        "openshell-inference" "h08_a_second_model_is_refused";
    "inference: a call within one by another spelling (H8)":
        JSON "&& name != INNER && is(INNER) {" => "&& name != INNER && name.is_empty() {",
        "openshell-inference" "h08_a_second_model_by_another_spelling";
    "inference: a second model in a tool (H8)":
        JSON "if tool.0.iter().any(|(name, _)| is_alike(name, MODEL)) {" => "if tool.0.iter().any(|(name, _)| is_alike(name, INNER)) {",
        "openshell-inference" "h08_a_second_model";
    "inference: the model is written wherever the word stands (H11)":
        JSON "name => out.member(name, value.get())," => "name => out.member(name, &value.get().replace(\"\\\"model\\\":\", &format!(\"\\\"model\\\":{forced},\\\"was\\\":\"))),",
        "openshell-egress" "h11_text_of_policies";
    "inference: fields that authenticate go on (H10)":
        OUTGOING ".filter(|name| !NEVER.contains(&name.as_str()))" => ".filter(|name| !name.is_empty())",
        "openshell-inference" "h10_of_the_callers_fields";
    "inference: whatever is read is a model (H9, O1)":
        OPERATION "_ if get => path.strip_prefix(\"/models/\")" => "_ if get => path.strip_prefix('/')",
        "openshell-egress" "o01_the_router_takes_no_file";
    "inference: a backend is for whom any rule names (I10)":
        AUTHORIZE "policy.policy.connect_by(rule, &destination(&to), &by, Timestamp::now())" => "{ let _ = rule; policy.policy.connect(&destination(&to), &by, Timestamp::now()) }",
        "openshell-egress" "a_backend_is_for_those_whom_its_route_names";
    "inference: the router comes before a person's rule":
        AUTHORIZE "(Ok(permit), _) => Ok(Decided::Allowed(permit))," => "(Ok(permit), None) => Ok(Decided::Allowed(permit)), (Ok(_), Some(door)) => Ok(Decided::Routed(door)),",
        "openshell-egress" "a_vendors_name_is_for_the_router_only";
    "inference: a request for another name (C3)":
        CALL "same_door(visit, request)?;" => "let _ = same_door(visit, request);",
        "openshell-egress" "a_request_for_another_name_is_refused";
    "inference: a credential that has expired goes out":
        CALL "Refused::check_expiry(&route, Timestamp::now().as_millisecond())?;" => "let _ = Refused::check_expiry(&route, Timestamp::now().as_millisecond());",
        "openshell-egress" "an_expired_credential_and_a_backend";
    "inference: a call after one without a record (M13)":
        CALL "record.check()?;" => "let _ = record.check();",
        "openshell-egress" "m13_after_a_call_without_a_record";
    "inference: a backend's cookies go to the caller":
        ANSWER ".filter(|(name, _)| is_passed_back(name))" => ".filter(|(name, _)| is_passed_back(name) || name.as_str() == \"set-cookie\")",
        "openshell-egress" "a_call_at_our_own_name";
    "sigv4: for whatever scope (I10)":
        SIGV4 "mine().find(|(_, own)| claimed.is_for(own))" => "mine().find(|(_, own)| claimed.is_for(own) || true)",
        "openshell-credential" "i10_nothing_is_signed_for_another_scope";
    "sigv4: keys of two providers (I10)":
        SIGV4 "held.provider() == key.provider() && claimed.is_for(own)" => "claimed.is_for(own)",
        "openshell-credential" "i10_keys_of_two_providers_are_not_mixed";
    "sigv4: orders that nobody signed (I10)":
        SIGV4 "is_order(&header.name) && !fields" => "!is_order(&header.name) && fields.is_empty() && !fields",
        "openshell-credential" "i10_what_cannot_be_signed_is_told";
    "sigv4: a request that copies (I10)":
        SIGV4 "SOURCES.contains(&header.name.replace('_', \"-\").as_str())" => "SOURCES.contains(&\"\")",
        "openshell-credential" "i10_what_cannot_be_signed_is_told";
}
