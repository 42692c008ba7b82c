//! One file: its name decides the readers, the readers find.

use super::code::{self, CodeScan, RepositoryLinks};
use super::finding::GuardFinding;
use super::report::{GuardReport, SkipReason, SkippedFile};
use super::scope::left_out_by_text;
use super::waiver::{Waiver, inline_waivers};
use super::{dependencies, templates};

/// Everything that one file gives.
#[derive(Clone, Debug, Default)]
pub struct FileScan {
    /// Findings.
    pub findings: Vec<GuardFinding>,
    /// Parts without a verdict.
    pub skipped: Vec<SkippedFile>,
    /// Waivers in its comments.
    pub waivers: Vec<Waiver>,
    code: CodeScan,
}

/// Scans a file; `path` is below the root of the repository, with `/`. Parsing ends once
/// `is_expired` returns `true`.
pub fn scan_file(
    path: &str,
    bytes: &[u8],
    links: &RepositoryLinks,
    is_linked: bool,
    is_expired: &dyn Fn() -> bool,
) -> FileScan {
    let mut scan = FileScan::default();
    let skip = |reason, detail: String| SkippedFile {
        path: path.to_owned(),
        region: None,
        reason,
        detail,
    };
    let Ok(text) = std::str::from_utf8(bytes) else {
        let valid = String::from_utf8_lossy(bytes);
        let line = valid
            .split('\u{fffd}')
            .next()
            .unwrap_or_default()
            .matches('\n')
            .count()
            + 1;
        scan.skipped
            .push(skip(SkipReason::NotUtf8, format!("line {line}")));
        return scan;
    };
    let is_code = code::has_grammar(path);
    if is_code {
        scan.code = code::scan(path, text, links, is_linked, is_expired);
        scan.findings.append(&mut scan.code.findings);
        scan.skipped.append(&mut scan.code.skipped);
    } else if let Some(outcome) = dependencies::scan(path, text) {
        match outcome {
            Ok(findings) => scan.findings.extend(findings),
            Err(detail) => scan.skipped.push(skip(SkipReason::NotParsed, detail)),
        }
    } else if templates::is_template(path) {
        let read = templates::scan(path, text);
        scan.findings.extend(read.findings);
        scan.skipped.extend(read.skipped);
    }
    scan.waivers = inline_waivers(path, text);
    scan
}

/// A repository while its files are scanned.
#[derive(Debug, Default)]
pub struct RepositoryScan {
    report: GuardReport,
    links: RepositoryLinks,
    waivers: Vec<Waiver>,
}

impl RepositoryScan {
    /// Exports that matter, so far.
    pub fn links(&self) -> &RepositoryLinks {
        &self.links
    }

    /// Adds a file; returns `true` where it exports something that other files may use.
    pub fn add(&mut self, path: &str, mut scan: FileScan) -> bool {
        let is_new = scan.code.link(path, &mut self.links);
        self.report.files += 1;
        self.report.parsed += usize::from(scan.code.is_parsed);
        self.report.findings.append(&mut scan.findings);
        self.report.skipped.append(&mut scan.skipped);
        self.waivers.append(&mut scan.waivers);
        is_new
    }

    /// Adds a file that was scanned again, with more known of the files that it imports; returns
    /// `true` where it exports more now.
    pub fn replace(&mut self, path: &str, mut scan: FileScan) -> bool {
        self.report.findings.retain(|finding| finding.path != path);
        self.report.findings.append(&mut scan.findings);
        let before = self.links.clone();
        scan.code.link(path, &mut self.links);
        before != self.links
    }

    /// Adds a file that no rule looks at.
    pub fn leave_out(&mut self, kind: super::scope::LeftOut) {
        *self.report.left_out.entry(kind).or_default() += 1;
    }

    /// Adds a file in scope that could not be read.
    pub fn skip(&mut self, skipped: SkippedFile) {
        self.report.skipped.push(skipped);
    }

    /// The report in order, and the waivers that files have in line.
    pub fn finish(mut self) -> (GuardReport, Vec<Waiver>) {
        let findings = &mut self.report.findings;
        let folder = |path: &str| {
            path.rsplit_once('/')
                .map_or("", |(folder, _)| folder)
                .to_owned()
        };
        // A lock file repeats its manifest.
        let declared: Vec<(String, String)> = findings
            .iter()
            .filter(|one| dependencies::is_manifest(&one.path) && !dependencies::is_lock(&one.path))
            .map(|one| (folder(&one.path), one.matched.clone()))
            .collect();
        findings.retain(|one| {
            !dependencies::is_lock(&one.path)
                || !declared
                    .iter()
                    .any(|(at, name)| *name == one.matched && at.starts_with(&folder(&one.path)))
        });
        self.report.finish();
        (self.report, self.waivers)
    }
}

/// The reason to leave a file out by its text, if there is one.
pub fn left_out(path: &str, bytes: &[u8]) -> Option<super::scope::LeftOut> {
    left_out_by_text(path, bytes)
}
