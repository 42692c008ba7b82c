//! `eventcast policy show`: the deployed policies.

use std::collections::BTreeSet;
use std::io::Write;

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::{AwsAccess, stop};
use crate::aws::control_plane::ControlPlane;
use crate::aws::control_plane::error::ControlError;
use crate::cli::endpoint_variables;
use crate::cli::json::write_json;
use crate::cli::runtime::block_on;
use crate::cli::user_error::write_error;
use crate::cli::{OutputFormat, Status};
use crate::escape::write_line;
use crate::policy::deploy::plan::DeployedVersion;
use crate::policy::deploy::target::{AttachmentTarget, BadText, PolicyName};

pub(in crate::cli::policy) const HELP: &str = "\
Without --name and --target, the names of all policies of the account and Region are listed.

Examples:
  eventcast policy show
  eventcast policy show --name driver
  eventcast policy show --name driver --version 3 --format json | jq .document
  eventcast policy show --target eu-west-1:5b0c7e0e-4f0b-4d3e-9f51-6a4f0c6c2a11

Exit status: 0 shown, 1 there is no such policy or version, 2 the question is not right, 3 failed.";

#[derive(Debug, Args)]
// `--version` is a policy's version here.
#[command(disable_version_flag = true)]
pub(in crate::cli) struct ShowPoliciesCommand {
    /// Show this policy: its document, versions and targets
    #[arg(long, value_name = "NAME", conflicts_with = "target")]
    name: Option<String>,
    /// Show this version's document instead of the default one's
    #[arg(long, value_name = "ID", requires = "name")]
    version: Option<String>,
    /// List the policies that are attached to this certificate, thing group or Cognito identity
    #[arg(long, value_name = "TARGET")]
    target: Option<String>,
    /// With those that are attached to groups above it
    #[arg(long, requires = "target")]
    inherited: bool,
    /// Format of the answer
    #[arg(long, value_enum, default_value = "text")]
    format: OutputFormat,
}

/// A policy as it is deployed.
#[derive(Serialize)]
struct DeployedPolicy<'s> {
    name: &'s str,
    arn: &'s str,
    created: Option<Timestamp>,
    changed: Option<Timestamp>,
    versions: Vec<ShownVersion<'s>>,
    targets: &'s BTreeSet<String>,
    /// Name of the version whose document follows.
    version: &'s str,
    document: Box<RawValue>,
}

#[derive(Serialize)]
struct ShownVersion<'s> {
    id: &'s str,
    created: Option<Timestamp>,
    default: bool,
}

/// Runs the command.
pub(in crate::cli::policy) fn run(
    command: &ShowPoliciesCommand,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    let bad = |result: Result<(), BadText>| result.err();
    let name = command
        .name
        .as_deref()
        .map(|name| PolicyName::parse(name).map(drop));
    let target = command
        .target
        .as_deref()
        .map(|target| AttachmentTarget::parse(target).map(drop));
    if let Some(BadText { what, help }) = name.or(target).and_then(bad) {
        write_error(messages, format_args!("{what}"), format_args!("{help}"))?;
        return Ok(Status::CannotAnswer);
    }
    if !endpoint_variables::are_usable(messages)? {
        return Ok(Status::CannotAnswer);
    }
    block_on(async {
        let plane = match AwsAccess::open(1.0).await {
            Ok(access) => access.plane,
            Err(error) => return stop(&error, Status::CannotAnswer, messages),
        };
        match show(command, &plane, out, messages).await? {
            Ok(status) => Ok(status),
            Err(error) => stop(&error, Status::Failed, messages),
        }
    })?
}

async fn show(
    command: &ShowPoliciesCommand,
    plane: &ControlPlane,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Result<Status, ControlError>> {
    if let Some(name) = &command.name {
        return one(command, name, plane, out, messages).await;
    }
    let names = match &command.target {
        Some(target) => plane.policies_of(target, command.inherited).await,
        None => plane.names().await,
    };
    let names = match names {
        Ok(names) => names,
        Err(error) => return Ok(Err(error)),
    };
    if names.is_empty() {
        let region = plane.region();
        match &command.target {
            Some(target) => write_line(
                messages,
                format_args!("no policy is attached to `{target}`"),
            )?,
            None => write_line(messages, format_args!("there is no policy in {region}"))?,
        }
    }
    match command.format {
        OutputFormat::Json => {
            let answer = serde_json::json!({
                "region": plane.region(),
                "target": command.target,
                "policies": names,
            });
            write_json(&answer, out)?;
        }
        OutputFormat::Text => {
            for name in names {
                write_line(out, format_args!("{name}"))?;
            }
        }
    }
    Ok(Ok(Status::Yes))
}

/// Shows one policy.
async fn one(
    command: &ShowPoliciesCommand,
    name: &str,
    plane: &ControlPlane,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Result<Status, ControlError>> {
    let read = async {
        let Some(deployed) = plane.policy(name).await? else {
            return Ok(None);
        };
        let versions = plane.versions(name).await?;
        let targets = plane.targets(name, &BTreeSet::new()).await?;
        Ok(Some((deployed, versions, targets)))
    };
    let (deployed, versions, targets) = match read.await {
        Ok(Some(read)) => read,
        Ok(None) => {
            write_line(
                messages,
                format_args!("there is no policy `{name}` in {}", plane.region()),
            )?;
            return Ok(Ok(Status::No));
        }
        Err(error) => return Ok(Err(error)),
    };
    let (version, document) = match &command.version {
        None => (&deployed.default_version, deployed.document.clone()),
        Some(version) => match plane.document(name, version).await {
            Ok(Some(document)) => (version, document),
            Ok(None) => {
                let known: Vec<&str> = versions.iter().map(|version| &*version.id).collect();
                let known = known.join(", ");
                write_line(
                    messages,
                    format_args!("policy `{name}` has no version `{version}`; it has {known}"),
                )?;
                return Ok(Ok(Status::No));
            }
            Err(error) => return Ok(Err(error)),
        },
    };
    let shown = DeployedPolicy {
        name,
        arn: &deployed.arn,
        created: deployed.created,
        changed: deployed.changed,
        versions: versions.iter().map(shown_version).collect(),
        targets: &targets,
        version,
        document: as_written(document)?,
    };
    write_one(&shown, command.format, out)?;
    Ok(Ok(Status::Yes))
}

/// JSON as it was sent; other text becomes a string.
fn as_written(document: String) -> anyhow::Result<Box<RawValue>> {
    match RawValue::from_string(document.clone()) {
        Ok(document) => Ok(document),
        Err(_) => Ok(to_raw_value(&document)?),
    }
}

fn shown_version(version: &DeployedVersion) -> ShownVersion<'_> {
    ShownVersion {
        id: &version.id,
        created: version.created,
        default: version.default,
    }
}

fn write_one(
    shown: &DeployedPolicy<'_>,
    format: OutputFormat,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    if format == OutputFormat::Json {
        write_json(shown, out)?;
        return Ok(());
    }
    let time =
        |time: Option<Timestamp>| time.map_or_else(|| "-".to_owned(), |time| format!("{time:.0}"));
    write_line(out, format_args!("policy:   {}", shown.name))?;
    write_line(out, format_args!("arn:      {}", shown.arn))?;
    for (at, version) in shown.versions.iter().enumerate() {
        let label = if at == 0 { "versions:" } else { "" };
        let default = if version.default { "  default" } else { "" };
        write_line(
            out,
            format_args!(
                "{label:<9} {}  {}{default}",
                version.id,
                time(version.created)
            ),
        )?;
    }
    let targets = shown.targets.iter().map(String::as_str);
    let none = shown.targets.is_empty().then_some("none");
    for (at, target) in targets.chain(none).enumerate() {
        let label = if at == 0 { "targets:" } else { "" };
        write_line(out, format_args!("{label:<9} {target}"))?;
    }
    writeln!(out)?;
    write_line(out, format_args!("version {}:", shown.version))?;
    writeln!(out, "{}", shown.document)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_service_names_begins_no_line() {
        let forged = "x\nversion 9:\u{1b}[2K";
        let targets = BTreeSet::from([forged.to_owned()]);
        let shown = DeployedPolicy {
            name: forged,
            arn: forged,
            created: None,
            changed: None,
            versions: vec![ShownVersion {
                id: forged,
                created: None,
                default: true,
            }],
            targets: &targets,
            version: forged,
            document: as_written(forged.to_owned()).unwrap(),
        };
        let mut out = Vec::new();
        write_one(&shown, OutputFormat::Text, &mut out).unwrap();
        let out = String::from_utf8(out).unwrap();
        assert_eq!(out.lines().count(), 7, "{out}");
        assert!(!out.contains('\u{1b}'), "{out:?}");
        assert!(!out.lines().any(|line| line == "version 9:"), "{out}");
    }
}
