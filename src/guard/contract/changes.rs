//! Changes of a contract that harm its subscribers.
//!
//! A subscriber is harmed by the loss of a channel, of the right to receive from it, of an event, a
//! field or a delivery. Additions harm nobody, and neither does a new version number or
//! description.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::manifest::schema::{JsonType, PayloadSchema, SchemaPart};
use super::served::{EventKey, ServedChannel, ServedContract, ServedMessage};
use crate::event::pattern::tree::TextPosition;

/// A change that harms subscribers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriberHarm {
    /// The kind of harm.
    pub kind: HarmKind,
    /// One line: the state before, and the state now.
    pub message: String,
    /// The place of the changed part, in the file as it is now; `None` for a part that is gone.
    pub at: Option<TextPosition>,
}

/// The kinds of harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HarmKind {
    /// Nothing is published there any more.
    ChannelRemoved,
    /// Some clients may not receive from it any more.
    AudienceNarrowed,
    /// An event does not come any more.
    EventRemoved,
    /// A field is missing, or of another type.
    PayloadChanged,
    /// Messages may be lost that were not.
    QosLowered,
    /// Messages are dropped sooner.
    ExpiryShortened,
    /// Intermediate messages are left out.
    ConflationAdded,
    /// The last value is not kept any more.
    RetainRemoved,
}

/// The harm of going from one contract to another, in the order of channels.
pub fn harms(before: &ServedContract, after: &ServedContract) -> Vec<SubscriberHarm> {
    let mut found = Vec::new();
    for old in &before.channels {
        match after.channels.iter().find(|new| new.shape == old.shape) {
            Some(new) => channel(old, new, &mut found),
            None => found.push(removed(old, before, after)),
        }
    }
    found
}

/// A channel that is gone, with the new one that has its events.
fn removed(old: &ServedChannel, before: &ServedContract, after: &ServedContract) -> SubscriberHarm {
    let is_new =
        |new: &&ServedChannel| before.channels.iter().all(|known| known.shape != new.shape);
    let has_its_events = |new: &&ServedChannel| {
        !old.messages.is_empty()
            && old
                .messages
                .keys()
                .any(|key| new.messages.contains_key(key))
    };
    let renamed = after.channels.iter().filter(is_new).find(has_its_events);
    let (message, at) = match renamed {
        Some(new) if new.address.shape() == old.address.shape() => (
            format!(
                "the topics of `{}` changed from `{}` to `{}`",
                old.address, old.shape, new.shape
            ),
            Some(new.at),
        ),
        Some(new) => (
            format!(
                "the channel `{}` was renamed to `{}`",
                old.address, new.address
            ),
            Some(new.at),
        ),
        None => (format!("the channel `{}` was removed", old.address), None),
    };
    SubscriberHarm {
        kind: HarmKind::ChannelRemoved,
        message,
        at,
    }
}

fn channel(old: &ServedChannel, new: &ServedChannel, found: &mut Vec<SubscriberHarm>) {
    let mut push = |kind, message, at| {
        found.push(SubscriberHarm {
            kind,
            message,
            at: Some(at),
        });
    };
    let address = &new.address;
    for (role, before) in &old.audience {
        let Some(now) = new.audience.get(role) else {
            let message = format!("role `{role}` may not hear `{address}` any more");
            push(HarmKind::AudienceNarrowed, message, new.at);
            continue;
        };
        let names: Vec<&str> = address.parameters().collect();
        let bound = before.iter().zip(now).zip(&names);
        let bound: Vec<&str> = bound
            .filter(|((before, now), _)| !**before && **now)
            .map(|(_, name)| *name)
            .collect();
        if !bound.is_empty() {
            let message = format!(
                "role `{role}` heard `{address}` with any value of {}, and hears those of its token now",
                bound.join(", ")
            );
            push(HarmKind::AudienceNarrowed, message, new.at);
        }
    }
    let mut kinds = BTreeSet::new();
    for (key, before) in &old.messages {
        match new.messages.get(key) {
            None => push(
                HarmKind::EventRemoved,
                format!(
                    "{} is not sent to `{address}` any more",
                    event_name(key, before)
                ),
                new.at,
            ),
            Some(now) => {
                for (kind, message) in message_changes(before, now) {
                    kinds.insert(kind);
                    let event = event_name(key, now);
                    push(kind, format!("{message} ({event} on `{address}`)"), now.at);
                }
            }
        }
    }
    // Deliveries of the routes were compared; only promises are left.
    for (kind, message) in declared_changes(old, new) {
        if !kinds.contains(&kind) {
            push(
                kind,
                format!("{message} (declared for `{address}`)"),
                new.at,
            );
        }
    }
}

fn event_name(key: &EventKey, message: &ServedMessage) -> String {
    match (key.source.as_str(), key.detail_type.as_str()) {
        ("*", "*") => format!("what route `{}` takes", message.name),
        ("*", detail_type) => format!("`{detail_type}`"),
        (source, "*") => format!("any event of `{source}`"),
        (source, detail_type) => format!("`{detail_type}` of `{source}`"),
    }
}

fn seconds(expires: Option<u64>) -> String {
    expires.map_or_else(|| "no bound".into(), |seconds| format!("{seconds}s"))
}

fn is_shorter(before: Option<u64>, now: Option<u64>) -> bool {
    match (before, now) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(before), Some(now)) => now < before,
    }
}

fn message_changes(before: &ServedMessage, now: &ServedMessage) -> Vec<(HarmKind, String)> {
    let mut found = Vec::new();
    if let (Some(before), Some(now)) = (before.delivery, now.delivery) {
        if now.qos < before.qos {
            let message = format!("QoS was {}, and is {}", before.qos, now.qos);
            found.push((HarmKind::QosLowered, message));
        }
        if is_shorter(before.expires_seconds, now.expires_seconds) {
            let (before, now) = (
                seconds(before.expires_seconds),
                seconds(now.expires_seconds),
            );
            found.push((
                HarmKind::ExpiryShortened,
                format!("messages were worth delivering for {before}, and are for {now}"),
            ));
        }
        if now.conflate && !before.conflate {
            let message = "only the newest of waiting messages is sent now".to_owned();
            found.push((HarmKind::ConflationAdded, message));
        }
        if before.retain && !now.retain {
            let message = "the last message was retained, and is not now".to_owned();
            found.push((HarmKind::RetainRemoved, message));
        }
        if before.payload != now.payload {
            let message = format!(
                "the payload was {}, and is {}",
                payload_name(before.payload),
                payload_name(now.payload)
            );
            found.push((HarmKind::PayloadChanged, message));
        }
    }
    let lines = schema_changes(before.schema.as_ref(), now.schema.as_ref());
    found.extend(
        lines
            .into_iter()
            .map(|line| (HarmKind::PayloadChanged, line)),
    );
    found
}

fn payload_name(payload: crate::route::payload::PayloadShape) -> &'static str {
    let mut names = crate::route::payload::PayloadShape::NAMES.into_iter();
    names
        .find(|(_, known)| *known == payload)
        .map_or("event", |(name, _)| name)
}

fn declared_changes(old: &ServedChannel, new: &ServedChannel) -> Vec<(HarmKind, String)> {
    let (before, now) = (&old.declared, &new.declared);
    let mut found = Vec::new();
    if let (Some(before), Some(now)) = (before.qos, now.qos)
        && now < before
    {
        let message = format!("QoS was {before}, and is {now}");
        found.push((HarmKind::QosLowered, message));
    }
    let whole = |expires: Option<Duration>| expires.map(|expires| expires.as_secs());
    if before.expires.is_some() && is_shorter(whole(before.expires), whole(now.expires)) {
        let (before, now) = (seconds(whole(before.expires)), seconds(whole(now.expires)));
        let message = format!("messages were worth delivering for {before}, and are for {now}");
        found.push((HarmKind::ExpiryShortened, message));
    }
    if now.conflate == Some(true) && before.conflate == Some(false) {
        let message = "only the newest of waiting messages is sent now".to_owned();
        found.push((HarmKind::ConflationAdded, message));
    }
    if before.retain == Some(true) && now.retain == Some(false) {
        let message = "the last message was retained, and is not now".to_owned();
        found.push((HarmKind::RetainRemoved, message));
    }
    found
}

/// Fields that a reader of the old payload does not find in the new one; a line each.
pub fn schema_changes(before: Option<&PayloadSchema>, now: Option<&PayloadSchema>) -> Vec<String> {
    let mut found = Vec::new();
    if let Some(before) = before {
        let any = SchemaPart::default();
        part_changes(
            &before.part,
            now.map_or(&any, |now| &now.part),
            "detail",
            &mut found,
        );
    }
    found
}

fn part_changes(before: &SchemaPart, now: &SchemaPart, path: &str, found: &mut Vec<String>) {
    let fits = |kind: &JsonType| before.types.iter().any(|known| kind.is_within(*known));
    if !before.types.is_empty() && (now.types.is_empty() || !now.types.iter().all(fits)) {
        let (before, now) = (type_names(&before.types), type_names(&now.types));
        found.push(format!("`{path}` was of type {before}, and is {now}"));
        return;
    }
    for name in &before.required {
        if now.required.contains(name) {
            continue;
        }
        let what = if now.properties.contains_key(name) {
            "was required, and may be absent now"
        } else {
            "was required, and is gone"
        };
        found.push(format!("`{path}.{name}` {what}"));
    }
    for (name, before) in &before.properties {
        if let Some(now) = now.properties.get(name) {
            part_changes(before, now, &format!("{path}.{name}"), found);
        }
    }
    match (&before.items, &now.items) {
        (Some(before), Some(now)) => part_changes(before, now, &format!("{path}[]"), found),
        (Some(before), None) if !before.types.is_empty() => {
            found.push(format!("the elements of `{path}` have no type any more"));
        }
        _ => {}
    }
    alternative_changes(before, now, path, found);
}

/// Alternatives that no reader of the old ones knows.
fn alternative_changes(before: &SchemaPart, now: &SchemaPart, path: &str, found: &mut Vec<String>) {
    if before.alternatives.is_empty() {
        return;
    }
    let own = [now.clone()];
    let choices = if now.alternatives.is_empty() {
        own.as_slice()
    } else {
        &now.alternatives
    };
    for choice in choices {
        let known = before.alternatives.iter().any(|before| {
            let mut found = Vec::new();
            part_changes(before, choice, path, &mut found);
            found.is_empty()
        });
        if !known {
            let names = type_names(&choice.types);
            found.push(format!(
                "`{path}` has an alternative of type {names} that it did not have"
            ));
        }
    }
}

fn type_names(types: &BTreeSet<JsonType>) -> String {
    if types.is_empty() {
        return "any".into();
    }
    let names: Vec<&str> = types.iter().map(|known| known.name()).collect();
    names.join(" or ")
}
