//! `eventcast config schema`: the JSON Schema of the configuration file.

use std::io::Write;

use clap::Subcommand;

use super::Status;
use super::json::write_json;
use crate::config::schema::schema;

#[derive(Debug, Subcommand)]
#[command(after_help = "\
Example:
  eventcast config schema > eventcast.schema.json

`eventcast config COMMAND --help` says more of each.")]
pub(super) enum Command {
    /// Print the JSON Schema of eventcast.yaml, for editors
    #[command(after_help = "\
Example:
  eventcast config schema > eventcast.schema.json
and as the first line of eventcast.yaml:
  # yaml-language-server: $schema=eventcast.schema.json

Exit status: 0 printed.")]
    Schema,
}

/// Runs a command of this file.
pub(super) fn run(command: &Command, out: &mut impl Write) -> anyhow::Result<Status> {
    let Command::Schema = command;
    write_json(&schema(), out)?;
    Ok(Status::Yes)
}
