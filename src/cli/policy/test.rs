//! `eventcast policy test`

use std::io::{BufRead, Write};

use clap::Args;

use crate::cli::Status;

pub(super) const HELP: &str = "";

#[derive(Debug, Args)]
pub(in crate::cli) struct Test {}

pub(super) fn run(
    _command: &Test,
    _input: Option<impl BufRead>,
    _out: &mut impl Write,
    _messages: &mut impl Write,
) -> anyhow::Result<Status> {
    Ok(Status::CannotAnswer)
}
