//! `eventcast guard`: whether real-time features of a repository stay on the real-time layer.

mod check;
mod explain;
mod walk;

use std::io::Write;

use clap::Subcommand;

use self::check::Check;
use self::explain::Explain;
use super::Status;

#[derive(Debug, Subcommand)]
#[command(after_help = "\
Everything is read from files: no network is used, and nothing leaves the machine.

Examples:
  eventcast guard check
  eventcast guard explain RT030

`eventcast guard COMMAND --help` says more of each.")]
pub(super) enum Command {
    /// Look for real-time features beside the real-time layer in a repository
    #[command(after_help = "\
Files that .gitignore leaves out, vendored and generated ones are not looked at. What is in scope and has no verdict is \
listed; with --strict it is a failure.

Examples:
  eventcast guard check
  eventcast guard check services/orders --format json
  eventcast guard check --strict

Exit status: 0 nothing found, 1 findings, 2 the repository cannot be read; with --strict also a file without a verdict.")]
    Check(Check),
    /// Print a rule: its reason, its fix, and a sample of what it finds
    #[command(after_help = "\
Examples:
  eventcast guard explain RT030
  eventcast guard explain

Exit status: 0 printed, 2 there is no such rule.")]
    Explain(Explain),
}

/// Runs the command.
pub(super) fn run(
    command: &Command,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    match command {
        Command::Check(command) => check::run(command, out, messages),
        Command::Explain(command) => explain::run(command, out, messages),
    }
}
