//! Input from a client: decodes bytes to packets and handles the packets.

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

/// Bytes of one read.
const READ: usize = 16 * 1024;

thread_local! {
    /// Read buffer of the thread: a connection itself holds only an incomplete packet.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; READ]);
}

/// Refusal of a message or a subscription: the reason code in PUBACK or SUBACK for MQTT 5, and the
/// reason in words.
pub(crate) struct PacketRejection {
    pub(crate) reason: ReasonCode,
    pub(crate) why: Box<str>,
}

impl ClientConnection {
    /// Reads once, and handles the bytes. `Ok(0)` is the end of the stream.
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

    /// Handles all complete packets, and keeps the rest.
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

    /// Handles packets and returns their number of bytes.
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
    /// The reason for the end of the connection.
    pub(crate) fn handle(
        &mut self,
        packet: ClientPacket<'_>,
        now: Instant,
    ) -> Result<(), DisconnectReason> {
        match packet {
            ClientPacket::Publish(publish) => self.publish(&publish, now),
            ClientPacket::PubAck { id, .. } => {
                // A negative one counts as well: the client has decided. The acknowledgement of a
                // message that was given up has no effect.
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

/// Returns the reason for the end of a connection whose next packet has no length, or is too large.
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
