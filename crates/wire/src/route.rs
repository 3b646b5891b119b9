//! Routes of model calls ↔ their messages.

use std::time::Duration;

use openshell_types::{BaseUrl, CallBudget, ModelProtocol, Period, Redacted, Route};
use thiserror::Error;

use crate::session;

/// A message that does not say what it must.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the route of `{protocol}`: {what}")]
pub struct RouteError {
    /// Of which protocol.
    protocol: String,
    /// What is wrong.
    what: String,
}

/// The routes of a policy's message.
pub fn from_message(message: &mut session::Policy) -> Result<Vec<Route>, RouteError> {
    std::mem::take(&mut message.routes).into_iter().map(route).collect()
}

fn route(mut message: session::Route) -> Result<Route, RouteError> {
    let secret = Redacted::new(std::mem::take(&mut message.auth_value));
    let session::Route {
        protocol,
        provider,
        model,
        base_url,
        auth_field,
        expires_ms,
        passed,
        defaults,
        budget,
        ..
    } = message;
    let wrong = |what: String| RouteError { protocol: protocol.clone(), what };
    Ok(Route {
        base: BaseUrl::parse(&base_url).map_err(|error| wrong(error.to_string()))?,
        auth: (!auth_field.is_empty()).then_some((auth_field, secret)),
        idle: Duration::from_secs(message.idle_seconds.into()),
        defaults: defaults.into_iter().map(|field| (field.name, field.value)).collect(),
        budget: budget.map(|budget| call_budget(budget).map_err(wrong)).transpose()?,
        protocol: ModelProtocol::parse(&protocol).map_err(|error| wrong(error.to_string()))?,
        provider,
        model,
        expires_ms,
        passed,
    })
}

fn call_budget(message: session::CallBudget) -> Result<CallBudget, String> {
    let session::CallBudget { tokens, requests, bytes, per } = message;
    let per = Period::parse(&per).ok_or("its budget has another period")?;
    let budget = CallBudget { tokens, requests, bytes, per }.checked();
    budget.ok_or_else(|| "its budget has no number, or one that is none".to_owned())
}

/// Puts routes into a policy's message.
pub fn put(routes: &[Route], message: &mut session::Policy) {
    message.routes = routes.iter().map(to_message).collect();
}

fn to_message(route: &Route) -> session::Route {
    let (auth_field, auth_value) = match &route.auth {
        Some((field, value)) => (field.clone(), value.expose().clone()),
        None => (String::new(), String::new()),
    };
    let field = |(name, value): &(String, String)| session::Field {
        name: name.clone(),
        value: value.clone(),
    };
    session::Route {
        protocol: route.protocol.to_string(),
        provider: route.provider.clone(),
        model: route.model.clone(),
        base_url: route.base.to_string(),
        auth_field,
        auth_value,
        expires_ms: route.expires_ms,
        passed: route.passed.clone(),
        defaults: route.defaults.iter().map(field).collect(),
        idle_seconds: u32::try_from(route.idle.as_secs()).unwrap_or(u32::MAX),
        budget: route.budget.map(|budget| session::CallBudget {
            tokens: budget.tokens,
            requests: budget.requests,
            bytes: budget.bytes,
            per: budget.per.as_str().to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_survives_its_message() {
        let route = Route {
            protocol: ModelProtocol::Anthropic,
            provider: "claude".to_owned(),
            model: "m-1".to_owned(),
            base: BaseUrl::parse("https://api.example.com/v1").expect("a base URL"),
            auth: Some(("x-api-key".to_owned(), Redacted::new("secret".to_owned()))),
            expires_ms: Some(7),
            passed: vec!["anthropic-beta".to_owned()],
            defaults: vec![("anthropic-version".to_owned(), "2023-06-01".to_owned())],
            idle: Duration::from_secs(9),
            budget: Some(CallBudget {
                tokens: Some(5),
                requests: None,
                bytes: Some(6),
                per: Period::Day,
            }),
        };
        let mut message = session::Policy::default();
        put(std::slice::from_ref(&route), &mut message);
        assert!(!format!("{message:?}").contains("secret"));
        let back = from_message(&mut message).expect("what was put");
        assert_eq!(format!("{back:?}"), format!("{:?}", [&route]));
        assert_eq!(back[0].auth.as_ref().map(|(_, value)| value.expose().as_str()), Some("secret"));
    }

    #[test]
    fn h12_a_budget_that_cannot_be_read_is_no_budget_without_a_limit() {
        let message = |tokens, per: &str| {
            let budget = session::CallBudget { tokens, per: per.to_owned(), ..Default::default() };
            let route = session::Route {
                protocol: "openai".to_owned(),
                base_url: "https://api.example.com/v1".to_owned(),
                budget: Some(budget),
                ..session::Route::default()
            };
            session::Policy { routes: vec![route], ..session::Policy::default() }
        };
        assert!(from_message(&mut message(Some(1), "hour")).is_ok());
        for (tokens, per) in [(None, "hour"), (Some(0), "hour"), (Some(1), ""), (Some(1), "week")] {
            let error = from_message(&mut message(tokens, per)).expect_err(per);
            assert!(error.to_string().contains("budget"), "{error}");
        }
    }

    #[test]
    fn a_route_without_a_base_is_refused() {
        let route = session::Route { protocol: "openai".to_owned(), ..session::Route::default() };
        let mut message = session::Policy { routes: vec![route], ..session::Policy::default() };
        let error = from_message(&mut message).expect_err("it has no base");
        assert!(error.to_string().starts_with("the route of `openai`"), "{error}");
    }
}
