//! Payload shapes: the parts of an event that clients receive, and their form.
//!
//! `event` and `detail` are slices of the received bytes, so that numbers keep their spelling and nothing is copied.
//! `cloudevents` is the structured mode of CloudEvents 1.0 (MQTT binding, section 3.2), with `detail` as its data.

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::event::envelope::Event;

/// Part or form of an event that a route publishes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PayloadShape {
    /// The body as received.
    #[default]
    Event,
    /// The platform's own data alone.
    Detail,
    /// A CloudEvent in structured mode.
    CloudEvents,
}

/// An event lacks a member that a payload shape needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the payload needs `{0}`, which the event does not have as it must be")]
pub struct MissingEventField(pub &'static str);

impl PayloadShape {
    /// The names in the configuration, in the order of the variants.
    pub const NAMES: [(&'static str, Self); 3] = [
        ("event", Self::Event),
        ("detail", Self::Detail),
        ("cloudevents", Self::CloudEvents),
    ];

    /// The MQTT content type.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Event | Self::Detail => "application/json",
            Self::CloudEvents => "application/cloudevents+json",
        }
    }

    /// The bytes to publish.
    ///
    /// # Errors
    /// [`MissingEventField`] when a raw body has no `detail`, or no `source` and type for a
    /// CloudEvent.
    pub fn of(self, event: &Event<'_>) -> Result<Bytes, MissingEventField> {
        match self {
            Self::Event => Ok(event.body().clone()),
            Self::Detail => {
                let detail = event.detail().ok_or(MissingEventField("detail"))?;
                Ok(event.scanned().slice(&detail))
            }
            Self::CloudEvents => {
                let detail = event.detail().ok_or(MissingEventField("detail"))?;
                cloud_event(event, &event.scanned().slice(&detail))
            }
        }
    }

    /// The bytes to publish with another `detail`.
    ///
    /// # Errors
    /// [`MissingEventField`] as for [`of`](Self::of), and when there is no `detail` to take the
    /// place of.
    pub fn with_detail(
        self,
        event: &Event<'_>,
        detail: Vec<u8>,
    ) -> Result<Bytes, MissingEventField> {
        match self {
            Self::Event => {
                let (start, end) = event.detail().ok_or(MissingEventField("detail"))?.span;
                let body = event.body();
                let around = (body.get(..start), body.get(end..));
                let (before, after) = (around.0.unwrap_or_default(), around.1.unwrap_or_default());
                Ok([before, &detail, after].concat().into())
            }
            Self::Detail => Ok(detail.into()),
            Self::CloudEvents => cloud_event(event, &detail),
        }
    }
}

#[derive(Serialize)]
struct CloudEvent<'e> {
    specversion: &'static str,
    id: &'e str,
    source: &'e str,
    #[serde(rename = "type")]
    kind: &'e str,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    awsaccount: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    awsregion: Option<&'e str>,
    datacontenttype: &'static str,
    data: &'e RawValue,
}

fn cloud_event(event: &Event<'_>, detail: &[u8]) -> Result<Bytes, MissingEventField> {
    let data = serde_json::from_slice(detail).map_err(|_| MissingEventField("detail"))?;
    let cloud_event = CloudEvent {
        specversion: "1.0",
        id: event.id(),
        source: event.source().ok_or(MissingEventField("source"))?,
        kind: event
            .detail_type()
            .ok_or(MissingEventField("detail-type"))?,
        // The attribute must be a timestamp; published samples of events have impossible ones.
        time: event
            .time()
            .filter(|time| time.parse::<jiff::Timestamp>().is_ok()),
        awsaccount: event.account(),
        awsregion: event.region(),
        datacontenttype: "application/json",
        data,
    };
    serde_json::to_vec(&cloud_event)
        .map(Bytes::from)
        .map_err(|_| MissingEventField("detail"))
}
