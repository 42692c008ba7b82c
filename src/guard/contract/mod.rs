//! The contract of a feature, proved: its manifest, the platform's configuration, and the contract
//! before a change.
//!
//! Nothing is compared as text. Example events run through the routes that the daemon would have,
//! and audiences are asked of the documents that clients would get. `src/cli/guard/` reads the
//! files, and their versions at the base revision.

pub mod changes;
pub mod hearing;
pub mod made_event;
pub mod routed;
pub mod rules;
pub mod served;

use serde::Serialize;

use self::routed::PlatformRoutes;
use super::finding::{GuardFinding, SourceRegion};
use super::manifest::FeatureManifest;
use super::report::{GuardReport, SkipReason, SkippedFile};
use super::rule::GuardRule;
use crate::config::Config;
use crate::config::fault::{Fault, ValuePlace};
use crate::event::pattern::tree::TextPosition;

/// Everything that a contract is proved with.
#[derive(Clone, Copy, Debug)]
pub struct ContractInput<'i> {
    /// The manifest.
    pub manifest: &'i FeatureManifest,
    /// The platform that it names.
    pub platform: &'i Config,
    /// The contract before the change.
    pub base: Option<BaseContract<'i>>,
}

/// A contract before a change.
#[derive(Clone, Copy, Debug)]
pub struct BaseContract<'i> {
    /// The manifest.
    pub manifest: &'i FeatureManifest,
    /// The platform's configuration; `None` where it was not right or not there.
    pub platform: Option<&'i Config>,
}

/// The answer of the rules of contracts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ContractCheck {
    /// The findings.
    pub findings: Vec<GuardFinding>,
    /// Parts that could not be proved either way.
    pub unproved: Vec<UnprovedPart>,
}

/// A part of a contract that a rule could not prove.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UnprovedPart {
    /// The rule's id.
    pub rule: String,
    /// The manifest.
    pub path: String,
    /// Declaration of the part.
    pub region: SourceRegion,
    /// One line: why.
    pub detail: String,
}

/// A rule's view of a contract: the input, and where findings go.
struct ContractRun<'i> {
    input: ContractInput<'i>,
    routes: PlatformRoutes<'i>,
    check: ContractCheck,
}

impl ContractRun<'_> {
    /// Adds a finding of a place in the manifest. `part` names its subject, and stays when lines
    /// move.
    fn find(
        &mut self,
        rule: &GuardRule,
        at: TextPosition,
        part: &str,
        message: String,
    ) -> &mut GuardFinding {
        let finding = GuardFinding::new(rule, &self.input.manifest.file, region(at), part, message);
        self.check.findings.push(finding);
        let last = self.check.findings.len() - 1;
        #[expect(clippy::indexing_slicing, reason = "the last element was just pushed")]
        &mut self.check.findings[last]
    }

    fn unproved(&mut self, rule: &GuardRule, at: TextPosition, detail: String) {
        self.check.unproved.push(UnprovedPart {
            rule: rule.id.to_string(),
            path: self.input.manifest.file.clone(),
            region: region(at),
            detail,
        });
    }
}

/// The report of a contract alone.
pub fn report(check: ContractCheck) -> GuardReport {
    let skipped = check.unproved.into_iter().map(|part| SkippedFile {
        path: part.path,
        region: Some(part.region),
        reason: SkipReason::Unproved,
        detail: format!("{}: {}", part.rule, part.detail),
    });
    GuardReport {
        findings: check.findings,
        skipped: skipped.collect(),
        ..GuardReport::default()
    }
}

/// The same with findings in the order of their places, each once, and with fingerprints.
pub fn finished(check: ContractCheck) -> ContractCheck {
    let mut report = GuardReport {
        findings: check.findings,
        ..GuardReport::default()
    };
    report.finish();
    ContractCheck {
        findings: report.findings,
        unproved: check.unproved,
    }
}

fn region(at: TextPosition) -> SourceRegion {
    SourceRegion::at(at.line.max(1), at.column.max(1))
}

/// Proves a contract by all rules but RT101, which is about manifests that cannot be read.
pub fn check(input: ContractInput<'_>) -> ContractCheck {
    let mut run = ContractRun {
        input,
        routes: PlatformRoutes::new(input.platform),
        check: ContractCheck::default(),
    };
    rules::unrouted_event::check(&mut run);
    rules::routed_counter_example::check(&mut run);
    rules::audience::check(&mut run);
    rules::exceeded_quota::check(&mut run);
    rules::weaker_delivery::check(&mut run);
    rules::change::check(&mut run);
    run.check
}

/// The findings of a manifest that is not right: one for each fault.
pub fn manifest_findings(file: &str, faults: &[Fault]) -> Vec<GuardFinding> {
    let finding = |fault: &Fault| {
        let at = match &fault.place {
            ValuePlace::File { line, column, .. } => SourceRegion::at(*line, *column),
            ValuePlace::Override { .. } => SourceRegion::at(1, 1),
        };
        let part = format!("{} {}", fault.code, fault.key);
        let rule = &rules::invalid_manifest::RULE;
        let finding = GuardFinding::new(rule, file, at, &part, fault.message.clone());
        let accepted = fault
            .accepted
            .as_ref()
            .map(|accepted| format!("accepted: {accepted}"));
        let help: Vec<String> = accepted.into_iter().chain(fault.help.clone()).collect();
        if help.is_empty() {
            finding
        } else {
            finding.help(help.join("; "))
        }
    };
    faults.iter().map(finding).collect()
}

#[cfg(test)]
mod tests;
