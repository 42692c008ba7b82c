//! `eventcast healthcheck`: asks a running daemon how it is, for images without a shell.

use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use tokio::time::timeout;

use super::configuration::Configuration;
use super::reachable::reachable;
use super::runtime::block_on;
use super::{Status, http};
use crate::cli::user_error::write_error;
use crate::escape::write_line;

/// Less than the time that ECS gives a health check.
const PATIENCE: Duration = Duration::from_secs(4);

#[derive(Debug, Args)]
#[command(after_help = "\
The daemon is asked on this machine, at the port of bridge.listen.

Examples:
  eventcast healthcheck
  eventcast healthcheck --ready --listen 127.0.0.1:9464

In an ECS task definition: \"healthCheck\": { \"command\": [\"CMD\", \"/eventcast\", \"healthcheck\"] }

Exit status: 0 well, 1 not well or no answer, 2 the configuration is not right.")]
pub(super) struct Command {
    #[command(flatten)]
    configuration: Configuration,
    /// Ask whether it is ready to work instead of whether it lives
    #[arg(long)]
    ready: bool,
    /// Where the daemon listens, instead of the configuration's bridge.listen
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = address)]
    listen: Option<SocketAddr>,
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let address = text.parse().ok();
    address.ok_or_else(|| "an address with its port such as 127.0.0.1:9464 is wanted".to_owned())
}

/// Runs the command.
pub(super) fn run(
    command: &Command,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    let listen = match command.listen {
        Some(listen) => listen,
        None => {
            let Some(config) = command.configuration.read_checked(messages)? else {
                return Ok(Status::CannotAnswer);
            };
            let Some(listen) = config.bridge.listen else {
                let file = command.configuration.file.display();
                write_error(
                    messages,
                    format_args!("{file}: `bridge.listen` is not set"),
                    "set it for the daemon too, or name the address with --listen",
                )?;
                return Ok(Status::CannotAnswer);
            };
            listen
        }
    };
    let path = if command.ready { "/readyz" } else { "/livez" };
    let asked = block_on(async {
        timeout(PATIENCE, http::get(reachable(listen), path))
            .await
            .unwrap_or_else(|_| Err(anyhow::anyhow!("no answer in {PATIENCE:?}")))
    })?;
    match asked {
        Ok((200..=299, said)) => {
            out.write_all(&said)?;
            Ok(Status::Yes)
        }
        Ok((_, said)) => {
            messages.write_all(&said)?;
            Ok(Status::No)
        }
        Err(error) => {
            write_line(
                messages,
                format_args!("error: asking {}: {error:#}", reachable(listen)),
            )?;
            Ok(Status::No)
        }
    }
}
