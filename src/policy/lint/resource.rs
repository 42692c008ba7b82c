//! Resources that no request is ever about.

use super::{FindingLevel, LintContext, LintRule, may_be, named};
use crate::policy::action::{ANY, kind_of};
use crate::policy::document::{ElementList, ResourcePattern, Statement};
use crate::policy::misfit;

pub(super) static SUBSCRIBE_ON_TOPIC: LintRule = LintRule {
    code: "subscribe-on-topic",
    level: FindingLevel::Error,
    reason: "iot:Subscribe is checked against topicfilter/…, so that nothing is allowed or denied",
    fix: "write topicfilter/ in place of topic/ for iot:Subscribe",
};

pub(super) static RECEIVE_ON_TOPICFILTER: LintRule = LintRule {
    code: "receive-on-topicfilter",
    level: FindingLevel::Error,
    reason: "publishing and receiving are checked against topic/…, so that nothing is allowed or denied",
    fix: "write topic/ in place of topicfilter/ for iot:Publish, iot:RetainPublish and iot:Receive",
};

pub(super) static OF_NO_ACTION: LintRule = LintRule {
    code: "resource-of-no-action",
    level: FindingLevel::Error,
    reason: "no action of the statement is checked against such a resource, so that it allows or denies nothing",
    fix: "write client/… for iot:Connect, topicfilter/… for iot:Subscribe, topic/… for messages, thing/… for shadows and jobs",
};

pub(super) static LEADING_SLASH: LintRule = LintRule {
    code: "leading-slash",
    level: FindingLevel::Warning,
    reason: "`/a` and `a` are different topics, and a slash in front is mostly a mistake",
    fix: "leave the slash out, here and where clients publish and subscribe",
};

pub(super) static WITHOUT_ACCOUNT: LintRule = LintRule {
    code: "arn-without-account",
    level: FindingLevel::Error,
    reason: "names of IoT Core's resources have a Region and an account, so that the pattern matches none",
    fix: "write arn:aws:iot:REGION:ACCOUNT:…, or `*` for either",
};

pub(super) fn check(lint: &mut LintContext<'_>) {
    for (document, statement) in lint.statements() {
        for resource in statement.resources.listed() {
            let Some(named) = named(resource) else {
                continue;
            };
            let is_iot = resource.text.split(':').nth(2) == Some("iot");
            if is_iot && (named.region.is_empty() || named.account.is_empty()) {
                let message = format!("`{}` has no Region or no account", resource.text);
                lint.add(&WITHOUT_ACCOUNT, document, resource.at, message);
            }
            if named.name.starts_with('/') && (named.may_be("topic") || named.may_be("topicfilter"))
            {
                let message = format!("`{}` begins with an empty level", resource.text);
                lint.add(&LEADING_SLASH, document, resource.at, message);
            }
        }
        if let (ElementList::Only(_), ElementList::Only(resources)) =
            (&statement.actions, &statement.resources)
        {
            kinds(lint, document, statement, resources);
        }
    }
}

/// Resources that fit no action, and actions that fit no resource.
fn kinds(
    lint: &mut LintContext<'_>,
    document: usize,
    statement: &Statement,
    resources: &[ResourcePattern],
) {
    let actions = statement.actions.listed();
    let known: Vec<Option<&str>> = actions.iter().map(|action| kind_of(&action.text)).collect();
    // With a pattern or an action of another service, all kinds are possible.
    let all_known = known.iter().all(Option::is_some);
    let fits = |resource: &ResourcePattern, kind: &str| kind == ANY || may_be(resource, kind);
    let mut told: Vec<&LintRule> = Vec::new();
    for resource in resources {
        if misfit::arn(&resource.text).is_none()
            && all_known
            && !known.iter().flatten().any(|kind| fits(resource, kind))
        {
            let names: Vec<&str> = actions.iter().map(|action| &*action.text).collect();
            let message = format!("`{}` is no resource of {}", resource.text, names.join(", "));
            let rule = rule(&names, resource);
            told.push(rule);
            lint.add(rule, document, resource.at, message);
        }
    }
    for (action, kind) in actions.iter().zip(known) {
        if let Some(kind) = kind
            && !resources.iter().any(|resource| fits(resource, kind))
            && resources
                .iter()
                .all(|resource| misfit::arn(&resource.text).is_none())
        {
            let message = format!("{} has no {kind}/… in its statement", action.text);
            let first = resources
                .iter()
                .find(|resource| may_be(resource, "topic") || may_be(resource, "topicfilter"));
            let rule = first.map_or(&OF_NO_ACTION, |resource| rule(&[&action.text], resource));
            // Otherwise the finding is there already, resource by resource.
            if !told.contains(&rule) {
                lint.add(rule, document, action.at, message);
            }
        }
    }
}

fn rule(actions: &[&str], resource: &ResourcePattern) -> &'static LintRule {
    let any = |wanted: &[&str]| {
        let same = |action: &&str| {
            wanted
                .iter()
                .any(|wanted| wanted.eq_ignore_ascii_case(action))
        };
        actions.iter().any(same)
    };
    if any(&["iot:Subscribe"]) && may_be(resource, "topic") {
        &SUBSCRIBE_ON_TOPIC
    } else if any(&["iot:Publish", "iot:RetainPublish", "iot:Receive"])
        && may_be(resource, "topicfilter")
    {
        &RECEIVE_ON_TOPICFILTER
    } else {
        &OF_NO_ACTION
    }
}
