//! What one client may do, remembered where it is asked for with every message.

use rustc_hash::FxHashMap;

use crate::port::{Access, Action, Authentication, Authorizer, Client, Decision, Identity};
use crate::port::{Answer, Presented};

/// How many topics' decisions are remembered; then all are forgotten.
const REMEMBERED: usize = 256;

/// One connection's identity, and its decisions on deliveries.
pub(super) struct Permissions {
    pub(super) identity: Identity,
    client: Client,
    received: FxHashMap<Box<str>, bool>,
}

impl Permissions {
    pub(super) fn new(identity: Identity, client: Client) -> Self {
        Self {
            identity,
            client,
            received: FxHashMap::default(),
        }
    }

    /// Other permissions from now on.
    pub(super) fn renew(&mut self, identity: Identity) {
        self.identity = identity;
        self.received.clear();
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// # Errors
    /// Why not.
    pub(super) fn check(&self, action: Action<'_>) -> Result<(), Box<str>> {
        match self.identity.access.decide(&self.client, action) {
            Decision::Allowed => Ok(()),
            Decision::Denied(why) => Err(why),
        }
    }

    /// Whether the client may have a message of a topic. Decisions are pure ([`Access`]), so each is made once.
    pub(super) fn may_receive(&mut self, topic: &str) -> bool {
        if let Some(known) = self.received.get(topic) {
            return *known;
        }
        let allowed = self.check(Action::Receive(topic)).is_ok();
        if self.received.len() >= REMEMBERED {
            self.received.clear();
        }
        self.received.insert(topic.into(), allowed);
        allowed
    }
}

/// Lets everybody do everything: a broker without roles.
#[derive(Clone, Copy, Debug, Default)]
pub struct Everybody;

impl Access for Everybody {
    fn decide(&self, _: &Client, _: Action<'_>) -> Decision {
        Decision::Allowed
    }
}

impl Authorizer for Everybody {
    fn authenticate<'a>(&'a self, _: &'a Presented) -> Answer<'a> {
        Box::pin(async {
            Ok(Authentication::Known(Identity {
                principal: "everybody".into(),
                access: std::sync::Arc::new(Self),
                refresh_after: None,
                disconnect_after: None,
            }))
        })
    }
}
