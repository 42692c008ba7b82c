//! What a client's packets do, once it is connected.

use tokio::time::Instant;

use super::Connection;
use super::ending::Ending;
use crate::dev::broker::observe::count;
use crate::dev::broker::wire::decode::Packet;
use crate::dev::broker::wire::{Breach, Reason, encode};

/// Why a message or a subscription was not taken: what MQTT 5 is told in PUBACK or SUBACK, and why.
pub(crate) struct No {
    pub(crate) reason: Reason,
    pub(crate) why: Box<str>,
}

impl Connection {
    /// # Errors
    /// How the connection ends, if it does.
    pub(crate) fn handle(&mut self, packet: Packet<'_>, now: Instant) -> Result<(), Ending> {
        match packet {
            Packet::Publish(publish) => self.publish(&publish, now),
            Packet::PubAck { id, .. } => {
                // Also one that says no: the client has decided. One for a message that was given up means nothing.
                if self.session.state().outbox.acknowledge(id).is_some() {
                    count(&self.hub.counters.acknowledged);
                }
                Ok(())
            }
            Packet::Subscribe(subscribe) => self.subscribe(&subscribe, now),
            Packet::Unsubscribe { id, filters } => self.unsubscribe(id, &filters),
            Packet::Ping => {
                encode::pong(self.output.packets());
                Ok(())
            }
            Packet::Disconnect {
                reason,
                session_expiry,
            } => self.disconnect(reason, session_expiry),
            Packet::Connect(_) => Err(Ending::Breach(Breach::protocol(
                "a second CONNECT on one connection",
            ))),
        }
    }

    fn disconnect(&mut self, reason: u8, expiry: Option<u32>) -> Result<(), Ending> {
        if let Some(expiry) = expiry {
            if expiry > 0 && self.terms.expiry == 0 {
                return Err(Ending::Breach(Breach::protocol(
                    "a session expiry in DISCONNECT where CONNECT had none",
                )));
            }
            self.expiry = Some(expiry.min(self.hub.limits.session_expiry_seconds));
        }
        // Any other reason than this one lets the will be published (MQTT 5.0, section 3.14.4).
        Err(if reason == Reason::Success.code() {
            Ending::Left
        } else {
            Ending::LeftWithWill
        })
    }

    pub(crate) fn acknowledge(&mut self, id: u16, reason: Reason, why: Option<&str>) {
        let why = why.filter(|_| self.terms.problems && self.terms.packet_bytes > 512);
        let reason = self.listed(reason);
        encode::acknowledged(self.output.packets(), self.level, id, reason, why);
    }
}

pub(crate) fn breach(reason: Reason, what: &'static str) -> Ending {
    Ending::Breach(Breach { reason, what })
}
