//! `eventcast policy apply`, `revoke`, `show` and `diff --deployed`: policies on IoT Core's control
//! plane.
//!
//! Everything that can be known before a call is checked before the first: names, targets,
//! documents. Changes are made under the API's rates, a few policies at a time. A command can be
//! run again: it then makes only the missing changes.

pub(super) mod apply;
mod bulk;
pub(super) mod fetch;
mod journal;
mod list;
mod look;
mod report;
pub(super) mod revoke;
mod run;
pub(super) mod show;
mod unwanted;
mod wanted;

use std::collections::{BTreeSet, HashMap};
use std::io::Write;
use std::path::PathBuf;

use aws_config::SdkConfig;
use clap::Args;

use self::list::{ListPosition, ListRow};
use self::report::ItemFailure;
use crate::aws::client;
use crate::aws::control_plane::ControlPlane;
use crate::aws::control_plane::error::{ControlError, ErrorText};
use crate::cli::user_error::write_error;
use crate::cli::{OutputFormat, Status};
use crate::policy::deploy::target::{AttachmentTarget, BadText};

/// What all changes have in common.
#[derive(Debug, Args)]
struct ChangeOptions {
    /// A file that keeps what is done, so that a rerun skips it without a call
    #[arg(long, value_name = "FILE", requires = "from")]
    journal: Option<PathBuf>,
    /// How many times the default quotas are used: 2 where they were doubled, 0.5 to leave room for others
    #[arg(long, value_name = "TIMES", default_value = "1", value_parser = times)]
    rate: f64,
    /// Only tell what would be done; reads what is there
    #[arg(long)]
    dry_run: bool,
    /// Format of the answer
    #[arg(long, value_enum, default_value = "text")]
    format: OutputFormat,
}

fn times(text: &str) -> Result<f64, String> {
    let times = text
        .parse()
        .ok()
        .filter(|times| (0.1..=100.0).contains(times));
    times.ok_or_else(|| "a number from 0.1 to 100 is wanted".to_owned())
}

/// The SDK's configuration and the control plane it names.
struct AwsAccess {
    aws: SdkConfig,
    plane: ControlPlane,
}

impl AwsAccess {
    async fn open(times: f64) -> Result<Self, ControlError> {
        let aws = client::environment().await;
        let plane = ControlPlane::open(&aws, times).await?;
        Ok(Self { aws, plane })
    }
}

/// Reports an error that ends the command.
fn stop(error: &ControlError, status: Status, messages: &mut impl Write) -> anyhow::Result<Status> {
    let ErrorText { what, help } = error.text();
    write_error(messages, format_args!("{what}"), format_args!("{help}"))?;
    Ok(status)
}

/// A line's targets, checked.
fn targets(
    texts: &[String],
    name: &str,
    place: &ListPosition,
) -> Result<BTreeSet<AttachmentTarget>, Box<ItemFailure>> {
    texts
        .iter()
        .map(|text| AttachmentTarget::parse(text).map_err(|bad| unfit(&bad, name, text, place)))
        .collect()
}

fn unfit(bad: &BadText, name: &str, value: &str, place: &ListPosition) -> Box<ItemFailure> {
    place.failure(name, value, bad.what.clone(), bad.help)
}

/// The policies of a list so far, and the line of each. A policy may be in one line only.
#[derive(Default)]
struct SeenPolicies(HashMap<String, u64>);

impl SeenPolicies {
    fn check(&mut self, row: &ListRow) -> Result<(), Box<ItemFailure>> {
        let line = row.place.line.unwrap_or_default();
        let first = *self.0.entry(row.name.clone()).or_insert(line);
        if first == line {
            return Ok(());
        }
        let what = format!("the policy `{}` stands in line {first} already", row.name);
        let help = "put all targets of a policy into one line";
        Err(row.place.failure(&row.name, &row.name, what, help))
    }
}
