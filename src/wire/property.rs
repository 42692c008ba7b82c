//! The properties of MQTT 5 packets (section 2.2.2).

use super::ProtocolError;
use super::read::PacketReader;

/// Identifiers of properties.
pub mod id {
    #![allow(missing_docs, reason = "the specification's names say it")]
    pub const PAYLOAD_FORMAT: u8 = 0x01;
    pub const MESSAGE_EXPIRY: u8 = 0x02;
    pub const CONTENT_TYPE: u8 = 0x03;
    pub const RESPONSE_TOPIC: u8 = 0x08;
    pub const CORRELATION_DATA: u8 = 0x09;
    pub const SUBSCRIPTION_ID: u8 = 0x0B;
    pub const SESSION_EXPIRY: u8 = 0x11;
    pub const ASSIGNED_CLIENT_ID: u8 = 0x12;
    pub const SERVER_KEEP_ALIVE: u8 = 0x13;
    pub const AUTHENTICATION_METHOD: u8 = 0x15;
    pub const AUTHENTICATION_DATA: u8 = 0x16;
    pub const REQUEST_PROBLEM_INFORMATION: u8 = 0x17;
    pub const WILL_DELAY: u8 = 0x18;
    pub const REQUEST_RESPONSE_INFORMATION: u8 = 0x19;
    pub const RESPONSE_INFORMATION: u8 = 0x1A;
    pub const SERVER_REFERENCE: u8 = 0x1C;
    pub const REASON_STRING: u8 = 0x1F;
    pub const RECEIVE_MAXIMUM: u8 = 0x21;
    pub const TOPIC_ALIAS_MAXIMUM: u8 = 0x22;
    pub const TOPIC_ALIAS: u8 = 0x23;
    pub const MAXIMUM_QOS: u8 = 0x24;
    pub const RETAIN_AVAILABLE: u8 = 0x25;
    pub const USER_PROPERTY: u8 = 0x26;
    pub const MAXIMUM_PACKET_SIZE: u8 = 0x27;
    pub const SUBSCRIPTION_IDS_AVAILABLE: u8 = 0x29;
}

/// One property.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PropertyKind<'a> {
    /// Identifier of the property.
    pub id: u8,
    /// Value of the property.
    pub value: PropertyValue<'a>,
    /// Bytes of the property in the packet, identifier included.
    pub raw: &'a [u8],
}

/// Value of a property.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PropertyValue<'a> {
    /// A number of one, two or four bytes, or of a variable number of them.
    Number(u32),
    /// Text.
    Text(&'a str),
    /// Bytes.
    Binary(&'a [u8]),
    /// A name and a value.
    Pair(&'a str, &'a str),
}

impl<'a> PropertyValue<'a> {
    /// The number; zero where it is none, which [`properties`] does not let happen for identifiers of numbers.
    pub fn number(self) -> u32 {
        match self {
            Self::Number(number) => number,
            _ => 0,
        }
    }

    /// The text; empty where it is none.
    pub fn text(self) -> &'a str {
        match self {
            Self::Text(text) => text,
            _ => "",
        }
    }
}

/// Reads a block of properties, without the length before it. Each may occur once, but for user
/// properties.
pub fn properties(block: &[u8]) -> impl Iterator<Item = Result<PropertyKind<'_>, ProtocolError>> {
    let mut rest = PacketReader(block);
    let mut seen = 0_u64;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let read = one(&mut rest).and_then(|property| {
            let bit = 1_u64 << (property.id & 0x3F);
            if seen & bit != 0 && property.id != id::USER_PROPERTY {
                return Err(ProtocolError::protocol("a property that stands twice"));
            }
            seen |= bit;
            Ok(property)
        });
        if read.is_err() {
            rest = PacketReader(&[]);
        }
        Some(read)
    })
}

fn one<'a>(rest: &mut PacketReader<'a>) -> Result<PropertyKind<'a>, ProtocolError> {
    let before = rest.0;
    let id = rest.byte()?;
    let value = match id {
        id::PAYLOAD_FORMAT
        | id::REQUEST_PROBLEM_INFORMATION
        | id::REQUEST_RESPONSE_INFORMATION
        | id::MAXIMUM_QOS
        | id::RETAIN_AVAILABLE
        | id::SUBSCRIPTION_IDS_AVAILABLE => match rest.byte()? {
            byte @ 0..=1 => PropertyValue::Number(byte.into()),
            _ => {
                return Err(ProtocolError::protocol(
                    "a property that is 0 or 1 is neither",
                ));
            }
        },
        id::MESSAGE_EXPIRY | id::SESSION_EXPIRY | id::WILL_DELAY | id::MAXIMUM_PACKET_SIZE => {
            PropertyValue::Number(rest.four()?)
        }
        id::SERVER_KEEP_ALIVE | id::RECEIVE_MAXIMUM | id::TOPIC_ALIAS_MAXIMUM | id::TOPIC_ALIAS => {
            PropertyValue::Number(rest.two()?.into())
        }
        id::SUBSCRIPTION_ID => PropertyValue::Number(rest.variable()?),
        id::CONTENT_TYPE
        | id::RESPONSE_TOPIC
        | id::ASSIGNED_CLIENT_ID
        | id::AUTHENTICATION_METHOD
        | id::RESPONSE_INFORMATION
        | id::SERVER_REFERENCE
        | id::REASON_STRING => PropertyValue::Text(rest.text()?),
        id::CORRELATION_DATA | id::AUTHENTICATION_DATA => PropertyValue::Binary(rest.binary()?),
        id::USER_PROPERTY => PropertyValue::Pair(rest.text()?, rest.text()?),
        _ => return Err(ProtocolError::malformed("a property that does not exist")),
    };
    let length = before.len() - rest.0.len();
    let raw = before.get(..length).unwrap_or_default();
    Ok(PropertyKind { id, value, raw })
}
