//! One file: its name decides the reader, the reader finds.

use super::dependencies::npm;
use super::finding::GuardFinding;
use super::report::{SkipReason, SkippedFile};

/// Everything that one file gives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileScan {
    /// Findings.
    pub findings: Vec<GuardFinding>,
    /// Parts without a verdict.
    pub skipped: Vec<SkippedFile>,
}

/// Returns `true` where a file's name says that there is a reader for it.
pub fn is_in_scope(path: &str) -> bool {
    file_name(path) == "package.json"
}

/// Scans a file; `path` is below the root of the repository, with `/`.
pub fn scan_file(path: &str, bytes: &[u8]) -> FileScan {
    let mut scan = FileScan::default();
    let skip = |reason, detail: String| SkippedFile {
        path: path.to_owned(),
        region: None,
        reason,
        detail,
    };
    let Ok(text) = std::str::from_utf8(bytes) else {
        scan.skipped.push(skip(SkipReason::NotUtf8, String::new()));
        return scan;
    };
    match npm::manifest(path, text) {
        Ok(findings) => scan.findings = findings,
        Err(detail) => scan.skipped.push(skip(SkipReason::NotParsed, detail)),
    }
    scan
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
