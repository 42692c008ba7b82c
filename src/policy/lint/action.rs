//! Actions that do not exist.

use super::{FindingLevel, LintContext, LintRule};
use crate::policy::action::{ACTIONS, control_plane, is_foreign, is_known, kind_of, nearest};
use crate::policy::document::Statement;

pub(super) static UNKNOWN_ACTION: LintRule = LintRule {
    code: "unknown-action",
    level: FindingLevel::Error,
    reason: "no request has this action, so that nothing is allowed or denied by it",
    fix: "write an action of the service authorization reference, \"Actions defined by AWS IoT\"",
};

pub(super) fn check(lint: &mut LintContext<'_>) {
    for (document, statement) in lint.statements() {
        for action in statement.actions.listed() {
            if !is_known(action) {
                let nearest = match nearest(&action.text) {
                    Some(nearest) => format!("; did you mean `{nearest}`?"),
                    None => String::new(),
                };
                let message = format!("AWS IoT has no action `{}`{nearest}", action.text);
                lint.add(&UNKNOWN_ACTION, document, action.at, message);
            }
        }
    }
}

/// The kinds of resources that a statement's actions are checked against; `None` when it has an
/// action that is not of the data plane, so that any resource may be meant.
pub(super) fn kinds(statement: &Statement) -> Option<Vec<&'static str>> {
    let control: Vec<String> = control_plane().collect();
    let mut kinds: Vec<&'static str> = Vec::new();
    let mut open = false;
    for action in statement.actions.listed() {
        open |= is_foreign(&action.text) || control.iter().any(|known| action.matches(known));
    }
    for (known, _) in ACTIONS {
        let kind = kind_of(known).unwrap_or_default();
        if statement.actions.means(|listed| listed.matches(known)) && !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    (!open).then_some(kinds)
}
