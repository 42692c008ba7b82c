//! `eventcast authorizer`: the custom authorizer of IoT Core on this machine; and, in a build with
//! the feature `lambda`, the function of AWS Lambda that it is in production.

mod invoke;
#[cfg(feature = "lambda")]
pub mod lambda;

use std::io::{BufRead, Write};

use clap::Subcommand;

use super::Status;

#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  eventcast authorizer invoke connect.json

`eventcast authorizer COMMAND --help` says more of each.")]
pub(super) enum Command {
    /// Answer one event as the Lambda function does
    #[command(after_help = invoke::HELP)]
    Invoke(invoke::Invoke),
}

/// Runs a command of this folder. `input` is standard input unless it is a terminal.
pub(super) fn run(
    command: Command,
    input: Option<impl BufRead>,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    match command {
        Command::Invoke(command) => invoke::run(&command, input, out, messages),
    }
}
