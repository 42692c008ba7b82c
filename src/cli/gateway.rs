//! `eventcast gateway`: HTTP polls and streams for clients without WebSockets.

mod conformance;

use std::io::{BufRead, Write};

use clap::Subcommand;

use super::Status;
use crate::config::Config;
use crate::gateway::directory::Directory;

#[derive(Debug, Subcommand)]
#[command(
    after_help = "Example:\n  eventcast gateway conformance http://127.0.0.1:4566 --dev\n\nExit status: that of the command."
)]
pub(super) enum Command {
    /// Try every rule of the gateway's protocol on a running deployment
    Conformance(conformance::Command),
}

/// Runs the command. `input` is standard input, if it is piped.
pub(super) fn run(
    command: &Command,
    input: Option<impl BufRead>,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    match command {
        Command::Conformance(command) => conformance::run(command, input, out, messages),
    }
}

/// The names that a configuration gives to clients and channels.
pub(super) fn directory(config: &Config) -> Directory {
    Directory {
        kinds: config.kinds.clone(),
        environment: config.environment.clone(),
        roles: config.roles.clone(),
        role_claims: config
            .authorizer
            .issuers
            .iter()
            .map(|issuer| (issuer.issuer.clone(), issuer.role_claim.clone()))
            .collect(),
    }
}
