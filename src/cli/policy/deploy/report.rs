//! The changes that were made, or would be made: lines for people as they happen, one JSON document
//! for programs at the end.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};

use serde::Serialize;

use super::list::UnreadableList;
use crate::aws::control_plane::error::ErrorText;
use crate::cli::json::write_json;
use crate::cli::user_error::UserError;
use crate::cli::{OutputFormat, Status};
use crate::escape::write_line;
use crate::policy::deploy::plan::DeployStep;

/// One thing that was done, or would be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "did", rename_all = "kebab-case")]
pub(super) enum CompletedStep {
    Create { version: Option<String> },
    NewVersion { version: Option<String> },
    DeleteVersion { version: String },
    Attach { target: String },
    Detach { target: String },
    Delete,
    Disconnect { client: String },
}

impl CompletedStep {
    /// A step that was taken, with the id of the version that it made.
    pub(super) fn step(step: &DeployStep, version: Option<String>) -> Self {
        match step {
            DeployStep::Create => Self::Create { version },
            DeployStep::CreateVersion => Self::NewVersion { version },
            DeployStep::DeleteVersion(version) => Self::DeleteVersion {
                version: version.clone(),
            },
            DeployStep::Attach(target) => Self::Attach {
                target: target.clone(),
            },
            DeployStep::Detach(target) => Self::Detach {
                target: target.clone(),
            },
            DeployStep::Delete => Self::Delete,
        }
    }

    /// The count that the step belongs to.
    fn count(&self) -> &'static str {
        match self {
            Self::Create { .. } => "created",
            Self::NewVersion { .. } => "updated",
            Self::DeleteVersion { .. } => "versions_deleted",
            Self::Attach { .. } => "attached",
            Self::Detach { .. } => "detached",
            Self::Delete => "deleted",
            Self::Disconnect { .. } => "disconnected",
        }
    }

    /// Line about the step, for a policy's name.
    fn line(&self, name: &str, dry_run: bool) -> String {
        let (done, planned, object) = match self {
            Self::Create { version } => ("created", "create", numbered(name, version.as_ref())),
            Self::NewVersion { version } => ("updated", "update", numbered(name, version.as_ref())),
            Self::DeleteVersion { version } => {
                let object = format!("{name}: version {version}");
                ("deleted", "delete", object)
            }
            Self::Attach { target } => ("attached", "attach", format!("{name} to {target}")),
            Self::Detach { target } => ("detached", "detach", format!("{name} from {target}")),
            Self::Delete => ("deleted", "delete", name.to_owned()),
            Self::Disconnect { client } => ("disconnected", "disconnect", client.clone()),
        };
        if dry_run {
            format!("would {planned} {object}")
        } else {
            format!("{done} {object}")
        }
    }
}

fn numbered(name: &str, version: Option<&String>) -> String {
    match version {
        Some(version) => format!("{name}: version {version}"),
        None => name.to_owned(),
    }
}

/// One item, or one part of it, that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct ItemFailure {
    /// The list and the line in it, where it came from one.
    pub(super) file: Option<String>,
    pub(super) line: Option<u64>,
    /// The policy.
    pub(super) name: Option<String>,
    /// The value at fault.
    pub(super) value: Option<String>,
    pub(super) error: String,
    pub(super) help: Option<String>,
}

impl fmt::Display for ItemFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some(file), Some(line)) = (&self.file, self.line) {
            write!(f, "{file}:{line}: ")?;
        }
        f.write_str(&self.error)?;
        // An error that contains the value already does not repeat it.
        match &self.value {
            Some(value) if !self.error.contains(value.as_str()) => {
                write!(f, ": `{value}`")?;
            }
            _ => {}
        }
        Ok(())
    }
}

impl ItemFailure {
    /// Writes it, and what to do.
    pub(super) fn write(&self, messages: &mut impl Write) -> io::Result<()> {
        let error = UserError::plain(self);
        match &self.help {
            Some(help) => error.help(help).write(messages),
            None => error.write(messages),
        }
    }
}

/// The outcome of one policy.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct ItemOutcome {
    pub(super) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) line: Option<u64>,
    pub(super) steps: Vec<CompletedStep>,
    /// Permissions that a new document adds and takes away, in lines.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) changes: Vec<String>,
    /// Remarks that are no failures, such as a client that was not connected.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) notes: Vec<String>,
    #[serde(skip)]
    pub(super) failures: Vec<ItemFailure>,
    /// `true` where it was left before it was finished.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) interrupted: bool,
    /// Reason why nothing more should be tried.
    #[serde(skip)]
    pub(super) hopeless: Option<ErrorText>,
    /// The key by which a journal identifies it.
    #[serde(skip)]
    pub(super) key: Option<String>,
}

/// The outcome of all policies.
#[derive(Debug, Default, Serialize)]
pub(super) struct DeployReport {
    pub(super) region: String,
    pub(super) dry_run: bool,
    /// False when it was interrupted, or stopped because nothing could succeed any more.
    pub(super) complete: bool,
    /// Number of policies, or lines, that were asked for.
    pub(super) asked: u64,
    /// Number of policies by outcome: `created`, `updated`, `attached`, `unchanged`, `skipped`,
    /// `failed`, and so on.
    pub(super) counts: BTreeMap<&'static str, u64>,
    /// Number of calls by action.
    pub(super) calls: BTreeMap<&'static str, u64>,
    /// The policies of which something was done.
    pub(super) policies: Vec<ItemOutcome>,
    pub(super) failures: Vec<ItemFailure>,
    /// The time at which a revocation takes effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) effect: Option<&'static str>,
}

/// The order in which people read the counts.
const COUNTS: [&str; 12] = [
    "created",
    "updated",
    "versions_deleted",
    "attached",
    "detached",
    "deleted",
    "disconnected",
    "unchanged",
    "skipped",
    "failed",
    "interrupted",
    "not_tried",
];

impl DeployReport {
    pub(super) fn count(&mut self, what: &'static str, times: u64) {
        if times > 0 {
            *self.counts.entry(what).or_default() += times;
        }
    }

    /// Takes an outcome in. In text, its lines are written at once; failures are reported at once
    /// in any format.
    pub(super) fn add(
        &mut self,
        outcome: ItemOutcome,
        format: OutputFormat,
        out: &mut impl Write,
        messages: &mut impl Write,
    ) -> io::Result<()> {
        if format == OutputFormat::Text && !outcome.changes.is_empty() {
            write_line(out, format_args!("{}:", outcome.name))?;
            for change in &outcome.changes {
                write_line(out, format_args!("  {change}"))?;
            }
        }
        for done in &outcome.steps {
            self.count(done.count(), 1);
            if format == OutputFormat::Text {
                write_line(
                    out,
                    format_args!("{}", done.line(&outcome.name, self.dry_run)),
                )?;
            }
        }
        for note in &outcome.notes {
            write_line(messages, format_args!("note: {note}"))?;
        }
        let whole = outcome.hopeless.is_none() && !outcome.interrupted;
        if outcome.failures.is_empty() && outcome.steps.is_empty() && whole {
            self.count("unchanged", 1);
        }
        self.count("interrupted", u64::from(outcome.interrupted));
        self.count("failed", u64::from(!outcome.failures.is_empty()));
        for failure in &outcome.failures {
            self.fail(failure.clone(), messages)?;
        }
        if format == OutputFormat::Json && !(outcome.steps.is_empty() && outcome.notes.is_empty()) {
            self.policies.push(outcome);
        }
        Ok(())
    }

    /// Reports a failure and keeps it.
    pub(super) fn fail(
        &mut self,
        failure: ItemFailure,
        messages: &mut impl Write,
    ) -> io::Result<()> {
        failure.write(messages)?;
        self.failures.push(failure);
        Ok(())
    }

    /// Returns `true` where something was changed, not only looked at.
    pub(super) fn has_changed(&self) -> bool {
        let changed = [
            "created",
            "updated",
            "versions_deleted",
            "attached",
            "detached",
            "deleted",
            "disconnected",
        ];
        !self.dry_run && changed.iter().any(|what| self.counts.contains_key(what))
    }

    /// Writes the summary at the end, and returns the command's status.
    pub(super) fn finish(
        &self,
        format: OutputFormat,
        out: &mut impl Write,
    ) -> anyhow::Result<Status> {
        match format {
            OutputFormat::Json => {
                write_json(self, out)?;
            }
            OutputFormat::Text => write_line(out, format_args!("{}", self.summary()))?,
        }
        Ok(if self.complete && self.failures.is_empty() {
            Status::Yes
        } else {
            Status::Failed
        })
    }

    /// One line: the counts by outcome, and the number of calls.
    pub(super) fn summary(&self) -> String {
        let counts: Vec<String> = COUNTS
            .iter()
            .filter_map(|name| {
                let count = self.counts.get(name)?;
                Some(match (*name, *count) {
                    ("versions_deleted", 1) => "1 version deleted".to_owned(),
                    _ => format!("{count} {}", name.replace('_', " ")),
                })
            })
            .collect();
        let calls: u64 = self.calls.values().sum();
        let mut line = format!("{} asked for in {}: ", self.asked, self.region);
        line.push_str(&if counts.is_empty() {
            "nothing done".to_owned()
        } else {
            counts.join(", ")
        });
        let s = if calls == 1 { "" } else { "s" };
        line.push_str(&match self.dry_run {
            true => format!("; dry run, {calls} reading call{s}"),
            false => format!("; {calls} call{s}"),
        });
        line
    }
}

/// Reports why a question cannot be answered.
pub(super) fn cannot_answer(
    why: &UnreadableList,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    write_line(messages, format_args!("error: {}", why.what))?;
    write_line(messages, format_args!("help: {}", why.help))?;
    Ok(Status::CannotAnswer)
}
