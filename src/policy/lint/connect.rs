//! Rules on the client ids that clients may connect with.

use super::{FindingLevel, LintContext, LintRule};
use crate::policy::arn::ResourceArn;
use crate::policy::context::Context;
use crate::policy::document::{Effect, ElementList, ResourcePattern, Statement};
use crate::policy::scope::ResourceKind;

pub(super) static ANY_CLIENT: LintRule = LintRule {
    code: "connect-as-anybody",
    level: FindingLevel::Error,
    reason: "IoT Core ends the connection of whoever has the client id, and hands over its session",
    fix: "allow the client's own ids: client/ID and client/ID-*",
};

pub(super) static OWN_CLIENT_ID: LintRule = LintRule {
    code: "connect-by-client-id-variable",
    level: FindingLevel::Error,
    reason: "the client id is what the client says, so that ${iot:ClientId} is every client id",
    fix: "name the client id, or use ${iot:Connection.Thing.ThingName} with the condition iot:Connection.Thing.IsAttached",
};

pub(super) static CLIENT_ID_AS_WILDCARD: LintRule = LintRule {
    code: "client-id-as-wildcard",
    level: FindingLevel::Error,
    reason: "a client that connects as `+` subscribes to everybody's in place of its own",
    fix: "allow client ids that are bound to the principal, so that none of them is `+` or `#`",
};

/// Client ids that have nothing in common, as nobody would choose them.
const PROBES: [&str; 2] = ["~7", "q.Z"];

pub(super) fn check(lint: &mut LintContext<'_>) {
    let mut as_wildcard = false;
    for (document, statement) in lint.statements() {
        if !allows(statement, "iot:Connect") {
            continue;
        }
        as_wildcard |= !is_bound(statement) && matches_all(&statement.resources, &["+"]);
        match &statement.resources {
            ElementList::AllBut(_)
                if matches_all(&statement.resources, &PROBES) && !is_bound(statement) =>
            {
                let message =
                    "NotResource allows iot:Connect with every other client id".to_owned();
                lint.add(&ANY_CLIENT, document, statement.at, message);
            }
            ElementList::AllBut(_) => {}
            ElementList::Only(resources) => {
                for resource in resources {
                    let one = ElementList::Only(vec![resource.clone()]);
                    if !matches_all(&one, &PROBES) || is_bound(statement) {
                        continue;
                    }
                    let by_variable = resource.variables().next().is_some();
                    let rule = if by_variable {
                        &OWN_CLIENT_ID
                    } else {
                        &ANY_CLIENT
                    };
                    let message = format!(
                        "`{}` allows iot:Connect with every client id",
                        resource.text
                    );
                    lint.add(rule, document, resource.at, message);
                }
            }
        }
    }
    if as_wildcard {
        filters_with_client_id(lint);
    }
}

/// Finds filters in which a client id is a whole level, so that a client called `+` makes a
/// wildcard of it.
fn filters_with_client_id(lint: &mut LintContext<'_>) {
    for (document, statement) in lint.statements() {
        if !allows(statement, "iot:Subscribe") {
            continue;
        }
        for resource in statement.resources.listed() {
            let lower = resource.text.to_ascii_lowercase();
            if is_a_level(&lower) {
                let message = format!("`{}` is a wildcard to who connects as `+`", resource.text);
                lint.add(&CLIENT_ID_AS_WILDCARD, document, resource.at, message);
            }
        }
    }
}

fn is_a_level(resource: &str) -> bool {
    resource
        .split('/')
        .skip(1)
        .any(|level| level == "${iot:clientid}")
}

fn allows(statement: &Statement, action: &str) -> bool {
    statement.effect == Effect::Allow && statement.actions.means(|listed| listed.matches(action))
}

/// Returns `true` where resources mean each of some client ids, when clients connect with them.
fn matches_all(resources: &ElementList<ResourcePattern>, clients: &[&str]) -> bool {
    clients.iter().all(|client| {
        let context = Context::of_client(client);
        resources.means(|resource| {
            let name = super::scope_of(resource).arn(ResourceKind::Client, client);
            resource.matches(&ResourceArn::new(&name), &context)
        })
    })
}

/// Returns `true` where conditions bind the client id to something that the client does not choose.
fn is_bound(statement: &Statement) -> bool {
    statement.conditions.iter().any(|condition| {
        let positive =
            !condition.operator.contains("Not") && !condition.operator.ends_with("IfExists");
        let key = condition.key.as_str().to_ascii_lowercase();
        let attached = key == "iot:connection.thing.isattached"
            && condition
                .values
                .iter()
                .all(|value| value.eq_ignore_ascii_case("true"));
        positive
            && (attached
                || (key == "iot:clientid" && !condition.operator.starts_with("ForAllValues")))
    })
}
