//! `eventcast token`: mint tokens for development and tests, and verify tokens.

mod mint;
mod verify;

use std::io::{BufRead, Write};
use std::path::Path;

use anyhow::Context as _;
use clap::Subcommand;

use super::Status;
use super::input::{self, INPUT_BYTES};

#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  eventcast token mint --dev --role customer --claims claims.json > token
  eventcast token verify --dev - < token

`eventcast token COMMAND --help` says more of each.")]
pub(super) enum Command {
    /// Mint a token for a role and claims
    #[command(after_help = mint::HELP)]
    Mint(mint::MintCommand),
    /// Say whether a token is believed, and what it grants
    #[command(after_help = verify::HELP)]
    Verify(verify::Verify),
}

/// Runs a command of this folder. `input` is standard input unless it is a terminal.
pub(super) fn run(
    command: Command,
    input: Option<impl BufRead>,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    match command {
        Command::Mint(command) => mint::run(&command, out, messages),
        Command::Verify(command) => verify::run(&command, input, out, messages),
    }
}

/// The text of a file, or of standard input for `-`; the error names it.
fn read(file: &str) -> anyhow::Result<String> {
    input::read_text(Path::new(file), INPUT_BYTES).with_context(|| format!("reading `{file}`"))
}
