//! SNS notifications: the text that they carry (SNS developer guide, "HTTP/HTTPS notification JSON format"; the same JSON
//! reaches SQS unless raw message delivery is on, with `SequenceNumber` from a FIFO topic).
//!
//! Message attributes, subject and signature are ignored: the queue's policy decides which senders
//! are allowed.

use bytes::Bytes;

use super::decode_error::DecodeError;
use super::fields::{FieldId, FieldTrie};
use super::scan::scan;
use super::scanned::{CapturedFields, ValueKind};

/// Finds the carried text of notifications.
#[derive(Clone, Debug)]
pub(super) struct NotificationReader {
    fields: FieldTrie,
    kind: FieldId,
    topic: FieldId,
    message: FieldId,
    /// Members that every event has one of, and no notification.
    details: [FieldId; 2],
}

impl NotificationReader {
    pub(super) fn new() -> Self {
        let mut fields = FieldTrie::new();
        Self {
            kind: fields.add("Type"),
            topic: fields.add("TopicArn"),
            message: fields.add("Message"),
            details: [fields.add("detail"), fields.add("Data")],
            fields,
        }
    }

    /// The text that a notification carries; `None` where the body is no notification.
    ///
    /// # Errors
    /// [`DecodeError`] when it is one whose `Message` is not one text, or an event as well.
    pub(super) fn unwrap(&self, body: &Bytes) -> Result<Option<Bytes>, DecodeError> {
        let Ok(scanned) = scan(body, &self.fields) else {
            return Ok(None);
        };
        if !self.is_notification(&scanned) {
            return Ok(None);
        }
        if self
            .details
            .iter()
            .any(|field| scanned.first(*field).is_some())
        {
            return Err(DecodeError::TwoEvents);
        }
        for (field, name) in [(self.kind, "Type"), (self.message, "Message")] {
            let values = scanned.values(field);
            if values.filter(|value| value.elements.is_empty()).count() > 1 {
                return Err(DecodeError::RepeatedMember(name));
            }
        }
        let message = scanned.first(self.message);
        match message.filter(|message| message.kind == ValueKind::String) {
            Some(message) => Ok(Some(Bytes::copy_from_slice(message.text))),
            None => Err(DecodeError::of_member("Message", "text", message)),
        }
    }

    /// Returns `true` if a body is a notification with a `Message`.
    pub(super) fn carries(&self, body: &Bytes) -> bool {
        scan(body, &self.fields).is_ok_and(|scanned| {
            self.is_notification(&scanned) && scanned.first(self.message).is_some()
        })
    }

    fn is_notification(&self, scanned: &CapturedFields) -> bool {
        let mut kinds = scanned.values(self.kind);
        scanned.root() == ValueKind::Object
            && kinds.any(|kind| kind.elements.is_empty() && kind.text == b"Notification")
            && scanned.first(self.topic).is_some()
    }
}
