//! Reports as SARIF 2.1.0, in two profiles.
//!
//! GitHub's code scanning ignores `suppressions`, refuses empty arrays and lines before 1, and
//! shows 5,000 results of a run (GitHub documentation, "SARIF support for code scanning"). Its own
//! key `primaryLocationLineHash` is left to the action that uploads the file.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::check::SarifProfile;
use crate::guard::catalogue::rules;
use crate::guard::finding::{GuardFinding, SourceRegion, Suppression};
use crate::guard::report::GuardReport;
use crate::guard::rule::GuardRule;

/// The most results that GitHub shows.
const GITHUB_RESULTS: usize = 5000;

/// Characters that stay in the path of a URI (RFC 3986, section 3.3).
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The document of a report.
pub(super) fn document(report: &GuardReport, profile: SarifProfile) -> Value {
    let rules: Vec<&GuardRule> = rules().collect();
    let mut findings: Vec<&GuardFinding> = match profile {
        SarifProfile::Github => report.open().collect(),
        SarifProfile::Full => report.findings.iter().collect(),
    };
    if profile == SarifProfile::Github {
        // The gravest first, since findings beyond the limit are not shown.
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        findings.truncate(GITHUB_RESULTS);
    }
    let results: Vec<Value> = findings
        .iter()
        .map(|one| result(one, &rules, profile))
        .collect();
    let descriptors: Vec<Value> = rules.iter().map(|rule| descriptor(rule)).collect();
    let notices: Vec<Value> = report.skipped.iter().map(|skipped| {
        json!({
            "level": "warning",
            "message": { "text": format!("{} {} {}", skipped.path, skipped.reason.text(), skipped.detail).trim_end() },
        })
    }).collect();
    let mut invocation = json!({ "executionSuccessful": true });
    if !notices.is_empty()
        && let Some(object) = invocation.as_object_mut()
    {
        object.insert("toolExecutionNotifications".to_owned(), notices.into());
    }
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "eventcast guard",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": descriptors,
            } },
            "automationDetails": { "id": "eventcast-guard/" },
            "invocations": [invocation],
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn descriptor(rule: &GuardRule) -> Value {
    json!({
        "id": rule.id,
        "name": rule.name,
        "shortDescription": { "text": rule.summary },
        "fullDescription": { "text": rule.reason },
        "help": { "text": rule.fix },
        "defaultConfiguration": { "level": rule.severity.name() },
    })
}

fn result(finding: &GuardFinding, rules: &[&GuardRule], profile: SarifProfile) -> Value {
    let uri = utf8_percent_encode(&finding.path, PATH).to_string();
    let mut result = json!({
        "ruleId": finding.rule,
        "level": finding.severity.name(),
        "message": { "text": finding.message },
        "locations": [{ "physicalLocation": {
            "artifactLocation": { "uri": uri },
            "region": region(finding.region),
        } }],
        "partialFingerprints": { "eventcast/v1": finding.fingerprint },
    });
    let Some(object) = result.as_object_mut() else {
        return result;
    };
    if let Some(index) = rules.iter().position(|rule| rule.id == finding.rule) {
        object.insert("ruleIndex".to_owned(), index.into());
    }
    if !finding.fixes.is_empty() {
        let fixes = finding.fixes.iter().map(|fix| {
            json!({
                "description": { "text": fix.description },
                "artifactChanges": [{
                    "artifactLocation": { "uri": uri },
                    "replacements": [{
                        "deletedRegion": region(fix.region),
                        "insertedContent": { "text": fix.replacement },
                    }],
                }],
            })
        });
        object.insert("fixes".to_owned(), fixes.collect());
    }
    if profile == SarifProfile::Full
        && let Some(suppression) = &finding.suppression
    {
        object.insert(
            "suppressions".to_owned(),
            json!([suppressed(suppression, finding)]),
        );
    }
    result
}

fn suppressed(suppression: &Suppression, finding: &GuardFinding) -> Value {
    match suppression {
        Suppression::Waived {
            owner,
            reason,
            until,
            place,
        } => {
            let is_inline = place.starts_with(&format!("{}:", finding.path));
            json!({
                "kind": if is_inline { "inSource" } else { "external" },
                "status": "accepted",
                "justification": reason,
                "properties": { "owner": owner, "until": until },
            })
        }
        Suppression::Baselined => json!({
            "kind": "external",
            "status": "accepted",
            "justification": "in the baseline",
        }),
    }
}

/// A region; one without an extent is a place alone.
fn region(region: SourceRegion) -> Value {
    let (start, end) = (region.start, region.end);
    let mut value = json!({
        "startLine": start.line.max(1),
        "startColumn": start.column.max(1),
    });
    if end > start
        && let Some(object) = value.as_object_mut()
    {
        object.insert("endLine".to_owned(), end.line.into());
        object.insert("endColumn".to_owned(), end.column.into());
    }
    value
}
