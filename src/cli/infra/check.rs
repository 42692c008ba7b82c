//! `eventcast infra check`: templates that would lose events silently.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::configuration::Configuration;
use crate::cli::counted::counted;
use crate::cli::diagnostic::render;
use crate::cli::json::write_json;
use crate::cli::user_error::write_error;
use crate::cli::{OutputFormat, Status, input};
use crate::config::MAX_FILE_BYTES;
use crate::config::fault::{Severity, ValuePlace};
use crate::infra::check::hidden::{HiddenPart, cannot_tell};
use crate::infra::check::{TemplateFile, check};

#[derive(Debug, Args)]
pub(in crate::cli) struct InfraCheckCommand {
    /// Templates of CloudFormation; `-` is standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Value of a parameter of the templates, instead of its default (repeatable)
    #[arg(long, value_name = "NAME=VALUE", value_parser = parameter)]
    parameter: Vec<(String, String)>,
    /// Look at the templates alone, without a configuration
    #[arg(long)]
    without_config: bool,
    /// Format of the answer
    #[arg(long, value_enum, default_value = "text")]
    format: OutputFormat,
    #[command(flatten)]
    configuration: Configuration,
}

fn parameter(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .ok_or("accepted: a name, `=`, and a value")?;
    Ok((name.to_owned(), value.to_owned()))
}

pub(super) fn run(
    command: &InfraCheckCommand,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    let config = if command.without_config || command.configuration.is_absent() {
        if !command.without_config {
            writeln!(
                messages,
                "note: there is no configuration: routes, times and Regions are not compared"
            )?;
        }
        None
    } else {
        match command.configuration.read_checked(messages)? {
            Some(config) => Some(config),
            None => return Ok(Status::CannotAnswer),
        }
    };
    let mut texts = Vec::new();
    for file in &command.files {
        match input::read_text(file, MAX_FILE_BYTES) {
            Ok(text) => texts.push((input::shown(file), text)),
            Err(error) => return unread(file, &error, messages),
        }
    }
    let files: Vec<TemplateFile<'_>> = texts
        .iter()
        .map(|(name, text)| TemplateFile { name, text })
        .collect();
    let faults = check(&files, &command.parameter, config.as_ref());
    let hidden = cannot_tell(&files);
    let is_unread = faults.iter().any(|fault| fault.code == "not-a-template");
    if command.format == OutputFormat::Json {
        let report = serde_json::json!({ "findings": faults, "cannot_tell": hidden });
        write_json(&report, out)?;
    } else {
        for fault in &faults {
            let text = texts.iter().find(|(name, _)| match &fault.place {
                ValuePlace::File { file, .. } => file == name,
                ValuePlace::Override { .. } => false,
            });
            render(fault, text.map_or("", |(_, text)| text), out)?;
        }
        for part in &hidden {
            let HiddenPart {
                place,
                message,
                help,
            } = part;
            writeln!(out, "cannot tell: {place}: {message}\n  help: {help}")?;
        }
        let errors = faults
            .iter()
            .filter(|fault| fault.severity == Severity::Error)
            .count();
        let summary = [
            counted(files.len(), "file"),
            counted(errors, "error"),
            counted(faults.len() - errors, "warning"),
        ];
        let unseen = match hidden.len() {
            0 => String::new(),
            count => format!(", {} not looked at", counted(count, "part")),
        };
        writeln!(out, "{}{unseen}", summary.join(", "))?;
    }
    Ok(match (is_unread, faults.is_empty()) {
        (true, _) => Status::CannotAnswer,
        (_, true) => Status::Yes,
        (_, false) => Status::No,
    })
}

fn unread(
    file: &Path,
    error: &std::io::Error,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    let name = input::shown(file);
    write_error(
        messages,
        format_args!("reading `{name}`: {error}"),
        "name templates of CloudFormation, or `-` for standard input",
    )?;
    Ok(Status::CannotAnswer)
}
