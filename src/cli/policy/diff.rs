//! `eventcast policy diff`: the permissions that one policy has and another has not.

use std::io::{BufRead, Write};

use clap::Args;
use serde::Serialize;

#[cfg(feature = "admin")]
use super::read_all;
use super::read_policies;
use crate::cli::json::write_json;
use crate::cli::user_error::write_error;
use crate::cli::{OutputFormat, Status};
use crate::escape::write_line;
use crate::policy::diff::{ActionChange, PermissionChange, PolicyDifference, diff};
use crate::policy::query_report::Policies;

pub(super) const HELP: &str = "\
Policies are compared by what they allow: what is said in other words, in another order or twice \
is no difference. A file may hold one document, several one after the other, a list of them, or an \
answer that holds documents, such as that of `aws iot get-policy` or of `policy generate --format \
json`.

Examples:
  eventcast policy diff --deployed customer customer.json
  eventcast policy diff before.json after.json --format json
  eventcast policy diff golden.json \"$(eventcast policy generate --role customer --claims t.json)\"

Exit status: 0 they allow the same, 1 they do not, 2 a policy is not right or not there, 3 IoT Core could not be asked.";

#[derive(Debug, Args)]
pub(in crate::cli) struct DiffCommand {
    /// The policy as it was and as it is: JSON text (beginning with `{` or `[`), files, or - for standard
    /// input
    #[arg(value_names = ["BEFORE", "AFTER"], required = true, num_args = 1..=2)]
    policies: Vec<String>,
    /// Compare with the default version of this policy on IoT Core instead of a first one
    #[cfg(feature = "admin")]
    #[arg(long, value_name = "NAME")]
    deployed: Option<String>,
    /// How differences are written
    #[arg(long, value_enum, default_value = "text")]
    format: OutputFormat,
}

impl DiffCommand {
    #[cfg(feature = "admin")]
    fn deployed(&self) -> Option<&str> {
        self.deployed.as_deref()
    }

    #[cfg(not(feature = "admin"))]
    fn deployed(&self) -> Option<&str> {
        None
    }

    /// The two sides to compare; where there is nothing to compare, the status of the command.
    fn sides(
        &self,
        mut input: Option<impl BufRead>,
        messages: &mut impl Write,
    ) -> anyhow::Result<Result<(Policies, Policies), Status>> {
        let mut read = |policy: &String| {
            read_policies(std::slice::from_ref(policy), &mut input, &mut *messages)
        };
        let (before, after) = match (self.deployed(), &*self.policies) {
            (None, [before, after]) => (read(before)?, read(after)?),
            (Some(name), [after]) => match read(after)? {
                // Nothing is asked for while this side is not right.
                None => (None, None),
                after => match fetch(name, messages)? {
                    Ok(before) => (before, after),
                    Err(status) => return Ok(Err(status)),
                },
            },
            (Some(_), _) => return count("the deployed policy is compared with one", messages),
            (None, _) => return count("two policies are compared", messages),
        };
        Ok(before.zip(after).ok_or(Status::CannotAnswer))
    }
}

/// The policy that is in force on IoT Core.
#[cfg(feature = "admin")]
fn fetch(
    name: &str,
    messages: &mut impl Write,
) -> anyhow::Result<Result<Option<Policies>, Status>> {
    let text = match super::deploy::fetch::document(name, messages)? {
        Ok(text) => text,
        Err(status) => return Ok(Err(status)),
    };
    let mut policies = Policies::default();
    let sound = read_all(&mut policies, &format!("deployed {name}"), &text, messages)?;
    Ok(Ok(sound.then_some(policies)))
}

/// Never called: without the control plane there is no flag that names a policy on it.
#[cfg(not(feature = "admin"))]
fn fetch(_: &str, _: &mut impl Write) -> anyhow::Result<Result<Option<Policies>, Status>> {
    Ok(Err(Status::CannotAnswer))
}

fn count<T>(what: &str, messages: &mut impl Write) -> anyhow::Result<Result<T, Status>> {
    write_error(
        messages,
        format_args!("{what}"),
        "give the policy as it was and as it is, or one and --deployed NAME",
    )?;
    Ok(Err(Status::CannotAnswer))
}

/// Runs the command.
pub(super) fn run(
    command: &DiffCommand,
    input: Option<impl BufRead>,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    let (before, after) = match command.sides(input, messages)? {
        Ok(sides) => sides,
        Err(status) => return Ok(status),
    };
    let difference = diff(&before.documents, &after.documents);
    match command.format {
        OutputFormat::Json => {
            write_json(&DiffReport::new(&difference), out)?;
        }
        OutputFormat::Text => write_text(&difference, out)?,
    }
    if difference.cut {
        writeln!(
            messages,
            "warning: the policies have too many patterns that overlap to compare all they mean; there may be more"
        )?;
    }
    Ok(match (difference.changes.is_empty(), difference.cut) {
        (true, false) => Status::Yes,
        (true, true) => Status::CannotAnswer,
        (false, _) => Status::No,
    })
}

/// A line for each change, `+` for a new permission and `-` for one that is taken away.
pub(super) fn lines(difference: &PolicyDifference) -> impl Iterator<Item = String> {
    difference.changes.iter().map(|change| {
        let sign = match change.verdict {
            PermissionChange::Allowed => "+",
            PermissionChange::Denied => "-",
        };
        format!("{sign} {} on {}", change.actions.join(", "), of(change))
    })
}

fn write_text(difference: &PolicyDifference, out: &mut impl Write) -> anyhow::Result<()> {
    for line in lines(difference) {
        write_line(out, format_args!("{line}"))?;
    }
    let count = |verdict| {
        difference
            .changes
            .iter()
            .filter(|change| change.verdict == verdict)
            .count()
    };
    match (
        count(PermissionChange::Allowed),
        count(PermissionChange::Denied),
    ) {
        (0, 0) => writeln!(out, "the same is allowed")?,
        (allowed, denied) => {
            write_line(
                out,
                format_args!("{allowed} newly allowed (+), {denied} no longer allowed (-)"),
            )?;
        }
    }
    Ok(())
}

/// The subject of a change, such as "part of `…`, such as `…`, when aws:SourceIp is `10.0.0.1`".
fn of(change: &ActionChange) -> String {
    let ActionChange {
        resource, example, ..
    } = change;
    let mut text = if change.whole {
        format!("`{resource}`")
    } else {
        format!("part of `{resource}`, such as `{example}`")
    };
    for (key, value) in &change.when {
        text += &format!(", when {key} is `{value}`");
    }
    if change.when.is_empty() && !change.always {
        text += ", in some requests: conditions decide";
    }
    text
}

/// The answer for programs.
#[derive(Serialize)]
struct DiffReport<'r> {
    same: bool,
    /// `true` where everything was compared.
    complete: bool,
    changes: Vec<ChangeReport<'r>>,
}

#[derive(Serialize)]
struct ChangeReport<'r> {
    became: &'static str,
    actions: &'r [String],
    resource: &'r str,
    /// `true` where all of the resource changed, `false` for a part of it.
    whole: bool,
    /// `true` where it changed in every request.
    always: bool,
    when: serde_json::Map<String, serde_json::Value>,
    example: &'r str,
}

impl<'r> DiffReport<'r> {
    fn new(difference: &'r PolicyDifference) -> Self {
        let when = |change: &ActionChange| {
            let pairs = change.when.iter();
            pairs
                .map(|(key, value)| (key.clone(), value.as_str().into()))
                .collect()
        };
        let told = |change: &'r ActionChange| ChangeReport {
            became: match change.verdict {
                PermissionChange::Allowed => "allowed",
                PermissionChange::Denied => "denied",
            },
            actions: &change.actions,
            resource: &change.resource,
            whole: change.whole,
            always: change.always,
            when: when(change),
            example: &change.example,
        };
        Self {
            same: difference.changes.is_empty() && !difference.cut,
            complete: !difference.cut,
            changes: difference.changes.iter().map(told).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct DiffLine {
        #[command(flatten)]
        diff: DiffCommand,
    }

    const BEFORE: &str = r#"{"Version":"2012-10-17","Statement":[
        {"Effect":"Allow","Action":["iot:Subscribe","iot:Receive"],"Resource":["arn:aws:iot:eu-central-1:123456789012:topicfilter/order/*","arn:aws:iot:eu-central-1:123456789012:topic/order/*"]},
        {"Effect":"Allow","Action":"iot:Connect","Resource":"arn:aws:iot:eu-central-1:123456789012:client/7","Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}}]}"#;
    const AFTER: &str = r#"[{"Version":"2012-10-17","Statement":
        {"Effect":"Allow","Action":"iot:Subscribe","Resource":"arn:aws:iot:eu-central-1:123456789012:topicfilter/order/7"}},
        {"Version":"2012-10-17","Statement":[
        {"Effect":"Allow","Action":["iot:Receive","iot:Publish"],"Resource":"arn:aws:iot:eu-central-1:123456789012:topic/order/7"},
        {"Effect":"Allow","Action":"iot:Connect","Resource":"arn:aws:iot:eu-central-1:123456789012:client/7"}]}]"#;

    fn compared(arguments: &[&str]) -> (Status, String) {
        let line = ["diff"].iter().chain(arguments);
        let line = DiffLine::try_parse_from(line).unwrap();
        let (mut out, mut messages) = (Vec::new(), Vec::new());
        let status = run(&line.diff, None::<&[u8]>, &mut out, &mut messages).unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (status, format!("{}{}", text(messages), text(out)))
    }

    #[test]
    fn differences() {
        let (status, told) = compared(&[BEFORE, AFTER]);
        assert_eq!(status, Status::No);
        insta::assert_snapshot!(told);
        insta::assert_snapshot!(compared(&[AFTER, BEFORE, "--format", "json"]).1);
    }

    #[test]
    fn no_difference_and_no_answer() {
        let told = compared(&[AFTER, AFTER]);
        assert_eq!(told, (Status::Yes, "the same is allowed\n".to_owned()));
        let (status, told) = compared(&["[{}, {\"Statement\":\n  [7]}]", "no-such-file.json"]);
        assert_eq!(status, Status::CannotAnswer);
        insta::assert_snapshot!(told);
    }
}
