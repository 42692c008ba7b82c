//! Takeover of a client id that has another connection.
//!
//! The earlier connection ends by itself, so that its client's last packets are read. A client that
//! sends DISCONNECT and reconnects at once wants no will published (MQTT 5.0, section 3.14.4),
//! although both packets arrive together. A will is published before any message of the new
//! connection.

use std::time::Duration;

use tokio::time::timeout;

use super::SessionHub;
use crate::dev::broker::connection::ending::DisconnectReason;

/// Timeout for the end of the earlier connection, which takes that long only if its peer reads
/// nothing.
const PATIENCE: Duration = Duration::from_millis(250);

impl SessionHub {
    /// Ends the current connection of a client id, and waits until it has left. A connection that
    /// is too slow keeps its session until [`SessionHub::arrive`] takes it.
    pub(crate) async fn vacate(&self, client_id: &str) {
        let Some(session) = self.session(client_id) else {
            return;
        };
        let link = session.state().link.clone();
        let Some(link) = link else {
            return;
        };
        link.end(DisconnectReason::TakenOver);
        session.wake();
        let _ = timeout(PATIENCE, link.left()).await;
    }
}
