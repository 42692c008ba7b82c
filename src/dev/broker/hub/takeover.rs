//! Room for a connection whose client id another one has.
//!
//! The earlier connection leaves by itself, so that what its client said last is heard: who says DISCONNECT and comes back at once
//! wants no will published (MQTT 5.0, section 3.14.4), although both arrive together. Its will, where there is one, comes before
//! anything of the new connection.

use std::time::Duration;

use tokio::time::timeout;

use super::SessionHub;
use crate::dev::broker::connection::ending::DisconnectReason;

/// How long the earlier connection may take, which waits for nobody unless its peer reads nothing.
const PATIENCE: Duration = Duration::from_millis(250);

impl SessionHub {
    /// Has the connection end that has a client id now, and waits until it has left. One that does not in time keeps its place until
    /// [`SessionHub::arrive`] takes it.
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
