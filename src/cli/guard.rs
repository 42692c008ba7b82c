//! `eventcast guard`: whether real-time features of a repository stay on the real-time layer.

mod annotations;
mod baseline;
mod check;
mod contract;
mod contract_check;
mod explain;
mod init;
mod junit;
mod repository;
mod review;
mod sarif;
mod team;
mod text;
mod walk;

use std::io::Write;

use clap::Subcommand;

use self::baseline::BaselineCommand;
use self::check::GuardCheckCommand;
use self::contract_check::ContractProof;
use self::explain::Explain;
use self::init::Init;
use self::review::Review;
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
    Check(GuardCheckCommand),
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
    /// Prove a feature's manifest on the platform's routes, roles and quotas
    #[command(after_help = "\
With --against, changes of the contract are judged by the harm to subscribers. docs/guard.md has every \
key of a manifest.

Examples:
  eventcast guard contract
  eventcast guard contract --against origin/main --format json
  eventcast guard contract --manifest realtime.yaml

Exit status: 0 proved, 1 findings, 2 a rule could not run.")]
    Contract(ContractProof),
    /// Write a first manifest from the events and topics that a repository's sources name
    #[command(after_help = "\
Sources are searched as text. What is no literal is named in a comment, and not guessed.

Examples:
  eventcast guard init
  eventcast guard init --platform platform/eventcast.yaml --out -

Exit status: 0 written, 2 the file is there already or the repository cannot be read, 3 it cannot be \
written.")]
    Init(Init),
    /// Print the architecture reviewer's page of a feature, as Markdown
    #[command(after_help = "\
Examples:
  eventcast guard review > review.md
  eventcast guard review --manifest realtime.yaml --against origin/main

Exit status: 0 printed, 2 the manifest or the platform's configuration cannot be read.")]
    Review(Review),
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
        Command::Contract(command) => contract_check::run(command, out, messages),
        Command::Init(command) => init::run(command, out, messages),
        Command::Review(command) => review::run(command, out, messages),
    }
}
