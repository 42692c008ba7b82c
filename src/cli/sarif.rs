//! Findings as SARIF 2.1.0 (OASIS, "Static Analysis Results Interchange Format"), which code hosts show beside the code.
//!
//! The few properties that a linter needs, as types. The crate of the whole format brings a dozen others, one of them under a licence that
//! is not among ours, to generate code from the format's schema.

use std::io::Write;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

use super::json::write_json;

/// What stays as it is in the path of a URI (RFC 3986, section 3.3).
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A rule, as the log describes it once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    pub(super) code: &'static str,
    pub(super) level: Level,
    /// Why it matters.
    pub(super) reason: &'static str,
    /// What to do.
    pub(super) fix: &'static str,
}

/// How grave a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    /// It is wrong.
    Error,
    /// It may be.
    Warning,
}

/// One result.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    /// The rule's place among the rules.
    pub(super) rule: usize,
    pub(super) message: String,
    /// The file, from where the tool runs.
    pub(super) file: String,
    /// Counted from 1, columns in characters.
    pub(super) line: usize,
    pub(super) column: usize,
}

#[derive(Serialize)]
struct Log<'l> {
    #[serde(rename = "$schema")]
    schema: &'static str,
    version: &'static str,
    runs: [Run<'l>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Run<'l> {
    tool: Tool<'l>,
    results: Vec<Outcome<'l>>,
    column_kind: &'static str,
}

#[derive(Serialize)]
struct Tool<'l> {
    driver: Driver<'l>,
}

#[derive(Serialize)]
struct Driver<'l> {
    name: &'static str,
    version: &'static str,
    rules: Vec<Descriptor<'l>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor<'l> {
    id: &'l str,
    short_description: Text<'l>,
    help: Text<'l>,
    default_configuration: Configuration,
}

#[derive(Serialize)]
struct Configuration {
    level: Level,
}

#[derive(Serialize)]
struct Text<'l> {
    text: &'l str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Outcome<'l> {
    rule_id: &'l str,
    rule_index: usize,
    level: Level,
    message: Text<'l>,
    locations: [Location; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Location {
    physical_location: PhysicalLocation,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PhysicalLocation {
    artifact_location: Artifact,
    region: Region,
}

#[derive(Serialize)]
struct Artifact {
    uri: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Region {
    start_line: usize,
    start_column: usize,
}

/// Writes a log of one run.
pub(super) fn write(
    rules: &[Rule],
    findings: &[Finding],
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let log = Log {
        schema: "https://json.schemastore.org/sarif-2.1.0.json",
        version: "2.1.0",
        runs: [Run {
            tool: Tool {
                driver: Driver {
                    name: "eventcast",
                    version: env!("CARGO_PKG_VERSION"),
                    rules: rules.iter().map(descriptor).collect(),
                },
            },
            results: findings
                .iter()
                .filter_map(|finding| outcome(finding, rules))
                .collect(),
            column_kind: "unicodeCodePoints",
        }],
    };
    write_json(&log, out)?;
    Ok(())
}

fn descriptor(rule: &Rule) -> Descriptor<'_> {
    Descriptor {
        id: rule.code,
        short_description: Text { text: rule.reason },
        help: Text { text: rule.fix },
        default_configuration: Configuration { level: rule.level },
    }
}

fn outcome<'l>(finding: &'l Finding, rules: &'l [Rule]) -> Option<Outcome<'l>> {
    let rule = rules.get(finding.rule)?;
    Some(Outcome {
        rule_id: rule.code,
        rule_index: finding.rule,
        level: rule.level,
        message: Text {
            text: &finding.message,
        },
        locations: [Location {
            physical_location: PhysicalLocation {
                artifact_location: Artifact {
                    uri: utf8_percent_encode(&finding.file, PATH).to_string(),
                },
                region: Region {
                    start_line: finding.line,
                    start_column: finding.column,
                },
            },
        }],
    })
}
