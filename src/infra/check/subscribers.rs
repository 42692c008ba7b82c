//! Subscribers of version-2 buses.

use super::findings::Findings;
use super::look::{FoundValue, look, member, number_or, path, text};
use super::queues::redrive;
use super::templates::{QueueReference, Templates};
use crate::config::Config;
use crate::event::envelope::Envelope;

/// The default age after which an event that was not delivered is dropped, in seconds (EventBridge
/// v2 API, `RetryPolicy`).
const DEFAULT_AGE_SECONDS: u64 = 300;
const SHORT_AGE_SECONDS: u64 = 3_600;

pub(super) fn check(templates: &Templates<'_>, config: Option<&Config>, findings: &mut Findings) {
    for subscriber in templates.of_kind("AWS::EventsV2::Subscriber") {
        let properties = &subscriber.properties;
        let Some(arn) = path(properties, &["InvokeConfiguration", "TargetArn"]) else {
            continue;
        };
        let queue = templates.queue(subscriber, arn);
        if matches!(queue, QueueReference::Unknown) {
            continue;
        }
        let group = look(
            properties,
            &["InvokeConfiguration", "SqsParameters", "MessageGroupId"],
        );
        if queue.is_fifo() == Some(true) && matches!(group, FoundValue::Missing) {
            findings.error(
                "fifo-without-group",
                subscriber,
                arn,
                "the target is a FIFO queue, and there is no `SqsParameters.MessageGroupId`",
                "add a literal or a JSONata expression that names the group of an event",
            );
        }
        if let QueueReference::Here(queue) = &queue {
            redrive(queue, findings);
        }
        let on_failure = look(properties, &["OnFailureConfiguration"]);
        let is_unknown = matches!(on_failure, FoundValue::Unknown);
        if !is_unknown && path(properties, &["OnFailureConfiguration", "Arn"]).is_none() {
            findings.error(
                "target-without-dead-letters",
                subscriber,
                properties,
                "the subscriber has no `OnFailureConfiguration`: what cannot be delivered is dropped",
                "add OnFailureConfiguration: { Arn: … } with a queue",
            );
        }
        let key = ["RetryPolicy", "MaxEventAgeInSeconds"];
        if let Some((seconds, at)) = number_or(properties, &key, DEFAULT_AGE_SECONDS)
            && seconds < SHORT_AGE_SECONDS
        {
            findings.warning(
                "short-retries",
                subscriber,
                at,
                format!("events are tried for {seconds}s: those of a longer outage are given up"),
                "set RetryPolicy.MaxEventAgeInSeconds to 86400, the most",
            );
        }
        let is_raw = config.is_some_and(|config| config.envelope == Envelope::Raw);
        let key = ["Transformer", "Type"];
        let transformer = path(properties, &key);
        let is_whole = Templates::is_word(properties, &key, &["WITH_METADATA"]);
        if !is_raw && is_whole == Some(false) {
            findings.error(
                "body-is-no-event",
                subscriber,
                transformer.unwrap_or(properties),
                "the subscriber does not send events with their metadata: the bridge dead-letters them as `not_an_event`",
                "set Transformer: { Type: WITH_METADATA }",
            );
        }
        if let Some(state) = member(properties, "State")
            && text(state).as_deref() == Some("STOPPED")
        {
            findings.warning(
                "subscriber-stopped",
                subscriber,
                state,
                "the subscriber is STOPPED: events wait on the bus, for as long as the bus keeps them",
                "set State: RUNNING after the maintenance",
            );
        }
    }
}
