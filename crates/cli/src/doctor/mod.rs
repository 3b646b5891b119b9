//! `openshell doctor`: whether this machine can run sandboxes, and what to do if not.

mod apparmor;

use std::env;

use openshell_driver_native::supervisor_beside_executable;
use openshell_isolation::probe::{self, Check, Status};

use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{self, FormatArgs, escape};
use crate::style::Style;

/// Check whether this machine can run sandboxes
#[derive(Debug, clap::Args)]
#[command(
    visible_alias = "dr",
    after_help = "\
Each thing is tried, not looked up, and no gateway is needed. Exit code 1 when a required one is
missing.

Examples:
  openshell doctor
  openshell doctor -o json
  openshell doctor --apparmor-profile | sudo tee /etc/apparmor.d/openshell
  sudo apparmor_parser --replace /etc/apparmor.d/openshell"
)]
pub(crate) struct Args {
    /// Print the AppArmor profile that lets the installed programs make user namespaces
    #[arg(long, conflicts_with = "output")]
    apparmor_profile: bool,
    #[command(flatten)]
    format: FormatArgs,
}

pub(crate) fn run(args: Args, context: &Context<'_>) -> Result<Exit, CliError> {
    if args.apparmor_profile {
        output::print(&apparmor_profile()?)?;
        return Ok(Exit::OK);
    }
    let mut checks = vec![programs()];
    checks.extend(probe::all());
    let style = Style::of_output(context.config);
    output::show(args.format.output, &checks, |checks| table(checks, style))?;
    let missing = checks.iter().any(|check| check.status == Status::Fail);
    Ok(if missing { Exit::FAILED } else { Exit::OK })
}

fn apparmor_profile() -> Result<String, CliError> {
    let own = env::current_exe()
        .map_err(|error| CliError::system("this program's own path is not known", error))?;
    let supervisor = supervisor_beside_executable()
        .map_err(|error| CliError::new(Exit::FAILED, error.to_string()))?;
    apparmor::profile([&own, &supervisor]).ok_or_else(|| {
        CliError::new(Exit::FAILED, "the programs lie at a path that a profile cannot name")
            .help("install them in a folder without special characters in its name")
    })
}

fn programs() -> Check {
    let name = "programs".to_owned();
    match supervisor_beside_executable() {
        Ok(path) => {
            Check { name, status: Status::Ok, detail: format!("`{}`", path.display()), fix: None }
        }
        Err(error) => Check {
            name,
            status: Status::Fail,
            detail: error.to_string(),
            fix: Some("install `openshell` and `openshell-supervisor` side by side".to_owned()),
        },
    }
}

fn table(checks: &[Check], style: Style) -> String {
    let width = checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for check in checks {
        let status = match check.status {
            Status::Ok => style.green("ok     "),
            Status::Warn => style.yellow("warning"),
            Status::Fail => style.red("missing"),
        };
        let name = escape(&check.name);
        text.push_str(&format!("{status}  {name:width$}  {}\n", escape(&check.detail)));
        if let Some(fix) = &check.fix {
            text.push_str(&format!("         {} {}\n", style.cyan("help:"), escape(fix)));
        }
    }
    let count = |status| checks.iter().filter(|check| check.status == status).count();
    text.push_str(&match (count(Status::Fail), count(Status::Warn)) {
        (0, 0) => "\nthis machine can run sandboxes\n".to_owned(),
        (0, _) => "\nthis machine can run sandboxes, with less\n".to_owned(),
        _ => "\nthis machine cannot run sandboxes yet\n".to_owned(),
    });
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_check_has_its_fix() {
        let check = |name: &str, status, detail: &str, fix: Option<&str>| Check {
            name: name.into(),
            status,
            detail: detail.into(),
            fix: fix.map(str::to_owned),
        };
        let checks = [
            check("landlock", Status::Ok, "ABI 7", None),
            check("cgroups", Status::Warn, "no delegated group", Some("log in through systemd")),
            check("user_namespaces", Status::Fail, "refused", Some("load the AppArmor profile")),
        ];
        insta::assert_snapshot!(table(&checks, Style::PLAIN));
    }
}
