//! Frames of an event stream (HTML Standard, "Server-sent events"), written by hand.
//!
//! The framework's builder panics on names and ids with line breaks. Here they are typed: an
//! event's name comes from a closed set, an id is a sealed text, whose letters are those of Base64
//! for URLs, and data is one line.

use bytes::{BufMut as _, Bytes, BytesMut};
use serde_json::Value;

/// The name of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EventName {
    Message,
    Advice,
    Error,
}

impl EventName {
    fn as_str(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Advice => "advice",
            Self::Error => "error",
        }
    }
}

/// The id of an event: a cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EventId(String);

impl EventId {
    /// A text of letters that sealed texts have; `None` for any other.
    pub(super) fn try_new(text: String) -> Option<Self> {
        let is_sealed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (!text.is_empty() && text.bytes().all(is_sealed)).then_some(Self(text))
    }
}

/// The beginning of every stream: after which time to come back, and a sign of life.
pub(super) const BEGINNING: Bytes = Bytes::from_static(b"retry: 2000\n:\n\n");

/// A sign of life.
pub(super) const HEARTBEAT: Bytes = Bytes::from_static(b":\n\n");

/// Writes an event. Line breaks in `data` become spaces: in JSON they stand between tokens only.
pub(super) fn put(out: &mut BytesMut, name: EventName, id: Option<&EventId>, data: &[u8]) {
    out.put_slice(b"event: ");
    out.put_slice(name.as_str().as_bytes());
    if let Some(EventId(id)) = id {
        out.put_slice(b"\nid: ");
        out.put_slice(id.as_bytes());
    }
    out.put_slice(b"\ndata: ");
    for &byte in data {
        out.put_u8(if matches!(byte, b'\n' | b'\r') {
            b' '
        } else {
            byte
        });
    }
    out.put_slice(b"\n\n");
}

/// The last event of a stream that ends as planned.
pub(super) fn put_advice(out: &mut BytesMut, id: Option<&EventId>) {
    put(out, EventName::Advice, id, b"{\"reconnect\":true}");
}

/// The last event of a stream that cannot go on.
pub(super) fn put_error(out: &mut BytesMut, body: &Value) {
    put(out, EventName::Error, None, body.to_string().as_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The events that an EventSource reads from a stream: names, ids and data.
    fn read(stream: &[u8]) -> Vec<(String, String, String)> {
        let text = String::from_utf8_lossy(stream)
            .replace("\r\n", "\n")
            .replace('\r', "\n");
        let mut events = Vec::new();
        let (mut name, mut id, mut data) = (String::new(), String::new(), None::<String>);
        for line in text.split('\n') {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "" if line.is_empty() => {
                    if let Some(data) = data.take() {
                        events.push((std::mem::take(&mut name), id.clone(), data));
                    }
                }
                "event" => name = value.to_owned(),
                "id" => id = value.to_owned(),
                "data" => {
                    let data = data.get_or_insert_default();
                    if !data.is_empty() {
                        data.push('\n');
                    }
                    data.push_str(value);
                }
                _ => {}
            }
        }
        events
    }

    #[test]
    fn streams_begin_with_a_sign_of_life_and_no_event() {
        let mut out = BytesMut::from(&BEGINNING[..]);
        out.put_slice(&HEARTBEAT);
        assert!(read(&out).is_empty());
        let id = EventId::try_new("a-_9".into()).unwrap();
        put(&mut out, EventName::Message, Some(&id), b"{}");
        put_advice(&mut out, None);
        let events = read(&out);
        assert_eq!(events[0], ("message".into(), "a-_9".into(), "{}".into()));
        assert_eq!(events[1].2, "{\"reconnect\":true}");
    }

    proptest! {
        #[test]
        fn no_payload_makes_an_event_of_its_own(data in ".*", broken in "[\\r\\n:a-z ]*") {
            let mut out = BytesMut::new();
            put(&mut out, EventName::Message, None, data.as_bytes());
            put(&mut out, EventName::Message, None, broken.as_bytes());
            let error = serde_json::json!({ "message": data });
            put_error(&mut out, &error);
            let events = read(&out);
            prop_assert_eq!(events.len(), 3);
            prop_assert!(events.iter().all(|(name, id, _)| name != "advice" && id.is_empty()));
            let read_back: serde_json::Value = serde_json::from_str(&events[2].2).unwrap();
            prop_assert_eq!(read_back, error);
        }

        #[test]
        fn ids_are_sealed_texts(id in ".*") {
            let known = EventId::try_new(id.clone());
            let is_sealed = !id.is_empty()
                && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
            prop_assert_eq!(known.is_some(), is_sealed);
        }
    }
}
