//! What comes from a client: bytes become packets, and packets are handled.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Buf as _;
use tokio::io::{AsyncRead as _, ReadBuf};
use tokio::time::Instant;

use super::ending::DisconnectReason;
use super::{ClientConnection, Turn};
use crate::dev::broker::excess::excess;
use crate::dev::broker::observe::count;
use crate::wire::decode::ClientPacket;
use crate::wire::{self, ProtocolError, ReasonCode, encode, kind};

/// How many bytes are read at once.
const READ: usize = 16 * 1024;

thread_local! {
    /// Where bytes are read to: connections hold only what is not a whole packet yet.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; READ]);
}

/// Why a message or a subscription was not taken: what MQTT 5 is told in PUBACK or SUBACK, and why.
pub(crate) struct PacketRejection {
    pub(crate) reason: ReasonCode,
    pub(crate) why: Box<str>,
}

impl ClientConnection {
    /// Reads once, and handles what has come. `Ok(0)` is the end.
    pub(super) fn read(
        &mut self,
        now: Instant,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if self.closing.is_some() || self.output.is_stuck() {
            return Poll::Pending;
        }
        if let Some(at) = self.pace.bytes.next(now) {
            self.clock.look_at(at);
            return Poll::Pending;
        }
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            ready!(Pin::new(&mut self.io).poll_read(context, &mut buffer))?;
            let count = buffer.filled().len();
            if count > 0 {
                self.clock.heard = now;
                self.pace
                    .bytes
                    .take(now, u32::try_from(count).unwrap_or(u32::MAX));
                let begins = buffer.filled().first().map(|first| first >> 4);
                let waits = begins == Some(kind::PUBLISH)
                    && self.input.is_empty()
                    && self.turn == Turn::None
                    && self.hub.stir.is_on(now);
                if waits {
                    self.turn = Turn::Waits;
                    self.input.extend_from_slice(buffer.filled());
                } else {
                    self.take_in(buffer.filled(), now);
                }
            }
            Poll::Ready(Ok(count))
        })
    }

    /// Handles all packets that have come as a whole, and holds the rest.
    pub(crate) fn take_in(&mut self, arrived: &[u8], now: Instant) {
        if self.input.is_empty() {
            let handled = self.handle_all(arrived, now);
            let rest = arrived.get(handled..).unwrap_or_default();
            self.input.extend_from_slice(rest);
            return;
        }
        let mut input = std::mem::take(&mut self.input);
        input.extend_from_slice(arrived);
        let handled = self.handle_all(&input, now);
        input.advance(handled);
        if !input.is_empty() {
            self.input = input;
        }
    }

    /// Handles packets; says how many bytes they had.
    fn handle_all(&mut self, mut arrived: &[u8], now: Instant) -> usize {
        let before = arrived.len();
        let largest = self.hub.limits.packet_bytes as usize;
        while self.closing.is_none() {
            let frame = match wire::frame(arrived, largest) {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(breach) => {
                    self.close(unreadable(breach, largest));
                    break;
                }
            };
            let body = arrived.get(frame.begin..frame.end).unwrap_or_default();
            let packet = wire::decode::decode(self.level, frame.header, body);
            let handled = match packet {
                Ok(packet) => self.handle(packet, now),
                Err(breach) => Err(DisconnectReason::Breach(breach)),
            };
            arrived = arrived.get(frame.end..).unwrap_or_default();
            if let Err(ending) = handled {
                self.close(ending);
            }
        }
        before - arrived.len()
    }

    /// # Errors
    /// How the connection ends, if it does.
    pub(crate) fn handle(
        &mut self,
        packet: ClientPacket<'_>,
        now: Instant,
    ) -> Result<(), DisconnectReason> {
        match packet {
            ClientPacket::Publish(publish) => self.publish(&publish, now),
            ClientPacket::PubAck { id, .. } => {
                // Also one that says no: the client has decided. One for a message that was given up means nothing.
                if self.session.state().outbox.acknowledge(id).is_some() {
                    count(&self.hub.counters.acknowledged);
                }
                Ok(())
            }
            ClientPacket::Subscribe(subscribe) => self.subscribe(&subscribe, now),
            ClientPacket::Unsubscribe { id, filters } => self.unsubscribe(id, &filters),
            ClientPacket::Ping => {
                encode::pong(self.output.packets());
                Ok(())
            }
            ClientPacket::Disconnect {
                reason,
                session_expiry,
            } => self.disconnect(reason, session_expiry),
            ClientPacket::Connect(_) => Err(DisconnectReason::Breach(ProtocolError::protocol(
                "a second CONNECT on one connection",
            ))),
        }
    }

    fn disconnect(&mut self, reason: u8, expiry: Option<u32>) -> Result<(), DisconnectReason> {
        if let Some(expiry) = expiry {
            if expiry > 0 && self.terms.expiry == 0 {
                return Err(DisconnectReason::Breach(ProtocolError::protocol(
                    "a session expiry in DISCONNECT where CONNECT had none",
                )));
            }
            self.expiry = Some(expiry.min(self.hub.limits.session_expiry_seconds));
        }
        // Any other reason than this one lets the will be published (MQTT 5.0, section 3.14.4).
        Err(if reason == ReasonCode::Success.code() {
            DisconnectReason::Left
        } else {
            DisconnectReason::LeftWithWill
        })
    }

    pub(crate) fn acknowledge(&mut self, id: u16, reason: ReasonCode, why: Option<&str>) {
        let why = why.filter(|_| self.terms.problems && self.terms.packet_bytes > 512);
        let reason = self.listed(reason);
        encode::acknowledged(self.output.packets(), self.level, id, reason, why);
    }
}

/// The end of a connection whose next packet has no length, or is too large.
fn unreadable(breach: ProtocolError, largest: usize) -> DisconnectReason {
    if breach.reason == ReasonCode::TooLarge {
        let why = excess("a larger packet", "packet-bytes", largest, "");
        return DisconnectReason::Refused(breach.reason, why);
    }
    DisconnectReason::Breach(breach)
}

pub(crate) fn breach(reason: ReasonCode, what: &'static str) -> DisconnectReason {
    DisconnectReason::Breach(ProtocolError { reason, what })
}
