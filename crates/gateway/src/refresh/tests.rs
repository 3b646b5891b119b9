//! What is asked, and what is made of answers.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use http::StatusCode;
use openshell_credential::builtin;
use openshell_credential::profile::Strategy;
use openshell_types::Redacted;

use super::token::read;
use super::*;

fn material(pairs: &[(&str, &str)]) -> Material {
    let values: BTreeMap<_, _> =
        pairs.iter().map(|(k, v)| ((*k).to_owned(), Redacted::new((*v).to_owned()))).collect();
    Material::new(values, []).unwrap()
}

fn mine() -> Material {
    material(&[("client_id", "me"), ("refresh_token", "canary+/=")])
}

fn refused(status: u16, body: &str) -> Failure {
    let failure = read(StatusCode::from_u16(status).unwrap(), body.as_bytes(), &mine());
    let failure = failure.unwrap_err();
    assert!(!format!("{failure:?}").contains("canary"), "{failure:?}");
    failure
}

#[test]
fn an_answer_is_read_whatever_else_is_in_it() {
    let body = br#"{"access_token":"at","expires_in":60,"x":{"y":[1,-2,0.5,null,true]},
        "refresh_token":"rt","id_token":"it","token_type":"bearer","scope":"a"}"#;
    let token = read(StatusCode::OK, body, &mine()).unwrap();
    assert_eq!(token.access.expose(), "at");
    assert_eq!(token.lifetime, Some(60));
    assert_eq!(token.refresh.as_ref().unwrap().expose(), "rt");
    assert_eq!(token.output("id_token").unwrap().expose(), "it");
    assert!(token.output("other").is_none());
    assert!(!format!("{token:?}").contains("at\""), "{token:?}");
}

#[test]
fn i06_answers_that_are_malformed_give_no_token() {
    for body in [
        "",
        "canary",
        "[]",
        "{}",
        r#"{"access_token":""}"#,
        r#"{"access_token":1}"#,
        r#"{"access_token":"a\r\nx: y"}"#,
        r#"{"access_token":"a","access_token":"b"}"#,
        r#"{"access_token":"a","expires_in":"60"}"#,
        r#"{"access_token":"a","expires_in":-1}"#,
        r#"{"access_token":"a","expires_in":1.5}"#,
        r#"{"access_token":"a","token_type":"mac"}"#,
        r#"{"access_token":"a","refresh_token":"b\n"}"#,
        r#"{"access_token":"canary"} trailing"#,
    ] {
        let failure = refused(200, body);
        assert_eq!(
            (failure.code.as_str(), failure.recovery),
            ("malformed_answer", Recovery::Investigate),
            "{body}"
        );
    }
}

#[test]
fn i08_of_a_refusal_only_the_words_of_the_standard_are_told() {
    let failure = refused(
        400,
        r#"{"error":"invalid_client","error_description":"no such client","x":"canary"}"#,
    );
    assert_eq!(failure.recovery, Recovery::FixConfiguration);
    assert_eq!(failure.message, "the token endpoint refused: invalid_client: no such client");
    // With the status of a success, too.
    assert_eq!(refused(200, r#"{"error":"invalid_grant"}"#).recovery, Recovery::Reauthorize);
    // What repeats a secret, as it is or as it was sent, is not told at all.
    for said in ["bad token canary+/=", "bad token canary%2b%2F%3D"] {
        let body = format!(r#"{{"error":"invalid_grant","error_description":"{said}"}}"#);
        assert_eq!(refused(400, &body).message, "the token endpoint refused: invalid_grant");
    }
    assert_eq!(refused(400, r#"{"error":"canary+/="}"#).code, "unreadable_error");
    assert_eq!(refused(400, r#"{"error":"a\u001b[2J"}"#).code, "unreadable_error");
    let long = format!(r#"{{"error":"x","error_description":"{}"}}"#, "y".repeat(5000));
    assert!(refused(400, &long).message.len() < 400);
    // Nothing of a page that is no JSON.
    for (status, recovery) in [
        (502, Recovery::Retry),
        (429, Recovery::Retry),
        (404, Recovery::Investigate),
        (302, Recovery::Investigate),
    ] {
        let failure = refused(status, "<html>canary</html>");
        assert_eq!((failure.code.as_str(), failure.recovery), ("unexpected_status", recovery));
    }
}

#[test]
fn i08_a_refusal_that_repeats_a_secret_in_base64_is_not_told() {
    let own = material(&[("client_id", "me"), ("client_secret", "canary?>~/shh")]);
    let told = |said: &str| {
        let body = format!(r#"{{"error":"invalid_client","error_description":"{said}"}}"#);
        let failure = read(StatusCode::UNAUTHORIZED, body.as_bytes(), &own).unwrap_err();
        failure.message.contains(said)
    };
    for pair in ["me:canary%3F%3E%7E%2Fshh", "me:canary?>~/shh", "a:canary?>~/shh", "canary?>~/shh"]
    {
        for said in [BASE64_STANDARD.encode(pair), BASE64_URL_SAFE_NO_PAD.encode(pair)] {
            assert!(!told(&format!("Basic {said} is wrong")), "{pair}");
        }
    }
    assert!(told("Basic bWU6Y2FuYXJ5 is wrong"));
    // One so short that it has hardly a letter of its own.
    let short = material(&[("client_id", "me"), ("client_secret", "x")]);
    let body = br#"{"error":"invalid_client","error_description":"no such client"}"#;
    let failure = read(StatusCode::UNAUTHORIZED, body, &short).unwrap_err();
    assert!(failure.message.ends_with(": no such client"), "{failure}");
}

#[test]
fn material_reads_the_same_again_and_is_never_printed() {
    let odd = material(&[("client_id", "a\"b\\c"), ("client_secret", "canary\u{e9}")]);
    let read = Material::parse(odd.to_text().unwrap().expose()).unwrap();
    assert_eq!(read.get("client_id"), Some("a\"b\\c"));
    assert!(read.is_secret("client_secret") && !read.is_secret("client_id"));
    assert!(!format!("{read:?}").contains("canary"), "{read:?}");
    for bad in ["", "{}", "canary", r#"{"values":{},"secret":[],"more":1}"#] {
        assert!(Material::parse(bad).is_none(), "{bad}");
    }
    let none = Material::new(BTreeMap::new(), ["client_secret".to_owned()]).unwrap_err();
    assert!(none.contains("`client_secret` is said to be secret"), "{none}");
}

#[test]
fn codex_is_renewed_where_its_profile_says() {
    let profile = &builtin::get("codex").unwrap().profile;
    let refresh = profile.credential("access_token").unwrap().refresh.as_ref();
    let strategy = strategy(None, refresh).unwrap();
    let plan = Plan::make((Some(profile), refresh), strategy, &mine()).unwrap();
    assert_eq!(plan.strategy, Strategy::Oauth2RefreshToken);
    assert_eq!(plan.url.to_string(), "https://auth.openai.com:443/oauth/token");
    assert_eq!(plan.scope, "openid profile email");
    let outputs: Vec<&str> = plan.outputs.iter().map(|(_, variable)| variable.as_str()).collect();
    assert_eq!(outputs, ["CODEX_AUTH_REFRESH_TOKEN", "CODEX_AUTH_ID_TOKEN"]);
}

#[test]
fn material_fills_a_url_and_leads_nowhere_else() {
    let text = "id: corp
credentials:
  - name: token
    env_vars: [CORP_TOKEN]
    refresh:
      strategy: oauth2_client_credentials
      token_url: https://login.test/{tenant_id}/token
      refresh_before_seconds: 60
      max_lifetime_seconds: 600
";
    let profile = openshell_credential::Profile::parse(text).unwrap();
    let refresh = profile.credential("token").unwrap().refresh.as_ref();
    let plan = |tenant: &str| {
        let material =
            material(&[("client_id", "me"), ("client_secret", "shh"), ("tenant_id", tenant)]);
        Plan::make((Some(&profile), refresh), Strategy::Oauth2ClientCredentials, &material)
    };
    let fine = plan("acme.test").unwrap();
    assert_eq!(fine.url.to_string(), "https://login.test:443/acme.test/token");
    for bad in ["..", ".", "a/b", "a?b", "a%2fb", "a@b"] {
        assert!(plan(bad).unwrap_err().contains("`tenant_id` stands in a URL"), "{bad}");
    }
    // A value is renewed 60 s before its end, and used for 600 s at most.
    assert_eq!(fine.times(Some(100)), (100_000, 40_000));
    assert_eq!(fine.times(Some(3600)), (600_000, 540_000));
    assert_eq!(fine.times(None), (600_000, 540_000));
    assert_eq!(fine.times(Some(50)), (50_000, 25_000));
    assert_eq!(fine.times(Some(0)), (0, 10_000));
}
