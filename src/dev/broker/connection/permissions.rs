//! Permissions of one client, with a cache for the decision that every message needs.

use rustc_hash::FxHashMap;

use crate::port::{AccessDecision, ClientAction, Identity, RequestingClient};

/// Maximum number of cached topics; a full cache is cleared.
const REMEMBERED: usize = 256;

/// One connection's identity, and its decisions on deliveries.
pub(crate) struct ConnectionPermissions {
    pub(crate) identity: Identity,
    client: RequestingClient,
    received: FxHashMap<Box<str>, bool>,
}

impl ConnectionPermissions {
    pub(crate) fn new(identity: Identity, client: RequestingClient) -> Self {
        Self {
            identity,
            client,
            received: FxHashMap::default(),
        }
    }

    /// Replaces the permissions from now on.
    pub(crate) fn renew(&mut self, identity: Identity) {
        self.identity = identity;
        self.received.clear();
    }

    pub(crate) fn client(&self) -> &RequestingClient {
        &self.client
    }

    /// # Errors
    /// The reason of a denial.
    pub(crate) fn check(&self, action: ClientAction<'_>) -> Result<(), Box<str>> {
        match self.identity.access.decide(&self.client, action) {
            AccessDecision::Allowed => Ok(()),
            AccessDecision::Denied(why) => Err(why),
        }
    }

    /// Returns `true` where the client may receive a topic. Decisions are pure ([`Access`]), so
    /// each is cached.
    pub(crate) fn may_receive(&mut self, topic: &str) -> bool {
        if let Some(known) = self.received.get(topic) {
            return *known;
        }
        let allowed = self.check(ClientAction::Receive(topic)).is_ok();
        if self.received.len() >= REMEMBERED {
            self.received.clear();
        }
        self.received.insert(topic.into(), allowed);
        allowed
    }
}
