//! Go: `go.mod`, without modules that it marks as indirect.

use super::declared;
use crate::guard::finding::GuardFinding;
use crate::guard::packages::PackageEcosystem::Go;

/// Reads a module file (Go modules reference, "go.mod files").
pub(super) fn module(path: &str, text: &str) -> Vec<GuardFinding> {
    let mut found = Vec::new();
    let mut is_list = false;
    for (index, line) in text.lines().enumerate() {
        let entry = line.trim_start();
        if entry.starts_with("require (") || entry.starts_with("require(") {
            is_list = true;
            continue;
        }
        if entry.starts_with(')') {
            is_list = false;
        }
        let single = entry.strip_prefix("require ");
        let entry = match (single, is_list) {
            (Some(single), _) => single.trim_start(),
            (None, true) => entry,
            (None, false) => continue,
        };
        let name = entry.split_whitespace().next().unwrap_or_default();
        if !entry.contains("// indirect") && !name.starts_with("//") {
            let column = line.find(name).unwrap_or(0) + 1;
            found.extend(declared(
                Go,
                path,
                name.trim_matches('"'),
                index + 1,
                column,
            ));
        }
    }
    found
}
