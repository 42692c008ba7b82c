//! SNS notifications: the text that they carry (SNS developer guide, "HTTP/HTTPS notification JSON format"; the same JSON
//! reaches SQS unless raw message delivery is on, with `SequenceNumber` from a FIFO topic).
//!
//! Message attributes, subject and signature are ignored: the queue's policy decides who may send.

use bytes::Bytes;

use super::decode_error::DecodeError;
use super::fields::{FieldId, Fields};
use super::scan::scan;
use super::scanned::Kind;

/// Finds the carried text of notifications.
#[derive(Clone, Debug)]
pub(super) struct NotificationReader {
    fields: Fields,
    kind: FieldId,
    topic: FieldId,
    message: FieldId,
}

impl NotificationReader {
    pub(super) fn new() -> Self {
        let mut fields = Fields::new();
        Self {
            kind: fields.add("Type"),
            topic: fields.add("TopicArn"),
            message: fields.add("Message"),
            fields,
        }
    }

    /// The text that a notification carries; `None` where the body is no notification.
    ///
    /// # Errors
    /// [`DecodeError`] when it is one whose `Message` is not one text.
    pub(super) fn unwrap(&self, body: &Bytes) -> Result<Option<Bytes>, DecodeError> {
        let Ok(scanned) = scan(body, &self.fields) else {
            return Ok(None);
        };
        let mut kinds = scanned.values(self.kind);
        let notification = scanned.root() == Kind::Object
            && kinds.any(|kind| kind.text == b"Notification")
            && scanned.first(self.topic).is_some();
        if !notification {
            return Ok(None);
        }
        for (field, name) in [(self.kind, "Type"), (self.message, "Message")] {
            if scanned.values(field).len() > 1 {
                return Err(DecodeError::RepeatedMember(name));
            }
        }
        let message = scanned.first(self.message);
        match message.filter(|message| message.kind == Kind::String) {
            Some(message) => Ok(Some(Bytes::copy_from_slice(message.text))),
            None => Err(DecodeError::of_member("Message", "text", message)),
        }
    }
}
