//! How a renewal stands, as it is shown.

use std::time::SystemTime;

use openshell_client::RefreshStatus;
use serde::Serialize;

use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{self, Format};

#[derive(Debug, Serialize)]
struct View {
    provider: String,
    provider_id: String,
    credential_key: String,
    strategy: String,
    status: String,
    expires_at: Option<String>,
    next_refresh_at: Option<String>,
    last_refresh_at: Option<String>,
    last_error: Option<String>,
    last_error_at: Option<String>,
    failure_code: Option<String>,
    recovery_action: Option<String>,
}

/// Shows one.
pub(super) fn show(status: RefreshStatus, format: Format) -> Result<Exit, CliError> {
    output::show(format, &View::from(status), fields)?;
    Ok(Exit::OK)
}

/// Shows several.
pub(super) fn show_all(all: Vec<RefreshStatus>, format: Format) -> Result<Exit, CliError> {
    let views: Vec<View> = all.into_iter().map(View::from).collect();
    output::show(format, &views, |views| table(views))?;
    Ok(Exit::OK)
}

fn fields(view: &View) -> String {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    output::fields([
        ("credential", view.credential_key.clone()),
        ("strategy", view.strategy.clone()),
        ("status", view.status.clone()),
        ("ends", text(&view.expires_at)),
        ("renewed", text(&view.last_refresh_at)),
        ("renewed next", text(&view.next_refresh_at)),
        ("failed", text(&view.last_error_at)),
        ("error", text(&view.last_error)),
        ("what helps", help(view).to_owned()),
    ])
}

fn table(views: &[View]) -> String {
    if views.is_empty() {
        return "nothing is renewed; `openshell provider refresh configure` sets it\n".to_owned();
    }
    let dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let rows = views.iter().map(|view| {
        [
            view.credential_key.clone(),
            view.strategy.clone(),
            view.status.clone(),
            dash(&view.expires_at),
            dash(&view.next_refresh_at),
        ]
    });
    let mut text =
        output::table(["CREDENTIAL", "STRATEGY", "STATUS", "ENDS", "RENEWED NEXT"], rows);
    for view in views {
        if let Some(error) = &view.last_error {
            let (key, error) = (output::escape(&view.credential_key), output::escape(error));
            text.push_str(&format!("\n{key}: {error}\nhelp: {}\n", help(view)));
        }
    }
    text
}

fn help(view: &View) -> &'static str {
    match view.recovery_action.as_deref() {
        None => "",
        Some("retry") => "it is tried again by itself",
        Some("reauthorize") => "sign in again, and give the new refresh token with `configure`",
        Some("fix_configuration") => "put right what was given with `configure`",
        Some(_) => "look at what the token endpoint answers",
    }
}

impl From<RefreshStatus> for View {
    fn from(status: RefreshStatus) -> Self {
        let time = |time: Option<SystemTime>| time.and_then(output::time);
        let some = |text: String| (!text.is_empty()).then_some(text);
        Self {
            provider: status.provider,
            provider_id: status.provider_id,
            credential_key: status.credential_key,
            strategy: status.strategy,
            status: status.status,
            expires_at: time(status.expires_at),
            next_refresh_at: time(status.next_refresh_at),
            last_refresh_at: time(status.last_refresh_at),
            last_error: some(status.last_error),
            last_error_at: time(status.last_error_at),
            failure_code: some(status.failure_code),
            recovery_action: some(status.recovery_action),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_failure_stands_beneath_the_table_with_what_helps() {
        let at = |seconds| Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        let good = RefreshStatus {
            provider: "corp".into(),
            provider_id: "id".into(),
            credential_key: "CORP_TOKEN".into(),
            strategy: "oauth2_client_credentials".into(),
            status: "refreshed".into(),
            last_error: String::new(),
            failure_code: String::new(),
            recovery_action: String::new(),
            expires_at: at(3600),
            next_refresh_at: at(3300),
            last_refresh_at: at(0),
            last_error_at: None,
        };
        let bad = RefreshStatus {
            credential_key: "OTHER".into(),
            status: "error".into(),
            last_error: "the token endpoint refused: invalid_grant\u{1b}[2J".into(),
            failure_code: "invalid_grant".into(),
            recovery_action: "reauthorize".into(),
            expires_at: None,
            last_error_at: at(3240),
            ..good.clone()
        };
        let views = [View::from(good), View::from(bad)];
        let shown = format!("{}\n{}", table(&views), fields(&views[1]));
        insta::assert_snapshot!(shown);
        insta::assert_snapshot!("as_data", serde_json::to_string_pretty(&views[1]).unwrap());
    }
}
