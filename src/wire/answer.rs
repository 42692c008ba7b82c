//! The packets that a broker sends, as a client of MQTT 5 reads them.
//!
//! They borrow from the bytes that have arrived. Reason codes stay numbers: a broker may send one
//! that is not known here, and its highest bit says what matters (MQTT 5.0, section 2.4).

use super::decode::{PublishPacket, end, identifier, only, publish};
use super::property::{id, properties};
use super::read::PacketReader;
use super::{ProtocolError, ProtocolVersion, kind};

/// A packet from a broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerPacket<'a> {
    /// CONNACK.
    Connected(Connected<'a>),
    /// A message.
    Publish(PublishPacket<'a>),
    /// PUBACK.
    PubAck {
        /// The packet identifier.
        id: u16,
        /// The reason code.
        reason: u8,
    },
    /// SUBACK or UNSUBACK.
    Filters {
        /// The packet identifier.
        id: u16,
        /// A reason code for each filter, in the order of the request.
        reasons: &'a [u8],
        /// Reason string, in the broker's words.
        why: Option<&'a str>,
    },
    /// PINGRESP.
    Pong,
    /// DISCONNECT.
    Disconnected {
        /// The reason code.
        reason: u8,
        /// Reason string, in the broker's words.
        why: Option<&'a str>,
    },
}

/// CONNACK (section 3.2), as far as a subscriber has use for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Connected<'a> {
    /// The reason code; 0 where the client is let in.
    pub reason: u8,
    /// `true` where an earlier session goes on.
    pub session_present: bool,
    /// Session expiry interval, in seconds, where it is not as requested.
    pub session_expiry: Option<u32>,
    /// The keep-alive to use, in seconds, where it is not as requested.
    pub keep_alive: Option<u16>,
    /// Reason string, in the broker's words.
    pub why: Option<&'a str>,
}

/// Reads one packet's body, by the first byte of the packet.
///
/// # Errors
/// The rule that the packet breaks.
pub fn answer(header: u8, body: &[u8]) -> Result<ServerPacket<'_>, ProtocolError> {
    let (kind, flags) = (header >> 4, header & 0x0F);
    let mut rest = PacketReader(body);
    if kind != kind::PUBLISH && flags != 0 {
        return Err(ProtocolError::malformed("flags that must not be set"));
    }
    match kind {
        kind::CONNACK => connected(rest).map(ServerPacket::Connected),
        kind::PUBLISH => publish(ProtocolVersion::V5, flags, rest).map(ServerPacket::Publish),
        kind::PUBACK => {
            let id = identifier(&mut rest)?;
            let reason = if rest.is_empty() { 0 } else { rest.byte()? };
            only(&mut rest, &[id::REASON_STRING, id::USER_PROPERTY], |_| {})?;
            end(rest)?;
            Ok(ServerPacket::PubAck { id, reason })
        }
        kind::SUBACK | kind::UNSUBACK => filters(rest),
        kind::PINGRESP if body.is_empty() => Ok(ServerPacket::Pong),
        kind::DISCONNECT => disconnected(rest),
        _ => Err(ProtocolError::protocol(
            "a packet that a broker does not send to a subscriber of QoS 0 and 1",
        )),
    }
}

fn connected(mut rest: PacketReader<'_>) -> Result<Connected<'_>, ProtocolError> {
    let flags = rest.byte()?;
    if flags > 1 {
        return Err(ProtocolError::malformed("flags that must not be set"));
    }
    let mut connected = Connected {
        reason: rest.byte()?,
        session_present: flags == 1,
        ..Connected::default()
    };
    // A broker without MQTT 5 answers as MQTT 3.1.1 has it, without properties.
    if rest.is_empty() {
        return Ok(connected);
    }
    for property in properties(rest.properties()?) {
        let property = property?;
        match property.id {
            id::SESSION_EXPIRY => connected.session_expiry = Some(property.value.number()),
            id::SERVER_KEEP_ALIVE => {
                connected.keep_alive = u16::try_from(property.value.number()).ok();
            }
            id::REASON_STRING => connected.why = Some(property.value.text()),
            _ => {}
        }
    }
    end(rest)?;
    Ok(connected)
}

fn filters(mut rest: PacketReader<'_>) -> Result<ServerPacket<'_>, ProtocolError> {
    let id = identifier(&mut rest)?;
    let mut why = None;
    for property in properties(rest.properties()?) {
        let property = property?;
        if property.id == id::REASON_STRING {
            why = Some(property.value.text());
        }
    }
    Ok(ServerPacket::Filters {
        id,
        reasons: rest.0,
        why,
    })
}

fn disconnected(mut rest: PacketReader<'_>) -> Result<ServerPacket<'_>, ProtocolError> {
    let reason = if rest.is_empty() { 0 } else { rest.byte()? };
    let mut why = None;
    if !rest.is_empty() {
        for property in properties(rest.properties()?) {
            let property = property?;
            if property.id == id::REASON_STRING {
                why = Some(property.value.text());
            }
        }
    }
    end(rest)?;
    Ok(ServerPacket::Disconnected { reason, why })
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;
    use crate::wire::encode::{self, ConnackProperties};
    use crate::wire::{ReasonCode, frame};

    #[track_caller]
    fn read(bytes: &[u8]) -> Result<ServerPacket<'_>, ProtocolError> {
        let found = frame(bytes, 10_000).unwrap().unwrap();
        assert_eq!(found.end, bytes.len());
        answer(found.header, &bytes[found.begin..found.end])
    }

    #[test]
    fn what_the_stand_in_writes_is_read() {
        let mut out = BytesMut::new();
        let granted = ConnackProperties {
            session_expiry: Some(60),
            keep_alive: Some(30),
            ..ConnackProperties::default()
        };
        encode::connected(&mut out, ProtocolVersion::V5, true, &granted);
        let expected = Connected {
            session_present: true,
            session_expiry: Some(60),
            keep_alive: Some(30),
            ..Connected::default()
        };
        assert_eq!(read(&out), Ok(ServerPacket::Connected(expected)));
        out.clear();
        encode::refused(
            &mut out,
            ProtocolVersion::V5,
            ReasonCode::NotAuthorized,
            Some("no"),
        );
        let expected = Connected {
            reason: 0x87,
            why: Some("no"),
            ..Connected::default()
        };
        assert_eq!(read(&out), Ok(ServerPacket::Connected(expected)));
        out.clear();
        let reasons = [ReasonCode::GrantedQos1, ReasonCode::NotAuthorized];
        encode::subscribed(&mut out, ProtocolVersion::V5, 7, &reasons, Some("no"));
        let expected = ServerPacket::Filters {
            id: 7,
            reasons: &[1, 0x87],
            why: Some("no"),
        };
        assert_eq!(read(&out), Ok(expected));
        out.clear();
        encode::disconnected(&mut out, ReasonCode::TakenOver, None);
        let expected = ServerPacket::Disconnected {
            reason: 0x8E,
            why: None,
        };
        assert_eq!(read(&out), Ok(expected));
    }

    #[test]
    fn what_no_broker_sends_is_refused() {
        for bytes in [
            &[0x10, 0][..],
            &[0x20, 1, 0],
            &[0x20, 2, 2, 0],
            &[0x21, 2, 0, 0],
            &[0x36, 5, 0, 1, b'a', 0, 1],
            &[0x50, 2, 0, 1],
            &[0x90, 2, 0, 0],
            &[0xD0, 1, 0],
            &[0xE0, 3, 0, 1, 0xFF],
        ] {
            read(bytes).unwrap_err();
        }
        assert_eq!(
            read(&[0xE0, 0]),
            Ok(ServerPacket::Disconnected {
                reason: 0,
                why: None
            })
        );
        // MQTT 3.1.1's "unacceptable protocol version".
        let Ok(ServerPacket::Connected(old)) = read(&[0x20, 2, 0, 1]) else {
            panic!("it is a CONNACK");
        };
        assert_eq!(old.reason, 1);
    }
}
