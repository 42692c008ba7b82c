//! Life-cycle events: IoT Core's messages about clients, on `$aws/events/…` (developer guide,
//! "Lifecycle events").

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use bytes::Bytes;
use serde::Serialize;
use tokio::time::Instant;

use super::SessionHub;
use super::holdings::MessageWeight;
use super::message::PublishedMessage;
use super::session::{ClientSession, ConnectionHandle};
use crate::dev::broker::connection::ending::DisconnectReason;
use crate::dev::broker::observe::BrokerEvent;

/// Fields of every life-cycle event. Absent fields are left out.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct LifecycleEvent<'a> {
    client_id: &'a str,
    timestamp: u128,
    event_type: &'a str,
    session_identifier: &'a str,
    principal_identifier: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ip_address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    topics: Option<&'a [&'a str]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_initiated_disconnect: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disconnect_reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version_number: Option<u64>,
}

impl SessionHub {
    pub(crate) fn tell_connected(
        &self,
        session: &ClientSession,
        link: &ConnectionHandle,
        resumed: bool,
    ) {
        self.observers
            .tell(&session.client_id, || BrokerEvent::Connected {
                principal: Arc::clone(&link.principal),
                mqtt: if session.is_v5 { "5" } else { "3" },
                source: link.source,
                resumed,
                rights: link.rights(),
            });
        let version = self.version(&session.client_id);
        self.event("presence/connected", &session.client_id, || {
            LifecycleEvent {
                event_type: "connected",
                version_number: Some(version),
                ip_address: Some(link.source.ip().to_string()),
                ..of(link)
            }
        });
    }

    pub(crate) fn tell_disconnected(
        &self,
        client_id: &Arc<str>,
        link: &ConnectionHandle,
        ending: &DisconnectReason,
    ) {
        let version = self.version(client_id);
        self.event("presence/disconnected", client_id, || LifecycleEvent {
            event_type: "disconnected",
            client_initiated_disconnect: Some(ending.is_clients()),
            disconnect_reason: Some(ending.word()),
            version_number: Some(version),
            ip_address: Some(link.source.ip().to_string()),
            ..of(link)
        });
    }

    /// Publishes the event of a CONNECT that a policy denied.
    pub(crate) fn tell_connect_failed(
        &self,
        client_id: &Arc<str>,
        principal: &str,
        source: SocketAddr,
    ) {
        self.event("presence/connect_failed", client_id, || LifecycleEvent {
            event_type: "connect_failed",
            principal_identifier: principal,
            disconnect_reason: Some("AUTHORIZATION_FAILED"),
            ip_address: Some(source.ip().to_string()),
            ..LifecycleEvent::default()
        });
    }

    pub(crate) fn tell_subscribed(
        &self,
        client_id: &Arc<str>,
        link: &ConnectionHandle,
        filters: &[&str],
    ) {
        self.event("subscriptions/subscribed", client_id, || LifecycleEvent {
            event_type: "subscribed",
            topics: Some(filters),
            ..of(link)
        });
    }

    pub(crate) fn tell_unsubscribed(
        &self,
        client_id: &Arc<str>,
        link: &ConnectionHandle,
        filters: &[&str],
    ) {
        self.event("subscriptions/unsubscribed", client_id, || LifecycleEvent {
            event_type: "unsubscribed",
            topics: Some(filters),
            ..of(link)
        });
    }

    fn version(&self, client_id: &Arc<str>) -> u64 {
        self.ledger().version(client_id, Instant::now())
    }

    /// Publishes an event, if there is any subscription to events. Client ids with `#` or `+` have
    /// no events.
    fn event<'a>(
        &self,
        about: &str,
        client_id: &'a str,
        event: impl FnOnce() -> LifecycleEvent<'a>,
    ) {
        let nobody = self.event_subscriptions.load(Ordering::Relaxed) == 0;
        if nobody || client_id.contains(['#', '+']) {
            return;
        }
        let now = SystemTime::now();
        let since = now.duration_since(SystemTime::UNIX_EPOCH);
        let event = LifecycleEvent {
            client_id,
            timestamp: since.unwrap_or_default().as_millis(),
            ..event()
        };
        // The event has only text and numbers, so serialization cannot fail.
        let payload = serde_json::to_vec(&event).unwrap_or_default();
        self.publish(Arc::new(PublishedMessage {
            topic: format!("$aws/events/{about}/{client_id}").into(),
            payload: Bytes::from(payload),
            properties: Box::default(),
            qos: 1,
            retain: false,
            expires: None,
            publisher: 0,
            at: now,
            weight: MessageWeight::default(),
        }));
    }
}

fn of(link: &ConnectionHandle) -> LifecycleEvent<'_> {
    LifecycleEvent {
        session_identifier: &link.id,
        principal_identifier: &link.principal,
        ..LifecycleEvent::default()
    }
}
