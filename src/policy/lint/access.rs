//! Access to much more than a client's own.

use super::{FindingLevel, LintContext, LintRule, may_be, named};
use crate::policy::action::{ACTIONS, ANY};
use crate::policy::document::{Effect, ElementList, ResourcePattern, Statement};

pub(super) static BROAD_ACCESS: LintRule = LintRule {
    code: "ALLOWS_BROAD_ACCESS_TO_IOT_DATA_PLANE_ACTIONS",
    level: FindingLevel::Error,
    reason: "whoever gets hold of one client's credentials reaches all clients",
    fix: "name the client's own topics, filters and things; wildcards belong behind what is its own",
};

/// Reserved topics of things: a wildcard in the place of the name means every thing.
const THINGS: &str = "$aws/things/";

/// Connecting has rules of its own; Receive is bounded by what may be subscribed to (Device Defender's guide calls it compliant); the others
/// cannot be narrowed down, or are no data.
const OTHERS: [&str; 3] = [
    "iot:Connect",
    "iot:Receive",
    "iot:AssumeRoleWithCertificate",
];

pub(super) fn check(lint: &mut LintContext<'_>) {
    for (document, statement) in lint.statements() {
        if statement.effect != Effect::Allow {
            continue;
        }
        match &statement.resources {
            ElementList::Only(resources) => {
                for resource in resources {
                    let actions = broad(statement, |action, kind| {
                        may_be(resource, kind) && is_broad(resource, action, kind)
                    });
                    if !actions.is_empty() {
                        let message = format!(
                            "`{}` allows {} on nearly everything",
                            resource.text,
                            list(&actions)
                        );
                        lint.add(&BROAD_ACCESS, document, resource.at, message);
                    }
                }
            }
            ElementList::AllBut(_) => {
                let actions = broad(statement, |_, _| true);
                if !actions.is_empty() {
                    let message =
                        format!("NotResource allows {} on everything else", list(&actions));
                    lint.add(&BROAD_ACCESS, document, statement.at, message);
                }
            }
        }
    }
}

/// The statement's actions of the data plane that are allowed too much.
fn broad(statement: &Statement, too_much: impl Fn(&str, &str) -> bool) -> Vec<&'static str> {
    let of_statement = |action: &str| statement.actions.means(|listed| listed.matches(action));
    let actions = ACTIONS.iter().filter(|(action, kind)| {
        *kind != ANY && !OTHERS.contains(action) && of_statement(action) && too_much(action, kind)
    });
    actions.map(|(action, _)| *action).collect()
}

/// Returns `true` where the name begins with a wildcard, or has one in the place of a thing.
fn is_broad(resource: &ResourcePattern, action: &str, kind: &str) -> bool {
    let Some(named) = named(resource) else {
        return true;
    };
    // Such as `top*`: the kind itself is open.
    if !named.whole.starts_with(&format!("{kind}/")) {
        return true;
    }
    let begins_open = |name: &str| {
        let first = name.split('/').next().unwrap_or_default();
        first.starts_with(['*', '?']) || (action == "iot:Subscribe" && matches!(first, "+" | "#"))
    };
    begins_open(named.name) || named.name.strip_prefix(THINGS).is_some_and(begins_open)
}

fn list(actions: &[&str]) -> String {
    match actions {
        [first, second, third, _, rest @ ..] => {
            format!("{first}, {second}, {third} and {} more", rest.len() + 1)
        }
        few => few.join(", "),
    }
}
