//! An SQS body read as an event: the envelope around a platform's own data, and the facts every
//! message carries on.
//!
//! A body is one JSON object and one event. Three shapes arrive from EventBridge: the classic
//! envelope (user guide, "Events": `id`, `source`, `detail-type`, `time`, `account`, `region`,
//! `resources`, `detail`), the version-2 bus's `WITH_METADATA` (user guide, "Custom event buses":
//! `Data`, `Metadata`, `SystemMetadata`), and the output of a rule's input transformer (raw).
//! Routes name fields as in the classic envelope; for a version-2 delivery the same names lead to
//! the same facts (`detail.x` to `Data.x`, `source` to `SystemMetadata.aws:Source`), so one
//! configuration serves both buses. With SNS between the bus and the queue, the event is the text
//! of the notification's `Message`.
//!
//! A member of the envelope that occurs more than once, or under both of its names, has no single
//! value: the body is not an event. `account` may be missing and `time` is never parsed here:
//! published samples carry impossible dates.

use bytes::Bytes;

use super::decode_error::DecodeError;
use super::fields::{FieldId, FieldTrie};
use super::foreign::recognise;
use super::notification::NotificationReader;
use super::scan::scan;
use super::scanned::{CapturedFields, CapturedValue, ValueKind};
use super::trace::is_traceparent;

/// Version-2 names of the classic fields.
const VERSION_2: [(&str, &str); 5] = [
    ("Data", "detail"),
    ("SystemMetadata.aws:EventId", "id"),
    ("SystemMetadata.aws:Source", "source"),
    ("SystemMetadata.aws:DetailType", "detail-type"),
    ("SystemMetadata.aws:IngestionTime", "time"),
];

/// Member in which a version-2 bus describes an event.
const METADATA: &str = "SystemMetadata";

/// The kind of a version-2 delivery; `REPLAY` marks replayed ones.
const DELIVERY_TYPE: &str = "SystemMetadata.aws:DeliveryType";

/// The mark of events that a classic bus replays from an archive (EventBridge user guide, "Replaying archived events").
const REPLAY_NAME: &str = "replay-name";

/// Shapes of body that are events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Envelope {
    /// EventBridge's own: classic, or version 2 with metadata, distinguished by each body.
    #[default]
    EventBridge,
    /// Any JSON object: a rule with an input transformer wrote it. Fields are named from its root, and the event's id is the
    /// queue's message id.
    Raw,
    /// EventBridge's own, in the `Message` of an SNS notification; a body that is none is read as [`EventBridge`](Self::EventBridge),
    /// so that raw message delivery can be turned on while both are in the queue.
    Sns,
}

impl Envelope {
    /// The names in the configuration.
    pub const NAMES: [(&'static str, Self); 3] = [
        ("eventbridge", Self::EventBridge),
        ("raw", Self::Raw),
        ("sns", Self::Sns),
    ];

    /// Lets `fields` find the classic names in version-2 deliveries, where the envelope has them.
    pub(crate) fn add_aliases(self, fields: &mut FieldTrie) {
        if self != Self::Raw {
            for (from, to) in VERSION_2 {
                fields.alias(from, to);
            }
        }
    }
}

/// Reads bodies as events. Built once for a set of routes, shared by all deliveries.
#[derive(Clone, Debug)]
pub struct EventDecoder {
    envelope: Envelope,
    fields: FieldTrie,
    facts: FactIds,
    notifications: NotificationReader,
}

#[derive(Clone, Copy, Debug)]
struct FactIds {
    id: FieldId,
    source: FieldId,
    detail_type: FieldId,
    time: FieldId,
    account: FieldId,
    region: FieldId,
    detail: FieldId,
    metadata: FieldId,
    delivery_type: FieldId,
    replay_name: FieldId,
    traceparent: FieldId,
    topic: FieldId,
}

impl EventDecoder {
    /// A decoder that captures `fields` besides the envelope's own.
    pub fn new(envelope: Envelope, mut fields: FieldTrie) -> Self {
        envelope.add_aliases(&mut fields);
        let facts = FactIds {
            id: fields.add("id"),
            source: fields.add("source"),
            detail_type: fields.add("detail-type"),
            time: fields.add("time"),
            account: fields.add("account"),
            region: fields.add("region"),
            detail: fields.add("detail"),
            metadata: fields.add(METADATA),
            delivery_type: fields.add(DELIVERY_TYPE),
            replay_name: fields.add(REPLAY_NAME),
            traceparent: fields.add("detail.traceparent"),
            topic: fields.add("TopicArn"),
        };
        Self {
            envelope,
            fields,
            facts,
            notifications: NotificationReader::new(),
        }
    }

    /// The shapes of body that it takes.
    pub fn envelope(&self) -> Envelope {
        self.envelope
    }

    /// Reads one body.
    ///
    /// # Errors
    /// [`DecodeError`] when the body is not JSON, or not an event of the expected envelope. All are permanent.
    pub fn decode<'m>(
        &self,
        body: &Bytes,
        origin: impl Into<MessageOrigin<'m>>,
    ) -> Result<Event<'m>, DecodeError> {
        let origin = origin.into();
        if self.envelope == Envelope::Sns
            && let Some(message) = self.notifications.unwrap(body)?
        {
            let event = self.event(&message, origin);
            return event.map_err(|error| DecodeError::Notification(error.into()));
        }
        self.event(body, origin)
    }

    fn event<'m>(&self, body: &Bytes, origin: MessageOrigin<'m>) -> Result<Event<'m>, DecodeError> {
        let decoded = match scan(body, &self.fields) {
            Err(error) => Err(DecodeError::of_text(error, body)),
            Ok(scanned) if scanned.root() != ValueKind::Object => {
                Err(DecodeError::of_root(&scanned))
            }
            Ok(scanned) => Event {
                scanned,
                facts: self.facts,
                origin,
                envelope: self.envelope,
            }
            .checked()
            .and_then(|event| self.single(event)),
        };
        decoded.map_err(|error| match error {
            // Any raw object is an event; only a body that is no object can be recognised as
            // another kind.
            DecodeError::RepeatedMember(_)
            | DecodeError::TwoEvents
            | DecodeError::TwoEnvelopes(_) => error,
            error => recognise(body).map_or(error, DecodeError::Foreign),
        })
    }

    /// The event, unless its body is a notification too, which carries another.
    fn single<'m>(&self, event: Event<'m>) -> Result<Event<'m>, DecodeError> {
        let marked = event.scanned.first(self.facts.topic).is_some();
        if marked && self.envelope != Envelope::Raw && self.notifications.carries(event.body()) {
            return Err(DecodeError::TwoEvents);
        }
        Ok(event)
    }
}

/// The queue's facts about a body.
#[derive(Clone, Copy, Debug)]
pub struct MessageOrigin<'m> {
    /// The queue's id of the message. It replaces the event's id where the envelope has none (raw
    /// bodies).
    pub message_id: &'m str,
    /// The W3C trace context of the message's sender; the event's own comes before it.
    pub traceparent: Option<&'m str>,
}

impl<'m> From<&'m str> for MessageOrigin<'m> {
    fn from(message_id: &'m str) -> Self {
        Self {
            message_id,
            traceparent: None,
        }
    }
}

/// One event: the received bytes, and what was captured in the one pass over them.
#[derive(Clone, Debug)]
pub struct Event<'m> {
    scanned: CapturedFields,
    facts: FactIds,
    origin: MessageOrigin<'m>,
    envelope: Envelope,
}

impl Event<'_> {
    fn checked(self) -> Result<Self, DecodeError> {
        let facts = self.facts;
        let classic = self.envelope != Envelope::Raw;
        if classic {
            self.occurs_once(facts.metadata, METADATA)?;
            let metadata = self.scanned.first(facts.metadata);
            if metadata.is_some_and(|value| value.kind == ValueKind::Array) {
                return Err(DecodeError::of_member(METADATA, "an object", metadata));
            }
        }
        for (field, name) in [
            (facts.source, "source"),
            (facts.detail_type, "detail-type"),
            (facts.time, "time"),
            (facts.account, "account"),
            (facts.region, "region"),
            (facts.detail, "detail"),
        ] {
            self.occurs_once(field, name)?;
        }
        if !classic {
            return Ok(self);
        }
        self.occurs_once(facts.id, "id")?;
        self.has_one_envelope()?;
        for (field, name) in [
            (facts.id, "id"),
            (facts.source, "source"),
            (facts.detail_type, "detail-type"),
        ] {
            // Events put raw on a version-2 bus have no detail type.
            let optional = field == facts.detail_type && self.is_version_2();
            if self.text(field).is_none_or(str::is_empty) && !optional {
                let found = self.scanned.first(field);
                let wanted = match found {
                    // EventBridge gives every event an id, and takes none without a source and a
                    // detail type (API reference, PutEvents).
                    Some(value) if value.kind == ValueKind::String && value.text.is_empty() => {
                        "text with a character at least"
                    }
                    Some(value) if value.kind == ValueKind::String => "Unicode text",
                    _ => "text",
                };
                return Err(DecodeError::of_member(name, wanted, found));
            }
        }
        if !self.is_version_2() {
            // A rule's input transformer may write `null` for a member that the event does not
            // have.
            for (field, name) in [
                (facts.time, "time"),
                (facts.account, "account"),
                (facts.region, "region"),
            ] {
                let found = self.scanned.first(field);
                if found
                    .is_some_and(|value| !matches!(value.kind, ValueKind::String | ValueKind::Null))
                {
                    return Err(DecodeError::of_member(name, "text", found));
                }
            }
        }
        let detail = self.scanned.first(facts.detail);
        match detail.map(|value| value.kind) {
            Some(ValueKind::Object) => Ok(self),
            // A raw value put on a version-2 bus may be text or a number. An array would be several
            // events in one.
            Some(kind) if self.is_version_2() && kind != ValueKind::Array => Ok(self),
            _ => Err(DecodeError::of_member("detail", "an object", detail)),
        }
    }

    /// Checks that a member of the envelope has one value at most. The elements of an array are no
    /// values of their own.
    fn occurs_once(&self, field: FieldId, name: &'static str) -> Result<(), DecodeError> {
        let values = self.scanned.values(field);
        if values.len() > 1 && values.filter(|value| value.elements.is_empty()).count() > 1 {
            return Err(DecodeError::RepeatedMember(name));
        }
        Ok(())
    }

    /// Refuses a body with members of both envelopes: their members cannot be assigned to one
    /// event.
    fn has_one_envelope(&self) -> Result<(), DecodeError> {
        let facts = self.facts;
        let Some(metadata) = self.scanned.first(facts.metadata) else {
            return Ok(());
        };
        let inside = metadata.text.as_ptr_range();
        for (field, name) in [
            (facts.id, "id"),
            (facts.source, "source"),
            (facts.detail_type, "detail-type"),
            (facts.time, "time"),
        ] {
            let value = self.scanned.first(field);
            if value.is_some_and(|value| !inside.contains(&value.text.as_ptr())) {
                return Err(DecodeError::TwoEnvelopes(name));
            }
        }
        Ok(())
    }

    fn is_version_2(&self) -> bool {
        self.scanned.first(self.facts.delivery_type).is_some()
    }

    /// The event's own id, by which a client drops duplicates; for raw bodies the queue's message id.
    pub fn id(&self) -> &str {
        match self.envelope {
            Envelope::Raw => self.origin.message_id,
            Envelope::EventBridge | Envelope::Sns => {
                self.text(self.facts.id).unwrap_or(self.origin.message_id)
            }
        }
    }

    /// Sender of the event, such as `shop.orders`.
    pub fn source(&self) -> Option<&str> {
        self.text(self.facts.source)
    }

    /// Kind of the event, such as `OrderPlaced`.
    pub fn detail_type(&self) -> Option<&str> {
        self.text(self.facts.detail_type)
    }

    /// Time of the event, as written: RFC 3339 as a rule, but not trusted to be a date.
    pub fn time(&self) -> Option<&str> {
        self.text(self.facts.time)
    }

    /// The AWS account it was put in.
    pub fn account(&self) -> Option<&str> {
        self.text(self.facts.account)
    }

    /// The AWS Region it was put in.
    pub fn region(&self) -> Option<&str> {
        self.text(self.facts.region)
    }

    /// The platform's own data: `detail`, or `Data` of a version-2 bus; for raw bodies the `detail` member, if any.
    pub fn detail(&self) -> Option<CapturedValue<'_>> {
        self.scanned.first(self.facts.detail)
    }

    /// The W3C trace context: `detail.traceparent` where that is one, or that of the message.
    pub fn traceparent(&self) -> Option<&str> {
        let single = self.scanned.values(self.facts.traceparent).len() == 1;
        self.text(self.facts.traceparent)
            .filter(|text| single && is_traceparent(text))
            .or(self.origin.traceparent)
    }

    /// Returns `true` if a bus delivers the event again from an archive: a classic bus adds
    /// `replay-name`, a version-2 bus says `REPLAY`.
    pub fn is_replay(&self) -> bool {
        let mut kinds = self.scanned.values(self.facts.delivery_type);
        let mut names = self.scanned.values(self.facts.replay_name);
        // A rule's input transformer may write `null` or empty text for a member that the event does not have.
        kinds.any(|kind| kind.text == b"REPLAY")
            || names.any(|name| name.kind != ValueKind::Null && !name.text.is_empty())
    }

    /// Everything that was captured.
    pub fn scanned(&self) -> &CapturedFields {
        &self.scanned
    }

    /// The whole event as received: the body, or the text that an SNS notification carries.
    pub fn body(&self) -> &Bytes {
        self.scanned.body()
    }

    fn text(&self, field: FieldId) -> Option<&str> {
        self.scanned
            .first(field)
            .filter(|value| value.kind == ValueKind::String)
            .and_then(|value| value.as_str())
    }
}

#[cfg(test)]
mod tests;
