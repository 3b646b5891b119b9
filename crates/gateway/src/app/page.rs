//! Pages of lists, and the labels by which lists are narrowed.

use std::collections::BTreeMap;

use super::AppError;
use crate::limits::{LABELS, LONGEST_PAGE, PAGE};

/// How many items a page has.
pub(crate) fn size(asked: i32) -> Result<usize, AppError> {
    let asked = u32::try_from(asked)
        .map_err(|_| AppError::invalid("page_size", "a page cannot have fewer than no items"))?;
    let size = if asked == 0 { PAGE } else { asked.min(LONGEST_PAGE) };
    Ok(usize::try_from(size).unwrap_or(usize::MAX))
}

/// The part of `items` that is the page, and whether there are more.
pub(crate) fn cut<T>(mut items: Vec<T>, size: usize) -> (Vec<T>, bool) {
    let more = items.len() > size;
    items.truncate(size);
    (items, more)
}

/// Pairs that an object's labels must have.
#[derive(Debug, Default)]
pub(crate) struct Selector(Vec<(String, String)>);

impl Selector {
    /// Reads `key=value` pairs joined by commas. Blanks around them are allowed.
    pub(crate) fn parse(text: &str) -> Result<Self, AppError> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let wrong = |message: String| AppError::invalid("label_selector", message);
        let mut pairs = Vec::new();
        for part in text.split(',') {
            let (key, value) = part
                .split_once('=')
                .ok_or_else(|| wrong(format!("`{}` is not `key=value`", part.trim())))?;
            let (key, value) = (key.trim(), value.trim());
            label(key, value).map_err(wrong)?;
            pairs.push((key.to_owned(), value.to_owned()));
        }
        if pairs.len() > LABELS {
            return Err(wrong(format!("more than {LABELS} pairs")));
        }
        Ok(Self(pairs))
    }

    /// Whether all pairs are there.
    pub(crate) fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|(key, value)| labels.get(key) == Some(value))
    }
}

/// Whether a label has the form that Kubernetes gives labels.
pub(crate) fn label(key: &str, value: &str) -> Result<(), String> {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    let is_domain = |prefix: &str| {
        prefix.len() <= 253
            && prefix.split('.').all(|part| {
                word(part, 63)
                    && part
                        .bytes()
                        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            })
    };
    if !word(name, 63) || prefix.is_some_and(|prefix| !is_domain(prefix)) {
        return Err(format!("`{key}` is not a label key"));
    }
    if !value.is_empty() && !word(value, 63) {
        return Err(format!("`{value}` is not a label value"));
    }
    Ok(())
}

/// Letters, digits, `-`, `_` and `.`, with a letter or digit at both ends.
fn word(text: &str, longest: usize) -> bool {
    let alphanumeric = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    bytes.len() <= longest
        && alphanumeric(bytes.first())
        && alphanumeric(bytes.last())
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selects_by_equality_of_all_pairs() {
        let labels = BTreeMap::from([("app".into(), "x".into()), ("a.b/c".into(), String::new())]);
        for (text, expected) in [
            ("", true),
            ("app=x", true),
            (" app = x , a.b/c= ", true),
            ("app=y", false),
            ("other=x", false),
        ] {
            assert_eq!(Selector::parse(text).expect(text).matches(&labels), expected, "{text}");
        }
        for bad in
            ["app", "app!=x", "app in (x)", "-a=x", "A.B/c=x", "a/b/c=x", "app=x y", ",", "=x"]
        {
            assert!(Selector::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn pages_have_a_default_and_a_longest_size() {
        assert_eq!(size(0).expect("default"), 100);
        assert_eq!(size(5000).expect("cut"), 1000);
        assert!(size(-1).is_err());
        assert_eq!(cut(vec![1, 2, 3], 2), (vec![1, 2], true));
        assert_eq!(cut(vec![1, 2], 2), (vec![1, 2], false));
    }
}
