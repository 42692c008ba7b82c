//! `eventcast routes asyncapi` and `routes types`: the platform's contracts, for feature teams and
//! their tools.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use crate::cli::configuration::Configuration;
use crate::cli::diagnostic::render;
use crate::cli::input::{is_standard, read_text};
use crate::cli::json::write_json;
use crate::cli::revision::file_at;
use crate::cli::user_error::write_error;
use crate::cli::{OutputFormat, Status};
use crate::config::{Config, ConfigSource, load};
use crate::escape::write_line;
use crate::guard::contract::changes::{SubscriberHarm, harms};
use crate::guard::contract::rules::change::rule_of;
use crate::guard::contract::served::{EventKey, ServedContract};
use crate::guard::description::asyncapi::{DocumentTitle, asyncapi};
use crate::guard::description::typescript::typescript;
use crate::guard::manifest::schema::PayloadSchema;
use crate::guard::manifest::{self, MAX_MANIFEST_BYTES};

#[derive(Debug, Args)]
pub(in crate::cli) struct AsyncApi {
    /// The document's title
    #[arg(long, value_name = "TEXT", default_value = "Real-time channels")]
    title: String,
    /// The document's own version
    #[arg(long, value_name = "VERSION", default_value = "1.0.0")]
    document_version: String,
    /// The endpoint of IoT Core for the document's server; none is written without it
    #[arg(long, value_name = "HOST")]
    endpoint: Option<String>,
    #[command(flatten)]
    contracts: ContractSource,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Types {
    #[command(flatten)]
    contracts: ContractSource,
}

#[derive(Debug, Args)]
struct ContractSource {
    /// A feature's manifest, whose schemas of events are used (repeatable)
    #[arg(long, value_name = "FILE")]
    manifest: Vec<PathBuf>,
    /// Print what changed since this revision of git to the harm of subscribers, in place of the
    /// contract
    #[arg(long, value_name = "REV")]
    against: Option<String>,
    /// Format of the changes of --against
    #[arg(long, value_enum, default_value = "text")]
    format: OutputFormat,
    #[command(flatten)]
    configuration: Configuration,
}

pub(super) fn run_asyncapi(
    command: &AsyncApi,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    let Some((config, contract)) = command.contracts.read(messages)? else {
        return Ok(Status::CannotAnswer);
    };
    if let Some(revision) = &command.contracts.against {
        return compare(&command.contracts, revision, &contract, out, messages);
    }
    note_unknown(&contract, messages)?;
    let title = DocumentTitle {
        title: command.title.clone(),
        version: command.document_version.clone(),
        endpoint: command.endpoint.clone(),
        file: command.contracts.configuration.file.display().to_string(),
    };
    write_json(&asyncapi(&config, &contract, &title), out)?;
    Ok(Status::Yes)
}

pub(super) fn run_types(
    command: &Types,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    let Some((config, contract)) = command.contracts.read(messages)? else {
        return Ok(Status::CannotAnswer);
    };
    if let Some(revision) = &command.contracts.against {
        return compare(&command.contracts, revision, &contract, out, messages);
    }
    let file = command.contracts.configuration.file.display().to_string();
    out.write_all(typescript(&config, &contract, &file).as_bytes())?;
    Ok(Status::Yes)
}

fn note_unknown(contract: &ServedContract, messages: &mut impl Write) -> anyhow::Result<()> {
    for unknown in &contract.unknown {
        write_line(messages, format_args!("note: cannot tell {unknown}"))?;
    }
    Ok(())
}

/// Schemas of events, by their names on the bus.
type EventSchemas = BTreeMap<EventKey, PayloadSchema>;

impl ContractSource {
    fn read(&self, messages: &mut impl Write) -> anyhow::Result<Option<(Config, ServedContract)>> {
        let Some(config) = self.configuration.read_checked(messages)? else {
            return Ok(None);
        };
        let mut schemas = EventSchemas::new();
        for path in &self.manifest {
            let name = path.display().to_string();
            let text = match read_text(path, MAX_MANIFEST_BYTES) {
                Ok(text) => text,
                Err(error) => {
                    write_error(
                        messages,
                        format_args!("reading the manifest `{name}`: {error}"),
                        "name a feature's realtime.yaml",
                    )?;
                    return Ok(None);
                }
            };
            if !add_schemas(&name, &text, &mut schemas, messages)? {
                return Ok(None);
            }
        }
        let contract = ServedContract::of_platform(&config, &schemas);
        Ok(Some((config, contract)))
    }

    /// The contract at a revision; `None` where it cannot be read, which is reported.
    fn read_at(
        &self,
        revision: &str,
        messages: &mut impl Write,
    ) -> anyhow::Result<Option<ServedContract>> {
        let file = &self.configuration.file;
        let Some(text) = text_at(file, revision, messages)? else {
            return Ok(None);
        };
        let name = format!("{revision}:{}", file.display());
        let loaded = load(&ConfigSource {
            file: &name,
            text: &text,
            ..ConfigSource::default()
        });
        let Some(config) = &loaded.config else {
            let shown = loaded.redacted(&text);
            for fault in &loaded.faults {
                render(fault, &shown, messages)?;
            }
            return Ok(None);
        };
        let mut schemas = EventSchemas::new();
        for path in &self.manifest {
            let Some(text) = text_at(path, revision, messages)? else {
                return Ok(None);
            };
            let name = format!("{revision}:{}", path.display());
            if !add_schemas(&name, &text, &mut schemas, messages)? {
                return Ok(None);
            }
        }
        Ok(Some(ServedContract::of_platform(config, &schemas)))
    }
}

/// Adds the schemas of a manifest; `false` where it has faults, which are reported.
fn add_schemas(
    name: &str,
    text: &str,
    schemas: &mut EventSchemas,
    messages: &mut impl Write,
) -> anyhow::Result<bool> {
    match manifest::read(name, text) {
        Ok(manifest) => {
            for event in manifest.events {
                let key = EventKey {
                    source: event.source,
                    detail_type: event.detail_type,
                };
                if let Some(schema) = event.schema {
                    schemas.insert(key, schema);
                }
            }
            Ok(true)
        }
        Err(faults) => {
            for fault in &faults {
                render(fault, text, messages)?;
            }
            Ok(false)
        }
    }
}

fn text_at(
    path: &Path,
    revision: &str,
    messages: &mut impl Write,
) -> anyhow::Result<Option<String>> {
    let name = path.file_name().and_then(|name| name.to_str());
    let Some(name) = name.filter(|_| !is_standard(path)) else {
        write_error(
            messages,
            "standard input has no revisions",
            "name the configuration file with --config",
        )?;
        return Ok(None);
    };
    let folder = path.parent().unwrap_or(Path::new("."));
    match file_at(folder, revision, name) {
        Ok(Some(text)) => return Ok(Some(text)),
        Ok(None) => write_error(
            messages,
            format_args!("there is no `{}` at `{revision}`", path.display()),
            "name a revision that has the file",
        )?,
        Err(error) => write_error(
            messages,
            error,
            "name a branch, tag or commit that is fetched, such as origin/main",
        )?,
    }
    Ok(None)
}

/// A change in the answer for programs.
#[derive(Serialize)]
struct HarmView<'h> {
    rule: &'h str,
    name: &'h str,
    message: &'h str,
    reason: &'h str,
    fix: &'h str,
    line: Option<usize>,
}

fn compare(
    source: &ContractSource,
    revision: &str,
    now: &ServedContract,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    let Some(before) = source.read_at(revision, messages)? else {
        return Ok(Status::CannotAnswer);
    };
    note_unknown(now, messages)?;
    let found = harms(&before, now);
    match source.format {
        OutputFormat::Json => {
            let told: Vec<HarmView<'_>> = found.iter().map(told).collect();
            write_json(&told, out)?;
        }
        OutputFormat::Text => {
            for harm in &found {
                let rule = rule_of(harm.kind);
                write_line(out, format_args!("error[{}]: {}", rule.id, harm.message))?;
                write_line(out, format_args!("help: {}", rule.fix))?;
                writeln!(out)?;
            }
            if found.is_empty() {
                writeln!(out, "no change since `{revision}` harms subscribers")?;
            }
        }
    }
    // A description that could not be compared was not found right.
    Ok(
        match (
            found.as_slice(),
            now.unknown.as_slice(),
            before.unknown.as_slice(),
        ) {
            ([], [], []) => Status::Yes,
            ([], ..) => Status::CannotAnswer,
            _ => Status::No,
        },
    )
}

fn told(harm: &SubscriberHarm) -> HarmView<'_> {
    let rule = rule_of(harm.kind);
    HarmView {
        rule: &rule.id,
        name: &rule.name,
        message: &harm.message,
        reason: &rule.reason,
        fix: &rule.fix,
        line: harm.at.map(|at| at.line),
    }
}
