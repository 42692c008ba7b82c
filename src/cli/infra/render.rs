//! `eventcast infra render`: files to standard output, into a folder, or compared with one.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;

use crate::cli::configuration::Configuration;
use crate::cli::json::write_json;
use crate::cli::load::LoadArguments;
use crate::cli::user_error::{UserError, write_error};
use crate::cli::{OutputFormat, Status};
use crate::config::Config;
use crate::escape::{escaped, write_line};
use crate::infra::render::{Rendered, RenderedFile, render_for};
use crate::plan::demand::LoadDemand;
use crate::plan::facts::PlatformFacts;
use crate::plan::fleet::{FleetSize, TaskCount};
use crate::plan::quotas::QuotaTable;

#[derive(Debug, Args)]
pub(in crate::cli) struct Render {
    /// Print one file, such as rule.json; without it and without --out, their names and sizes
    #[arg(value_name = "FILE", conflicts_with_all = ["out", "check"])]
    file: Option<String>,
    /// Write all files into this folder, which is made where it is missing
    #[arg(long, value_name = "FOLDER", conflicts_with = "check")]
    out: Option<PathBuf>,
    /// Compare all files with those in this folder, and write nothing
    #[arg(long, value_name = "FOLDER")]
    check: Option<PathBuf>,
    /// Format of the answer: json is one object with all files by their names, or the
    /// differences
    #[arg(long, value_enum, default_value = "text")]
    format: OutputFormat,
    #[command(flatten)]
    load: LoadArguments,
    #[command(flatten)]
    configuration: Configuration,
}

/// Difference between a file in the folder and one that was made.
#[derive(serde::Serialize)]
struct Drift {
    file: String,
    /// The first line that differs; missing where there is no such file.
    line: Option<usize>,
    found: Option<String>,
    expected: Option<String>,
}

pub(super) fn run(
    command: &Render,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    let Some(config) = command.configuration.read_checked(messages)? else {
        return Ok(Status::CannotAnswer);
    };
    let planned = match command.load.is_given() {
        false => None,
        true => match bridge_tasks(command, &config, messages)? {
            Some(tasks) => Some(tasks),
            None => return Ok(Status::CannotAnswer),
        },
    };
    let rendered = match render_for(&config, planned.as_ref()) {
        Ok(rendered) => rendered,
        Err(error) => {
            write_error(messages, &error, error.help())?;
            return Ok(Status::CannotAnswer);
        }
    };
    for note in &rendered.notes {
        write_line(messages, format_args!("note: {note}"))?;
    }
    if let Some(folder) = &command.out {
        write_all(&rendered, folder)?;
        for file in &rendered.files {
            writeln!(out, "{}", folder.join(file.name).display())?;
        }
        return Ok(Status::Yes);
    }
    if let Some(folder) = &command.check {
        return compare(&rendered, folder, command.format, out, messages);
    }
    if let Some(name) = &command.file {
        return one(&rendered, name, out, messages);
    }
    if command.format == OutputFormat::Json {
        let files = rendered.files.iter();
        let files = files.map(|file| (file.name, file.text.as_str()));
        write_json(&files.collect::<std::collections::BTreeMap<_, _>>(), out)?;
    } else {
        for file in &rendered.files {
            writeln!(out, "{:<30} {:>6} bytes", file.name, file.text.len())?;
        }
        writeln!(out, "--out FOLDER writes them")?;
    }
    Ok(Status::Yes)
}

/// The tasks of the bridge for the load that is given; `None` when it is not right, which is
/// reported.
fn bridge_tasks(
    command: &Render,
    config: &Config,
    messages: &mut impl Write,
) -> anyhow::Result<Option<TaskCount>> {
    let Some(profile) = command.load.read(Some(config), &[], messages)? else {
        return Ok(None);
    };
    let facts = PlatformFacts::of(config);
    let region = profile.region.as_deref().or(facts.region.as_deref());
    let quotas = match QuotaTable::try_of_region(region.unwrap_or_default()) {
        Ok(quotas) => quotas,
        Err(faults) => match UserError::of_all(faults) {
            Some(error) => return Err(error.into()),
            None => return Ok(None),
        },
    };
    let demand = LoadDemand::of(&profile, &facts);
    Ok(Some(
        FleetSize::of(&profile, &facts, &demand, &quotas).bridge,
    ))
}

fn one(
    rendered: &Rendered,
    name: &str,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    if let Some(file) = rendered.files.iter().find(|file| file.name == name) {
        out.write_all(file.text.as_bytes())?;
        return Ok(Status::Yes);
    }
    let names: Vec<&str> = rendered.files.iter().map(|file| file.name).collect();
    write_error(
        messages,
        format_args!("there is no file `{name}`"),
        format_args!("files are {}", names.join(", ")),
    )?;
    Ok(Status::CannotAnswer)
}

fn write_all(rendered: &Rendered, folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder)
        .with_context(|| format!("making the folder `{}`", folder.display()))?;
    for file in &rendered.files {
        let path = folder.join(file.name);
        fs::write(&path, &file.text).with_context(|| format!("writing `{}`", path.display()))?;
    }
    Ok(())
}

fn compare(
    rendered: &Rendered,
    folder: &Path,
    format: OutputFormat,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    let mut drifts = Vec::new();
    for file in &rendered.files {
        let path = folder.join(file.name);
        let there = match fs::read_to_string(&path) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                write_error(
                    messages,
                    format_args!("reading `{}`: {error}", path.display()),
                    "name the folder that --out wrote",
                )?;
                return Ok(Status::CannotAnswer);
            }
        };
        drifts.extend(drift(file, there.as_deref(), &path));
    }
    if format == OutputFormat::Json {
        write_json(&serde_json::json!({ "drifts": drifts }), out)?;
    } else {
        for drift in &drifts {
            let file = escaped(&drift.file);
            match (drift.line, &drift.found, &drift.expected) {
                (Some(line), found, expected) => {
                    let shown = |text: &Option<String>| {
                        let text = text.as_deref().map(str::trim);
                        text.map_or_else(|| "nothing".into(), |text| format!("`{}`", escaped(text)))
                    };
                    writeln!(
                        out,
                        "{file}:{line}: {} is there, and the configuration makes {}",
                        shown(found),
                        shown(expected)
                    )?;
                }
                _ => writeln!(out, "{file}: it is missing")?,
            }
        }
    }
    if drifts.is_empty() {
        return Ok(Status::Yes);
    }
    writeln!(
        messages,
        "help: `eventcast infra render --out {}` writes what the configuration makes",
        folder.display()
    )?;
    Ok(Status::No)
}

/// The first difference; `None` where there is none.
fn drift(file: &RenderedFile, there: Option<&str>, path: &Path) -> Option<Drift> {
    let name = path.display().to_string();
    let Some(there) = there else {
        return Some(Drift {
            file: name,
            line: None,
            found: None,
            expected: None,
        });
    };
    if there == file.text {
        return None;
    }
    let (mut found, mut expected) = (there.lines(), file.text.lines());
    let mut line = 1;
    loop {
        let (one, other) = (found.next(), expected.next());
        if one != other || one.is_none() {
            let text = |line: Option<&str>| line.map(str::to_owned);
            return Some(Drift {
                file: name,
                line: Some(line),
                found: text(one),
                expected: text(other),
            });
        }
        line += 1;
    }
}
