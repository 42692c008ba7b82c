//! Delivery from a session's outgoing queue to its connection's output.

use std::sync::atomic::Ordering;
use std::task::Context;

use tokio::time::Instant;

use super::ClientConnection;
use crate::dev::broker::hub::SessionHub;
use crate::dev::broker::hub::message::SubscriberDelivery;
use crate::dev::broker::hub::outbox::{NextOutgoing, OutgoingPublish};
use crate::dev::broker::hub::session::SessionState;
use crate::dev::broker::observe::{BrokerEvent, count};
use crate::dev::faults::FaultKind;
use crate::port::ClientAction;
use crate::wire::ProtocolVersion;

/// Messages taken from the queue at once.
const AT_ONCE: u32 = 32;

impl ClientConnection {
    /// Puts as many messages into the output as are available and allowed; returns `true` where
    /// there are more. Otherwise the next message wakes this task.
    pub(crate) fn deliver(&mut self, now: Instant, context: &mut Context<'_>) -> bool {
        if let Some(until) = self.clock.delayed {
            if until > now {
                self.clock.look_at(until);
                return false;
            }
            self.clock.delayed = None;
        }
        // Output above the connection's bytes per second is delayed.
        if let Some(at) = self.pace.bytes.next(now) {
            self.clock.look_at(at);
            return false;
        }
        let mut more = true;
        if self.taken.is_empty() && self.output.has_room() {
            more = self.take_some(now, context);
        }
        while self.output.has_room() && self.clock.delayed.is_none() {
            let Some(parcel) = self.taken.pop_front() else {
                break;
            };
            self.send(&parcel, now);
        }
        if self.taken.is_empty() && !more {
            // An idle connection holds no memory in reserve.
            self.taken = std::collections::VecDeque::new();
        }
        more || !self.taken.is_empty()
    }

    /// Takes messages from the outgoing queue; returns `true` where there may be more. Otherwise
    /// the session has the waker.
    fn take_some(&mut self, now: Instant, context: &mut Context<'_>) -> bool {
        let mut state = self.session.state();
        // The outgoing queue belongs to the connection that took over.
        if self.link.ending().is_some() {
            return false;
        }
        if let Some(at) = give_up_old(&self.hub, &mut state, self.level, now) {
            self.clock.look_at(at);
        }
        let account = &self.hub.account.publishes_out;
        let paced = self.pace.publishes.left(now).min(AT_ONCE);
        let allowed = if state.is_idle(now) {
            0
        } else {
            account.take_up_to(now, paced)
        };
        let mut taken = 0;
        while taken < allowed {
            match state.next(now) {
                NextOutgoing::Send(parcel) => {
                    self.taken.push_back(parcel);
                    taken += 1;
                }
                NextOutgoing::At(at) => {
                    self.clock.look_at(at);
                    break;
                }
                NextOutgoing::Nothing => break,
            }
        }
        account.give_back(allowed - taken);
        if taken > 0 {
            self.pace.publishes.take(now, taken);
        }
        if taken == AT_ONCE {
            return true;
        }
        if let Some(at) = state.outbox.due().filter(|at| *at > now) {
            self.clock.look_at(at);
        }
        if taken == allowed && !state.is_idle(now) {
            // Messages above the connection's rate are discarded; those of QoS 1 are sent later,
            // like a retransmission.
            let discarded = state.outbox.discard_qos0() as u64;
            let throttled = &self.hub.counters.throttled;
            throttled.fetch_add(discarded, Ordering::Relaxed);
            let rates = [self.pace.publishes.next(now), account.next(now)];
            if let Some(at) = rates.into_iter().flatten().max() {
                self.clock.look_at(at);
            }
        }
        state.listen(context.waker());
        self.listens = true;
        false
    }

    /// Puts one message into the output, unless its client must not receive it.
    fn send(&mut self, parcel: &OutgoingPublish, now: Instant) {
        let OutgoingPublish { delivery, id, .. } = parcel;
        let (message, id) = (&delivery.message, *id);
        if message.is_expired(now) {
            return self.give_up(delivery, id, "it has expired");
        }
        if !self.permissions.may_receive(&message.topic) {
            count(&self.hub.counters.receive_denied);
            self.forget(id);
            let client_id = &self.session.client_id;
            self.hub.observers.tell(client_id, || {
                let why = self
                    .permissions
                    .check(ClientAction::Receive(&message.topic));
                BrokerEvent::Dropped {
                    topic: message.topic.clone(),
                    why: why.err().unwrap_or_default(),
                    mark: message.mark(),
                }
            });
            return;
        }
        let fault =
            self.hub
                .faults
                .strike_client("Deliver", &self.session.client_id, &message.topic);
        match fault {
            // A fault loses the message: with QoS 1 it is sent again, at the latest after the next
            // connect.
            Some((FaultKind::Drop | FaultKind::Refuse | FaultKind::Throttle, _)) => return,
            Some((FaultKind::Disconnect, _)) => {
                return self.close(super::ending::DisconnectReason::Fault);
            }
            Some((FaultKind::Delay, time)) => {
                self.clock.delayed = Some(now + time);
                self.clock.look_at(now + time);
            }
            Some((FaultKind::Duplicate, _)) => {
                self.write_message(parcel, now);
            }
            Some((FaultKind::Linger, _)) | None => {}
        }
        self.write_message(parcel, now);
    }

    fn write_message(&mut self, parcel: &OutgoingPublish, now: Instant) {
        let OutgoingPublish { delivery, id, .. } = parcel;
        let id = *id;
        let message = &delivery.message;
        let mut packet = delivery.packet(self.level, id, now);
        packet.again = parcel.again && self.hub.rules.duplicate_flag;
        let alias = self.alias_of(&message.topic);
        if let Some((alias, is_known)) = alias {
            packet.alias = Some(alias);
            if is_known {
                packet.topic = "";
            }
        }
        if packet.bytes(self.level) > self.terms.packet_bytes {
            // The publisher sees it as delivered (MQTT 5.0, section 3.1.2.11.4).
            return self.give_up(delivery, id, "it is larger than its client takes");
        }
        if let Some((_, false)) = alias {
            self.aliases_out.push(message.topic.clone());
        }
        let out = self.output.packets();
        packet.put(out, self.level);
        self.output.put_payload(&message.payload);
        count(&self.hub.counters.delivered);
        self.hub
            .observers
            .tell(&self.session.client_id, || BrokerEvent::Delivered {
                topic: message.topic.clone(),
                bytes: message.payload.len(),
                qos: delivery.qos,
                retained: delivery.retain,
                again: parcel.again,
                mark: message.mark(),
            });
    }

    /// Returns the alias of a topic, and `true` where the client knows it; `None` where the topic
    /// has no alias.
    fn alias_of(&self, topic: &str) -> Option<(u16, bool)> {
        let most = self.terms.aliases_out;
        if most == 0 {
            return None;
        }
        let known = self.aliases_out.iter().position(|known| **known == *topic);
        let at = known.or_else(|| Some(self.aliases_out.len()).filter(|at| *at < most))?;
        let alias = u16::try_from(at + 1).ok()?;
        Some((alias, known.is_some()))
    }

    /// Gives up a message that is never delivered to its client.
    fn give_up(&self, delivery: &SubscriberDelivery, id: u16, why: &str) {
        self.forget(id);
        count(&self.hub.counters.dropped);
        self.hub
            .tell_dropped(&self.session.client_id, &delivery.message, why);
    }

    /// Removes a message from the messages in flight after it was taken from the outgoing queue.
    fn forget(&self, id: u16) {
        if id > 0 {
            self.session.state().outbox.acknowledge(id);
        }
    }
}

/// Gives up messages that were unacknowledged for the maximum time, and returns the time of the
/// next check.
fn give_up_old(
    hub: &SessionHub,
    state: &mut SessionState,
    level: ProtocolVersion,
    now: Instant,
) -> Option<Instant> {
    let (v3, v5) = hub.limits.redelivery?;
    let age = if level.is_v5() { v5 } else { v3 };
    loop {
        let oldest = state.outbox.oldest()?;
        if oldest + age > now {
            return Some(oldest + age);
        }
        let given_up = state.outbox.give_up(oldest) as u64;
        hub.counters.dropped.fetch_add(given_up, Ordering::Relaxed);
    }
}
