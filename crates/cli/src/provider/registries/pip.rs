//! What pip is set to: its variables, then its files, the user's before the machine's.

use std::path::PathBuf;

use super::{Entry, Places};
use crate::error::CliError;

pub(super) fn read(places: &mut Places<'_>) -> Result<Vec<Entry>, CliError> {
    let mut index = places.variable("PIP_INDEX_URL");
    let mut extra = places.variable("PIP_EXTRA_INDEX_URL");
    for path in files(places) {
        let Some(text) = places.file(&path)? else { continue };
        // Of two files, and of two sections, the first that says it is right.
        index = index.or_else(|| value(&text, "index-url"));
        extra = extra.or_else(|| value(&text, "extra-index-url"));
    }
    let urls = index.into_iter().chain(extra);
    let urls: Vec<String> = urls
        .flat_map(|words| words.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    Ok(urls.into_iter().map(|url| Entry { name: None, url, secret: None }).collect())
}

/// In the order in which they are right.
fn files(places: &mut Places<'_>) -> Vec<PathBuf> {
    if let Some(own) = places.variable("PIP_CONFIG_FILE") {
        // pip reads no other then, and none at all when it is the null device.
        return vec![PathBuf::from(own)];
    }
    let config = places.config;
    let beneath =
        |name: &str, file: &str| config.variable(name).map(|dir| PathBuf::from(dir).join(file));
    let of_user = beneath("XDG_CONFIG_HOME", "pip/pip.conf")
        .or_else(|| places.at_home(".config/pip/pip.conf"));
    [
        beneath("VIRTUAL_ENV", "pip.conf"),
        of_user,
        places.at_home(".pip/pip.conf"),
        Some(PathBuf::from("/etc/xdg/pip/pip.conf")),
        Some(PathBuf::from("/etc/pip.conf")),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The value of a key in the sections that are about installing, with the lines that go on with it.
fn value(text: &str, wanted: &str) -> Option<String> {
    let mut found: Option<String> = None;
    let (mut in_section, mut goes_on) = (false, false);
    for line in text.lines() {
        let words = line.trim();
        if words.is_empty() || words.starts_with(['#', ';']) {
            continue;
        }
        if line.starts_with([' ', '\t']) {
            if let (true, Some(value)) = (goes_on, &mut found) {
                value.push(' ');
                value.push_str(words);
            }
            continue;
        }
        goes_on = false;
        if let Some(name) = words.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            in_section = matches!(name.trim(), "global" | "install" | "download");
            continue;
        }
        let Some((key, value)) = words.split_once(['=', ':']) else { continue };
        let key = key.trim().to_ascii_lowercase().replace('_', "-");
        if in_section && key == wanted && found.is_none() {
            found = Some(value.trim().to_owned());
            goes_on = true;
        }
    }
    found.filter(|value| !value.trim().is_empty())
}
