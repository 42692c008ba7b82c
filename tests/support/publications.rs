//! A publication as a route makes them, for tests of publishers.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use eventcast::channel::topic::Topic;
use eventcast::route::publication::{EnvelopeFacts, Publication, Qos};

/// A publication of the event `e1` from `shop`; fields that matter to a test are changed there.
pub(crate) fn publication(topic: &str, payload: &str) -> Publication {
    Publication {
        topic: Topic::parse(topic).unwrap(),
        payload: Bytes::copy_from_slice(payload.as_bytes()),
        route: Arc::from("r"),
        qos: Qos::AtLeastOnce,
        retain: false,
        expires: Some(Duration::from_secs(60)),
        conflate: false,
        order: None,
        content_type: "application/json",
        oversize: None,
        facts: Arc::new(EnvelopeFacts::new("e1", [Some("shop"), None, None, None])),
    }
}
