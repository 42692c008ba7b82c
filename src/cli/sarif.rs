//! Findings as SARIF 2.1.0 (OASIS, "Static Analysis Results Interchange Format"), which code hosts
//! show beside the code.
//!
//! The few properties that a linter needs, as types. The crate of the whole format brings a dozen
//! others, one of them under a licence that is not among ours, to generate code from the format's
//! schema.

use std::io::Write;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

use super::json::write_json;

/// Characters that are not escaped in the path of a URI (RFC 3986, section 3.3).
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A rule, as the log describes it once.
#[derive(Clone, Copy, Debug)]
pub(super) struct SarifRule {
    pub(super) code: &'static str,
    pub(super) level: SarifLevel,
    /// Reason why it matters.
    pub(super) reason: &'static str,
    /// Advice on what to do.
    pub(super) fix: &'static str,
}

/// Severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum SarifLevel {
    /// A fault.
    Error,
    /// A possible fault.
    Warning,
}

/// One result.
#[derive(Clone, Debug)]
pub(super) struct SarifFinding {
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
struct SarifLog<'l> {
    #[serde(rename = "$schema")]
    schema: &'static str,
    version: &'static str,
    runs: [SarifRun<'l>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SarifRun<'l> {
    tool: SarifTool<'l>,
    results: Vec<SarifResult<'l>>,
    column_kind: &'static str,
}

#[derive(Serialize)]
struct SarifTool<'l> {
    driver: SarifDriver<'l>,
}

#[derive(Serialize)]
struct SarifDriver<'l> {
    name: &'static str,
    version: &'static str,
    rules: Vec<SarifDescriptor<'l>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SarifDescriptor<'l> {
    id: &'l str,
    short_description: SarifText<'l>,
    help: SarifText<'l>,
    default_configuration: SarifConfiguration,
}

#[derive(Serialize)]
struct SarifConfiguration {
    level: SarifLevel,
}

#[derive(Serialize)]
struct SarifText<'l> {
    text: &'l str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SarifResult<'l> {
    rule_id: &'l str,
    rule_index: usize,
    level: SarifLevel,
    message: SarifText<'l>,
    locations: [SarifLocation; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SarifLocation {
    physical_location: PhysicalLocation,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PhysicalLocation {
    artifact_location: SarifArtifact,
    region: SarifRegion,
}

#[derive(Serialize)]
struct SarifArtifact {
    uri: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SarifRegion {
    start_line: usize,
    start_column: usize,
}

/// Writes a log of one run.
pub(super) fn write(
    rules: &[SarifRule],
    findings: &[SarifFinding],
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let log = SarifLog {
        schema: "https://json.schemastore.org/sarif-2.1.0.json",
        version: "2.1.0",
        runs: [SarifRun {
            tool: SarifTool {
                driver: SarifDriver {
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

fn descriptor(rule: &SarifRule) -> SarifDescriptor<'_> {
    SarifDescriptor {
        id: rule.code,
        short_description: SarifText { text: rule.reason },
        help: SarifText { text: rule.fix },
        default_configuration: SarifConfiguration { level: rule.level },
    }
}

fn outcome<'l>(finding: &'l SarifFinding, rules: &'l [SarifRule]) -> Option<SarifResult<'l>> {
    let rule = rules.get(finding.rule)?;
    Some(SarifResult {
        rule_id: rule.code,
        rule_index: finding.rule,
        level: rule.level,
        message: SarifText {
            text: &finding.message,
        },
        locations: [SarifLocation {
            physical_location: PhysicalLocation {
                artifact_location: SarifArtifact {
                    uri: utf8_percent_encode(&finding.file, PATH).to_string(),
                },
                region: SarifRegion {
                    start_line: finding.line,
                    start_column: finding.column,
                },
            },
        }],
    })
}
