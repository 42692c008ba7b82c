//! The baseline: findings that were there when the guard came, by their fingerprints.

use serde::{Deserialize, Serialize};

use super::finding::{GuardFinding, SourceRegion, Suppression};
use super::report::GuardReport;
use super::rules;

/// The version of the file that is written.
const VERSION: u32 = 1;

/// A baseline, as its file has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FindingBaseline {
    version: u32,
    findings: Vec<BaselineEntry>,
}

/// An entry of a baseline.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BaselineEntry {
    path: String,
    rule: String,
    fingerprint: String,
}

impl FindingBaseline {
    /// Reads a file.
    ///
    /// # Errors
    /// One line that says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let baseline: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        match baseline.version {
            VERSION => Ok(baseline),
            version => Err(format!(
                "version {version} is not {VERSION}, the one that is read"
            )),
        }
    }

    /// The baseline of the open findings of a report.
    pub fn of(report: &GuardReport) -> Self {
        let open = report
            .open()
            .filter(|one| *one.rule != *rules::waiver::RULE.id);
        let mut findings: Vec<BaselineEntry> = open
            .map(|finding| BaselineEntry {
                path: finding.path.clone(),
                rule: finding.rule.to_string(),
                fingerprint: finding.fingerprint.clone(),
            })
            .collect();
        findings.sort();
        Self {
            version: VERSION,
            findings,
        }
    }

    /// Number of entries.
    pub fn count(&self) -> usize {
        self.findings.len()
    }

    /// Suppresses findings that the baseline has; `name` is that of its file. An entry without a
    /// finding is a note where the whole repository was looked at.
    pub fn apply(&self, report: &mut GuardReport, name: &str, is_whole: bool) {
        for finding in report.findings.iter_mut().filter(|one| one.is_open()) {
            if self.covers(finding) {
                finding.suppression = Some(Suppression::Baselined);
            }
        }
        let gone: Vec<&BaselineEntry> = self
            .findings
            .iter()
            .filter(|entry| is_whole && !is_there(entry, report))
            .collect();
        for entry in gone {
            let (rule, path) = (&entry.rule, &entry.path);
            let message = format!("the finding of {rule} in `{path}` is gone");
            let matched = &entry.fingerprint;
            let region = SourceRegion::at(1, 1);
            let finding = GuardFinding::new(&rules::baseline::RULE, name, region, matched, message);
            report.findings.push(finding);
        }
        report.finish();
    }

    fn covers(&self, finding: &GuardFinding) -> bool {
        self.findings
            .iter()
            .any(|entry| entry.fingerprint == finding.fingerprint)
    }

    /// The baseline without entries that have no finding in a report, and their number.
    #[must_use]
    pub fn pruned(mut self, report: &GuardReport) -> (Self, usize) {
        let before = self.findings.len();
        self.findings.retain(|entry| is_there(entry, report));
        let gone = before - self.findings.len();
        (self, gone)
    }
}

fn is_there(entry: &BaselineEntry, report: &GuardReport) -> bool {
    report
        .findings
        .iter()
        .any(|finding| finding.fingerprint == entry.fingerprint)
}
