//! Denies that do not have the effect that they seem to have.
//!
//! A subscription is checked by the text of its filter, a delivery by its topic. A deny of iot:Subscribe therefore stops nobody who asks by a
//! wider filter.

use super::impossible::has_mqtt_wildcard;
use super::{FindingLevel, LintContext, LintRule, instance, named, scope_of};
use crate::channel::filter::Filter;
use crate::policy::document::{Effect, ElementList, ResourcePattern, Statement};
use crate::policy::evaluate::Verdict;
use crate::policy::simulate::Simulation;

pub(super) static MQTT_WILDCARDS: LintRule = LintRule {
    code: "POLICY_CONTAINS_MQTT_WILDCARDS_IN_DENY_STATEMENT",
    level: FindingLevel::Error,
    reason: "`+` and `#` mean nothing in a policy: only a request that has these very characters is denied",
    fix: "deny with `*`, and deny iot:Receive on the topics",
};

pub(super) static WALKED_AROUND: LintRule = LintRule {
    code: "TOPIC_FILTERS_INTENDED_TO_DENY_ALLOWED_USING_WILDCARDS",
    level: FindingLevel::Error,
    reason: "a wider filter is another text, which the deny does not match, and brings the same messages",
    fix: "deny iot:Receive on the topics as well",
};

pub(super) static SUBSCRIBE_ALONE: LintRule = LintRule {
    code: "deny-subscribe-alone",
    level: FindingLevel::Warning,
    reason: "other policies of the client may allow a wider filter, which brings the same messages",
    fix: "deny iot:Receive on the topics as well",
};

pub(super) fn check(lint: &mut LintContext<'_>) {
    let (documents, context) = lint.unconditional();
    for (document, statement) in lint.statements() {
        if statement.effect != Effect::Deny {
            continue;
        }
        for resource in statement.resources.listed() {
            let only = matches!(statement.resources, ElementList::Only(_));
            if only && has_mqtt_wildcard(resource) {
                let message = format!(
                    "the deny on `{}` means `+` and `#` as characters",
                    resource.text
                );
                lint.add(&MQTT_WILDCARDS, document, resource.at, message);
                continue;
            }
            if !denies_subscribing(statement, resource) {
                continue;
            }
            let Some(topic) =
                instance(resource, &context).and_then(|name| Filter::parse(&name).ok())
            else {
                continue;
            };
            let scope = scope_of(resource);
            let simulation = Simulation {
                documents: &documents,
                scope: &scope,
                context: &context,
            };
            let hearing = simulation.hear(&topic);
            match (hearing.filters.first(), hearing.receive.verdict) {
                (_, Verdict::ExplicitDeny) => {}
                (Some(way), Verdict::Allowed) => {
                    let message = format!(
                        "the deny on `{}` is walked around: by `{}` a client hears `{topic}`",
                        resource.text, way.filter
                    );
                    lint.add(&WALKED_AROUND, document, resource.at, message);
                }
                _ => {
                    let message =
                        format!("the deny on `{}` does not stop deliveries", resource.text);
                    lint.add(&SUBSCRIBE_ALONE, document, resource.at, message);
                }
            }
        }
    }
}

fn denies_subscribing(statement: &Statement, resource: &ResourcePattern) -> bool {
    let filter = named(resource).is_some_and(|named| named.whole.starts_with("topicfilter/"));
    let only = matches!(statement.resources, ElementList::Only(_));
    only && filter
        && statement
            .actions
            .means(|listed| listed.matches("iot:Subscribe"))
}
