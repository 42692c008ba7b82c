//! `eventcast policy lint`: effects of policies that are probably not meant.

use std::io::{BufRead, Write};

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::read_policies;
use super::simulate::principal;
use crate::cli::diagnostic::excerpt;
use crate::cli::json::write_json;
use crate::cli::{Status, sarif};
use crate::escape::write_line;
use crate::policy::context::ClientPrincipal;
use crate::policy::lint::{FindingLevel, LintFinding, LintRule, LintSource, RULES, lint};
use crate::policy::query_report::Policies;

pub(super) const HELP: &str = "\
Give all policies of the same clients together: whether a subscription is ever delivered, and \
whether a deny is walked around, depends on all of them. docs/lints.md explains every rule.

Examples:
  eventcast policy lint customer.json
  eventcast policy lint device.json base.json --principal certificate
  eventcast policy lint policies/golden/*.json --format sarif > lint.sarif
  eventcast policy lint - --severity error < customer.json
  eventcast policy lint customer.json --ignore receive-on-everything

Exit status: 0 nothing found, 1 findings, 2 a policy is not right.";

#[derive(Debug, Args)]
pub(in crate::cli) struct LintCommand {
    /// Policies: JSON text (beginning with `{`), files, or - for standard input
    #[arg(value_name = "JSON|FILE", required = true)]
    policies: Vec<String>,
    /// How the clients prove who they are, which decides what variables they have: certificate, cognito-authenticated,
    /// cognito-unauthenticated, iam, custom-authorizer
    #[arg(long, value_name = "KIND", value_parser = principal)]
    principal: Option<ClientPrincipal>,
    /// Report findings of this level and above
    #[arg(long, value_enum, value_name = "LEVEL", default_value = "warning")]
    severity: ReportedSeverity,
    /// Leave out the findings of this rule, by its id (repeatable)
    #[arg(long, value_name = "ID", value_parser = rule)]
    ignore: Vec<&'static LintRule>,
    /// How findings are written
    #[arg(long, value_enum, default_value = "text")]
    format: LintFormat,
}

/// The least grave findings that are reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ReportedSeverity {
    /// Errors and warnings.
    Warning,
    /// Errors alone.
    Error,
}

impl From<ReportedSeverity> for FindingLevel {
    fn from(severity: ReportedSeverity) -> Self {
        match severity {
            ReportedSeverity::Warning => Self::Warning,
            ReportedSeverity::Error => Self::Error,
        }
    }
}

/// A rule by its id, as an argument.
fn rule(id: &str) -> Result<&'static LintRule, String> {
    let known = RULES.into_iter().find(|rule| rule.code == id);
    known.ok_or_else(|| {
        let likeness = |rule: &&LintRule| {
            strsim::jaro_winkler(&rule.code.to_ascii_lowercase(), &id.to_ascii_lowercase())
        };
        let near = RULES
            .into_iter()
            .max_by(|one, other| likeness(one).total_cmp(&likeness(other)));
        match near.filter(|rule| likeness(rule) > 0.8) {
            Some(near) => format!("there is no such rule; did you mean `{}`?", near.code),
            None => "there is no such rule; docs/lints.md has all".to_owned(),
        }
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LintFormat {
    /// For people.
    Text,
    /// For programs: one JSON document.
    Json,
    /// For code hosts: SARIF 2.1.0.
    Sarif,
}

/// Runs the command.
pub(super) fn run(
    command: &LintCommand,
    mut input: Option<impl BufRead>,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    let Some(policies) = read_policies(&command.policies, &mut input, messages)? else {
        return Ok(Status::CannotAnswer);
    };
    let mut findings = found(&policies, command.principal);
    findings.retain(|finding| {
        let rule = finding.rule;
        rule.level >= command.severity.into() && !command.ignore.contains(&rule)
    });
    match command.format {
        LintFormat::Text => write_text(&findings, &policies, out)?,
        LintFormat::Json => {
            write_json(&LintReport::new(&findings, &policies), out)?;
        }
        LintFormat::Sarif => write_sarif(&findings, &policies, out)?,
    }
    Ok(if findings.is_empty() {
        Status::Yes
    } else {
        Status::No
    })
}

/// The findings in policies of the same clients.
pub(super) fn found(policies: &Policies, principal: Option<ClientPrincipal>) -> Vec<LintFinding> {
    let sources: Vec<LintSource<'_>> = policies
        .texts
        .iter()
        .zip(&policies.documents)
        .map(|(text, document)| LintSource { text, document })
        .collect();
    lint(&sources, principal)
}

fn word(rule: &LintRule) -> &'static str {
    match rule.level {
        FindingLevel::Error => "error",
        FindingLevel::Warning => "warning",
    }
}

fn name<'p>(finding: &LintFinding, policies: &'p Policies) -> &'p str {
    policies
        .names
        .get(finding.document)
        .map_or("policy", String::as_str)
}

/// Number of findings of a level.
pub(super) fn count(findings: &[LintFinding], level: FindingLevel) -> usize {
    findings
        .iter()
        .filter(|finding| finding.rule.level == level)
        .count()
}

/// Writes findings, each with its place, its reason and what to do.
pub(super) fn write_findings(
    findings: &[LintFinding],
    policies: &Policies,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    for finding in findings {
        let LintFinding {
            rule, at, message, ..
        } = finding;
        write_line(
            out,
            format_args!("{}[{}]: {message}", word(rule), rule.code),
        )?;
        write_line(
            out,
            format_args!(
                "  --> {}:{}:{}",
                name(finding, policies),
                at.line,
                at.column
            ),
        )?;
        if let Some(text) = policies.texts.get(finding.document) {
            excerpt(text, at.line, at.column, out)?;
        }
        write_line(out, format_args!("   = reason: {}", rule.reason))?;
        write_line(out, format_args!("help: {}", rule.fix))?;
        writeln!(out)?;
    }
    Ok(())
}

fn write_text(
    findings: &[LintFinding],
    policies: &Policies,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    write_findings(findings, policies, out)?;
    let documents = policies.documents.len();
    let documents = match documents {
        1 => "1 policy".to_owned(),
        many => format!("{many} policies"),
    };
    match (
        count(findings, FindingLevel::Error),
        count(findings, FindingLevel::Warning),
    ) {
        (0, 0) => write_line(out, format_args!("{documents}, nothing found"))?,
        (errors, warnings) => write_line(
            out,
            format_args!(
                "{documents}, {}, {}",
                counted(errors, "error"),
                counted(warnings, "warning")
            ),
        )?,
    }
    Ok(())
}

/// A number of things, such as `1 error`, `2 errors`.
pub(super) fn counted(count: usize, thing: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {thing}{s}")
}

/// All findings for programs.
#[derive(Serialize)]
struct LintReport<'r> {
    errors: usize,
    warnings: usize,
    findings: Vec<FindingReport<'r>>,
}

#[derive(Serialize)]
struct FindingReport<'r> {
    code: &'static str,
    level: &'static str,
    message: &'r str,
    reason: &'static str,
    help: &'static str,
    document: &'r str,
    line: usize,
    column: usize,
}

impl<'r> LintReport<'r> {
    fn new(findings: &'r [LintFinding], policies: &'r Policies) -> Self {
        let told = |finding: &'r LintFinding| FindingReport {
            code: finding.rule.code,
            level: word(finding.rule),
            message: &finding.message,
            reason: finding.rule.reason,
            help: finding.rule.fix,
            document: name(finding, policies),
            line: finding.at.line,
            column: finding.at.column,
        };
        Self {
            errors: count(findings, FindingLevel::Error),
            warnings: count(findings, FindingLevel::Warning),
            findings: findings.iter().map(told).collect(),
        }
    }
}

fn write_sarif(
    findings: &[LintFinding],
    policies: &Policies,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let rules = RULES.map(|rule| sarif::SarifRule {
        code: rule.code,
        level: match rule.level {
            FindingLevel::Error => sarif::SarifLevel::Error,
            FindingLevel::Warning => sarif::SarifLevel::Warning,
        },
        reason: rule.reason,
        fix: rule.fix,
    });
    let findings: Vec<sarif::SarifFinding> = findings
        .iter()
        .map(|finding| sarif::SarifFinding {
            rule: RULES
                .iter()
                .position(|rule| *rule == finding.rule)
                .unwrap_or_default(),
            message: finding.message.clone(),
            file: name(finding, policies).to_owned(),
            line: finding.at.line,
            column: finding.at.column,
        })
        .collect();
    sarif::write(&rules, &findings, out)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct LintLine {
        #[command(flatten)]
        lint: LintCommand,
    }

    const DEVICE: &str = r#"{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Action": ["iot:Connect", "iot:Publish"],
      "Resource": [
        "arn:aws:iot:eu-central-1:123456789012:client/${iot:Connection.Thing.ThingName}",
        "arn:aws:iot:eu-central-1:123456789012:topic/*"
      ]
    },
    {
      "Effect": "Allow",
      "Action": "iot:Subscribe",
      "Resource": "arn:aws:iot:eu-central-1:123456789012:topic/order/*"
    },
    {
      "Effect": "Allow",
      "Action": "iot:Receive",
      "Resource": "*"
    }
  ]
}"#;

    fn linted(arguments: &[&str]) -> (Status, String) {
        let line = ["lint"].iter().chain(arguments);
        let line = LintLine::try_parse_from(line).unwrap();
        let (mut out, mut messages) = (Vec::new(), Vec::new());
        let status = run(&line.lint, None::<&[u8]>, &mut out, &mut messages).unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (status, format!("{}{}", text(messages), text(out)))
    }

    #[test]
    fn findings_in_words() {
        let (status, told) = linted(&[DEVICE, "--principal", "custom-authorizer"]);
        assert_eq!(status, Status::No);
        insta::assert_snapshot!(told);
    }

    #[test]
    fn findings_for_programs() {
        insta::assert_snapshot!(linted(&[DEVICE, "--format", "json"]).1);
        let (status, told) = linted(&[DEVICE, "--format", "sarif"]);
        assert_eq!(status, Status::No);
        insta::assert_snapshot!(told.replace(env!("CARGO_PKG_VERSION"), "VERSION"));
    }

    #[test]
    fn findings_can_be_left_out() {
        let errors = linted(&[DEVICE, "--severity", "error"]).1;
        assert!(
            errors.ends_with("1 policy, 2 errors, 0 warnings\n"),
            "{errors}"
        );
        let all = linted(&[DEVICE]).1;
        assert!(all.ends_with("1 policy, 2 errors, 1 warning\n"), "{all}");
        let (status, told) = linted(&[
            DEVICE,
            "--severity",
            "error",
            "--ignore",
            "subscribe-on-topic",
            "--ignore",
            "resource-of-no-action",
            "--ignore",
            "ALLOWS_BROAD_ACCESS_TO_IOT_DATA_PLANE_ACTIONS",
        ]);
        assert_eq!(status, Status::Yes, "{told}");
        let line = ["lint", DEVICE, "--ignore", "subscribe-on-topics"];
        let refused = LintLine::try_parse_from(line).unwrap_err().to_string();
        assert!(
            refused.contains("did you mean `subscribe-on-topic`?"),
            "{refused}"
        );
    }

    #[test]
    fn nothing_found_and_nothing_read() {
        let clean = DEVICE
            .replace("topic/order/*", "topicfilter/order/*")
            .replace("topic/*", "topic/state/*")
            .replace(
                "\"*\"",
                "\"arn:aws:iot:eu-central-1:123456789012:topic/order/*\"",
            );
        let (status, told) = linted(&[&clean, &clean]);
        assert_eq!(
            (status, told.as_str()),
            (Status::Yes, "2 policies, nothing found\n")
        );
        let (status, told) = linted(&["{}", "no-such-file.json"]);
        assert_eq!(status, Status::CannotAnswer);
        insta::assert_snapshot!(told);
    }
}
