//! Routes as they are shown.

use openshell_client::{Route, RouteChange};
use openshell_types::{CallBudget, WorkspaceName};
use serde::Serialize;

use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{self, Format, escape, note};

#[derive(Debug, Serialize)]
struct View {
    protocol: String,
    provider: String,
    model: String,
    backend: String,
    from: &'static str,
    sandbox: Option<String>,
    timeout_seconds: u64,
    timeout_is_default: bool,
    binaries: Vec<String>,
    budget: Option<BudgetView>,
    resource_version: u64,
    created_at: Option<String>,
    updated_at: Option<String>,
}

#[derive(Debug, Serialize)]
struct BudgetView {
    tokens: Option<u64>,
    requests: Option<u64>,
    bytes: Option<u64>,
    per: &'static str,
    /// As people read it.
    #[serde(skip)]
    text: String,
}

/// Shows what a route means now.
pub(super) fn changed(change: &RouteChange, context: &Context<'_>) -> Result<Exit, CliError> {
    output::print(&meaning(&change.route, context.workspace()))?;
    for text in &change.notes {
        note(&format!("note: {}", escape(text)));
    }
    Ok(Exit::OK)
}

/// What a route means, in a sentence.
fn meaning(route: &Route, workspace: &WorkspaceName) -> String {
    let Route { protocol, model, base_url, .. } = route;
    let mut text = format!(
        "Calls to the {} API of {} now go to {} at {}\n",
        escape(protocol),
        whose(route, workspace),
        escape(model),
        escape(base_url)
    );
    if !is_for_any(&route.binaries) {
        text.push_str(&format!("Only these programs: {}\n", escape(&route.binaries.join(", "))));
    }
    if let Some(budget) = &route.budget {
        let each = if route.sandbox.is_some() { "Its" } else { "Each sandbox's" };
        text.push_str(&format!("{each} budget: {budget}\n"));
    }
    text
}

/// Whether every program may call: none is named, or each by its path.
fn is_for_any(binaries: &[String]) -> bool {
    binaries.is_empty() || binaries.iter().any(|path| path == "/**")
}

/// What it means that a route is gone.
pub(super) fn deleted(route: &Route, workspace: &WorkspaceName) -> String {
    let (calls, whose) = (escape(&route.protocol), whose(route, workspace));
    match route.sandbox {
        Some(_) => {
            format!("Calls to the {calls} API of {whose} have no route of their own any more\n")
        }
        None => format!("Calls to the {calls} API of {whose} are not routed any more\n"),
    }
}

fn whose(route: &Route, workspace: &WorkspaceName) -> String {
    match &route.sandbox {
        Some(name) => format!("sandbox {}", escape(name)),
        None => format!("sandboxes in workspace {workspace}"),
    }
}

/// Shows several.
pub(super) fn show_all(routes: Vec<Route>, format: Format) -> Result<Exit, CliError> {
    let views: Vec<View> = routes.into_iter().map(View::from).collect();
    output::show(format, &views, |views| table(views))?;
    Ok(Exit::OK)
}

fn table(views: &[View]) -> String {
    if views.is_empty() {
        return "no routes; `openshell inference set` makes one\n".to_owned();
    }
    let rows = views.iter().map(|view| {
        [
            view.protocol.clone(),
            view.provider.clone(),
            view.model.clone(),
            view.backend.clone(),
            view.from.to_owned(),
            format!("{}s", view.timeout_seconds),
            if is_for_any(&view.binaries) { "any".to_owned() } else { view.binaries.join(", ") },
            view.budget.as_ref().map_or("none".to_owned(), |budget| budget.text.clone()),
        ]
    });
    output::table(
        ["PROTOCOL", "PROVIDER", "MODEL", "BACKEND", "FROM", "TIMEOUT", "BINARIES", "BUDGET"],
        rows,
    )
}

impl From<CallBudget> for BudgetView {
    fn from(budget: CallBudget) -> Self {
        let CallBudget { tokens, requests, bytes, per } = budget;
        Self { tokens, requests, bytes, per: per.as_str(), text: budget.to_string() }
    }
}

impl From<Route> for View {
    fn from(route: Route) -> Self {
        Self {
            protocol: route.protocol,
            provider: route.provider,
            model: route.model,
            backend: route.base_url,
            from: if route.sandbox.is_some() { "sandbox" } else { "workspace" },
            sandbox: route.sandbox,
            timeout_seconds: route.idle.as_secs(),
            timeout_is_default: route.idle_is_default,
            binaries: route.binaries,
            budget: route.budget.map(BudgetView::from),
            resource_version: route.resource_version,
            created_at: route.created_at.and_then(output::time),
            updated_at: route.updated_at.and_then(output::time),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use openshell_types::Period;

    use super::*;

    fn route(sandbox: Option<&str>, binaries: &[&str]) -> Route {
        Route {
            protocol: "openai".into(),
            provider: "work".into(),
            model: "gpt-5".into(),
            base_url: "https://api.openai.com/v1".into(),
            sandbox: sandbox.map(str::to_owned),
            idle: Duration::from_secs(600),
            idle_is_default: true,
            binaries: binaries.iter().map(|path| (*path).to_owned()).collect(),
            budget: sandbox
                .and_then(|_| CallBudget::parse("tokens=2M,bytes=1500", Period::Hour).ok()),
            resource_version: 3,
            created_at: Some(std::time::UNIX_EPOCH),
            updated_at: None,
        }
    }

    #[test]
    fn routes_in_a_table_and_in_words() {
        let workspace = WorkspaceName::default_workspace();
        let all = [
            route(None, &[]),
            route(Some("brave-otter"), &["/usr/bin/node", "/usr/bin/python3*"]),
            Route { model: "x\u{1b}[2J".into(), ..route(None, &["/**"]) },
        ];
        let mut text: String = all.iter().map(|one| meaning(one, &workspace)).collect();
        text.extend(all.iter().take(2).map(|one| deleted(one, &workspace)));
        text.push_str(&table(&all.map(View::from)));
        text.push_str(&table(&[]));
        insta::assert_snapshot!(text);
    }

    #[test]
    fn routes_for_programs() {
        let view = View::from(route(Some("brave-otter"), &["/usr/bin/node"]));
        insta::assert_snapshot!(serde_json::to_string_pretty(&view).unwrap());
    }
}
