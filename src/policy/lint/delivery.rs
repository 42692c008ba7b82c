//! What is delivered of what may be subscribed to.

use super::{Level, Lint, Rule, instance, may_be, named, scope_of};
use crate::channel::filter::Filter;
use crate::policy::arn::Arn;
use crate::policy::context::Context;
use crate::policy::document::{Document, Effect, Listed, Resource, Statement};
use crate::policy::scope::Kind;

pub(super) static SUBSCRIBE_WITHOUT_RECEIVE: Rule = Rule {
    code: "subscribe-without-receive",
    level: Level::Error,
    reason: "every delivery is checked against iot:Receive, so that the subscription stays silent",
    fix: "allow iot:Receive on topic/… for the same topics",
};

pub(super) static BROAD_RECEIVE: Rule = Rule {
    code: "receive-on-everything",
    level: Level::Warning,
    reason: "there is no server-side unsubscribe: when a grant is taken away, only iot:Receive ends the deliveries",
    fix: "allow iot:Receive on the topics that may be subscribed to",
};

pub(super) fn check(lint: &mut Lint<'_>) {
    let (documents, context) = lint.unconditional();
    for (document, statement) in lint.statements() {
        if allows(statement, "iot:Receive") {
            broad_receive(lint, document, statement);
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
                let filter_of_topic = scope_of(resource).arn(Kind::TopicFilter, topic);
                resource.matches(&Arn::new(&filter_of_topic), &context)
                    || Filter::parse(&filter).is_ok_and(|filter| filter.matches(topic))
            };
            let name = scope_of(resource).arn(Kind::Topic, &topic);
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
fn receivable(documents: &[Document], context: &Context, near: &Resource) -> Vec<String> {
    let statements = documents.iter().flat_map(|document| &document.statements);
    let receiving = statements.filter(|statement| allows(statement, "iot:Receive"));
    let resources = receiving.flat_map(|statement| match &statement.resources {
        Listed::Only(resources) => resources.as_slice(),
        Listed::AllBut(_) => &[],
    });
    let same_scope = |resource: &&Resource| scope_of(resource) == scope_of(near);
    let topics = resources
        .filter(same_scope)
        .filter_map(|resource| instance(resource, context));
    topics.collect()
}

fn may_receive(documents: &[Document], context: &Context, topic: &str) -> bool {
    let topic = Arn::new(topic);
    let statements = documents.iter().flat_map(|document| &document.statements);
    let mut receiving = statements.filter(|statement| allows(statement, "iot:Receive"));
    receiving.any(|statement| {
        statement
            .resources
            .means(|resource| resource.matches(&topic, context))
    })
}

fn broad_receive(lint: &mut Lint<'_>, document: usize, statement: &Statement) {
    for resource in statement.resources.listed() {
        let everything = named(resource).is_none_or(|named| {
            !named.whole.starts_with("topic/") || named.name.starts_with(['*', '?'])
        });
        // NotResource is how AWS's examples keep topics out.
        let only = matches!(
            statement.resources,
            crate::policy::document::Listed::Only(_)
        );
        if only && everything && may_be(resource, "topic") {
            let message = format!("`{}` allows iot:Receive on every topic", resource.text);
            lint.add(&BROAD_RECEIVE, document, resource.at, message);
        }
    }
}
