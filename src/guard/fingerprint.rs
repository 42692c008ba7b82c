//! Fingerprints: the same finding in a later revision.
//!
//! A fingerprint is made of the rule, the path, the found text with its white space folded, and
//! the finding's number among equal ones of the file. Lines are no part of it, so that it survives
//! code that moves.

use std::collections::HashMap;
use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use super::finding::GuardFinding;

/// Bytes of a fingerprint: 96 bits keep accidents away from millions of findings.
const FINGERPRINT_BYTES: usize = 12;

/// Sets the fingerprints of findings, which are in the order of their places.
pub fn set_fingerprints(findings: &mut [GuardFinding]) {
    let mut seen: HashMap<String, usize> = HashMap::new();
    for finding in findings {
        let text = folded(&finding.matched);
        let base = format!("{}\n{}\n{text}", finding.rule, finding.path);
        let ordinal = seen.entry(base.clone()).or_default();
        let digest = Sha256::digest(format!("{base}\n{ordinal}"));
        *ordinal += 1;
        let mut hex = String::new();
        for byte in digest.iter().take(FINGERPRINT_BYTES) {
            // A String takes everything.
            let _ = write!(hex, "{byte:02x}");
        }
        finding.fingerprint = hex;
    }
}

/// Text with each run of white space as one blank.
fn folded(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::catalogue::rules;
    use crate::guard::finding::SourceRegion;

    fn finding(line: usize, matched: &str) -> GuardFinding {
        let rule = rules().next().unwrap();
        GuardFinding::new(rule, "a.ts", SourceRegion::at(line, 1), matched, "x")
    }

    #[test]
    fn moved_lines_keep_their_fingerprints() {
        let mut before = [
            finding(1, "f(a, b)"),
            finding(9, "f(a, b)"),
            finding(10, "g()"),
        ];
        let mut after = [
            finding(3, "f(a,\n   b)"),
            finding(90, "f(a, b)"),
            finding(99, "g( )"),
        ];
        set_fingerprints(&mut before);
        set_fingerprints(&mut after);
        assert_eq!(before[0].fingerprint, after[0].fingerprint);
        assert_eq!(before[1].fingerprint, after[1].fingerprint);
        assert_ne!(before[0].fingerprint, before[1].fingerprint);
        assert_ne!(before[2].fingerprint, after[2].fingerprint);
        assert_eq!(before[0].fingerprint.len(), 24);
    }
}
