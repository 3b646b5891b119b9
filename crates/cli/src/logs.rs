//! `openshell logs`: what a sandbox tried, and what was decided.

use openshell_audit::{Event, Record, shorthand};
use openshell_client::AuditLine;
use openshell_types::SandboxName;

use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{self, Format, FormatArgs, escape};
use crate::style::Style;

/// Show what a sandbox tried, and what was decided
#[derive(Debug, clap::Args)]
#[command(
    visible_alias = "lg",
    after_help = "\
A denial is followed by the smallest policy edit that would allow it.

Examples:
  openshell logs                     the last 200 lines of the sandbox used last
  openshell logs brave-otter --tail  and those to come
  openshell logs -o json | jq .      the records of the audit log, one a line"
)]
pub(crate) struct Args {
    /// Sandbox [default: the one used last]
    name: Option<SandboxName>,

    /// How many of the last lines to show
    #[arg(short = 'n', long = "lines", default_value_t = 200, value_name = "LINES")]
    lines: u32,

    /// Go on with the lines to come, until interrupted
    #[arg(long)]
    tail: bool,

    #[command(flatten)]
    format: FormatArgs,
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> Result<Exit, CliError> {
    let name = context.sandbox(args.name.as_ref())?;
    let client = context.connect().await?;
    let mut lines = client.events(&name, args.lines, args.tail).await?;
    let style = Style::of_output(context.config);
    while let Some(line) = lines.next().await? {
        output::print(&render(&line, args.format.output, style)?)?;
    }
    Ok(Exit::OK)
}

fn render(line: &AuditLine, format: Format, style: Style) -> Result<String, CliError> {
    match format {
        Format::Json => Ok(format!("{}\n", escape(&line.record))),
        Format::Yaml => {
            let value: serde_json::Value = serde_json::from_str(&line.record).map_err(|error| {
                CliError::new(Exit::FAILED, format!("line {} is not JSON: {error}", line.seq))
            })?;
            let text = serde_saphyr::to_string(&value).map_err(|error| {
                CliError::new(Exit::FAILED, format!("line {} is not YAML: {error}", line.seq))
            })?;
            Ok(format!("---\n{text}"))
        }
        Format::Table => Ok(match Record::parse(&line.record) {
            Ok(record) => people(&record, style),
            // A gateway that is newer than we are: better the record than nothing.
            Err(_) => format!("{}\n", escape(&line.record)),
        }),
    }
}

fn people(record: &Record, style: Style) -> String {
    let time = record.time.strftime("%Y-%m-%d %H:%M:%S").to_string();
    let mut text = format!("{} {}\n", style.dim(&time), shorthand(record));
    let reason = match &record.event {
        Event::Network(network) => network.reason.as_ref(),
        Event::Http(http) => http.reason.as_ref(),
        Event::Inference(call) => call.reason.as_ref(),
        Event::Dns(_)
        | Event::Bypass(_)
        | Event::Process(_)
        | Event::Config(_)
        | Event::Lifecycle(_) => None,
    };
    let nearest = reason.and_then(|reason| reason.nearest.as_deref());
    for (at, part) in nearest.into_iter().flat_map(str::lines).enumerate() {
        let lead = if at == 0 { style.cyan("  help:") } else { "       ".to_owned() };
        text.push_str(&format!("{lead} {}\n", escape(part)));
    }
    text
}
