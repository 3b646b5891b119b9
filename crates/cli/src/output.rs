//! Output: tables for people, JSON and YAML for programs, and nothing that moves the cursor.

use std::io::{self, ErrorKind, Write as _};
use std::time::SystemTime;

use clap::{Args, ValueEnum};
use comfy_table::{ContentArrangement, Table};
use jiff::Timestamp;
use serde::Serialize;

use crate::error::CliError;
use crate::exit::Exit;

/// How a verb that reads shows what it read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
    /// For programs and people.
    Yaml,
}

/// The flag of every verb that reads.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct FormatArgs {
    /// How to show it
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: Format,
}

/// Shows `value`: as `table` renders it, or as the data that it is.
pub(crate) fn show<T: Serialize>(
    format: Format,
    value: &T,
    table: impl FnOnce(&T) -> String,
) -> Result<(), CliError> {
    let text = match format {
        Format::Table => table(value),
        Format::Json => serde_json::to_string_pretty(value)
            .map(|text| text + "\n")
            .map_err(|error| unprintable(&error))?,
        Format::Yaml => serde_saphyr::to_string(value).map_err(|error| unprintable(&error))?,
    };
    print(&text)
}

fn unprintable(error: &dyn std::error::Error) -> CliError {
    CliError::new(Exit::FAILED, format!("the answer cannot be written: {error}"))
}

/// Writes to standard output.
pub(crate) fn print(text: &str) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| unwritable(&error))
}

/// An output that cannot be written; a closed one is the reader's choice and no error to print.
pub(crate) fn unwritable(error: &io::Error) -> CliError {
    match error.kind() {
        ErrorKind::BrokenPipe => CliError::broken_pipe(),
        _ => CliError::new(
            Exit::FAILED,
            format!("the output cannot be written: {}", crate::error::describe(error)),
        ),
    }
}

/// Writes to standard error.
pub(crate) fn write_error(text: &str) -> io::Result<()> {
    io::stderr().lock().write_all(text.as_bytes())
}

/// A note on standard error. A closed one is no reason to fail.
pub(crate) fn note(text: &str) {
    let _ = write_error(&format!("{text}\n"));
}

/// A table without lines: a heading and one row for each thing.
pub(crate) fn table<const N: usize>(
    heading: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(heading);
    for row in rows {
        table.add_row(row.map(|cell| escape(&cell)));
    }
    tidy(&table)
}

/// A list of names and values, one a line.
pub(crate) fn fields<const N: usize>(fields: [(&str, String); N]) -> String {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Disabled);
    for (name, value) in fields {
        if !value.is_empty() {
            table.add_row([format!("{name}:"), escape(&value)]);
        }
    }
    tidy(&table)
}

/// Cuts the blanks around the rows.
fn tidy(table: &Table) -> String {
    table.lines().fold(String::new(), |text, line| {
        let line = line.strip_prefix(' ').unwrap_or(&line).trim_end().to_owned();
        text + &line + "\n"
    })
}

/// Text from elsewhere, safe for a terminal: what would move the cursor, hide or reorder letters
/// is shown as `\u{…}`.
pub(crate) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || reorders(c) {
            safe.extend(c.escape_unicode());
        } else {
            safe.push(c);
        }
    }
    safe
}

/// Letters that are not seen, or turn others around (the "Trojan source" set).
const fn reorders(c: char) -> bool {
    matches!(c,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// A time as RFC 3339 in UTC, to the second.
pub(crate) fn time(time: SystemTime) -> Option<String> {
    let stamp = Timestamp::try_from(time).ok()?;
    Timestamp::from_second(stamp.as_second()).ok().map(|stamp| stamp.to_string())
}

/// How long ago, roughly.
pub(crate) fn age(then: Option<SystemTime>, now: SystemTime) -> String {
    let Some(seconds) = then.and_then(|then| now.duration_since(then).ok()).map(|d| d.as_secs())
    else {
        return "-".to_owned();
    };
    match seconds {
        0..=119 => format!("{seconds}s"),
        120..=7199 => format!("{}m", seconds / 60),
        7200..=172_799 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn tables_line_up_and_escape_what_came_from_elsewhere() {
        let rows = [
            ["brave-otter".to_owned(), "Ready".to_owned(), "3m".to_owned()],
            ["x\u{1b}[2J\n\u{202e}".to_owned(), "Error".to_owned(), "-".to_owned()],
        ];
        insta::assert_snapshot!(table(["NAME", "PHASE", "AGE"], rows));
    }

    #[test]
    fn fields_without_a_value_are_left_out() {
        let shown = fields([("Name", "a".into()), ("Exit code", String::new())]);
        assert_eq!(shown, "Name:  a\n");
    }

    #[test]
    fn ages_are_short() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let ago = |s| age(Some(now - Duration::from_secs(s)), now);
        assert_eq!([ago(5), ago(600), ago(7200), ago(200_000)], ["5s", "10m", "2h", "2d"]);
        assert_eq!(age(None, now), "-");
        assert_eq!(time(now).as_deref(), Some("1970-01-12T13:46:40Z"));
    }
}
