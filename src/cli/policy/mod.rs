//! `eventcast policy`: IoT policies.

mod deploy;

use std::io::Write;

use clap::Subcommand;

use self::deploy::apply::Apply;
use self::deploy::revoke::Revoke;
use self::deploy::show::Show;
use super::Status;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Put policies into force, and attach them
    #[command(after_help = deploy::apply::HELP)]
    Apply(Apply),
    /// Detach policies, delete them, end connections
    #[command(after_help = deploy::revoke::HELP)]
    Revoke(Revoke),
    /// Show what is deployed
    #[command(after_help = deploy::show::HELP)]
    Show(Show),
}

/// Runs the command.
pub(super) fn run(
    command: &Command,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    match command {
        Command::Apply(command) => deploy::apply::run(command, out, messages),
        Command::Revoke(command) => deploy::revoke::run(command, out, messages),
        Command::Show(command) => deploy::show::run(command, out, messages),
    }
}
