//! What cargo is set to: its variables, and the files of its home.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use openshell_types::Redacted;
use toml::{Table, Value};

use super::{Entry, Places, Secret};
use crate::error::CliError;
use crate::output::escape;

pub(super) fn read(places: &mut Places<'_>) -> Result<Vec<Entry>, CliError> {
    let home = places.variable("CARGO_HOME").map(PathBuf::from);
    let Some(home) = home.or_else(|| places.at_home(".cargo")) else { return Ok(Vec::new()) };
    let config = either(places, &home, ["config.toml", "config"])?;
    let credentials = either(places, &home, ["credentials.toml", "credentials"])?;
    let mut urls = BTreeMap::new();
    for (name, table) in tables(&config, "source") {
        // A source without a registry is a folder or a repository.
        urls.extend(text(table, "registry").map(|url| (name.clone(), url)));
    }
    for (name, table) in tables(&config, "registries") {
        urls.extend(text(table, "index").map(|url| (name.clone(), url)));
    }
    let entries = urls.into_iter().map(|(name, url)| {
        let own = variable(&name);
        let url = places.variable(&format!("{own}_INDEX")).unwrap_or(url);
        let token = places
            .variable(&format!("{own}_TOKEN"))
            .or_else(|| token(&credentials, &name))
            .or_else(|| token(&config, &name));
        let secret = token.map(|token| Secret { user: None, value: Redacted::new(token) });
        Entry { name: Some(name), url, secret }
    });
    Ok(entries.collect())
}

/// The first file that is there.
fn either(places: &mut Places<'_>, home: &Path, names: [&str; 2]) -> Result<Table, CliError> {
    for name in names {
        let path = home.join(name);
        let Some(text) = places.file(&path)? else { continue };
        return text.parse().map_err(|error: toml::de::Error| {
            let path = escape(&path.to_string_lossy());
            // SECURITY: I8; the error quotes the line, in which a token may stand.
            let line = error.span().map_or(1, |span| {
                text.get(..span.start).unwrap_or_default().lines().count().max(1)
            });
            CliError::usage(format!("`{path}` is not TOML, at line {line}"))
        });
    }
    Ok(Table::new())
}

fn tables<'a>(file: &'a Table, key: &str) -> impl Iterator<Item = (&'a String, &'a Table)> {
    let all = file.get(key).and_then(Value::as_table).into_iter().flatten();
    all.filter_map(|(name, value)| Some((name, value.as_table()?)))
}

fn text(table: &Table, key: &str) -> Option<String> {
    table.get(key).and_then(Value::as_str).map(str::to_owned)
}

fn token(file: &Table, name: &str) -> Option<String> {
    tables(file, "registries").find(|(own, _)| *own == name).and_then(|(_, own)| text(own, "token"))
}

/// How cargo names a registry's variables.
fn variable(name: &str) -> String {
    let name = name.to_ascii_uppercase().replace(['-', '.'], "_");
    format!("CARGO_REGISTRIES_{name}")
}
