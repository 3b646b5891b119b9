//! JSON Web Tokens that nobody signed.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

/// The claims of a real token that its placeholder has, too: what clients read and no server asks
/// for. The Codex CLI takes the account that its requests name and the plan that it shows from the
/// tokens in its `auth.json`, and the time at which it renews them. Not copied: names, addresses and
/// ids of people, and what names the session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Claims {
    account: Option<String>,
    plan: Option<String>,
}

/// The claim under which OpenAI's tokens have theirs.
const AUTH: &str = "https://api.openai.com/auth";
const ACCOUNT: &str = "chatgpt_account_id";
const PLAN: &str = "chatgpt_plan_type";

/// When each placeholder ends: 2100-01-01. A client that renewed it would do so with nothing real.
const END: u64 = 4_102_444_800;

/// Longest token that is read, in bytes.
const TOKEN_BYTES: usize = 16 * 1024;
/// Longest claim that is copied, in bytes.
const CLAIM_BYTES: usize = 64;

impl Claims {
    /// Those of a token; `None` when it is none.
    pub fn of(secret: &str) -> Option<Self> {
        if secret.len() > TOKEN_BYTES || !secret.starts_with("eyJ") {
            return None;
        }
        let mut parts = secret.split('.');
        let (head, payload, signature) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() || !is_base64(signature) {
            return None;
        }
        object(head)?.get("alg")?;
        // An encrypted payload has no claims to read.
        let payload = object(payload)?;
        let auth = payload.get(AUTH);
        let claim = |name: &str| auth?.get(name)?.as_str().filter(|word| is_plain(word));
        Some(Self {
            account: claim(ACCOUNT).map(str::to_owned),
            plan: claim(PLAN).map(str::to_owned),
        })
    }

    /// Head and payload of a token, with the dots behind them.
    pub fn unsigned(&self) -> String {
        let mut auth = Map::new();
        for (name, value) in [(ACCOUNT, &self.account), (PLAN, &self.plan)] {
            if let Some(value) = value {
                auth.insert(name.to_owned(), Value::from(value.clone()));
            }
        }
        let mut payload = json!({ "exp": END });
        if let Some(payload) = payload.as_object_mut().filter(|_| !auth.is_empty()) {
            payload.insert(AUTH.to_owned(), Value::Object(auth));
        }
        let encode = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.", encode(r#"{"alg":"RS256","typ":"JWT"}"#), encode(&payload.to_string()))
    }
}

fn object(part: &str) -> Option<Map<String, Value>> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(part).ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn is_base64(part: &str) -> bool {
    part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
}

fn is_plain(word: &str) -> bool {
    !word.is_empty() && word.len() <= CLAIM_BYTES && is_base64(word)
}
