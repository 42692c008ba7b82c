//! MQTT on the wire. For a broker: packets that clients send are read ([`decode`]), those that a
//! broker sends are written ([`encode`]). For a client of MQTT 5: packets that a broker sends are
//! read ([`answer`]), those that a client sends are written ([`request`]).
//!
//! Pure and strict: a packet that breaks a rule of the specification is a [`ProtocolError`] with
//! the reason code that MQTT 5 has for it. Nothing is allocated by what a length claims, only by
//! what has arrived. MQTT 3.1 (level 3, which AWS Amplify speaks), MQTT 3.1.1 (OASIS standard of
//! 2014) and MQTT 5.0 (OASIS standard of 2019). Parts that only a QoS 2 exchange or extended
//! authentication needs are not known here, since IoT Core has neither.
//!
//! Reason for our own codec: the client library's codecs are one per version, know no level 3, and
//! turn each packet into owned text. Here a packet is read in place and a publication is written
//! once for many.

pub mod answer;
pub mod connect;
pub mod decode;
pub mod encode;
pub mod property;
mod read;
pub mod request;

/// Version of MQTT that a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolVersion {
    /// MQTT 3.1, protocol name `MQIsdp`.
    V31,
    /// MQTT 3.1.1.
    V311,
    /// MQTT 5.0.
    V5,
}

impl ProtocolVersion {
    /// Returns `true` where packets have properties and answers have reasons.
    pub fn is_v5(self) -> bool {
        self == Self::V5
    }

    /// As people write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::V31 => "3.1",
            Self::V311 => "3.1.1",
            Self::V5 => "5",
        }
    }
}

/// Reason codes (MQTT 5.0, section 2.4), as far as a broker of this kind has use for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ReasonCode {
    /// Done; granted with QoS 0; a normal disconnection.
    Success = 0x00,
    /// Granted with QoS 1.
    GrantedQos1 = 0x01,
    /// The client leaves, and wants its will published.
    WithWill = 0x04,
    /// Nobody had subscribed.
    NoMatchingSubscribers = 0x10,
    /// There was no such subscription.
    NoSubscription = 0x11,
    /// Refused without saying why.
    Unspecified = 0x80,
    /// The packet cannot be read.
    Malformed = 0x81,
    /// The packet must not come here, or not like this.
    Protocol = 0x82,
    /// A level of the protocol that is not spoken here.
    UnsupportedVersion = 0x84,
    /// The client id cannot be used.
    ClientIdInvalid = 0x85,
    /// User name, password or token are wrong.
    BadCredentials = 0x86,
    /// A policy does not allow it.
    NotAuthorized = 0x87,
    /// The broker ends.
    ShuttingDown = 0x8B,
    /// The method of extended authentication is not spoken here.
    BadMethod = 0x8C,
    /// The client was silent for too long.
    KeepAliveTimeout = 0x8D,
    /// Another connection has the client id now.
    TakenOver = 0x8E,
    /// The topic filter cannot be subscribed to.
    FilterInvalid = 0x8F,
    /// The topic cannot be published to.
    TopicInvalid = 0x90,
    /// The packet identifier is in use.
    IdInUse = 0x91,
    /// More unacknowledged publications than were allowed.
    ReceiveMaximum = 0x93,
    /// The topic alias is zero or too high.
    AliasInvalid = 0x94,
    /// The packet is larger than was allowed.
    TooLarge = 0x95,
    /// Above a quota.
    QuotaExceeded = 0x97,
    /// Somebody ended it on purpose.
    Administrative = 0x98,
    /// QoS 2.
    QosUnsupported = 0x9B,
    /// Subscription identifiers.
    SubscriptionIdsUnsupported = 0xA1,
}

impl ReasonCode {
    /// The code on the wire.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// Returns `true` where the code is a refusal or an error.
    pub fn is_failure(self) -> bool {
        self.code() >= 0x80
    }
}

/// A rule of the protocol that a client has broken: its connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProtocolError {
    /// Reason code for an MQTT 5 client; older clients see the connection close.
    pub reason: ReasonCode,
    /// The fault, in a few words.
    pub what: &'static str,
}

impl ProtocolError {
    pub(crate) const fn malformed(what: &'static str) -> Self {
        Self {
            reason: ReasonCode::Malformed,
            what,
        }
    }

    pub(crate) const fn protocol(what: &'static str) -> Self {
        Self {
            reason: ReasonCode::Protocol,
            what,
        }
    }
}

/// The type of a packet (MQTT 5.0, section 2.1.2).
pub(crate) mod kind {
    pub(crate) const CONNECT: u8 = 1;
    pub(crate) const CONNACK: u8 = 2;
    pub(crate) const PUBLISH: u8 = 3;
    pub(crate) const PUBACK: u8 = 4;
    pub(crate) const PUBREC: u8 = 5;
    pub(crate) const PUBREL: u8 = 6;
    pub(crate) const PUBCOMP: u8 = 7;
    pub(crate) const SUBSCRIBE: u8 = 8;
    pub(crate) const SUBACK: u8 = 9;
    pub(crate) const UNSUBSCRIBE: u8 = 10;
    pub(crate) const UNSUBACK: u8 = 11;
    pub(crate) const PINGREQ: u8 = 12;
    pub(crate) const PINGRESP: u8 = 13;
    pub(crate) const DISCONNECT: u8 = 14;
    pub(crate) const AUTH: u8 = 15;
}

/// Position of a packet among the bytes that have arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketFrame {
    /// The first byte: type and flags.
    pub header: u8,
    /// Offset at which its body begins.
    pub begin: usize,
    /// Offset at which its body ends, and the next packet begins.
    pub end: usize,
}

/// Finds the first packet; `None` while it has not arrived as a whole.
///
/// # Errors
/// A length that cannot be read, or of a packet of more than `largest` bytes: known before the packet is waited for.
pub fn frame(bytes: &[u8], largest: usize) -> Result<Option<PacketFrame>, ProtocolError> {
    let Some((&header, rest)) = bytes.split_first() else {
        return Ok(None);
    };
    let mut length = 0_usize;
    for (at, &byte) in rest.iter().enumerate().take(4) {
        length |= usize::from(byte & 0x7F) << (7 * at);
        if byte & 0x80 != 0 {
            continue;
        }
        if byte == 0 && at > 0 {
            return Err(ProtocolError::malformed(
                "a length with more bytes than it needs",
            ));
        }
        let begin = at + 2;
        let end = begin + length;
        if end > largest {
            return Err(ProtocolError {
                reason: ReasonCode::TooLarge,
                what: "the packet is larger than the broker takes",
            });
        }
        let whole = bytes.len() >= end;
        return Ok(whole.then_some(PacketFrame { header, begin, end }));
    }
    if rest.len() >= 4 {
        return Err(ProtocolError::malformed("a length of more than four bytes"));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames() {
        let found = |bytes: &[u8]| frame(bytes, 1_000);
        assert_eq!(found(&[]), Ok(None));
        assert_eq!(found(&[0xC0]), Ok(None));
        assert_eq!(
            found(&[0xC0, 0]),
            Ok(Some(PacketFrame {
                header: 0xC0,
                begin: 2,
                end: 2
            }))
        );
        assert_eq!(found(&[0x30, 3, 1, 2]), Ok(None));
        assert_eq!(found(&[0x30, 0xFF]), Ok(None));
        let long = [&[0x30, 0xC8, 0x01][..], &[0; 200]].concat();
        assert_eq!(
            found(&long),
            Ok(Some(PacketFrame {
                header: 0x30,
                begin: 3,
                end: 203
            }))
        );
        // Refused by its length, before it has come.
        let reason = |bytes: &[u8]| found(bytes).map_err(|breach| breach.reason);
        assert_eq!(reason(&[0x30, 0xFF, 0x7F]), Err(ReasonCode::TooLarge));
        assert_eq!(
            reason(&[0x30, 0x80, 0x80, 0x80, 0x80]),
            Err(ReasonCode::Malformed)
        );
        assert_eq!(reason(&[0x30, 0x81, 0x00]), Err(ReasonCode::Malformed));
    }
}
