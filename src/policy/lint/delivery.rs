//! Rules on the delivery of topics that may be subscribed to.

use super::{FindingLevel, LintContext, LintRule, instance, may_be, named, scope_of};
use crate::channel::filter::Filter;
use crate::policy::arn::ResourceArn;
use crate::policy::context::Context;
use crate::policy::document::{Document, Effect, ElementList, ResourcePattern, Statement};
use crate::policy::scope::ResourceKind;

pub(super) static SUBSCRIBE_WITHOUT_RECEIVE: LintRule = LintRule {
    code: "subscribe-without-receive",
    level: FindingLevel::Error,
    reason: "every delivery is checked against iot:Receive, so that the subscription stays silent",
    fix: "allow iot:Receive on topic/… for the same topics",
};

pub(super) static BROAD_RECEIVE: LintRule = LintRule {
    code: "receive-on-everything",
    level: FindingLevel::Warning,
    reason: "there is no server-side unsubscribe: when a grant is taken away, only iot:Receive ends the deliveries",
    fix: "allow iot:Receive on the topics that may be subscribed to",
};

pub(super) static RECEIVE_WITHOUT_SUBSCRIBE: LintRule = LintRule {
    code: "receive-without-subscribe",
    level: FindingLevel::Warning,
    reason: "messages come by subscriptions; without one that matches, only direct messages are received",
    fix: "allow iot:Subscribe on topicfilter/… for the same topics, or lint it together with the policy that does",
};

pub(super) static RETAIN_WITHOUT_PUBLISH: LintRule = LintRule {
    code: "retain-without-publish",
    level: FindingLevel::Error,
    reason: "a retained message is checked against iot:Publish and iot:RetainPublish, so that this alone allows none",
    fix: "allow iot:Publish on the same topics",
};

pub(super) fn check(lint: &mut LintContext<'_>) {
    let (documents, context) = lint.unconditional();
    let filters = subscribable(&documents, &context);
    for (document, statement) in lint.statements() {
        if allows(statement, "iot:Receive") {
            broad_receive(lint, document, statement);
            without_subscribe(lint, document, statement, &filters, &context);
        }
        if allows(statement, "iot:RetainPublish") && !allows(statement, "iot:Publish") {
            without_publish(lint, document, statement, &documents, &context);
        }
        if !allows(statement, "iot:Subscribe") {
            continue;
        }
        for resource in statement.resources.listed() {
            let is_filter =
                named(resource).is_some_and(|named| named.whole.starts_with("topicfilter/"));
            let Some(filter) = instance(resource, &context).filter(|_| is_filter) else {
                continue;
            };
            let topic = topic_under(&filter);
            let heard = receivable(&documents, &context, resource);
            let brings = |topic: &String| {
                let filter_of_topic = scope_of(resource).arn(ResourceKind::TopicFilter, topic);
                resource.matches(&ResourceArn::new(&filter_of_topic), &context)
                    || Filter::parse(&filter).is_ok_and(|filter| filter.matches(topic))
            };
            let name = scope_of(resource).arn(ResourceKind::Topic, &topic);
            if !may_receive(&documents, &context, &name) && !heard.iter().any(brings) {
                let message = format!(
                    "who subscribes by `{}` receives nothing, as on `{topic}`",
                    resource.text
                );
                lint.add(&SUBSCRIBE_WITHOUT_RECEIVE, document, resource.at, message);
            }
        }
    }
}

fn allows(statement: &Statement, action: &str) -> bool {
    statement.effect == Effect::Allow && statement.actions.means(|listed| listed.matches(action))
}

/// A topic that a filter matches; of a shared subscription, the topic itself.
fn topic_under(filter: &str) -> String {
    let shared = filter
        .strip_prefix("$share/")
        .and_then(|rest| rest.split_once('/'));
    let filter = shared.map_or(filter, |(_, filter)| filter);
    let level = |level| {
        if matches!(level, "+" | "#") {
            super::ANY
        } else {
            level
        }
    };
    filter.split('/').map(level).collect::<Vec<_>>().join("/")
}

/// A topic of each pattern that iot:Receive is allowed on.
fn receivable(documents: &[Document], context: &Context, near: &ResourcePattern) -> Vec<String> {
    let statements = documents.iter().flat_map(|document| &document.statements);
    let receiving = statements.filter(|statement| allows(statement, "iot:Receive"));
    let resources = receiving.flat_map(|statement| match &statement.resources {
        ElementList::Only(resources) => resources.as_slice(),
        ElementList::AllBut(_) => &[],
    });
    let same_scope = |resource: &&ResourcePattern| scope_of(resource) == scope_of(near);
    let topics = resources
        .filter(same_scope)
        .filter_map(|resource| instance(resource, context))
        // No message is on a topic with a wildcard.
        .filter(|topic| !topic.contains(['+', '#']));
    topics.collect()
}

fn may_receive(documents: &[Document], context: &Context, topic: &str) -> bool {
    let topic = ResourceArn::new(topic);
    let statements = documents.iter().flat_map(|document| &document.statements);
    let mut receiving = statements.filter(|statement| allows(statement, "iot:Receive"));
    receiving.any(|statement| {
        statement
            .resources
            .means(|resource| resource.matches(&topic, context))
    })
}

/// The filters that may be subscribed to, each with its pattern.
fn subscribable<'d>(
    documents: &'d [Document],
    context: &Context,
) -> Vec<(&'d ResourcePattern, String)> {
    let statements = documents.iter().flat_map(|document| &document.statements);
    let subscribing = statements.filter(|statement| allows(statement, "iot:Subscribe"));
    let resources = subscribing.flat_map(|statement| statement.resources.listed());
    resources
        .filter_map(|resource| {
            // `*` has no kind and no name: it means every filter.
            let filter = instance(resource, context).unwrap_or_else(|| "#".to_owned());
            may_be(resource, "topicfilter").then_some((resource, filter))
        })
        .collect()
}

/// Topics that may be received from, and that no subscription brings.
fn without_subscribe(
    lint: &mut LintContext<'_>,
    document: usize,
    statement: &Statement,
    filters: &[(&ResourcePattern, String)],
    context: &Context,
) {
    let ElementList::Only(resources) = &statement.resources else {
        return;
    };
    for resource in resources {
        let is_topic = named(resource).is_some_and(|named| named.whole.starts_with("topic/"));
        let Some(topic) = instance(resource, context).filter(|_| is_topic) else {
            continue;
        };
        let brings = |(pattern, filter): &(&ResourcePattern, String)| {
            let scope = scope_of(resource);
            let own = scope.arn(ResourceKind::TopicFilter, &topic);
            let under = scope.arn(ResourceKind::Topic, &topic_under(filter));
            pattern.matches(&ResourceArn::new(&own), context)
                || resource.matches(&ResourceArn::new(&under), context)
                || Filter::parse(filter).is_ok_and(|filter| filter.matches(&topic))
        };
        if !filters.iter().any(brings) {
            let message = format!(
                "no filter that may be subscribed to brings `{topic}`, which `{}` allows to receive",
                resource.text
            );
            lint.add(&RECEIVE_WITHOUT_SUBSCRIBE, document, resource.at, message);
        }
    }
}

/// Topics that may be retained on, and not published to.
fn without_publish(
    lint: &mut LintContext<'_>,
    document: usize,
    statement: &Statement,
    documents: &[Document],
    context: &Context,
) {
    let statements = || documents.iter().flat_map(|document| &document.statements);
    for resource in statement.resources.listed() {
        let Some(topic) = instance(resource, context).filter(|_| may_be(resource, "topic")) else {
            continue;
        };
        let own = scope_of(resource).arn(ResourceKind::Topic, &topic);
        let publishing = |statement: &&Statement| allows(statement, "iot:Publish");
        // A narrower pattern of iot:Publish is enough for some of the topics.
        let some = |other: &ResourcePattern| {
            other.matches(&ResourceArn::new(&own), context)
                || instance(other, context).is_some_and(|name| {
                    let name = scope_of(other).arn(ResourceKind::Topic, &name);
                    resource.matches(&ResourceArn::new(&name), context)
                })
        };
        let may = |statement: &Statement| match &statement.resources {
            ElementList::Only(resources) => resources.iter().any(some),
            ElementList::AllBut(_) => true,
        };
        if !statements().filter(publishing).any(may) {
            let message = format!(
                "`{}` may be retained on, and nothing allows to publish there",
                resource.text
            );
            lint.add(&RETAIN_WITHOUT_PUBLISH, document, resource.at, message);
        }
    }
}

fn broad_receive(lint: &mut LintContext<'_>, document: usize, statement: &Statement) {
    for resource in statement.resources.listed() {
        let everything = named(resource).is_none_or(|named| {
            !named.whole.starts_with("topic/") || named.name.starts_with(['*', '?'])
        });
        // NotResource is how AWS's examples keep topics out.
        let only = matches!(
            statement.resources,
            crate::policy::document::ElementList::Only(_)
        );
        if only && everything && may_be(resource, "topic") {
            let message = format!("`{}` allows iot:Receive on every topic", resource.text);
            lint.add(&BROAD_RECEIVE, document, resource.at, message);
        }
    }
}
