//! Routes of model calls ↔ their messages.

use std::time::Duration;

use openshell_types::{BaseUrl, ModelProtocol, Redacted, Route};
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
        ..
    } = message;
    let wrong = |what: String| RouteError { protocol: protocol.clone(), what };
    Ok(Route {
        base: BaseUrl::parse(&base_url).map_err(|error| wrong(error.to_string()))?,
        auth: (!auth_field.is_empty()).then_some((auth_field, secret)),
        idle: Duration::from_secs(message.idle_seconds.into()),
        defaults: defaults.into_iter().map(|field| (field.name, field.value)).collect(),
        protocol: ModelProtocol::parse(&protocol).map_err(|error| wrong(error.to_string()))?,
        provider,
        model,
        expires_ms,
        passed,
    })
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
        };
        let mut message = session::Policy::default();
        put(std::slice::from_ref(&route), &mut message);
        assert!(!format!("{message:?}").contains("secret"));
        let back = from_message(&mut message).expect("what was put");
        assert_eq!(format!("{back:?}"), format!("{:?}", [&route]));
        assert_eq!(back[0].auth.as_ref().map(|(_, value)| value.expose().as_str()), Some("secret"));
    }

    #[test]
    fn a_route_without_a_base_is_refused() {
        let route = session::Route { protocol: "openai".to_owned(), ..session::Route::default() };
        let mut message = session::Policy { routes: vec![route], ..session::Policy::default() };
        let error = from_message(&mut message).expect_err("it has no base");
        assert!(error.to_string().starts_with("the route of `openai`"), "{error}");
    }
}
