//! PutEvents: from entries to messages in queues.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::json;

use super::super::queue::api::QueueService;
use super::super::queue::wire::InternalMessage;
use super::super::refusal::ApiRefusal;
use super::super::sighting::Seen;
use super::super::{ApiResult, body_of};
use super::constraint::{BUS_OR_ARN, ConstraintViolations, TRACE_HEADER, invalid};
use super::event::BusEvent;
use super::rule::{BusRule, RuleMatcher};
use super::store::DEFAULT;
use super::target::{DeliveryFailure, RuleTarget};
use super::wire::{PutEventsEntry, PutEventsResultEntry};

/// The most entries of a call, and the size that all of them together must stay below (user guide,
/// "PutEvents").
const MOST_ENTRIES: usize = 10;
const BYTES: usize = 1_048_576;

/// Bytes that the time of an entry counts (user guide, "Calculating event entry size").
const TIME_BYTES: usize = 14;

/// Refuses a call that is wrong as a whole.
pub(super) fn check(entries: Option<&[PutEventsEntry]>) -> Result<(), ApiRefusal> {
    let mut found = ConstraintViolations::default();
    let count = entries.map(<[PutEventsEntry]>::len);
    let entries = entries.unwrap_or_default();
    match count {
        Some(count) if count > MOST_ENTRIES => {
            found.longer("entries", &told(entries), MOST_ENTRIES)
        }
        count => found.list("entries", count, (1, MOST_ENTRIES)),
    }
    for (index, entry) in entries.iter().enumerate() {
        let at = |member: &str| format!("entries.{}.member.{member}", index + 1);
        let (bus, trace) = (&entry.event_bus_name, &entry.trace_header);
        found.optional(&at("eventBusName"), bus.as_deref(), BUS_OR_ARN);
        found.optional(&at("traceHeader"), trace.as_deref(), TRACE_HEADER);
    }
    found.refuse()?;
    if entries.iter().map(size).sum::<usize>() >= BYTES {
        return Err(invalid(
            "Total size of the entries in the request is over the limit.",
        ));
    }
    Ok(())
}

/// Entries as the service repeats them in a refusal (recorded).
fn told(entries: &[PutEventsEntry]) -> String {
    let or_null = |text: &Option<String>| text.clone().unwrap_or_else(|| "null".into());
    let told = entries.iter().map(|entry| {
        let time = entry.time.map_or_else(|| "null".into(), |time| time.to_string());
        let resources = entry.resources.as_ref();
        let resources = resources.map_or_else(|| "null".into(), |all| format!("[{}]", all.join(", ")));
        format!(
            "PutEventsRequestEntry(time={time}, source={}, resources={resources}, detailType={}, detail={}, eventBusName={}, traceHeader={}, kmsKeyIdentifier=null, internalMetadata=null)",
            or_null(&entry.source),
            or_null(&entry.detail_type),
            or_null(&entry.detail),
            or_null(&entry.event_bus_name),
            or_null(&entry.trace_header)
        )
    });
    told.collect::<Vec<String>>().join(", ")
}

fn size(entry: &PutEventsEntry) -> usize {
    let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let resources = entry.resources.iter().flatten().map(String::len);
    let time = entry.time.map_or(0, |_| TIME_BYTES);
    let texts = text(&entry.source) + text(&entry.detail_type) + text(&entry.detail);
    time + texts + resources.sum::<usize>()
}

/// Puts entries on their buses, one after the other. `matcher` returns the matcher of a bus; `None`
/// if there is no such bus: EventBridge takes such events too, and drops them.
pub(super) fn put(
    entries: &[PutEventsEntry],
    region: &str,
    queues: &QueueService,
    matcher: impl Fn(&PutEventsEntry) -> Option<Arc<RuleMatcher>>,
) -> ApiResult {
    let mut outcomes = Vec::with_capacity(entries.len());
    let mut failed = 0;
    for entry in entries {
        match BusEvent::try_new(entry, region, Timestamp::now()) {
            Ok(event) => {
                let matcher = matcher(entry);
                let matched = matcher.as_ref();
                let matched = matched.map(|matcher| matcher.matching(&event.text));
                queues.sightings().tell(|| Seen::Put {
                    event_id: event.id.as_str().into(),
                    bus: entry.event_bus_name.as_deref().unwrap_or(DEFAULT).into(),
                    envelope: event.text.as_str().into(),
                    rules: matched.as_ref().map(Vec::len),
                });
                match matched {
                    Some(rules) => send(&event, &rules, queues),
                    None => tracing::warn!(event = event.id, "an event was put on no bus there is"),
                }
                outcomes.push(PutEventsResultEntry::Taken { event_id: event.id });
            }
            Err(refused) => {
                failed += 1;
                outcomes.push(refused);
            }
        }
    }
    body_of(&json!({ "FailedEntryCount": failed, "Entries": outcomes }))
}

fn send(event: &BusEvent, rules: &[&Arc<BusRule>], queues: &QueueService) {
    for rule in rules {
        for target in rule.targets.values() {
            let message = target.message(event, &rule.arn, &rule.name);
            let sent = message.and_then(|mut message| {
                message.from = Some((event.id.as_str().into(), rule.name.as_str().into()));
                let sent = queues.deliver(&target.arn, message);
                sent.map_err(|refusal| DeliveryFailure {
                    code: match refusal.kind {
                        "QueueDoesNotExist" => "NO_RESOURCE",
                        _ => "SDK_CLIENT_ERROR",
                    },
                    message: refusal.message,
                })
            });
            if let Err(undelivered) = sent {
                bury(event, rule, target, undelivered, queues);
            }
        }
    }
}

/// Sends an event that could not be sent to the target's dead-letter queue, with the reason as
/// message attributes as in AWS.
fn bury(
    event: &BusEvent,
    rule: &BusRule,
    target: &RuleTarget,
    why: DeliveryFailure,
    queues: &QueueService,
) {
    let (code, reason) = (why.code, why.message.clone());
    tracing::warn!(
        rule = rule.arn,
        target = target.arn,
        event = event.id,
        code,
        reason,
        "an event could not be sent"
    );
    queues.sightings().tell(|| Seen::Unsent {
        event_id: event.id.as_str().into(),
        rule: rule.name.as_str().into(),
        target: target.arn.as_str().into(),
        why: format!("{code}: {}", why.message).into(),
    });
    let Some(dead_letters) = &target.dead_letters else {
        return;
    };
    let message = InternalMessage {
        body: event.text.clone(),
        group: None,
        from: Some((event.id.as_str().into(), rule.name.as_str().into())),
        trace_header: event.trace_header.clone(),
        attributes: vec![
            ("RULE_ARN", rule.arn.clone()),
            ("TARGET_ARN", target.arn.clone()),
            ("ERROR_CODE", why.code.to_owned()),
            ("ERROR_MESSAGE", why.message),
        ],
    };
    if let Err(refusal) = queues.deliver(dead_letters, message) {
        let reason = refusal.message;
        tracing::warn!(
            queue = dead_letters,
            event = event.id,
            reason,
            "a dead letter was lost"
        );
    }
}
