//! CONNECT, the packet that decides which MQTT is spoken.

use super::decode::{MISPLACED, MessageProperties, end, topic};
use super::property::{PropertyKind, id, properties};
use super::read::PacketReader;
use super::{ProtocolError, ProtocolVersion, ReasonCode};

/// CONNECT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectPacket<'a> {
    /// Protocol version.
    pub level: ProtocolVersion,
    /// Indicates that an existing session is discarded (clean session, clean start).
    pub clean: bool,
    /// In seconds; 0 for none.
    pub keep_alive: u16,
    /// May be empty.
    pub client_id: &'a str,
    /// Message to publish when the client is lost.
    pub will: Option<ConnectWill<'a>>,
    /// The user name.
    pub user_name: Option<&'a str>,
    /// The password, which may be any bytes.
    pub password: Option<&'a [u8]>,
    /// In seconds; `None` where it is not said.
    pub session_expiry: Option<u32>,
    /// The most messages of QoS 1 that the client takes at once.
    pub receive_maximum: u16,
    /// The largest packet that the client takes.
    pub packet_bytes: Option<u32>,
    /// The most topic aliases that the client takes.
    pub topic_aliases: u16,
    /// Request Problem Information: the client wants reasons in words everywhere.
    pub problems: bool,
    /// Indicates that the client asks for extended authentication.
    pub extended: bool,
}

/// Message to publish when a client is lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectWill<'a> {
    /// Topic of the message.
    pub topic: &'a str,
    /// Payload of the message.
    pub payload: &'a [u8],
    /// 0, 1 or 2.
    pub qos: u8,
    /// Retain flag.
    pub retain: bool,
    /// Delay after the loss, in seconds.
    pub delay: u32,
    /// The message's own properties.
    pub properties: MessageProperties<'a>,
}

/// Reads its body.
pub(super) fn connect<'a>(rest: &mut PacketReader<'a>) -> Result<ConnectPacket<'a>, ProtocolError> {
    let level = match (rest.text()?, rest.byte()?) {
        ("MQTT", 5) => ProtocolVersion::V5,
        ("MQTT", 4) => ProtocolVersion::V311,
        ("MQIsdp", 3) => ProtocolVersion::V31,
        // The highest bit marks a bridge of mosquitto; after this answer it connects again without the bit.
        ("MQTT" | "MQIsdp", 0x83 | 0x84) => {
            return Err(ProtocolError {
                reason: ReasonCode::UnsupportedVersion,
                what: "a mosquitto bridge, which connects again as an ordinary client: `try_private false` saves this attempt",
            });
        }
        ("MQTT" | "MQIsdp", _) => {
            return Err(ProtocolError {
                reason: ReasonCode::UnsupportedVersion,
                what: "a version of MQTT that is not spoken here: 3.1, 3.1.1 and 5 are",
            });
        }
        _ => return Err(ProtocolError::protocol("a protocol that is not MQTT")),
    };
    let flags = rest.byte()?;
    let mut connect = ConnectPacket {
        level,
        clean: flags & 0b10 != 0,
        keep_alive: rest.two()?,
        client_id: "",
        will: None,
        user_name: None,
        password: None,
        session_expiry: None,
        receive_maximum: u16::MAX,
        packet_bytes: None,
        topic_aliases: 0,
        problems: true,
        extended: false,
    };
    if level.is_v5() {
        let mut has_data = false;
        for property in properties(rest.properties()?) {
            let property = property?;
            has_data |= property.id == id::AUTHENTICATION_DATA;
            connect.take(&property)?;
        }
        if has_data && !connect.extended {
            return Err(ProtocolError::protocol(
                "authentication data without a method",
            ));
        }
    }
    connect.client_id = rest.text()?;
    connect.will = will(level, flags, rest)?;
    let (has_name, has_password) = (flags & 0x80 != 0, flags & 0x40 != 0);
    if has_password && !has_name && !level.is_v5() {
        return Err(ProtocolError::malformed("a password without a user name"));
    }
    // In MQTT 3.1 either may be missing although its flag is set (section 3.1 of that version).
    let old = level == ProtocolVersion::V31;
    if has_name && !(old && rest.is_empty()) {
        connect.user_name = Some(rest.text()?);
    }
    if has_password && !(old && rest.is_empty()) {
        connect.password = Some(rest.binary()?);
    }
    if flags & 1 != 0 && !old {
        return Err(ProtocolError::malformed("a reserved flag is set"));
    }
    end(*rest)?;
    Ok(connect)
}

impl ConnectPacket<'_> {
    fn take(&mut self, property: &PropertyKind<'_>) -> Result<(), ProtocolError> {
        let number = property.value.number();
        let small = u16::try_from(number).unwrap_or(u16::MAX);
        match property.id {
            id::SESSION_EXPIRY => self.session_expiry = Some(number),
            id::RECEIVE_MAXIMUM if small > 0 => self.receive_maximum = small,
            id::MAXIMUM_PACKET_SIZE if number > 0 => self.packet_bytes = Some(number),
            id::RECEIVE_MAXIMUM | id::MAXIMUM_PACKET_SIZE => {
                return Err(ProtocolError::protocol("a maximum of zero"));
            }
            id::TOPIC_ALIAS_MAXIMUM => self.topic_aliases = small,
            id::REQUEST_PROBLEM_INFORMATION => self.problems = number == 1,
            id::AUTHENTICATION_METHOD => self.extended = true,
            id::AUTHENTICATION_DATA | id::REQUEST_RESPONSE_INFORMATION | id::USER_PROPERTY => {}
            _ => return Err(MISPLACED),
        }
        Ok(())
    }
}

fn will<'a>(
    level: ProtocolVersion,
    flags: u8,
    rest: &mut PacketReader<'a>,
) -> Result<Option<ConnectWill<'a>>, ProtocolError> {
    let (qos, retain) = ((flags >> 3) & 0b11, flags & 0b10_0000 != 0);
    if flags & 0b100 == 0 {
        return if level != ProtocolVersion::V31 && (qos != 0 || retain) {
            Err(ProtocolError::malformed("flags of a will without a will"))
        } else {
            Ok(None)
        };
    }
    if qos == 3 {
        return Err(ProtocolError::malformed("a will with QoS 3"));
    }
    let mut will = ConnectWill {
        topic: "",
        payload: &[],
        qos,
        retain,
        delay: 0,
        properties: MessageProperties::default(),
    };
    if level.is_v5() {
        let block = rest.properties()?;
        will.properties.block = block;
        for property in properties(block) {
            let property = property?;
            match property.id {
                id::WILL_DELAY => will.delay = property.value.number(),
                id::TOPIC_ALIAS => return Err(MISPLACED),
                _ => will.properties.take(&property)?,
            }
        }
    }
    will.topic = topic(rest.text()?)?;
    if will.topic.is_empty() {
        return Err(ProtocolError::malformed("a will without a topic"));
    }
    will.payload = rest.binary()?;
    Ok(Some(will))
}
