//! `eventcast config schema` and `config show`: the JSON Schema of the configuration file, and the
//! values in effect.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::configuration::Configuration;
use super::json::write_json;
use super::{OutputFormat, Status};
use crate::config::effective::EffectiveValue;
use crate::config::schema::schema;
use crate::escape::write_line;

#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  eventcast config schema > eventcast.schema.json
  eventcast config show

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
    /// Print the values in effect and where each comes from: file, variable, flag or default
    #[command(after_help = "\
Flags win over variables, variables over the file, the file over defaults. Secrets are not shown.

Examples:
  eventcast config show
  EVENTCAST_ENVIRONMENT=test eventcast config show shop.yaml
  eventcast config show --set bridge.wait=5s --format json

Exit status: 0 printed, 2 the configuration has errors or cannot be read.")]
    Show(ConfigShow),
}

#[derive(Debug, Args)]
pub(super) struct ConfigShow {
    /// The configuration file, in place of --config; `-` is standard input
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    configuration: Configuration,
    /// How values are written
    #[arg(long, value_enum, default_value = "text")]
    format: OutputFormat,
}

/// Runs a command of this file.
pub(super) fn run(
    command: &Command,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    match command {
        Command::Schema => {
            write_json(&schema(), out)?;
            Ok(Status::Yes)
        }
        Command::Show(show) => self::show(show, out, messages),
    }
}

fn show(
    command: &ConfigShow,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    let Some(configuration) = command
        .configuration
        .with_argument(command.file.as_deref(), messages)?
    else {
        return Ok(Status::CannotAnswer);
    };
    let Some(values) = configuration.effective(messages)? else {
        return Ok(Status::CannotAnswer);
    };
    match command.format {
        OutputFormat::Json => write_json(&values, out)?,
        OutputFormat::Text => write_text(&values, out)?,
    }
    Ok(Status::Yes)
}

fn write_text(values: &[EffectiveValue], out: &mut impl Write) -> std::io::Result<()> {
    let lines: Vec<(&str, String, String)> = values
        .iter()
        .map(|value| {
            let shown = match &value.value {
                Value::String(text) if !text.is_empty() && !text.contains(char::is_control) => {
                    text.clone()
                }
                other => other.to_string(),
            };
            (&*value.key, shown, value.origin.to_string())
        })
        .collect();
    let width = |length: &dyn Fn(&(&str, String, String)) -> usize, most| {
        lines.iter().map(length).max().unwrap_or(0).min(most)
    };
    let keys = width(&|(key, _, _)| key.chars().count(), 40);
    let values = width(&|(_, value, _)| value.chars().count(), 50);
    for (key, value, origin) in &lines {
        write_line(out, format_args!("{key:keys$}  {value:values$}  {origin}"))?;
    }
    Ok(())
}
