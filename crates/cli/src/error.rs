//! What went wrong, as a person reads it: one fragment, then the next step.

use std::fmt;
use std::io;

use openshell_client::{ClientError, Diagnostic, Gateway};

use crate::config::Config;
use crate::diagnostics;
use crate::exit::Exit;
use crate::output::escape;
use crate::style::Style;

/// Why a verb failed.
#[derive(Debug)]
pub(crate) struct CliError {
    message: String,
    help: Option<String>,
    exit: Exit,
    /// Findings in a policy, rendered.
    findings: Option<Box<Findings>>,
    /// The command that it is about never ran.
    never_ran: bool,
}

/// Findings in a policy, with what is needed to show them.
#[derive(Debug)]
struct Findings {
    diagnostics: Vec<Diagnostic>,
    file: String,
    text: String,
}

impl CliError {
    /// A failure of its own kind.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None, exit, findings: None, never_ran: false }
    }

    /// The command line or a file is wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::USAGE, message)
    }

    /// The system refused something.
    pub fn system(what: &str, error: io::Error) -> Self {
        Self::new(Exit::FAILED, format!("{what}: {}", describe(&error)))
    }

    /// Nobody reads our output any more: the usual end of `openshell … | head`.
    pub fn broken_pipe() -> Self {
        Self::new(Exit::BROKEN_PIPE, "")
    }

    /// Whether it is that.
    pub fn is_broken_pipe(&self) -> bool {
        self.exit == Exit::BROKEN_PIPE
    }

    /// The command that it is about never ran.
    pub fn before_start(mut self) -> Self {
        self.never_ran = true;
        self
    }

    /// Whether the command that it is about never ran.
    pub const fn is_before_start(&self) -> bool {
        self.never_ran
    }

    /// The next step.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The policy that its diagnostics are about.
    pub fn about_policy(mut self, file: &str, text: &str) -> Self {
        if let Some(findings) = &mut self.findings {
            file.clone_into(&mut findings.file);
            text.clone_into(&mut findings.text);
        }
        self
    }

    /// create, exec and connect: every failure of ours is 125, except a wrong command line.
    pub fn into_ours(mut self) -> Self {
        if self.exit != Exit::USAGE && self.exit.code() < Exit::OURS.code() {
            self.exit = Exit::OURS;
        }
        self
    }

    /// How the process ends.
    pub const fn exit(&self) -> Exit {
        self.exit
    }

    /// Prints it to standard error.
    pub fn print(&self, config: &Config) {
        let text = self.render(Style::of_error(config));
        // Nothing is left to be done when standard error is closed.
        let _ = crate::output::write_error(&text);
    }

    fn render(&self, style: Style) -> String {
        let mut text = String::new();
        if let Some(findings) = &self.findings {
            text.push_str(&diagnostics::warnings(
                &findings.diagnostics,
                &findings.file,
                &findings.text,
                style,
            ));
        }
        if !self.message.is_empty() {
            text.push_str(&format!("{} {}\n", style.red("error:"), escape(&self.message)));
        }
        if let Some(help) = &self.help {
            text.push_str(&format!("{} {help}\n", style.cyan("help:")));
        }
        text
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(Style::PLAIN))
    }
}

impl From<ClientError> for CliError {
    fn from(error: ClientError) -> Self {
        let message = error.to_string();
        match error {
            ClientError::NotFound(what) => {
                let error = Self::new(Exit::FAILED, message);
                match shown_by(&what) {
                    Some(verb) => error.help(format!("`openshell {verb}` shows what there is")),
                    None => error,
                }
            }
            ClientError::AlreadyExists(what) => {
                let error = Self::new(Exit::FAILED, message);
                match shown_by(&what).and_then(|verb| verb.strip_suffix(" list")) {
                    Some(noun) => error.help(format!(
                        "choose another name, or `openshell {noun} delete` the old one"
                    )),
                    None => error,
                }
            }
            ClientError::Denied(_) => Self::new(Exit::DENIED, message),
            ClientError::Unavailable(_) | ClientError::Lost(_) => {
                Self::new(Exit::UNAVAILABLE, message)
                    .help("`openshell status` shows whether the gateway runs")
            }
            ClientError::TimedOut(_) => Self::new(Exit::UNAVAILABLE, message),
            ClientError::BadInput { diagnostics, .. } => {
                let findings = (!diagnostics.is_empty()).then(|| {
                    Box::new(Findings { diagnostics, file: String::new(), text: String::new() })
                });
                Self { findings, ..Self::usage(message) }
            }
            ClientError::VersionMismatch { .. } => Self::new(Exit::FAILED, message).help(
                "`openshell gateway stop` ends it, and the next command starts the new one; \
                 sandboxes go on meanwhile",
            ),
            ClientError::Unsupported(_) => Self::new(Exit::FAILED, message)
                .help("compare `openshell --version` with `openshell status`"),
            ClientError::Config { path, .. } => {
                let error = Self::usage(message);
                match path {
                    Some(path) => error.help(format!("look at `{}`", path.display())),
                    None => error
                        .help(format!("leave out `--gateway` to use the `{}` one", Gateway::LOCAL)),
                }
            }
            ClientError::Start { log, .. } => Self::new(Exit::UNAVAILABLE, message).help(format!(
                "`openshell doctor` checks this machine; the log is `{}`",
                log.display()
            )),
            ClientError::Precondition(_) | ClientError::Conflict(_) | ClientError::Failed(_) => {
                Self::new(Exit::FAILED, message)
            }
        }
    }
}

/// The verb that shows what there is of the kind that a gateway's message begins with.
fn shown_by(what: &str) -> Option<&'static str> {
    const KINDS: [(&str, &str); 6] = [
        ("sandbox ", "sandbox list"),
        ("provider profile ", "provider profile list"),
        ("provider ", "provider list"),
        ("renewal ", "provider refresh status"),
        ("route ", "inference get"),
        ("policy revision ", "policy list"),
    ];
    KINDS.iter().find(|(kind, _)| what.starts_with(kind)).map(|(_, verb)| *verb)
}

/// What the system said, as a lower-case fragment without its number.
pub(crate) fn describe(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_lowercase().chain(letters).collect(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn all() -> Vec<ClientError> {
        let text = |s: &str| s.to_owned();
        vec![
            ClientError::NotFound(text("sandbox `brave-otter` not found")),
            ClientError::NotFound(text("provider `work` not found")),
            ClientError::NotFound(text("provider profile `ours` not found")),
            ClientError::NotFound(text("workspace `team` not found")),
            ClientError::AlreadyExists(text("sandbox `brave-otter` already exists")),
            ClientError::AlreadyExists(text("provider `work` already exists")),
            ClientError::Denied(text("role `user` required")),
            ClientError::Unavailable(text("no gateway answers at `/run/x`: connection refused")),
            ClientError::BadInput { message: text("no command"), diagnostics: vec![] },
            ClientError::Precondition(text("sandbox is not ready")),
            ClientError::Conflict(text("it changed meanwhile")),
            ClientError::TimedOut(text("the relay did not open")),
            ClientError::VersionMismatch { gateway: text("0.2.0"), client: text("0.1.0") },
            ClientError::Unsupported(text("/openshell.native.v1.Native/Inspect")),
            ClientError::Config { message: text("no gateway is registered as `prod`"), path: None },
            ClientError::Start {
                message: text("the database cannot be opened"),
                log: PathBuf::from("/s/gateway.log"),
            },
            ClientError::Lost(text("connection reset")),
            ClientError::Failed(text("evil \u{1b}[31m\nname")),
        ]
    }

    #[test]
    fn every_error_has_an_exit_code_and_most_a_next_step() {
        let mut text = String::new();
        for error in all() {
            let error = CliError::from(error);
            text.push_str(&format!("{error}[exit {}]\n\n", error.exit().code()));
        }
        insta::assert_snapshot!(text);
    }

    #[test]
    fn failures_around_a_command_are_ours_and_a_wrong_command_line_is_not() {
        let ours = |error: ClientError| CliError::from(error).into_ours().exit();
        assert_eq!(ours(ClientError::Lost(String::new())), Exit::OURS);
        assert_eq!(
            ours(ClientError::BadInput { message: String::new(), diagnostics: vec![] }),
            Exit::USAGE
        );
        assert_eq!(CliError::broken_pipe().into_ours().exit().code(), 141);
    }
}
