//! `openshell completions`: what a shell needs to complete commands.

use std::io;

use clap_complete::Shell;

use crate::args;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::unwritable;

/// Print a completion script for a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  source <(openshell completions bash)
  openshell completions zsh > ~/.zfunc/_openshell
  openshell completions fish > ~/.config/fish/completions/openshell.fish")]
pub(crate) struct Args {
    /// Which shell
    #[arg(value_enum)]
    shell: Name,
}

/// The shells that we know.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Name {
    Bash,
    Fish,
    Zsh,
    #[value(name = "powershell")]
    PowerShell,
}

pub(crate) fn run(args: &Args, out: &mut dyn io::Write) -> Result<Exit, CliError> {
    let shell = match args.shell {
        Name::Bash => Shell::Bash,
        Name::Fish => Shell::Fish,
        Name::Zsh => Shell::Zsh,
        Name::PowerShell => Shell::PowerShell,
    };
    // Into memory first: the generator panics when its output is closed.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut args::command(), "openshell", &mut script);
    out.write_all(&script).and_then(|()| out.flush()).map_err(|error| unwritable(&error))?;
    Ok(Exit::OK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_has_a_script() {
        for shell in [Name::Bash, Name::Fish, Name::Zsh, Name::PowerShell] {
            let mut script = Vec::new();
            run(&Args { shell }, &mut script).unwrap();
            let script = String::from_utf8(script).unwrap();
            assert!(script.contains("sandbox") && script.contains("no-keep"), "{shell:?}");
        }
    }
}
