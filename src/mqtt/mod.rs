//! The MQTT 5 adapter: publications out, each tied to its own acknowledgement.
//!
//! A pool of connections is the [`Publisher`](crate::port::Publisher) of the daemon ([`pool`]). The
//! client library stays inside this module; nothing is ever left to its own reconnect, which loses
//! publications silently: on every error client and event loop are thrown away.

pub mod auth;
mod client_id;
mod connection;
mod granted;
pub mod listener;
pub mod pool;

use std::time::Duration;

/// Access to the broker, and limits of its use.
#[derive(Clone)]
pub struct MqttSettings {
    /// Access to the broker.
    pub access: auth::BrokerAccess,
    /// Prefix of the client ids; a random part, fresh for each attempt to connect, and the
    /// connection's number follow.
    pub client_id: String,
    /// The fewest and the most connections that are held.
    pub connections: (usize, usize),
    /// Publications a second to begin with: as many connections as carry them are opened at once.
    pub expected_rate: f64,
    /// Limits of the sending rate.
    pub limits: crate::pace::PaceBounds,
    /// Unacknowledged publications a connection may have; the broker's receive maximum lowers it.
    pub in_flight: u16,
    /// The keep-alive asked for; the broker may give another.
    pub keep_alive: Duration,
    /// Time that a connection attempt may take.
    pub connect_timeout: Duration,
    /// Time that an acknowledgement may take before the connection counts as lost.
    pub publish_timeout: Duration,
    /// The first and the longest wait between connection attempts.
    pub back_off: (Duration, Duration),
}

impl Default for MqttSettings {
    fn default() -> Self {
        Self {
            access: auth::BrokerAccess::plain("127.0.0.1", 1883),
            client_id: "eventcast".into(),
            connections: (2, 200),
            expected_rate: 0.0,
            limits: crate::pace::PaceBounds::default(),
            in_flight: crate::channel::limits::UNACKNOWLEDGED_PER_CONNECTION,
            keep_alive: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
            publish_timeout: Duration::from_secs(30),
            // A broker that comes back is not to be met by all of its clients at once.
            back_off: (Duration::from_secs(1), Duration::from_secs(20)),
        }
    }
}
