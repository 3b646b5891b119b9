//! Whether the words of a call can be used.

use std::collections::{BTreeMap, HashMap};

use super::AppError;
use super::page::label;
use crate::limits::{
    ANNOTATION, ARGUMENT, ARGUMENTS, COMMAND, ENVIRONMENT, LABELS, VARIABLE, VARIABLES, WORKDIR,
};

/// A command with its arguments; not empty.
pub(crate) fn command(argv: &[String]) -> Result<(), AppError> {
    let wrong = |message: String| Err(AppError::invalid("command", message));
    if argv.first().is_none_or(String::is_empty) {
        return wrong("no command was given".into());
    }
    if argv.len() > ARGUMENTS {
        return wrong(format!("more than {ARGUMENTS} arguments"));
    }
    if argv.iter().any(|argument| argument.len() > ARGUMENT) {
        return wrong(format!("an argument of more than {ARGUMENT} bytes"));
    }
    if argv.iter().map(String::len).sum::<usize>() > COMMAND {
        return wrong(format!("more than {COMMAND} bytes"));
    }
    if argv.iter().any(|argument| argument.contains('\0')) {
        return wrong("an argument with a NUL character".into());
    }
    Ok(())
}

/// A working directory; empty for the default one.
pub(crate) fn workdir(path: &str) -> Result<(), AppError> {
    if path.len() > WORKDIR {
        return Err(AppError::invalid("workdir", format!("more than {WORKDIR} bytes")));
    }
    if path.contains(['\0', '\n']) {
        return Err(AppError::invalid("workdir", "a NUL or newline character"));
    }
    Ok(())
}

/// Environment variables.
pub(crate) fn environment(
    variables: HashMap<String, String>,
) -> Result<BTreeMap<String, String>, AppError> {
    let wrong = |message: String| Err(AppError::invalid("environment", message));
    if variables.len() > VARIABLES {
        return wrong(format!("more than {VARIABLES} variables"));
    }
    let bytes: usize = variables.iter().map(|(key, value)| key.len() + value.len()).sum();
    if bytes > ENVIRONMENT {
        return wrong(format!("more than {ENVIRONMENT} bytes"));
    }
    for (key, value) in &variables {
        let mut letters = key.bytes();
        let first = letters.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
        if !first || !letters.all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return wrong(format!("`{}` is not a variable's name", key.escape_debug()));
        }
        if value.len() > VARIABLE {
            return wrong(format!("`{key}` has more than {VARIABLE} bytes"));
        }
        if value.contains(['\0', '\n']) {
            return wrong(format!("`{key}` has a NUL or newline character"));
        }
    }
    Ok(variables.into_iter().collect())
}

/// Labels.
pub(crate) fn labels(
    labels: HashMap<String, String>,
) -> Result<BTreeMap<String, String>, AppError> {
    if labels.len() > LABELS {
        return Err(AppError::invalid("labels", format!("more than {LABELS}")));
    }
    for (key, value) in &labels {
        label(key, value).map_err(|message| AppError::invalid("labels", message))?;
    }
    Ok(labels.into_iter().collect())
}

/// Annotations: keys as labels have them, values free.
pub(crate) fn annotations(
    annotations: HashMap<String, String>,
) -> Result<BTreeMap<String, String>, AppError> {
    if annotations.len() > LABELS {
        return Err(AppError::invalid("annotations", format!("more than {LABELS}")));
    }
    for (key, value) in &annotations {
        label(key, "").map_err(|message| AppError::invalid("annotations", message))?;
        if value.len() > ANNOTATION {
            let message = format!("`{key}` has more than {ANNOTATION} bytes");
            return Err(AppError::invalid("annotations", message));
        }
    }
    Ok(annotations.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_commands_that_no_exec_can_take() {
        let ok = ["sh", "-c", "echo\nx"].map(str::to_owned);
        assert!(command(&ok).is_ok());
        for bad in [vec![], vec![String::new()], vec!["a\0b".into()], vec!["x".repeat(40_000)]] {
            assert!(command(&bad).is_err());
        }
        assert!(command(&vec!["x".to_owned(); 1025]).is_err());
    }

    #[test]
    fn refuses_variables_that_would_become_others() {
        for bad in ["", "1A", "A=B", "A-B", "A\0"] {
            assert!(environment(HashMap::from([(bad.into(), "x".into())])).is_err(), "{bad:?}");
        }
        assert!(environment(HashMap::from([("A".into(), "x\ny".into())])).is_err());
        assert!(environment(HashMap::from([("_A1".into(), "x = y".into())])).is_ok());
    }
}
