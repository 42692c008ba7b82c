//! What an SQS body is as an event: the envelope around a platform's own data, and the facts every message carries on.
//!
//! Three shapes arrive from EventBridge: the classic envelope (user guide, "Events": `id`, `source`, `detail-type`, `time`,
//! `account`, `region`, `resources`, `detail`), the version-2 bus's `WITH_METADATA` (user guide, "Custom event buses":
//! `Data`, `Metadata`, `SystemMetadata`), and whatever a rule's input transformer makes (raw). Routes name fields as in the
//! classic envelope; for a version-2 delivery the same names lead to the same facts (`detail.x` to `Data.x`, `source` to
//! `SystemMetadata.aws:Source`), so one configuration serves both buses.
//!
//! `account` may be missing and `time` is never parsed here: published samples carry impossible dates.

use bytes::Bytes;

use super::fields::{FieldId, Fields};
use super::scan::{ScanError, scan};
use super::scanned::{Kind, Scanned, Value};
use super::trace::is_traceparent;

/// Version-2 names of the classic fields.
const VERSION_2: [(&str, &str); 5] = [
    ("Data", "detail"),
    ("SystemMetadata.aws:EventId", "id"),
    ("SystemMetadata.aws:Source", "source"),
    ("SystemMetadata.aws:DetailType", "detail-type"),
    ("SystemMetadata.aws:IngestionTime", "time"),
];

const DELIVERY_TYPE: &str = "SystemMetadata.aws:DeliveryType";

/// Which shapes of body are events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Envelope {
    /// EventBridge's own: classic, or version 2 with metadata, told apart by each body.
    #[default]
    EventBridge,
    /// Any JSON: a rule with an input transformer wrote it. Fields are named from its root, and the event's id is the
    /// queue's message id.
    Raw,
}

/// Reads bodies as events. Built once for a set of routes, shared by all deliveries.
#[derive(Clone, Debug)]
pub struct Decoder {
    envelope: Envelope,
    fields: Fields,
    facts: FactIds,
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
    delivery_type: FieldId,
    traceparent: FieldId,
}

impl Decoder {
    /// A decoder that captures `fields` besides the envelope's own.
    pub fn new(envelope: Envelope, mut fields: Fields) -> Self {
        if envelope == Envelope::EventBridge {
            for (from, to) in VERSION_2 {
                fields.alias(from, to);
            }
        }
        let facts = FactIds {
            id: fields.add("id"),
            source: fields.add("source"),
            detail_type: fields.add("detail-type"),
            time: fields.add("time"),
            account: fields.add("account"),
            region: fields.add("region"),
            detail: fields.add("detail"),
            delivery_type: fields.add(DELIVERY_TYPE),
            traceparent: fields.add("detail.traceparent"),
        };
        Self {
            envelope,
            fields,
            facts,
        }
    }

    /// The shapes of body that it takes.
    pub fn envelope(&self) -> Envelope {
        self.envelope
    }

    /// Reads one body.
    ///
    /// # Errors
    /// [`DecodeError`] when the body is not JSON, or not an event of the expected envelope. Both are permanent.
    pub fn decode<'m>(
        &self,
        body: &Bytes,
        origin: impl Into<Origin<'m>>,
    ) -> Result<Event<'m>, DecodeError> {
        let scanned = scan(body, &self.fields)?;
        let event = Event {
            scanned,
            facts: self.facts,
            origin: origin.into(),
            envelope: self.envelope,
        };
        match self.envelope {
            Envelope::Raw => Ok(event),
            Envelope::EventBridge => event.checked(),
        }
    }
}

/// What the queue says of a body.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'m> {
    /// The queue's id of the message; it stands in for the event's id where the envelope has none (raw bodies).
    pub message_id: &'m str,
    /// The W3C trace context of whoever sent the message; the event's own comes before it.
    pub traceparent: Option<&'m str>,
}

impl<'m> From<&'m str> for Origin<'m> {
    fn from(message_id: &'m str) -> Self {
        Self {
            message_id,
            traceparent: None,
        }
    }
}

/// Why a body is not an event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The body is not JSON.
    #[error(transparent)]
    Json(#[from] ScanError),
    /// JSON, but no EventBridge envelope.
    #[error("not an EventBridge event: `{0}` is missing or not {1}")]
    Envelope(&'static str, &'static str),
}

/// One event: the received bytes, and what was captured in the one pass over them.
#[derive(Clone, Debug)]
pub struct Event<'m> {
    scanned: Scanned,
    facts: FactIds,
    origin: Origin<'m>,
    envelope: Envelope,
}

impl Event<'_> {
    fn checked(self) -> Result<Self, DecodeError> {
        let facts = self.facts;
        for (field, name) in [
            (facts.id, "id"),
            (facts.source, "source"),
            (facts.detail_type, "detail-type"),
        ] {
            // Events put raw on a version-2 bus have no detail type.
            let optional = field == facts.detail_type && self.is_version_2();
            if self.text(field).is_none() && !optional {
                return Err(DecodeError::Envelope(name, "a string"));
            }
        }
        let detail = self.scanned.first(facts.detail).map(|value| value.kind);
        match detail {
            Some(Kind::Object) => Ok(self),
            Some(_) if self.is_version_2() => Ok(self),
            _ => Err(DecodeError::Envelope("detail", "an object")),
        }
    }

    fn is_version_2(&self) -> bool {
        self.scanned.first(self.facts.delivery_type).is_some()
    }

    /// The event's own id, by which a client drops duplicates; for raw bodies the queue's message id.
    pub fn id(&self) -> &str {
        match self.envelope {
            Envelope::EventBridge => self.text(self.facts.id).unwrap_or(self.origin.message_id),
            Envelope::Raw => self.origin.message_id,
        }
    }

    /// Who sent it, such as `shop.orders`.
    pub fn source(&self) -> Option<&str> {
        self.text(self.facts.source)
    }

    /// What happened, such as `OrderPlaced`.
    pub fn detail_type(&self) -> Option<&str> {
        self.text(self.facts.detail_type)
    }

    /// When it happened, as written: RFC 3339 as a rule, but not trusted to be a date.
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
    pub fn detail(&self) -> Option<Value<'_>> {
        self.scanned.first(self.facts.detail)
    }

    /// The W3C trace context: `detail.traceparent` where that is one, or that of the message.
    pub fn traceparent(&self) -> Option<&str> {
        self.text(self.facts.traceparent)
            .filter(|text| is_traceparent(text))
            .or(self.origin.traceparent)
    }

    /// Whether a version-2 bus delivers it again from its archive, on request.
    pub fn is_replay(&self) -> bool {
        self.text(self.facts.delivery_type) == Some("REPLAY")
    }

    /// Everything that was captured.
    pub fn scanned(&self) -> &Scanned {
        &self.scanned
    }

    /// The whole body as received.
    pub fn body(&self) -> &Bytes {
        self.scanned.body()
    }

    fn text(&self, field: FieldId) -> Option<&str> {
        self.scanned
            .first(field)
            .filter(|value| value.kind == Kind::String)
            .and_then(|value| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLASSIC: &str = r#"{"version":"0","id":"e1","detail-type":"OrderPlaced","source":"shop.orders","time":"2026-04-31T00:00:00Z","region":"eu-central-1","resources":[],"detail":{"orderId":"o1"}}"#;
    const VERSION_2: &str = r#"{"Data":{"orderId":"o1"},"Metadata":{},"SystemMetadata":{"aws:EventId":"e2","aws:Source":"shop.orders","aws:DetailType":"OrderPlaced","aws:DeliveryType":"REPLAY","aws:IngestionTime":"2026-11-24T00:00:00Z"}}"#;

    fn decoder(envelope: Envelope) -> (Decoder, FieldId) {
        let mut fields = Fields::new();
        let order = fields.add("detail.orderId");
        (Decoder::new(envelope, fields), order)
    }

    #[test]
    fn classic() {
        let (decoder, order) = decoder(Envelope::EventBridge);
        let event = decoder.decode(&Bytes::from(CLASSIC), "m1").unwrap();
        assert_eq!(event.id(), "e1");
        assert_eq!(event.source(), Some("shop.orders"));
        assert_eq!(event.detail_type(), Some("OrderPlaced"));
        assert_eq!(event.time(), Some("2026-04-31T00:00:00Z"));
        assert_eq!(event.account(), None);
        assert!(!event.is_replay());
        assert_eq!(event.scanned().first(order).unwrap().text, b"o1");
        assert_eq!(event.detail().unwrap().text, br#"{"orderId":"o1"}"#);
    }

    #[test]
    fn version_2_has_the_same_names() {
        let (decoder, order) = decoder(Envelope::EventBridge);
        let event = decoder.decode(&Bytes::from(VERSION_2), "m1").unwrap();
        assert_eq!(event.id(), "e2");
        assert_eq!(event.source(), Some("shop.orders"));
        assert_eq!(event.detail_type(), Some("OrderPlaced"));
        assert!(event.is_replay());
        assert_eq!(event.scanned().first(order).unwrap().text, b"o1");
        assert_eq!(event.detail().unwrap().text, br#"{"orderId":"o1"}"#);
    }

    #[test]
    fn raw_is_any_json() {
        let (decoder, _) = decoder(Envelope::Raw);
        for body in [r#""text""#, "[1]", r#"{"id":"mine"}"#] {
            let event = decoder.decode(&Bytes::from(body), "m1").unwrap();
            assert_eq!(event.id(), "m1");
        }
    }

    #[test]
    fn not_events() {
        let (decoder, _) = decoder(Envelope::EventBridge);
        let refuse = |body: &'static str| {
            decoder
                .decode(&Bytes::from(body), "m1")
                .unwrap_err()
                .to_string()
        };
        insta::assert_snapshot!(refuse("hello"), @"not JSON: an unexpected character at byte 0");
        insta::assert_snapshot!(refuse("[]"), @"not an EventBridge event: `id` is missing or not a string");
        insta::assert_snapshot!(refuse(r#"{"id":"1","source":"s","detail":{}}"#), @"not an EventBridge event: `detail-type` is missing or not a string");
        insta::assert_snapshot!(refuse(r#"{"id":"1","source":"s","detail-type":"t","detail":[]}"#), @"not an EventBridge event: `detail` is missing or not an object");
    }
}
