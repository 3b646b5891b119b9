//! `openshell sandbox list`.

use std::time::SystemTime;

use openshell_client::{ListOptions, Sandbox, Selection};

use super::view::{self, View};
use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{self, Format, FormatArgs, escape};

/// List sandboxes
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  openshell sandbox list
  openshell sandbox list --selector team=red -o json
  openshell sandbox delete $(openshell sandbox list --names --selector ci=true)")]
pub(crate) struct Args {
    /// Only those with these labels
    #[arg(long, value_name = "K=V,…", default_value = "", hide_default_value = true)]
    selector: String,

    /// At most this many
    #[arg(long, default_value_t = 100, value_name = "NUMBER")]
    limit: usize,

    /// Leave out this many of the oldest
    #[arg(long, default_value_t = 0, value_name = "NUMBER", hide_default_value = true)]
    offset: usize,

    /// Those of all workspaces
    #[arg(long)]
    all_workspaces: bool,

    /// Print ids only, one a line
    #[arg(long, conflicts_with_all = ["names", "output"])]
    ids: bool,

    /// Print names only, one a line
    #[arg(long, conflicts_with = "output")]
    names: bool,

    #[command(flatten)]
    format: FormatArgs,
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> Result<Exit, CliError> {
    let options = ListOptions {
        selector: args.selector,
        within: if args.all_workspaces { Selection::All } else { Selection::Own },
        limit: Some(args.limit.saturating_add(args.offset)),
    };
    let client = context.connect().await?;
    let found: Vec<Sandbox> =
        client.sandboxes(&options).await?.into_iter().skip(args.offset).collect();
    if args.ids || args.names {
        let line =
            |sandbox: &Sandbox| escape(if args.ids { &sandbox.id } else { &sandbox.name }) + "\n";
        output::print(&found.iter().map(line).collect::<String>())?;
        return Ok(Exit::OK);
    }
    if args.format.output == Format::Table {
        output::print(&table(&found, options.within, SystemTime::now()))?;
        return Ok(Exit::OK);
    }
    let views: Vec<View> = found.into_iter().map(View::from).collect();
    output::show(args.format.output, &views, |_| String::new())?;
    Ok(Exit::OK)
}

fn table(found: &[Sandbox], within: Selection, now: SystemTime) -> String {
    if found.is_empty() {
        return "no sandboxes; `openshell sandbox create` makes one\n".to_owned();
    }
    let phase = |sandbox: &Sandbox| match sandbox.exit_code {
        Some(code) => format!("{} ({code})", sandbox.phase.as_str()),
        None => sandbox.phase.as_str().to_owned(),
    };
    let age = |sandbox: &Sandbox| output::age(sandbox.created_at, now);
    match within {
        Selection::Own => output::table(
            ["NAME", "PHASE", "AGE", "LABELS"],
            found.iter().map(|s| [s.name.clone(), phase(s), age(s), view::labels(&s.labels)]),
        ),
        Selection::All => output::table(
            ["WORKSPACE", "NAME", "PHASE", "AGE", "LABELS"],
            found.iter().map(|s| {
                [s.workspace.clone(), s.name.clone(), phase(s), age(s), view::labels(&s.labels)]
            }),
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use openshell_client::Phase;

    use super::*;

    #[test]
    fn sandboxes_are_rows() {
        let one = view::example();
        let mut two = view::example();
        two.name = "calm-heron".into();
        two.phase = Phase::Ready;
        two.exit_code = None;
        two.labels.clear();
        let now = one.created_at.unwrap() + Duration::from_secs(600);
        let mut shown = table(&[one.clone(), two], Selection::Own, now);
        shown.push('\n');
        shown.push_str(&table(&[one], Selection::All, now));
        shown.push('\n');
        shown.push_str(&table(&[], Selection::Own, now));
        insta::assert_snapshot!(shown);
    }

    #[test]
    fn json_has_the_published_names() {
        let view = View::from(view::example());
        insta::assert_snapshot!(serde_json::to_string_pretty(&view).unwrap());
    }
}
