//! Whether a backend is there and takes its key: asked for its list of models, before a route to it
//! is stored.

use http::header::ACCEPT;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use openshell_types::{ModelProtocol, Redacted};
use serde::Deserialize;

use super::{App, AppError};
use crate::compose::route::Backend;
use crate::limits::{PROBE_ANSWER, PROBE_WAIT};
use crate::outbound::{Incoming, OutboundError, OutboundUrl, Outgoing};
use crate::store::rows::provider::Provider;
use crate::store::rows::route::StoredRoute;

/// Asks the backend of a route with its real key. What comes back is what a person should know; an
/// error says that the route would not work.
pub(super) async fn probe(
    app: &App,
    backend: &Backend<'_>,
    route: &StoredRoute,
) -> Result<Vec<String>, AppError> {
    let name = &route.provider.name;
    let url = format!("{}/models", backend.base);
    let outgoing = question(app, backend, &route.provider)?;
    let answer = match app.outbound.send(outgoing).await {
        Ok(answer) => answer,
        Err(OutboundError::TooLong { .. }) => return Ok(Vec::new()),
        Err(OutboundError::Connect { .. } | OutboundError::Timeout { .. })
            if app.is_behind_proxy =>
        {
            return Ok(vec![format!(
                "`{name}` was not asked whether it takes the key: the gateway itself does not go \
                 through the proxy"
            )]);
        }
        Err(error) => {
            return Err(AppError::Precondition(format!(
                "the server of `{name}`: {error}; {ANYWAY}"
            )));
        }
    };
    match answer.status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            let status = answer.status.as_u16();
            let help = if backend.has_auth() {
                format!("the provider refused the key: {url} answered {status}")
            } else {
                format!(
                    "the provider asks for a key, and `{name}` has none: {url} answered {status}"
                )
            };
            Err(AppError::Precondition(format!("{help}; {ANYWAY}")))
        }
        status if status.is_success() => Ok(missing(route, &answer).into_iter().collect()),
        status => Ok(vec![format!(
            "it is not known whether `{name}` takes the key: {url} answered {}",
            status.as_u16()
        )]),
    }
}

const ANYWAY: &str = "`--no-verify` sets the route without asking";

fn question(app: &App, backend: &Backend<'_>, provider: &Provider) -> Result<Outgoing, AppError> {
    let wrong = |why: String| AppError::invalid("provider", why);
    let url = OutboundUrl::beneath(&backend.base, "/models");
    let url = url.map_err(|error| wrong(format!("`{}`: {error}", backend.base)))?;
    let unsendable = || wrong(format!("the key of `{}` cannot stand in a request", provider.name));
    let mut headers = vec![(ACCEPT, HeaderValue::from_static("application/json"))];
    if let (Some((field, value)), _) = backend.auth(provider, &app.vault)? {
        let mut value = HeaderValue::from_str(value.expose()).map_err(|_| unsendable())?;
        value.set_sensitive(true);
        let field = HeaderName::from_bytes(field.as_bytes()).map_err(|_| unsendable())?;
        headers.push((field, value));
    }
    for (name, value) in backend.defaults() {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unsendable())?;
        headers.push((name, HeaderValue::from_str(&value).map_err(|_| unsendable())?));
    }
    Ok(Outgoing {
        method: Method::GET,
        url,
        headers,
        body: Redacted::new(Vec::new()),
        patience: PROBE_WAIT,
        most: PROBE_ANSWER,
    })
}

/// What servers say of their models; other keys are theirs.
#[derive(Deserialize)]
struct List {
    #[serde(default)]
    data: Vec<Model>,
    #[serde(default)]
    models: Vec<Model>,
    #[serde(default)]
    has_more: bool,
    #[serde(default, rename = "nextPageToken")]
    next: String,
}

#[derive(Deserialize)]
struct Model {
    #[serde(default)]
    id: String,
    #[serde(default)]
    name: String,
}

/// A note when all models are listed and the route's is not among them.
fn missing(route: &StoredRoute, answer: &Incoming) -> Option<String> {
    let list: List = serde_json::from_slice(answer.body.expose()).ok()?;
    let is_whole = !list.has_more && list.next.is_empty();
    let names: Vec<&str> = match route.protocol {
        ModelProtocol::OpenAi | ModelProtocol::Anthropic => {
            list.data.iter().map(|model| model.id.as_str()).collect()
        }
        ModelProtocol::Gemini => {
            let own = list.models.iter().map(|model| model.name.as_str());
            own.map(|name| name.strip_prefix("models/").unwrap_or(name)).collect()
        }
    };
    let is_missing = is_whole && !names.is_empty() && !names.contains(&route.model.as_str());
    is_missing.then(|| {
        format!(
            "`{}` takes the key, and does not list a model `{}`",
            route.provider.name, route.model
        )
    })
}
