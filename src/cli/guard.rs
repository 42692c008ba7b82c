//! `eventcast guard`: whether real-time features of a repository stay on the real-time layer.

mod annotations;
mod baseline;
mod check;
mod explain;
mod junit;
mod repository;
mod sarif;
mod team;
mod text;
mod walk;

use std::io::Write;

use clap::Subcommand;

use self::baseline::BaselineCommand;
use self::check::Check;
use self::explain::Explain;
use self::team::TeamTest;
use super::Status;

#[derive(Debug, Subcommand)]
#[command(after_help = "\
Everything is read from files: no network is used, and nothing leaves the machine.

Examples:
  eventcast guard check
  eventcast guard explain RT010

`eventcast guard COMMAND --help` says more of each.")]
pub(super) enum Command {
    /// Look for real-time features beside the real-time layer in a repository
    #[command(after_help = "\
Files that .gitignore leaves out, vendored and generated ones are not looked at. What is in scope and has no verdict is \
listed; with --strict it is a failure.

Examples:
  eventcast guard check
  eventcast guard check services/orders --format json
  eventcast guard check --changed-since origin/main --format github
  eventcast guard check --format sarif > guard.sarif

Exit status: 0 nothing found, 1 findings, 2 a file cannot be read; with --strict also a file without a verdict.")]
    Check(Check),
    /// Keep findings that were there before, so that new ones fail alone
    #[command(subcommand)]
    #[command(after_help = "\
Examples:
  eventcast guard baseline write
  eventcast guard baseline prune

`eventcast guard baseline COMMAND --help` says more of each.")]
    Baseline(BaselineCommand),
    /// Print a rule: its reason, its fix, and a sample of what it finds
    #[command(after_help = "\
Examples:
  eventcast guard explain RT010
  eventcast guard explain

Exit status: 0 printed, 2 there is no such rule.")]
    Explain(Explain),
    /// Try a team's own rules on the code of their tests
    #[command(after_help = "\
A folder has rules of ast-grep (id, language, rule, message) and tests of them (id, valid, invalid), in YAML. \
`eventcast guard check --rules FOLDER` checks them with the others.

Examples:
  eventcast guard test realtime-rules

Exit status: 0 all tests hold, 1 one fails, 2 the rules cannot be read.")]
    Test(TeamTest),
}

/// Runs the command.
pub(super) fn run(
    command: &Command,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    match command {
        Command::Check(command) => check::run(command, out, messages),
        Command::Baseline(command) => baseline::run(command, out, messages),
        Command::Test(command) => team::run(command, out, messages),
        Command::Explain(command) => explain::run(command, out, messages),
    }
}
