//! Names of statements.

use std::collections::HashMap;

use super::{FindingLevel, LintContext, LintRule};

pub(super) static REPEATED: LintRule = LintRule {
    code: "repeated-sid",
    level: FindingLevel::Warning,
    reason: "a Sid names one statement of a policy (IAM user guide, \"Sid\"), and reports cannot tell the two apart",
    fix: "give each statement a Sid of its own, or none",
};

pub(super) fn check(lint: &mut LintContext<'_>) {
    let mut known: HashMap<(usize, &str), usize> = HashMap::new();
    for (document, statement) in lint.statements() {
        let Some(sid) = statement.sid.as_deref() else {
            continue;
        };
        match known.get(&(document, sid)) {
            Some(line) => {
                let message =
                    format!("the Sid `{sid}` is that of the statement in line {line} already");
                lint.add(&REPEATED, document, statement.at, message);
            }
            None => {
                known.insert((document, sid), statement.at.line);
            }
        }
    }
}
